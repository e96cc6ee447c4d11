"""A question to a network about one sequence (why this answer?), and the reply: reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from ostinato.types import Tensor

_SAME = ("about", "unit", "steps", "channels", "joiner", "name", "said", "read")
LOG_ODDS, LOG_PROBABILITY = "nats of log-odds", "nats"


@dataclass(frozen=True, eq=False)
class Question:
    """A number that a network gives for one sequence (the answer), and the sequence.

    Attributes:
        model: the network, in evaluation mode.
        answer: a function `(model, x)`, from K variants of the input, `(T, K, F)` of any floating dtype, to the K numbers, `(K,)`.
            It must use the `model` that it is given, which may be a copy in double precision.
        input: `(T, 1, F)`, the input: numbers, or the vectors of tokens.
        baseline: `(T, 1, F)`, the input that stands for "nothing was there".
        about: what the number is, such as "class walk".
        unit: the unit of the number.
        steps: names of the S steps that get contributions: words, characters, or numbers.
        channels: names of the C channels; none if a step has no parts, as a word.
        cells: `(T, F)` int64, the step and channel that each number of the input belongs to, `step * max(C, 1) + channel`; -1 for
            padding, which is never deleted.
        joiner: the text between the steps if they form a text; None if they do not.
        name: the name of the example in the data.
        said: the answer in words, such as the class, or the text that was written.
        read: `(S, C)`, the input as the data have it, NaN if missing, for pictures; None for words.
    """

    model: nn.Module
    answer: Callable[[Any, Tensor], Tensor]
    input: Tensor
    baseline: Tensor
    about: str
    unit: str
    steps: tuple[str, ...]
    channels: tuple[str, ...] = ()
    cells: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    joiner: str | None = None
    name: str = ""
    said: str = ""
    read: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.cells is None:  # pyright: ignore[reportUnnecessaryComparison]
            cells = plain_cells(len(self.input), self.input.shape[2], max(1, len(self.channels)))
            object.__setattr__(self, "cells", cells)
        # Numbers that belong to no step keep their value in the baseline, or contributions would not sum to the difference.
        nobody = torch.from_numpy(self.cells < 0)[:, None].to(self.input.device)
        object.__setattr__(self, "baseline", torch.where(nobody, self.input, self.baseline))

    @property
    def shape(self) -> tuple[int, int]:
        """The number of steps S, and of channels C, or 1 without channels."""
        return len(self.steps), max(1, len(self.channels))

    def folded(self, contributions: Tensor) -> np.ndarray:
        """Sum contributions `(T, F)` by step and channel, `(S, C)`."""
        flat, count = self.cells.ravel(), self.shape[0] * self.shape[1]
        kept = flat >= 0
        values = contributions.detach().double().cpu().numpy().ravel()
        return np.bincount(flat[kept], values[kept], minlength=count).reshape(self.shape)

    def values(self, x: Tensor, at_once: int = 2**24) -> Tensor:
        """The answers for K variants `(T, K, F)`, `(K,)`, without gradient; at most `at_once` input numbers are run at a time."""
        rows = max(1, at_once // max(1, self.input.numel()))
        with torch.no_grad():
            return torch.cat([self.answer(self.model, part) for part in x.split(rows, 1)])

    def without(self, hidden: Sequence[np.ndarray]) -> Tensor:
        """The answers `(K,)` if some steps and channels are replaced by the baseline.

        Args:
            hidden: for each of K variants the steps and channels to replace, `(S, C)` bool.
        """
        found = []
        rows = max(1, 2**24 // max(1, self.input.numel()))
        for start in range(0, len(hidden), rows):
            masks = [self._spread(each) for each in hidden[start : start + rows]]
            mask = torch.from_numpy(np.stack(masks, 1)).to(self.input.device)
            found.append(self.values(torch.where(mask, self.baseline, self.input)))
        return torch.cat(found)

    def _spread(self, hidden: np.ndarray) -> np.ndarray:
        """Expand a mask of steps and channels, `(S, C)` bool, to the input's numbers, `(T, F)`."""
        return np.append(hidden.ravel(), False)[self.cells]


def plain_cells(steps: int, width: int, channels: int = 1) -> np.ndarray:
    """The `cells`, `(T, F)`, of a question whose steps are the network's time steps.

    Args:
        steps: T.
        width: F.
        channels: C, which is 1 or F.
    """
    column = np.arange(width) if channels == width else np.zeros(width, dtype=np.int64)
    return np.arange(steps)[:, None] * channels + column


@dataclass(frozen=True, eq=False)
class Reasons:
    """The contributions of each step and channel to an answer.

    Attributes:
        method: "gradients", "occlusion" or "gates".
        about: what the number is, see `Question`.
        unit: the unit of `answer`, `baseline` and `values`.
        answer: the number that the network gives.
        baseline: the number for the baseline.
        values: the contributions `(S, C)`, C at least 1: above 0 for the answer, below 0 against it.
        steps: S names.
        channels: C names, or none.
        joiner: the text between the steps if they form a text; None if they do not.
        name: the name of the example.
        said: the answer in words.
        read: see `Question`.
    """

    method: str
    about: str
    unit: str
    answer: float
    baseline: float
    values: np.ndarray = field(repr=False)
    steps: tuple[str, ...] = field(repr=False)
    channels: tuple[str, ...] = ()
    joiner: str | None = None
    name: str = ""
    said: str = ""
    read: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def of(cls, question: Question, method: str, answer: float, baseline: float, values: np.ndarray) -> Reasons:
        """Make the reasons for a question, with its names and units."""
        same = {name: getattr(question, name) for name in _SAME}
        return cls(method=method, answer=answer, baseline=baseline, values=values, **same)

    @property
    def by_step(self) -> np.ndarray:
        """The contribution of each step, `(S,)`: the sum over its channels."""
        return self.values.sum(1)

    @property
    def by_channel(self) -> dict[str, float]:
        """The contribution of each channel: the sum over its steps; empty without channels."""
        return dict(zip(self.channels, self.values.sum(0).tolist(), strict=True)) if self.channels else {}

    @property
    def remainder(self) -> float:
        """The difference between `answer - baseline` and the sum of the contributions."""
        return self.answer - self.baseline - float(self.values.sum())

    def strongest(self, count: int = 10) -> list[tuple[int, str, float]]:
        """The steps with the largest contributions, for or against: number, name and contribution, the strongest first."""
        order = np.argsort(-np.abs(self.by_step), kind="stable")[:count]
        return [(int(at), self.steps[at], float(self.by_step[at])) for at in order]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `values` only with channels, as without them `by_step` is the same."""
        found: dict[str, Any] = {"example": self.name} if self.name else {}
        found |= {"said": self.said} if self.said else {}
        found |= {"about": self.about, "method": self.method, "unit": self.unit}
        found |= {"answer": self.answer, "baseline": self.baseline, "remainder": self.remainder}
        found |= {"steps": list(self.steps), "by_step": self.by_step.tolist()}
        if self.channels:
            found |= {"channels": list(self.channels), "by_channel": self.by_channel, "values": self.values.tolist()}
        return found
