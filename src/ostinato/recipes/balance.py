"""Weights that make classes of unequal size count the same."""

from __future__ import annotations

from collections.abc import Sequence


def balanced(counts: Sequence[int]) -> list[float]:
    """Weights under which all classes count the same: N / (C n_c), with mean 1 over the N examples.

    Args:
        counts: (C,), the examples n_c of each class; a class without examples is weighted as if it had one.
    """
    total = sum(counts)
    return [total / (len(counts) * max(count, 1)) for count in counts]
