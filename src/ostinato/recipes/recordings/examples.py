"""Recordings as examples: the inputs of a network, and labels of recordings or of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ostinato.data.batches.batches import Batch, pad
from ostinato.data.recordings.recording import Recordings
from ostinato.data.recordings.scaling import Scaling


class RecordingExamples:
    """Recordings that have a label each, or whose steps have labels.

    Args:
        recordings: N recordings.
        scaling: how they are read; one step at a time if steps have labels.
        names: the names of labels: the classes, then labels that training never had.
        classes: how many of `names` are classes.
        of_steps: whether steps have labels.
        max_length: steps that are read; later ones are left out; None for all.
        targets: numbers to predict in place of labels, float32, NaN for none: for each recording a number or a row of
            numbers, (N, ...); for steps (T,) of each recording.

    Attributes:
        inputs: for each recording (T, I) float32.
        labels: (N,) int64, places in `names`, -1 for none; for steps (T,) int64 of each recording; or `targets`.
    """

    def __init__(
        self,
        recordings: Recordings,
        scaling: Scaling,
        names: Sequence[str],
        classes: int,
        *,
        of_steps: bool = False,
        max_length: int | None = None,
        targets: Sequence[np.ndarray] | np.ndarray | None = None,
    ):
        places = {name: place for place, name in enumerate(names)}
        self.inputs = [scaling.apply(each)[:max_length] for each in recordings.items]
        self.lengths = np.array([len(each) for each in self.inputs], dtype=np.int64)
        self.of_steps = of_steps
        if targets is not None:
            self.labels = [each[:max_length] if of_steps else each for each in targets]
            there = [np.isfinite(each) for each in self.labels]
            self.counts = np.array([each.sum() if of_steps else each.all() for each in there], dtype=np.int64)
        elif of_steps:
            told = [each.labels or (None,) * len(each) for each in recordings.items]
            self.labels = [_places(labels, places)[:max_length] for labels in told]
            self.counts = np.array([((v >= 0) & (v < classes)).sum() for v in self.labels], dtype=np.int64)
        else:
            found = _places([each.label for each in recordings.items], places)
            self.labels = list(found)
            self.counts = ((found >= 0) & (found < classes)).astype(np.int64)

    def batch(self, rows: np.ndarray) -> Batch:
        """A batch with inputs (T, B, I) float32 and targets (B,) or (T, B) int64."""
        input, lengths = pad([self.inputs[row] for row in rows])
        if self.of_steps:
            target, _ = pad([self.labels[row] for row in rows])
        else:
            target = torch.from_numpy(np.stack([self.labels[row] for row in rows]))
        return Batch(input, target, lengths, torch.from_numpy(rows))

    def arrays(self) -> Iterator[np.ndarray]:
        """All arrays that the network learns from, for a checksum."""
        yield from self.inputs
        yield from (np.asarray(each) for each in self.labels)


def _places(labels: Sequence[str | None], places: dict[str, int]) -> np.ndarray:
    return np.array([-1 if label is None else places[label] for label in labels], dtype=np.int64)
