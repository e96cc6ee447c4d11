"""Several series together: a Gaussian whose covariance is a diagonal plus a few factors that all series share."""

from __future__ import annotations

import math

import torch

from ostinato.models.forecasting.gaussian import Gaussian
from ostinato.models.forecasting.widths import width_of

RANK = 4
_FIRST_LOADING = 0.1  # first loadings of the factors: with 0 they would have no gradient


class LowRank(Gaussian):
    """N(m, D + V V^T) over joint series, each with its own location m, width d and r loadings v.

    A series alone is N(m, d^2 + |v|^2). The loss is the negative log density of the values of all joint series, in
    nats.

    Source: Salinas, Bohlke-Schneider, Callot, Medico & Gasthaus 2019, High-dimensional multivariate forecasting with low-rank
    Gaussian copula processes, arXiv 1910.03002, equations 6 and 7: one network reads each series, and says its part of the
    covariance. Different here: no copula; values are in the scale of each window.

    Args:
        rank: r, at least 1.
    """

    def __init__(self, rank: int = RANK) -> None:
        self.rank, self.size = rank, 2 + rank

    def width(self, raw: torch.Tensor) -> torch.Tensor:
        """The deviation of a series alone, (...)."""
        return (width_of(raw[..., 1]).square() + raw[..., 2:].square().sum(-1)).sqrt()

    def start(self, changes: torch.Tensor, frame: None = None) -> torch.Tensor:
        """See `Head.start`."""
        loadings = changes.new_full((self.rank,), _FIRST_LOADING)
        return torch.cat([super().start(changes), loadings * changes.std().clamp(0.0, 1.0).nan_to_num(0.0)])

    def sample(self, raw: torch.Tensor, uniform: torch.Tensor, frame: None = None) -> torch.Tensor:
        """Draws changes.

        Args:
            raw: (N, K).
            uniform: (1 + r, N): a number for the series itself, and those for the factors, which joint series share.
            frame: not used.

        Returns:
            (N,).
        """
        z = torch.special.ndtri(uniform)
        return raw[:, 0] + width_of(raw[:, 1]) * z[0] + (raw[:, 2:].T * z[1:]).sum(0)

    def joint_loss(
        self, raw: torch.Tensor, change: torch.Tensor, counted: torch.Tensor, group: torch.Tensor
    ) -> torch.Tensor:
        """The negative log density of all values, jointly for a step and a group; a scalar, in nats for each value.

        Args:
            raw: (T, B, K).
            change: (T, B).
            counted: (T, B) bool.
            group: (B,) int64: rows of the same number belong together.
        """
        places = _places(group)  # (G, C)
        there = places >= 0
        at = places.clamp_min(0)
        is_there = counted[:, at] & there
        apart = torch.where(is_there, change[:, at] - raw[:, at, 0], 0.0)
        width = torch.where(is_there, width_of(raw[:, at, 1]), 1.0)
        loadings = torch.where(is_there.unsqueeze(-1), raw[:, at, 2:], 0.0)
        # By Woodbury and the determinant lemma, the matrix to factor has r rows, not one for each series.
        scaled = loadings / width.unsqueeze(-1)
        inner = scaled.mT @ scaled + torch.eye(self.rank, dtype=raw.dtype, device=raw.device)
        root = torch.linalg.cholesky(inner)
        z = apart / width
        shared = torch.linalg.solve_triangular(root, scaled.mT @ z.unsqueeze(-1), upper=False).squeeze(-1)
        square = z.square().sum(-1) - shared.square().sum(-1)
        determinant = 2.0 * root.diagonal(dim1=-2, dim2=-1).log().sum(-1) + 2.0 * width.log().sum(-1)
        count = is_there.sum()
        nats = 0.5 * (square + determinant).sum() + 0.5 * math.log(2.0 * math.pi) * count
        return nats / count.clamp_min(1)


def _places(group: torch.Tensor) -> torch.Tensor:
    """The rows of each group, (G, C); -1 in a group with fewer."""
    _, which = group.unique(return_inverse=True)
    order = which.argsort(stable=True)
    counts = torch.bincount(which)
    within = torch.arange(len(group), device=group.device) - (counts.cumsum(0) - counts)[which[order]]
    found = torch.full((len(counts), int(counts.max())), -1, dtype=torch.int64, device=group.device)
    found[which[order], within] = order
    return found
