"""Forecasts that add up: those of totals are moved to equal the sums of their parts, and the parts with them.

Each path of all series is projected onto what adds up, S (S' W^-1 S)^-1 S' W^-1 y, where S sums the parts and W says how far each
forecast is to be trusted. Sources: Hyndman, Ahmed, Athanasopoulos & Shang 2011, Computational Statistics & Data Analysis 55 (least
squares); Wickramasuriya, Athanasopoulos & Hyndman 2019, Journal of the American Statistical Association 114 (MinT, here with the
variances of the forecasts on its diagonal); of whole distributions Panagiotelis et al. 2023, European Journal of Operational
Research 306.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from ostinato.errors import ConfigError

Reconcile: TypeAlias = Literal["variances", "least-squares", "bottom-up"]

_LEAST_SHARE = 1e-6  # of the largest variance: a forecast without one is trusted so much more, and no more


def summing(names: Sequence[str], sums: Mapping[str, Sequence[str]]) -> np.ndarray:
    """(N, M): each of N series as a sum of those M that are no sum, in their order.

    Args:
        names: of the series.
        sums: of each total its parts, which may be totals too.

    Raises:
        ConfigError: a name is no series, is there twice, or is a part of itself.
    """
    known = set(names)
    for total, parts in sums.items():
        if strange := [name for name in (total, *parts) if name not in known]:
            shown = ", ".join(map(repr, list(names)[:8])) + (", ..." if len(names) > 8 else "")
            raise ConfigError(f"options.sums: expected names of series, {shown}, got {strange[0]!r}")
        if not parts or len(set(parts)) != len(parts):
            raise ConfigError(f"options.sums: expected different parts of {total!r}, got {list(parts)}")
    bottom = [name for name in names if name not in sums]
    rows: dict[str, np.ndarray] = dict(zip(bottom, np.eye(len(bottom)), strict=True))

    def row(name: str, above: tuple[str, ...]) -> np.ndarray:
        if name in above:
            raise ConfigError(f"options.sums: {name!r} is a part of itself")
        if name not in rows:
            rows[name] = np.sum([row(part, (*above, name)) for part in sums[name]], axis=0)
        return rows[name]

    return np.stack([row(name, ()) for name in names])


def reconciled(
    paths: np.ndarray, summed: np.ndarray, how: Reconcile = "variances", floored: np.ndarray | None = None
) -> np.ndarray:
    """Paths that add up.

    Args:
        paths: (N, H, S), of all series.
        summed: (N, M), see `summing`.
        how: whom to trust: each as much as the variance of its forecast at this step says, all alike, or the parts alone.
        floored: (N,) bool, those that are never below 0; their parts are not, and what is summed follows.

    Returns:
        (N, H, S).
    """
    is_bottom = (summed != 0).sum(1) == 1
    is_bottom &= summed.sum(1) == 1
    first = np.array([int(np.flatnonzero(is_bottom & (summed[:, at] != 0))[0]) for at in range(summed.shape[1])])
    if how == "bottom-up":
        parts = paths[first]
    else:
        parts = np.empty((summed.shape[1], *paths.shape[1:]))
        for step in range(paths.shape[1]):
            trust = np.ones(len(paths))
            if how == "variances":
                variance = paths[:, step].var(-1)
                trust = 1.0 / np.maximum(variance, max(float(variance.max()) * _LEAST_SHARE, 1e-300))
                trust /= trust.max()
            root = np.sqrt(trust)[:, None]
            parts[:, step] = np.linalg.lstsq(root * summed, root * paths[:, step], rcond=None)[0]
    if floored is not None:
        parts = np.where(floored[first][:, None, None], parts.clip(0.0), parts)
    return np.einsum("nm,mhs->nhs", summed, parts)
