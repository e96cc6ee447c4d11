"""The nearest known recording under dynamic time warping: a baseline for classifiers of series.

    D(i, j) = sum over the channels of (q_ic - r_jc)^2 + min(D(i - 1, j), D(i, j - 1), D(i - 1, j - 1))

D is for a query q of N steps and a known recording r of M steps; their distance is D(N - 1, M - 1). All channels are
warped together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ostinato.errors import ConfigError, DataError

MOST_CELLS = 2_000_000_000
_BLOCK = 24_000  # numbers on an anti-diagonal of a block: 188 kB, so that its few arrays stay in cache
_STRETCH = 1.1  # ratio of lengths in a block; longer padding is computed in vain


@dataclass(frozen=True)
class Nearest:
    """The nearest recordings of all queries.

    Attributes:
        nearest: For each query, the index of the nearest known recording, (Q,) int64.
        used: How many known recordings were compared.
    """

    nearest: np.ndarray
    used: int


def nearest_by_dtw(
    train: Sequence[np.ndarray], queries: Sequence[np.ndarray], *, window: float = 1.0, most_cells: int = MOST_CELLS
) -> Nearest:
    """The nearest known recording of each query; the first of several that are equally near.

    Source: Sakoe & Chiba 1978 for the band; Berndt & Clifford 1994, "Using dynamic time warping to find patterns in time series";
    Shokoohi-Yekta et al. 2017, "Generalizing DTW to the multi-dimensional case requires an adaptive approach", for channels that
    are warped together ("dependent").

    Args:
        train: Known recordings, (M, C) numbers each, M at least 1, none missing.
        queries: (N, C) numbers each, N at least 1, none missing.
        window: How far i and j may differ, as a share from 0 to 1 of the longer of two lengths: rounded to whole steps,
            and at least the difference of the lengths. 0 gives the Euclidean distance for equal lengths, 1 is no bound.
        most_cells: How many pairs (i, j) may be computed. If all recordings need more, evenly spaced ones of `train`
            are compared.

    Raises:
        ConfigError: `window` is out of range.
        DataError: There is no known recording, channels differ, or values are missing; or one known recording alone
            needs more than `most_cells`.
    """
    if not 0 <= window <= 1:
        raise ConfigError(f"window must be from 0 to 1, a part of the longer of two recordings; got {window}")
    if not len(train):
        raise DataError("expected at least one known recording to compare with, got none")
    known = _checked(train, "known recording", train[0])
    asked = _checked(queries, "query", train[0])
    kept = _kept(_lengths(known), _lengths(asked), window, most_cells)
    known = [known[at] for at in kept]
    least = np.full(len(asked), np.inf)
    nearest = np.zeros(len(asked), dtype=np.int64)
    for columns in _blocks(_lengths(known), _BLOCK):
        some = [known[at] for at in columns]
        lengths, values = _lengths(some), _padded(some, backwards=True)
        for rows in _blocks(_lengths(asked), max(1, _BLOCK // len(columns))):
            found = _distances([asked[at] for at in rows], values, lengths, window)
            # Columns are sorted by length: among equals take the smallest index, here and across blocks.
            best = found.min(1)
            first = np.where(found == best[:, None], columns, len(known)).min(1)
            better = (best < least[rows]) | ((best == least[rows]) & (first < nearest[rows]))
            least[rows] = np.where(better, best, least[rows])
            nearest[rows] = np.where(better, first, nearest[rows])
    return Nearest(kept[nearest], len(kept))


def _checked(recordings: Sequence[np.ndarray], what: str, first: np.ndarray) -> list[np.ndarray]:
    """The recordings as arrays, checked to have the same channels and finite numbers only."""
    found = [np.asarray(each) for each in recordings]
    for at, each in enumerate(found):
        if each.ndim != 2 or each.shape[1:] != first.shape[1:] or not len(each):
            raise DataError(
                f"expected recordings (T, C) of at least one step with the channels of the first, which is "
                f"{'x'.join(map(str, first.shape))}; {what} {at} is {'x'.join(map(str, each.shape))}"
            )
        if not np.isfinite(each).all():
            raise DataError(f"expected numbers that are finite; {what} {at} has others: fill what is missing")
    return found


def _lengths(recordings: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([len(each) for each in recordings], dtype=np.int64)


def _bands(n: np.ndarray, m: np.ndarray, window: float) -> np.ndarray:
    """How far i and j may differ, in steps."""
    return np.maximum(np.rint(window * np.maximum(n, m)).astype(np.int64), abs(n - m))


def _kept(known: np.ndarray, asked: np.ndarray, window: float, most: int) -> np.ndarray:
    """The indices of the known recordings to compare, given all lengths."""
    n, times = np.unique(asked, return_counts=True)
    distinct, which = np.unique(known, return_inverse=True)
    needs = np.empty(len(distinct))
    for at, m in enumerate(distinct):
        band = _bands(n, m, window)
        below, above = np.maximum(n - 1 - band, 0), np.maximum(m - 1 - band, 0)  # two triangles outside the band
        needs[at] = (times * (n * m - below * (below + 1) // 2 - above * (above + 1) // 2)).sum(dtype=np.float64)
    needs = needs[which]
    kept = np.arange(len(known))
    while (total := needs[kept].sum()) > most:
        if len(kept) == 1:
            raise DataError(
                f"comparing {len(asked)} recordings with one known recording needs {total:.3g} cells, more than {most:,}: "
                f"give fewer or shorter recordings or a narrower window than {window:g}"
            )
        count = max(1, min(len(kept) - 1, int(len(kept) * most / total)))
        kept = (2 * np.arange(count) + 1) * len(known) // (2 * count)
    return kept


def _blocks(lengths: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Blocks of indices of recordings of about the same length, with at most `most` steps, but at least one."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        end = start + 1
        while (
            end < len(order)
            and lengths[order[end]] * (end + 1 - start) <= most
            and lengths[order[end]] <= _STRETCH * lengths[order[start]] + 1
        ):
            end += 1
        yield order[start:end]
        start = end


def _padded(recordings: Sequence[np.ndarray], *, backwards: bool) -> np.ndarray:
    """The recordings padded, (C, T, N) float64; padding after the end of a recording changes nothing before it.

    Args:
        recordings: N of them.
        backwards: The last step first, so that along an anti-diagonal the indices of both recordings grow.
    """
    padded = np.zeros((recordings[0].shape[1], max(map(len, recordings)), len(recordings)))
    for at, each in enumerate(recordings):
        padded[:, : len(each), at] = each.T
    return np.ascontiguousarray(padded[:, ::-1]) if backwards else padded


def _distances(asked: Sequence[np.ndarray], known: np.ndarray, m: np.ndarray, window: float) -> np.ndarray:
    """The distances (Q, K) of Q queries from K known recordings, all pairs at once, anti-diagonal by anti-diagonal.

    Args:
        asked: Q queries.
        known: (C, M, K), backwards.
        m: (K,), the lengths of the known recordings.
        window: See `nearest_by_dtw`.
    """
    n = _lengths(asked)
    query = _padded(asked, backwards=False)
    channels, N, M = len(query), query.shape[1], known.shape[1]
    band = _bands(n[:, None], m[None], window)
    last = n[:, None] + m[None] - 2
    narrowest, widest = int(band.min()), int(band.max())
    result = np.empty(band.shape)
    # The cell (i, d - i) of an anti-diagonal is stored at i + 1, with a border before the first and after the last.
    older, old, new = (np.full((N + 2, *band.shape), np.inf) for _ in range(3))
    older[0] = 0.0
    costs, squares = np.empty((N, *band.shape)), np.empty((N, *band.shape))
    for d in range(N + M - 1):
        low = max(0, d - M + 1, (d - widest + 1) // 2)
        high = min(N - 1, d, (d + widest) // 2)
        new[low] = new[high + 2] = np.inf
        if low <= high:
            cells, cost, square = slice(low + 1, high + 2), costs[: high + 1 - low], squares[: high + 1 - low]
            back = M - 1 - d  # the place of j = d - i in an array that runs backwards
            for c in range(channels):
                into = square if c else cost
                a, b = query[c, low : high + 1, :, None], known[c, back + low : back + high + 1, None]
                np.multiply(np.subtract(a, b, out=into), into, out=into)
                if c:
                    np.add(cost, square, out=cost)
            best = np.minimum(old[low : high + 1], old[cells], out=new[cells])
            np.minimum(best, older[low : high + 1], out=best)
            np.add(best, cost, out=best)
            if narrowest < widest:
                distance = abs(2 * np.arange(low, high + 1) - d)
                outer = np.flatnonzero(distance > narrowest)
                best[outer] = np.where(distance[outer, None, None] > band, np.inf, best[outer])
            if d >= last.min():
                rows, columns = np.nonzero(last == d)
                result[rows, columns] = new[n[rows], rows, columns]
        older, old, new = old, new, older
    return result
