"""Forecasts that add up: forecasts of totals and of their parts are moved until the totals equal the sums.

Each path of all series is projected onto the paths that add up, S (S' W^-1 S)^-1 S' W^-1 y; S sums the parts, and W
says how far each forecast is to be trusted. Sources: Hyndman, Ahmed, Athanasopoulos & Shang 2011, Computational
Statistics & Data Analysis 55 (least squares); Wickramasuriya, Athanasopoulos & Hyndman 2019, Journal of the American
Statistical Association 114 (MinT, here with only the variances of the forecasts, on its diagonal); for whole
distributions Panagiotelis et al. 2023, European Journal of Operational Research 306.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from ostinato.errors import ConfigError

Reconcile: TypeAlias = Literal["variances", "least-squares", "bottom-up"]

_LEAST_SHARE = 1e-6  # of the largest variance: the trust in a forecast with less variance does not grow further


def summing(names: Sequence[str], sums: Mapping[str, Sequence[str]]) -> np.ndarray:
    """The matrix (N, M) that gives each of N series as a sum of the M series that are no sums, in their order.

    Args:
        names: the names of the series.
        sums: the parts of each total, which may be totals too.

    Raises:
        ConfigError: a name is no series, occurs twice among the parts, or is a part of itself.
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
    """Moves paths so that they add up.

    Args:
        paths: (N, H, S), of all series.
        summed: (N, M), see `summing`.
        how: how far each forecast is trusted: by its variance at this step, all equally, or only the parts.
        floored: (N,) bool, series that are never below 0; parts of which that is true are cut there, and sums follow.

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
