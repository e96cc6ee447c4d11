"""Which values are too strange: the surprises of validation tell how often an alarm is false."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_TAIL = 0.1  # share of the most surprising values; all of these are kept, up to the next number
_MOST_OF_TAIL = 200
_OTHERS = 50
_LEAST_SCALE = 1e-6
_LEAST_LOG = -700.0  # log of the least probability, so that it is above 0


@dataclass(frozen=True)
class Alarm:
    """The share of ordinary values that are at least as surprising as a given value.

    Between the surprises of validation it is interpolated; beyond them it falls as an exponential, as likelihoods do.

    Attributes:
        surprises: kept surprises, in increasing order.
        shares: for each of these, the share of values that are at least so surprising.
        count: the number of values that it was learnt from.
        scale: the scale of the exponential beyond the largest surprise, above 0.
    """

    surprises: tuple[float, ...]
    shares: tuple[float, ...]
    count: int
    scale: float

    @classmethod
    def of(cls, surprises: np.ndarray) -> Alarm | None:
        """Learns from the surprises of validation; None if there are none.

        Args:
            surprises: (N,), NaN for missing values.
        """
        there = np.sort(surprises[np.isfinite(surprises)])
        n = len(there)
        if not n:
            return None
        # The k-th largest of n ordinary values is reached by another one in k of n + 1 cases.
        # With ties, all values that are equally surprising count.
        exceeded = (n - np.searchsorted(there, there)) / (n + 1.0)
        tail = np.flatnonzero(exceeded <= _TAIL)
        tail = tail[-_MOST_OF_TAIL:] if len(tail) > _MOST_OF_TAIL else tail
        begin = tail[0] if len(tail) else n - 1
        others = np.unique(np.linspace(0, begin, _OTHERS).round().astype(int))
        kept = np.unique(np.concatenate([others, tail, [n - 1]]).astype(int))
        above = there[begin:] - there[begin]
        scale = max(float(above.mean()), _LEAST_SCALE)
        return cls(tuple(there[kept].tolist()), tuple(exceeded[kept].tolist()), n, scale)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any] | None) -> Alarm | None:
        """Makes it from the dict of `to_dict`; None from None."""
        if content is None:
            return None
        lists = {name: tuple(map(float, content[name])) for name in ("surprises", "shares")}
        return cls(**lists, count=int(content["count"]), scale=float(content["scale"]))

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return dataclasses.asdict(self)

    def probability(self, surprise: np.ndarray | float) -> np.ndarray:
        """How often an ordinary value is at least so surprising, (...), from above 0 to 1; NaN for a missing value.

        If values with a probability of at most r raise an alarm, a share r of ordinary values raises a false one.
        """
        given = np.asarray(surprise, dtype=np.float64)
        at, logs = np.array(self.surprises), np.log(np.array(self.shares))
        at, first = np.unique(at, return_index=True)
        found = np.interp(given, at, logs[first], left=0.0)
        beyond = logs[first][-1] - (given - at[-1]) / self.scale
        logs = np.where(given > at[-1], np.maximum(beyond, _LEAST_LOG), found)
        return np.exp(np.where(np.isnan(given), np.nan, logs))
