"""Classes of unequal size that are to count the same."""

from __future__ import annotations

from collections.abc import Sequence


def balanced(counts: Sequence[int]) -> list[float]:
    """Weights of classes that make all count the same: N / (C n_c), whose mean over the N examples is 1.

    Args:
        counts: (C,), n_c; a class without examples counts as one with one.
    """
    total = sum(counts)
    return [total / (len(counts) * max(count, 1)) for count in counts]
