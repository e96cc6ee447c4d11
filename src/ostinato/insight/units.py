"""Units with a meaning of their own: which unit follows which label, chosen on one half of a text and measured on the other.

The search for such units in character models began with Karpathy, Johnson & Fei-Fei 2015 (arXiv 1506.02078), who found them by eye;
here a correlation decides. A unit that is the best of thousands on a text is so partly by chance. So the half that chose it does
not tell how good it is: the reported r is that of the other half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.insight.layers import InsightError
from ostinato.insight.text_labels import Label, labels
from ostinato.insight.unit_values import Activations

_LEAST = 30  # the least number of steps with and without a label in each half; with fewer, r is chance


@dataclass(frozen=True)
class MeaningfulUnit:
    """The unit that follows a label best.

    Attributes:
        label: the label that it follows.
        layer: the name of the layer.
        state: the name of the state, such as "h" or "c".
        unit: the number of the unit, from 0.
        r: Pearson's correlation on the half of the text that was not used for the choice, in [-1, 1].
        r_chosen: the correlation on the half that was used for the choice.
        steps: the number of steps in the half on which r was measured.
    """

    label: Label
    layer: str
    state: str
    unit: int
    r: float
    r_chosen: float
    steps: int

    @property
    def name(self) -> str:
        """A name such as `layer 2 unit 181 (c)`."""
        return f"{self.layer} unit {self.unit} ({self.state})"

    @property
    def sentence(self) -> str:
        """A sentence such as `layer 2 unit 181 (c) is on inside strings, r = 0.93`."""
        if self.label.is_binary:
            verb = "is on" if self.r_chosen > 0 else "is off"
        else:
            verb = "rises with" if self.r_chosen > 0 else "falls with"
        return f"{self.name} {verb} {self.label.phrase}, r = {self.r:.2f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, as JSON has them."""
        return {
            "label": self.label.name,
            "layer": self.layer,
            "state": self.state,
            "unit": self.unit,
            "r": self.r,
            "r_chosen": self.r_chosen,
            "steps": self.steps,
            "sentence": self.sentence,
        }


def meaningful_units(read: Activations, found: Sequence[Label] | None = None) -> list[MeaningfulUnit]:
    """For each label the unit, of all layers and states, whose value correlates with it most.

    Args:
        read: the values of every unit over a text.
        found: labels of `read.text`, one value a character; None for those of `labels`. A step gets the values of the last
            character that has been read by then.

    Returns:
        One for each label that varies enough in both halves of the text, the largest |r| first.

    Raises:
        InsightError: a label does not have one value for each character.
    """
    text = read.text
    found = labels(text) if found is None else found
    for label in found:
        if len(label.values) != len(text):
            raise InsightError(
                f"label {label.name}: expected a value for each of the {len(text)} characters, got {len(label.values)}"
            )
    steps = read.last_characters
    half = len(steps) // 2
    kept = [label for label in found if _varies(label.values[steps[:half]]) and _varies(label.values[steps[half:]])]
    if not kept:
        return []
    wanted = np.stack([label.values[steps] for label in kept])  # (K, T)
    best: list[MeaningfulUnit | None] = [None] * len(kept)
    for layer, state, values in read.series():
        chosen = correlations(wanted[:, :half], values[:half])  # (K, H)
        for place, unit in enumerate(np.abs(chosen).argmax(1)):
            r_chosen, before = float(chosen[place, unit]), best[place]
            if before is None or abs(r_chosen) > abs(before.r_chosen):
                r = correlations(wanted[place : place + 1, half:], values[half:, unit : unit + 1])
                best[place] = MeaningfulUnit(
                    kept[place], layer, state, int(unit), float(r[0, 0]), r_chosen, len(steps) - half
                )
    return sorted((unit for unit in best if unit is not None), key=lambda unit: -abs(unit.r))


def correlations(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Pearson's r of each row (K, T) with each column (T, H): (K, H) float64; 0 if one of the two does not vary."""
    a = _standard(rows.T.astype(np.float64))
    total = np.zeros((rows.shape[0], columns.shape[1]))
    for some in _blocks(columns.shape[1]):
        total[:, some] = a.T @ _standard(columns[:, some].astype(np.float64))
    return total


def _blocks(width: int, size: int = 128) -> Iterator[slice]:
    """Slices of the columns, so that float64 copies are made of some units at a time."""
    return (slice(start, start + size) for start in range(0, width, size))


def _standard(columns: np.ndarray) -> np.ndarray:
    centred = columns - columns.mean(0)
    length = np.sqrt((centred**2).sum(0))
    # Rounding errors of a constant are not variation.
    varies = length > 1e-9 * np.sqrt(len(columns)) * (1.0 + np.abs(columns).max(0))
    return np.where(varies, centred / np.where(varies, length, 1.0), 0.0)


def _varies(values: np.ndarray) -> bool:
    """Whether at least `_LEAST` steps differ from the most common value."""
    if len(values) < 2 * _LEAST:
        return False
    _, counts = np.unique(values, return_counts=True)
    return len(values) - counts.max() >= _LEAST
