"""Artificial data: three tasks that need a memory of a chosen length, and waves to forecast."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F

from ostinato.types import Tensor


class LabBatch(NamedTuple):
    """Sequences and their targets.

    Attributes:
        input: (T, B, I).
        target: (B,) numbers, or (S, B) classes, one for each of the last S steps.
    """

    input: Tensor
    target: Tensor


@dataclass(frozen=True)
class LabTask:
    """A task for small networks.

    Attributes:
        name: of the task.
        inputs: I, the features of a step.
        outputs: the numbers that a network gives at a step.
        make: (length, rows) -> LabBatch, from torch's random numbers; `length` is about how many steps must be bridged.
        error: (output (T, B, outputs), target) -> the error, 0 where all is right.
        guessing: the error of the best answer that ignores the input.
        solved: below this error the task counts as solved.
    """

    name: str
    inputs: int
    outputs: int
    make: Callable[[int, int], LabBatch]
    error: Callable[[Tensor, Tensor], float]
    guessing: float
    solved: float

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss to minimise: squared error for numbers, cross entropy for classes (nats)."""
        if target.is_floating_point():
            return F.mse_loss(output[-1, :, 0], target)
        return F.cross_entropy(output[-len(target) :].flatten(0, 1), target.flatten())


def _adding(length: int, rows: int) -> LabBatch:
    """Add the two marked numbers, one in each half; Hochreiter & Schmidhuber 1997, 5.4, with numbers in [0, 1]."""
    numbers, marks = torch.rand(length, rows), torch.zeros(length, rows)
    columns, half = torch.arange(rows), length // 2
    first, second = torch.randint(half, (rows,)), torch.randint(half, length, (rows,))
    marks[first, columns] = marks[second, columns] = 1.0
    return LabBatch(torch.stack((numbers, marks), -1), numbers[first, columns] + numbers[second, columns])


_ALPHABET, _COPIED = 4, 2


def _copy(length: int, rows: int) -> LabBatch:
    """Repeat two symbols after `length` blank steps; as in Arjovsky et al. 2016, section 4.1, but shorter."""
    symbols = torch.randint(_ALPHABET, (_COPIED, rows))
    blank, cue = _ALPHABET, _ALPHABET + 1
    ids = torch.full((length + 2 * _COPIED, rows), blank)
    ids[:_COPIED] = symbols
    ids[-_COPIED] = cue
    return LabBatch(F.one_hot(ids, _ALPHABET + 2).float(), symbols)


def _order(length: int, rows: int) -> LabBatch:
    """The order of X and Y, near a tenth and the half, among noise; Hochreiter & Schmidhuber 1997, 5.6, task 6a."""
    ids = torch.randint(4, (length, rows))  # 0 to 3 are noise (a b c d); X and Y are 4 and 5
    columns, kinds = torch.arange(rows), torch.randint(2, (2, rows))
    tenth = max(1, length // 10)
    for kind, start in zip(kinds, (tenth, length // 2), strict=True):
        ids[start + torch.randint(tenth, (rows,)), columns] = 4 + kind
    return LabBatch(F.one_hot(ids, 6).float(), (2 * kinds[0] + kinds[1])[None])


def waves(rows: int, steps: int, noise: float) -> tuple[Tensor, Tensor]:
    """Waves of size 1, with random phases and periods (12 to 20 steps).

    Args:
        rows: B.
        steps: T.
        noise: standard deviation of the measured values around the true wave.

    Returns:
        The measured values, and the true wave; (T, B, 1) each.
    """
    period, phase = 12 + 8 * torch.rand(rows), 2 * math.pi * torch.rand(rows)
    true = torch.sin(2 * math.pi * torch.arange(steps)[:, None] / period + phase)[..., None]
    return true + noise * torch.randn_like(true), true


def _square(output: Tensor, target: Tensor) -> float:
    return float(F.mse_loss(output[-1, :, 0], target))


def _wrong(output: Tensor, target: Tensor) -> float:
    return float((output[-len(target) :].argmax(-1) != target).float().mean())


ADDING = LabTask("adding", 2, 1, _adding, _square, guessing=1 / 6, solved=1 / 60)
COPY = LabTask("copy", _ALPHABET + 2, _ALPHABET, _copy, _wrong, guessing=1 - 1 / _ALPHABET, solved=0.05)
ORDER = LabTask("order", 6, 4, _order, _wrong, guessing=0.75, solved=0.05)
