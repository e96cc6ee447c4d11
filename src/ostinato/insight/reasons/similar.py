"""Where else was the network in this state? Find the ranges of a corpus whose states are most similar to those of one range.

The measures compare a range of L steps with the states q_1 ... q_L, and L steps of the corpus with the states s_1 ... s_L:

    cosine      the mean over the steps of  q_l . s_l / (|q_l| |s_l|)
    threshold   |Q and S| / |Q or S|, with Q the units that are beyond a threshold, in the same direction, in the whole range, and S
                such units of the corpus's range; this is LSTMVis's measure

Source: Strobelt et al. 2018, "LSTMVis", arXiv 1606.07461, section 5.1, for ranges, and for units beyond a threshold in all of a
range.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ostinato.errors import ConfigError

Measure = Literal["cosine", "threshold"]
MEASURES: tuple[Measure, ...] = ("cosine", "threshold")
THRESHOLD = 0.3


@dataclass(frozen=True)
class AlikeRange:
    """A range of steps in which the network was in similar states.

    Attributes:
        score: the similarity, at most 1.
        sequence: the number of the sequence that contains the range.
        start: its first step, from 0.
        end: the step after its last.
    """

    score: float
    sequence: int
    start: int
    end: int


def similar_ranges(
    query: np.ndarray,
    corpus: Iterable[tuple[int, np.ndarray]],
    count: int = 10,
    *,
    measure: Measure = "cosine",
    threshold: float = THRESHOLD,
    without: tuple[int, int, int] | None = None,
) -> list[AlikeRange]:
    """The ranges of a corpus that are most similar to one range; they do not overlap each other.

    The best is taken first, then the best of those that it does not overlap, and so on. The memory is four bytes for each step of
    the corpus, and the states of one block.

    Args:
        query: `(L, H)`, the states of the range.
        corpus: blocks of states, `(n, H)`, each with the number of the sequence that it continues; the blocks of a sequence follow
            each other.
        count: the most ranges to return, at least 1.
        measure: the measure of similarity, "cosine" or "threshold".
        threshold: a unit counts as on if its distance from 0 exceeds this, above 0; only for the measure "threshold".
        without: a sequence, a start and an end that no range may overlap, such as the query itself.

    Raises:
        ConfigError: an argument is out of its range.
    """
    if query.ndim != 2 or not len(query):
        raise ConfigError(f"query: expected states (L, H) of at least one step, got {query.shape}")
    if count < 1:
        raise ConfigError(f"count: expected at least 1 range, got {count}")
    if measure not in MEASURES:
        raise ConfigError(f"--measure {measure}: expected one of {', '.join(MEASURES)}")
    if not threshold > 0:
        raise ConfigError(f"--threshold {threshold}: expected a number above 0")
    score = _Cosine(query) if measure == "cosine" else _Overlap(query, threshold)
    L, parts, sequences, lengths = len(query), [], [], []
    rest, last = np.zeros((0, query.shape[1]), query.dtype), None
    for sequence, block in corpus:
        if sequence != last:
            rest, last = rest[:0], sequence
            sequences.append(sequence)
            lengths.append(0)
        joined = np.concatenate([rest, block])
        if len(joined) >= L:
            parts.append(score(joined).astype(np.float32))
            lengths[-1] += len(parts[-1])
            rest = joined[len(joined) - L + 1 :]
        else:
            rest = joined
    if not parts:
        return []
    scores = np.concatenate(parts)
    begins = np.concatenate([[0], np.cumsum(lengths)])
    if without is not None:
        for at in np.flatnonzero(np.array(sequences) == without[0]).tolist():
            first = begins[at] + max(0, without[1] - L + 1)
            scores[first : min(begins[at] + without[2], begins[at + 1])] = -np.inf
    found = []
    for _ in range(count):
        best = int(scores.argmax())
        if not np.isfinite(scores[best]):
            break
        at = int(np.searchsorted(begins, best, side="right")) - 1
        start = best - int(begins[at])
        found.append(AlikeRange(float(scores[best]), sequences[at], start, start + L))
        scores[max(best - L + 1, int(begins[at])) : min(best + L, int(begins[at + 1]))] = -np.inf
    return found


class _Cosine:
    """The cosine measure: scores of all ranges of a block."""

    def __init__(self, query: np.ndarray) -> None:
        self._query = _unit(query)

    def __call__(self, states: np.ndarray) -> np.ndarray:
        L = len(self._query)
        products = _unit(states) @ self._query.T  # (n, L)
        count = len(states) - L + 1
        return np.sum([products[at : at + count, at] for at in range(L)], axis=0) / L


class _Overlap:
    """The threshold measure: the overlap of the units that are on, for all ranges of a block."""

    def __init__(self, query: np.ndarray, threshold: float) -> None:
        self._threshold, self._length = threshold, len(query)
        self._on = self._through(query)[0]
        if not self._on.any():
            raise ConfigError(
                f"--threshold {threshold}: no unit is beyond it all through the range; choose a lower one, or a shorter range"
            )

    def _through(self, states: np.ndarray) -> np.ndarray:
        """Which units are beyond the threshold, above or below, in the whole of each range: (n - L + 1, 2 H) bool."""
        on = np.concatenate([states > self._threshold, states < -self._threshold], 1)
        counts = np.concatenate([np.zeros((1, on.shape[1]), np.int64), on.cumsum(0)])
        return counts[self._length :] - counts[: -self._length] == self._length

    def __call__(self, states: np.ndarray) -> np.ndarray:
        on = self._through(states)
        both = (on & self._on).sum(1)
        return both / (on.sum(1) + self._on.sum() - both)


def _unit(states: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(states, axis=1, keepdims=True)
    return states / np.where(norms > 0, norms, 1.0)
