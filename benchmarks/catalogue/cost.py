"""What a cell costs beside an LSTM of the same width: a training step, and a step of a stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

import ostinato
from benchmarks.case import Subject, make_subject
from benchmarks.catalogue.training import LIKE, extras
from benchmarks.sizes import Size
from benchmarks.timing import measure
from ostinato import catalogue

SIZE = Size(50, 32, 128, 128)
OURS, BASELINE = "cell", "baseline"


def cost(cell: str, budget_s: float, rounds: int | None = None) -> dict[str, Any]:
    """Of each kind of step the seconds of both, and their ratio; or why there is none.

    Args:
        cell: its name.
        budget_s: of timing, for each kind of step.
        rounds: see `measure`.
    """
    return {
        kind: _beside(make, cell, budget_s, rounds)
        for kind, make in (("training", _training), ("streaming", _streaming))
    }


def _beside(
    make: Callable[[str, str], Subject], cell: str, budget_s: float, rounds: int | None
) -> dict[str, float | str]:
    try:
        subjects = [make(OURS, cell), make(BASELINE, LIKE)]
        for subject in subjects:
            _seconds(subject)  # compiles
        first_s = {subject.name: _seconds(subject) for subject in subjects}
        found = measure(subjects, first_s, budget_s, rounds)
    except Exception as error:  # whatever a cell cannot do; the page says it
        return {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    ours, baseline = found[OURS].median_s, found[BASELINE].median_s
    return {"seconds": ours, "baseline_seconds": baseline, "relative": ours / baseline}


def _seconds(subject: Subject) -> float:
    if subject.prepare is not None:
        subject.prepare()
    began = time.perf_counter()
    subject.call()
    return time.perf_counter() - began


def _layer(cell: str) -> Any:
    torch.manual_seed(0)
    return catalogue.make(cell, SIZE.I, SIZE.H)


def _training(name: str, cell: str) -> Subject:
    layer = _layer(cell)
    beside = extras(layer, SIZE.T, SIZE.B)
    x = torch.randn(SIZE.T, SIZE.B, SIZE.I)
    return make_subject(name, layer, lambda x: layer(x, **beside)[0], x, "training", 0.0)


def _streaming(name: str, cell: str) -> Subject:
    layer = _layer(cell).eval()
    stream = ostinato.Stream(layer)
    beside = {extra: v[0, 0] for extra, v in extras(layer, 1, 1).items()}
    row = torch.randn(SIZE.I)
    return Subject(name, lambda: stream(row, **beside), 0.0)
