"""All paths, one after the other: what the sums of CTC are without any cleverness."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np


def text_of(path: tuple[int, ...]) -> tuple[int, ...]:
    """Repeats are taken out, then blanks (Graves et al. 2006, section 3.1)."""
    return tuple(unit for unit, _ in itertools.groupby(path) if unit)


def texts_of_all_paths(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """p of every text that (T, V) can give."""
    T, V = log_probs.shape
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(V), repeat=T):
        found[text_of(path)] += math.exp(sum(log_probs[t, unit] for t, unit in enumerate(path)))
    return found


def best_path(log_probs: np.ndarray, text: tuple[int, ...]) -> tuple[int, ...]:
    """The likeliest path of a text."""
    T, V = log_probs.shape
    paths = (path for path in itertools.product(range(V), repeat=T) if text_of(path) == text)
    return max(paths, key=lambda path: sum(log_probs[t, unit] for t, unit in enumerate(path)))


def random_log_probs(T: int, B: int, V: int, seed: int, sharpness: float = 1.0) -> np.ndarray:
    logits = sharpness * np.random.default_rng(seed).standard_normal((T, B, V))
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))
