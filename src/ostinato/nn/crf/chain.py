"""The sum over all paths of a linear chain: its logarithm, its gradient, and the best path.

Two functions compute the logarithm. `log_partition_by_steps` adds in logarithms, one step after the other, and can be
differentiated any number of times. `log_partition` is several times as fast: it computes the sums from the left and from the
right at once, as products of scaled numbers in float64, after which the gradient costs one more product. If a number would
leave float64's range, it calls `log_partition_by_steps`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from ostinato.recorded import is_recorded
from ostinato.types import Tensor

_FORBIDDEN = -1e30  # a finite stand-in for minus infinity: its exponential is 0, and no gradient becomes NaN
_SMALLEST = 1e-140  # the product of two such numbers has all its digits in float64
_RESCALED = 8  # the number of steps from one rescaling to the next; the division costs as much as a step


class Chain(NamedTuple):
    """The scores of a linear chain, all in float64; minus infinity forbids.

    Attributes:
        emissions: (T, B, N), the score of tag j at step t; finite past a row's end.
        transitions: (N, N), the score of going from tag i (matrix row) to tag j (column).
        start: (N,), the score of beginning with tag j.
        end: (N,), the score of ending with tag i.
        lengths: (B,) int64, steps of each row, from 0 to T.
    """

    emissions: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor
    lengths: Tensor


def log_partition(chain: Chain) -> Tensor:
    """log of the sum over all paths of exp(score), (B,); 0 for a row of no steps, minus infinity if every path is forbidden."""
    if chain.emissions.numel() == 0:
        return chain.emissions.sum((0, 2))
    # The fast way has to look at values, which a recording does not have, and a torch function mode cannot see the operators
    # inside of an autograd Function.
    if is_recorded() or torch._C._len_torch_function_stack():  # pyright: ignore[reportPrivateUsage]
        return log_partition_by_steps(chain)
    return _LogPartition.apply(*chain)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def log_partition_by_steps(chain: Chain) -> Tensor:
    """Compute what `log_partition` computes, as a loop in logarithms:

    a_1(j) = start_j + e_1(j),   a_t(j) = e_t(j) + log sum_i exp(a_{t-1}(i) + transition_ij)
    log Z = log sum_i exp(a_T(i) + end_i)
    """  # noqa: D415
    e, transitions, start, end = (part.clamp_min(_FORBIDDEN) for part in chain[:4])
    lengths = chain.lengths
    a = start + e[0]  # (B, N)
    for t in range(1, len(e)):
        after = torch.logsumexp(a.unsqueeze(2) + transitions, dim=1) + e[t]
        a = torch.where((t < lengths).unsqueeze(1), after, a)
    z = torch.logsumexp(a + end, dim=1)
    z = torch.where(z < _FORBIDDEN / 2, -math.inf, z)
    return torch.where(lengths > 0, z, 0.0)


class _LogPartition(torch.autograd.Function):
    """log Z with a fast gradient, computed from the marginals; twice differentiable."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, lengths: Tensor
    ) -> Tensor:
        chain = Chain(emissions, transitions, start, end, lengths)
        sums = _sums_of_both_ends(chain)
        z = None if sums is None else _z(chain, sums)
        if sums is None or z is None:
            ctx.save_for_backward(*chain)
            return log_partition_by_steps(chain)
        ctx.save_for_backward(*chain, sums.sums, sums.weights)
        return z

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        chain, (*scaled,) = Chain(*ctx.saved_tensors[:5]), ctx.saved_tensors[5:]
        if scaled and not torch.is_grad_enabled():
            return *_gradients(chain, scaled[0], scaled[1], gradient), None
        twice = torch.is_grad_enabled()
        with torch.enable_grad():
            inputs = [v if v.requires_grad else v.detach().requires_grad_() for v in chain[:4]]
            z = log_partition_by_steps(Chain(inputs[0], inputs[1], inputs[2], inputs[3], chain.lengths))
            found = torch.autograd.grad(z, inputs, gradient, create_graph=twice, materialize_grads=True)
        return *found, None


class _Sums(NamedTuple):
    """Sums over the partial paths up to each step, from both ends; rescaled every few steps, so that a row's largest number is 1.

    Attributes:
        sums: (T, 2, B, N) float64. [:, 0]: alpha_t, from the left, including e_t. [:, 1]: from the right, including the emission,
            each row reversed: index s holds step length - 1 - s.
        weights: (N, N), exp(transitions), scaled.
        logarithms: (T, B), logarithms of the divisors of alpha.
        last: (N,), exp(end), scaled.
        left_out: logarithms of the divisors of `weights`, of exp(start) and of `last`.
    """

    sums: Tensor
    weights: Tensor
    logarithms: Tensor
    last: Tensor
    left_out: tuple[Tensor, Tensor, Tensor]


def _sums_of_both_ends(chain: Chain) -> _Sums | None:
    """Compute the sums; None if a number is too small for float64's range."""
    highest = chain.emissions.amax(-1, keepdim=True)  # (T, B, 1)
    e = torch.exp(chain.emissions - highest)
    (weights, of_weights), (first, of_first), (last, of_last) = map(_exponentials, chain[1:4])
    x = torch.stack((e, _reversed(e, chain.lengths, 1)), dim=1)  # (T, 2, B, N)
    both = torch.stack((weights, weights.T))
    sums, scales = torch.empty_like(x), x.new_ones(*x.shape[:3], 1)
    torch.mul(x[0], torch.stack((first, last)).unsqueeze(1), out=sums[0])
    steps = zip(sums.unbind(), x.unbind(), scales.unbind(), strict=True)
    before, _, _ = next(steps)
    for t, (now, emission, scale) in enumerate(steps):
        torch.bmm(before, both, out=now).mul_(emission)
        if t % _RESCALED == 0:
            now.div_(torch.amax(now, -1, keepdim=True, out=scale))
        before = now
    if not float(sums.amin()) >= _SMALLEST:  # also if it is NaN
        possible = _possible(chain, len(x))
        if possible is None or not bool(((sums >= _SMALLEST) | ~possible).all()):
            return None
        sums.nan_to_num_(0.0)  # 0 / 0, at a step where no path leads to any tag
    logarithms = scales[:, 0, :, 0].log() + highest[..., 0]
    return _Sums(sums, weights, logarithms, last, (of_weights, of_first, of_last))


