"""Lyapunov exponents: how fast nearby states part, in each direction, along a trajectory."""

from __future__ import annotations

from collections.abc import Callable

from ostinato.insight.trajectory import Trajectory
from ostinato.types import Tensor


def lyapunov_exponents(
    system: Trajectory | Callable[[Tensor], Tensor],
    start: Tensor | None = None,
    steps: int | None = None,
    *,
    count: int | None = None,
    discard: int = 0,
) -> Tensor:
    """The Lyapunov exponents of a map, or of a recurrent layer driven by its input, by QR along the trajectory.

    Args:
        system: `state (N,) -> state (N,)`, differentiable; or a `Trajectory`, whose rows are averaged.
        start: the first state of a map, `(N,)`.
        steps: of a map, at least 1.
        count: how many, the largest first, in 1 ... N; None for all.
        discard: steps at the beginning that do not count.

    Returns:
        `(count,)` float64, in nats a step, largest first: negative where states draw together.
    """
    raise NotImplementedError
