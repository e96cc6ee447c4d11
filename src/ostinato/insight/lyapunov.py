"""Lyapunov exponents: how fast nearby states move apart, in each direction, along a trajectory.

An orthonormal frame Q is carried along: J_t Q_{t-1} = Q_t R_t, and the exponents are the means of log |diag R_t|.

Source: Benettin, Galgani, Giorgilli & Strelcyn 1980, "Lyapunov Characteristic Exponents for smooth dynamical systems", part 2;
Eckmann & Ruelle 1985, V; for recurrent networks Vogt, Puelma Touzel, Shlizerman & Lajoie 2022, arXiv 2006.14123, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ostinato.insight.jacobians import pushed
from ostinato.insight.layers import InsightError
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
        system: a map `state (N,) -> state (N,)`, twice differentiable and usable with `torch.func.vmap`; or a `Trajectory`, over
            whose rows exponents are averaged.
        start: the first state of a map, `(N,)`; or several, `(B, N)`, over which exponents are averaged: many states are much
            faster than many steps. None for a trajectory, which has its own.
        steps: the number of steps of a map, above `discard`. None for a trajectory: all its steps.
        count: how many exponents, the largest first, in 1 ... N; None for all.
        discard: how many steps at the beginning turn the frame, but do not count, at least 0.

    Returns:
        `(count,)` float64, in nats a step, largest first: negative if states move together, -inf if a direction is lost at once.

    Raises:
        InsightError: an argument is missing, too many, or out of range.
    """
    if isinstance(discard, bool) or not isinstance(discard, int) or discard < 0:
        raise InsightError(f"discard expected a number of steps of at least 0, got {discard!r}")
    if isinstance(system, Trajectory):
        if start is not None or steps is not None:
            raise InsightError("start and steps expected None for a trajectory, which has its own; leave them out")
        return _of_trajectory(system, _counted(count, system.size), discard)
    if start is None or start.dim() not in (1, 2) or steps is None:
        raise InsightError(
            "a map expected its first state as start, a tensor (N,) or (B, N), and the number of steps; give both"
        )
    if steps <= discard:
        raise InsightError(f"steps expected more than the {discard} that are discarded, got {steps}")
    states = start.detach().double().reshape(-1, start.shape[-1])
    return _of_map(system, states, steps, _counted(count, start.shape[-1]), discard)


def _counted(count: int | None, size: int) -> int:
    if count is None:
        return size
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= size:
        raise InsightError(f"count expected a number of exponents from 1 to the {size} units of state, got {count!r}")
    return count


def _of_map(step: Callable[[Tensor], Tensor], states: Tensor, steps: int, count: int, discard: int) -> Tensor:
    """The exponents of a map, from first states `(B, N)`."""
    B, N = states.shape
    frame = torch.eye(N, count, dtype=torch.float64, device=states.device).repeat(B, 1, 1)
    total = torch.zeros(B, count, dtype=torch.float64, device=states.device)

    step_all = torch.func.vmap(step)
    for t in range(steps):
        copies = states.repeat_interleave(count, 0)
        frame, grown = _turned(pushed(step_all, copies, frame.mT.reshape(-1, N)).view(B, count, N).mT)
        states = step_all(states).detach()
        if t >= discard:
            total += grown
    return (total.mean(0) / (steps - discard)).sort(descending=True).values


def _of_trajectory(run: Trajectory, count: int, discard: int) -> Tensor:
    """The exponents of a trajectory: all rows advance together, with frames `(B, N, count)`."""
    B, N, device = run.rows, run.size, run.valid.device
    frame = torch.eye(N, count, dtype=torch.float64, device=device).repeat(B, 1, 1)
    total = torch.zeros(B, count, dtype=torch.float64, device=device)
    counted = torch.zeros(B, device=device)
    every = torch.arange(B, device=device)
    for t in reversed(range(run.steps)) if run.is_reverse else range(run.steps):
        rows = every[run.valid[t]]
        if not len(rows):
            continue
        copies = rows.repeat_interleave(count)
        taken = run.take(torch.full_like(copies, t), copies, torch.float64)
        moved = pushed(taken, taken.start, frame[rows].mT.reshape(-1, N)).view(len(rows), count, N).mT
        frame[rows], grown = _turned(moved)
        taking = counted[rows] >= discard
        total[rows] += torch.where(taking[:, None], grown, 0.0)
        counted[rows] += 1
    kept = counted > discard
    if not bool(kept.any()):
        raise InsightError(
            f"discard expected fewer steps than the longest row has, {int(counted.max()) if B else 0}, got {discard}"
        )
    means = total[kept] / (counted[kept] - discard)[:, None]
    return means.mean(0).sort(descending=True).values


def _turned(moved: Tensor) -> tuple[Tensor, Tensor]:
    """The orthonormal frame of `(..., N, count)`, and log |diag R|, `(..., count)`."""
    frame, upper = torch.linalg.qr(moved)
    return frame, upper.diagonal(dim1=-2, dim2=-1).abs().log()
