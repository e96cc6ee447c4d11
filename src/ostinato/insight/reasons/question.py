"""What is asked of a network about one sequence, and what is said in reply."""

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
    """A number that a network says about one sequence, and what it read.

    Attributes:
        model: the network, in evaluation mode.
        answer: `(model, x)`, from K variants of what was read, `(T, K, F)` of any floating dtype, to `(K,)`, the number for each.
            It uses the `model` that it is given, which may be a copy in double precision.
        input: `(T, 1, F)`, what was read: numbers, or the vectors of tokens.
        baseline: `(T, 1, F)`, what stands for "nothing was there".
        about: what the number is, such as "class walk".
        unit: of the number.
        steps: names of the S steps that are to blame: words, characters, or numbers.
        channels: names of the C channels; none where a step is one thing, as a word is.
        cells: `(T, F)` int64, to which step and channel each number belongs, `step * max(C, 1) + channel`; -1 for padding,
            which is never taken away.
        joiner: what stands between the steps where they are read as a text; None where they are none.
        name: of the example, as the data have it.
        said: the answer in words, such as the class, or the text that was written.
        read: `(S, C)`, what was read as the data have it, NaN where missing, for pictures; None for words.
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
        # What is no step's stays as it is, or contributions would not sum.
        nobody = torch.from_numpy(self.cells < 0)[:, None].to(self.input.device)
        object.__setattr__(self, "baseline", torch.where(nobody, self.input, self.baseline))

    @property
    def shape(self) -> tuple[int, int]:
        """S, and C or 1."""
        return len(self.steps), max(1, len(self.channels))

    def folded(self, contributions: Tensor) -> np.ndarray:
        """`(S, C)`: of contributions `(T, F)`, the sum of each step and channel."""
        flat, count = self.cells.ravel(), self.shape[0] * self.shape[1]
        kept = flat >= 0
        values = contributions.detach().double().cpu().numpy().ravel()
        return np.bincount(flat[kept], values[kept], minlength=count).reshape(self.shape)

    def values(self, x: Tensor, at_once: int = 2**24) -> Tensor:
        """The numbers for K variants `(T, K, F)`, without gradient, `(K,)`, so many numbers of them at a time."""
        rows = max(1, at_once // max(1, self.input.numel()))
        with torch.no_grad():
            return torch.cat([self.answer(self.model, part) for part in x.split(rows, 1)])

    def without(self, hidden: Sequence[np.ndarray]) -> Tensor:
        """`(K,)`: the number where some steps and channels are the baseline's.

        Args:
            hidden: for each of K variants which, `(S, C)` bool.
        """
        found = []
        rows = max(1, 2**24 // max(1, self.input.numel()))
        for start in range(0, len(hidden), rows):
            masks = [self._spread(each) for each in hidden[start : start + rows]]
            mask = torch.from_numpy(np.stack(masks, 1)).to(self.input.device)
            found.append(self.values(torch.where(mask, self.baseline, self.input)))
        return torch.cat(found)

    def _spread(self, hidden: np.ndarray) -> np.ndarray:
        """`(T, F)` bool of `(S, C)`."""
        return np.append(hidden.ravel(), False)[self.cells]


def plain_cells(steps: int, width: int, channels: int = 1) -> np.ndarray:
    """The `cells` of a question whose steps are those of the network: `(T, F)`.

    Args:
        steps: T.
        width: F.
        channels: C, 1 or F.
    """
    column = np.arange(width) if channels == width else np.zeros(width, dtype=np.int64)
    return np.arange(steps)[:, None] * channels + column


@dataclass(frozen=True, eq=False)
class Reasons:
    """What each step and channel has to do with an answer.

    Attributes:
        method: "gradients", "occlusion" or "gates".
        about: what the number is.
        unit: of `answer`, `baseline` and `values`.
        answer: the number that the network says.
        baseline: the number where nothing is there.
        values: `(S, C)`, C at least 1: above 0 what speaks for the answer, below 0 what speaks against it.
        steps: S names.
        channels: C names, or none.
        joiner: what stands between the steps of a text; None where they are none.
        name: of the example.
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
        """The reply to a question."""
        same = {name: getattr(question, name) for name in _SAME}
        return cls(method=method, answer=answer, baseline=baseline, values=values, **same)

    @property
    def by_step(self) -> np.ndarray:
        """`(S,)`: the sum of a step's channels."""
        return self.values.sum(1)

    @property
    def by_channel(self) -> dict[str, float]:
        """The sum of each channel's steps; empty where steps have none."""
        return dict(zip(self.channels, self.values.sum(0).tolist(), strict=True)) if self.channels else {}

    @property
    def remainder(self) -> float:
        """What the contributions lack of `answer - baseline`."""
        return self.answer - self.baseline - float(self.values.sum())

    def strongest(self, count: int = 10) -> list[tuple[int, str, float]]:
        """The steps that weigh most, for or against: number, name and contribution, the strongest first."""
        order = np.argsort(-np.abs(self.by_step), kind="stable")[:count]
        return [(int(at), self.steps[at], float(self.by_step[at])) for at in order]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; `values` only where steps have channels, as `by_step` says it else."""
        found: dict[str, Any] = {"example": self.name} if self.name else {}
        found |= {"said": self.said} if self.said else {}
        found |= {"about": self.about, "method": self.method, "unit": self.unit}
        found |= {"answer": self.answer, "baseline": self.baseline, "remainder": self.remainder}
        found |= {"steps": list(self.steps), "by_step": self.by_step.tolist()}
        if self.channels:
            found |= {"channels": list(self.channels), "by_channel": self.by_channel, "values": self.values.tolist()}
        return found