def _exponentials(scores: Tensor) -> tuple[Tensor, Tensor]:
    highest = scores.amax().clamp_min(_FORBIDDEN)
    return torch.exp(scores - highest), highest


def _reversed(v: Tensor, lengths: Tensor, of: int) -> Tensor:
    """Reverse each row, (T, B, N): step t gets the numbers of step `length - of - t`, or of step 0 if that is negative."""
    T, B, N = v.shape
    steps = torch.arange(T, device=v.device).unsqueeze(1)
    places = (lengths - of - steps).clamp_min(0) * B + torch.arange(B, device=v.device)  # (T, B)
    return v.reshape(T * B, N).index_select(0, places.flatten()).view(T, B, N)


def _possible(chain: Chain, T: int) -> Tensor | None:
    """Which tags an allowed path can reach at each step, from each end, (T, 2, 1, N) bool; None if nothing is forbidden."""
    transitions, start, end = (torch.isfinite(part) for part in chain[1:4])
    if bool(transitions.all()) and bool(start.all()) and bool(end.all()):
        return None
    allowed = torch.stack((transitions, transitions.T)).float()
    steps = [torch.stack((start, end)).unsqueeze(1)]  # (2, 1, N)
    while len(steps) < T:
        steps.append(torch.bmm(steps[-1].float(), allowed) > 0)
        if torch.equal(steps[-1], steps[-2]):
            break
    return torch.stack(steps + steps[-1:] * (T - len(steps)))


def _z(chain: Chain, given: _Sums) -> Tensor | None:
    """log Z, (B,); None if one is not finite."""
    lengths = chain.lengths
    T, _, B, _ = given.sums.shape
    alpha = given.sums[(lengths - 1).clamp_min(0), 0, torch.arange(B, device=lengths.device)]  # (B, N)
    beyond = torch.arange(T, device=lengths.device).unsqueeze(1) >= lengths
    of_weights, of_first, of_last = given.left_out
    z = torch.mv(alpha, given.last).log() + given.logarithms.masked_fill(beyond, 0.0).sum(0)
    z = z + (lengths - 1) * of_weights + of_first + of_last
    z = torch.where(lengths > 0, z, 0.0)
    return z if bool(torch.isfinite(z).all()) else None


def _gradients(chain: Chain, sums: Tensor, weights: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of log Z with respect to emissions, transitions, start and end: the probabilities of tags and of transitions.

    p(tag i at t) ~ alpha_t(i) beta_t(i),   p(i at t, j at t + 1) ~ alpha_t(i) w_ij e_{t+1}(j) beta_{t+1}(j)
    """
    lengths = chain.lengths
    T, _, B, N = sums.shape
    alpha = sums[:, 0]
    rows, at_end = torch.arange(B, device=lengths.device), (lengths - 1).clamp_min(0)
    after = _reversed(sums[:, 1], lengths, 2)  # (T, B, N), e_{t+1} beta_{t+1}
    beta = (after.view(T * B, N) @ weights.T).view(T, B, N)
    beta[at_end, rows] = _exponentials(chain.end)[0]
    p = alpha * beta
    beyond = torch.arange(T, device=lengths.device).unsqueeze(1) >= lengths
    share = (gradient / p.sum(-1)).masked_fill(beyond, 0.0).unsqueeze(2)  # (T, B, 1)
    p.mul_(share)
    share[at_end, rows] = 0.0  # from the last step there is no transition
    left = alpha * share
    transitions = weights * (left.view(T * B, N).T @ after.view(T * B, N))
    return p, transitions, p[0].sum(0), p[at_end, rows].sum(0)


def best_path(chain: Chain) -> tuple[Tensor, Tensor]:
    """The path with the highest score (Viterbi 1967); among equal scores the one with the smallest last tag, and so on backwards.

    Returns:
        The tags, (T, B) int64, 0 past a row's end, and the score, (B,): 0 for a row of no steps.
    """
    e, transitions, start, end, lengths = chain
    T, B, N = e.shape
    if T == 0:
        return lengths.new_zeros(0, B), e.new_zeros(B)
    highest = start + e[0]
    stay = torch.arange(N, device=e.device).expand(B, N)
    before = [stay]
    for t in range(1, T):
        goes_on = (t < lengths).unsqueeze(1)
        best, tag = (highest.unsqueeze(2) + transitions).max(dim=1)
        highest = torch.where(goes_on, best + e[t], highest)
        before.append(torch.where(goes_on, tag, stay))
    score, tag = (highest + end).max(dim=1)
    path = [tag.unsqueeze(1)]
    for each in reversed(before[1:]):
        path.append(each.gather(1, path[-1]))
    steps = torch.arange(T, device=e.device).unsqueeze(1)
    tags = torch.cat(path[::-1], dim=1).T.masked_fill(steps >= lengths, 0)
    return tags, torch.where(lengths > 0, score, 0.0)
