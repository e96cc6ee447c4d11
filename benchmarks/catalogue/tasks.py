"""Five small tasks on which every cell is trained and judged."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from ostinato.data import digits, standard_library
from ostinato.lab.tasks import ADDING, COPY, LabBatch, LabTask
from ostinato.types import Tensor

JUDGED_ROWS = 1000
SQUARED, WRONG, BITS = "squared error", "% wrong", "bits a character"
_TEXT_PLACES, _TEXT_BEFORE, _TEXT_STEPS = 200, 10_000, 200
_CHARACTERS = 96  # printable ASCII, and the end of a line for all else


@dataclass(frozen=True)
class Task:
    """What is learned, for how long, and how it is judged.

    Attributes:
        lab: makes the batches to train on; its error is the score.
        what: a sentence for the page.
        score: what the error is: `SQUARED`, `WRONG` (a share, shown in %) or `BITS`.
        length: of `lab.make`.
        rows: of a batch.
        updates: of the weights.
        judged: the batch that is judged, always the same.
    """

    lab: LabTask
    what: str
    score: str
    length: int
    rows: int
    updates: int
    judged: Callable[[], LabBatch]


def _made(lab: LabTask, length: int) -> Callable[[], LabBatch]:
    """What is judged of a task whose data are drawn: a batch of its own, the same for every cell."""

    def judged() -> LabBatch:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1_000_000)
            return lab.make(length, JUDGED_ROWS)

    return judged


def adding() -> Task:
    what = "200 numbers in [0, 1], of which two are marked, one in each half: what is their sum?"
    return Task(ADDING, what, SQUARED, 200, 16, 600, _made(ADDING, 200))


def copy() -> Task:
    what = "Two symbols of four, then 50 steps of nothing, then a sign: say both symbols."
    return Task(COPY, what, WRONG, 50, 16, 1200, _made(COPY, 50))


def parity(trained: int = 40, judged: int = 160) -> Task:
    """Is the number of ones so far even or odd? A state of one bit, which must be right after every step."""

    def make(length: int, rows: int) -> LabBatch:
        bits = torch.randint(2, (length, rows))
        return LabBatch(F.one_hot(bits, 2).float(), bits.cumsum(0) % 2)

    def error(output: Tensor, target: Tensor) -> float:
        return COPY.error(output[trained:], target[trained:])

    lab = LabTask("parity", 2, 2, make, error, guessing=0.5, solved=0.05)
    what = (
        f"Bits: is the number of ones so far even or odd? To say after each of {trained} steps in training; judged are steps "
        f"{trained + 1} to {judged} of longer sequences."
    )
    return Task(lab, what, WRONG, trained, 32, 600, _made(lab, judged))


def pixels() -> Task:
    """The built-in digits, a pixel a step."""
    data = digits()

    def sequences(part: str) -> LabBatch:
        images = getattr(data, part)
        return LabBatch(torch.from_numpy(images.rows()).flatten(1).T[..., None], torch.from_numpy(images.labels)[None])

    train = sequences("train")

    def make(length: int, rows: int) -> LabBatch:
        chosen = torch.randint(train.target.shape[1], (rows,))
        return LabBatch(train.input[:length, chosen], train.target[:, chosen])

    lab = LabTask("digits", 1, 10, make, COPY.error, guessing=0.9, solved=0.05)
    what = (
        f"Handwritten digits of scikit-learn, 8 x 8 pixels, a pixel a step: which digit is it? {train.target.shape[1]:,} to "
        f"learn from, judged are {len(data.test)} others."
    )
    return Task(lab, what, WRONG, 64, 32, 700, lambda: sequences("test"))


def text() -> Task:
    """The characters of the built-in text: what comes next?"""
    # Files differ: what is judged is taken from all over the text, a little after every piece to learn from.
    pieces = _ids(_TEXT_PLACES * (_TEXT_BEFORE + _TEXT_STEPS + 1)).view(_TEXT_PLACES, -1)
    train, rest = pieces[:, :_TEXT_BEFORE].flatten(), pieces[:, _TEXT_BEFORE:].T

    def batch(windows: Tensor) -> LabBatch:
        return LabBatch(F.one_hot(windows[:-1], _CHARACTERS).float(), windows[1:])

    def make(length: int, rows: int) -> LabBatch:
        starts = torch.randint(len(train) - length, (rows,))
        return batch(train[starts + torch.arange(length + 1)[:, None]])

    def error(output: Tensor, target: Tensor) -> float:
        return float(F.cross_entropy(output.flatten(0, 1), target.flatten())) / math.log(2)

    shares = (torch.bincount(train, minlength=_CHARACTERS) + 1.0) / len(train)
    guessing = float(-shares[rest[1:].flatten()].log2().mean())
    lab = LabTask("text", _CHARACTERS, _CHARACTERS, make, error, guessing, solved=0.0)
    what = (
        f"Source code of Python's standard library, {len(train):,} characters: which one is next? Judged are "
        f"{rest[1:].numel():,} others, {_TEXT_STEPS} in a row."
    )
    return Task(lab, what, BITS, 50, 32, 700, lambda: batch(rest))


def _ids(count: int) -> Tensor:
    """So many characters of the built-in text."""
    parts: list[str] = []
    for piece in standard_library().pieces():
        parts.append(piece.text)
        if sum(map(len, parts)) >= count:
            break
    codes = (
        torch.frombuffer(bytearray("".join(parts)[:count].encode("ascii", "replace")), dtype=torch.uint8).long() - 32
    )
    return torch.where((codes < 0) | (codes >= _CHARACTERS - 1), _CHARACTERS - 1, codes)


TASKS = {"adding": adding, "copy": copy, "parity": parity, "digits": pixels, "text": text}


@functools.cache
def task(name: str, quick: bool = False) -> Task:
    """A task by name; its data are read once. Quick: two updates, to see that all of it works."""
    made = TASKS[name]()
    return replace(made, rows=2, updates=2) if quick else made
