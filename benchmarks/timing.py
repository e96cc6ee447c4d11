"""Interleaved timing: the machine's speed drifts, so two things are compared turn by turn, never one after the other."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Comparison:
    """Seconds a call of `ours` and `theirs`, measured in turns.

    Attributes:
        ours: median seconds a call.
        theirs: median seconds a call.
        ratio: median of ours / theirs, pair by pair.
        difference: median of ours - theirs in seconds, pair by pair.
        pairs: how many.
    """

    ours: float
    theirs: float
    ratio: float
    difference: float
    pairs: int


def _seconds(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], budget_s: float = 2.0, min_pairs: int = 15
) -> Comparison:
    """Time both in turns for about `budget_s` seconds; the order within a pair alternates."""
    once = max(_seconds(theirs, 2), _seconds(ours, 2), 1e-7)
    repeats = max(1, int(0.002 / once))
    pairs: list[tuple[float, float]] = []
    end = time.perf_counter() + budget_s
    while time.perf_counter() < end or len(pairs) < min_pairs:
        if len(pairs) % 2:
            b = _seconds(theirs, repeats)
            a = _seconds(ours, repeats)
        else:
            a = _seconds(ours, repeats)
            b = _seconds(theirs, repeats)
        pairs.append((a, b))
    median = statistics.median
    return Comparison(
        median(a for a, _ in pairs),
        median(b for _, b in pairs),
        median(a / b for a, b in pairs),
        median(a - b for a, b in pairs),
        len(pairs),
    )


def machine() -> str:
    """One line about where this runs."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {capability}, torch {torch.__version__}"
