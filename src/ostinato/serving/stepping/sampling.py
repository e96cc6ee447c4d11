"""Drawing of tokens for many rows at once. A row's token depends on its scores, seed and step, not on other rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ostinato.serving.stepping.writing import Writing

_GOLDEN, _A, _B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def uniform(seeds: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return uniform numbers in [0, 1), (n,) float64: for each seed, the number at place `count` of its sequence.

    They are those of SplitMix64 (Steele, Lea & Flood 2014), whose state is seed + count * golden ratio; the seed is
    mixed once before, so that the sequences of neighbouring seeds do not overlap.

    Args:
        seeds: (n,) uint64.
        counts: (n,) places in the sequences, from 0.
    """
    with np.errstate(over="ignore"):
        state = _mixed(seeds.astype(np.uint64) + _GOLDEN) + (counts.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        return (_mixed(state) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * _A
    z = (z ^ (z >> np.uint64(27))) * _B
    return z ^ (z >> np.uint64(31))


@dataclass(frozen=True)
class Drawn:
    """Tokens of n rows.

    Attributes:
        tokens: (n,) the drawn tokens.
        broken: (n,) bool, rows whose scores are NaN, or infinite for the best token; their tokens mean nothing.
        logprobs: (n,) the log probabilities of the tokens, in nats, at temperature 1; None if no row requests them.
        top: ids and log probabilities, (n, k) each, of the most likely tokens; None if no row requests them.
    """

    tokens: list[int]
    broken: np.ndarray
    logprobs: list[float] | None
    top: tuple[list[list[int]], list[list[float]]] | None


def draw(logits: torch.Tensor, writings: Sequence[Writing], steps: Sequence[int]) -> Drawn:
    """Draw the next token of each row.

    The distribution is that of `ostinato.models.text.sampling.probabilities`; it is sampled by the inverse of its
    cumulative distribution function.

    Args:
        logits: (n, V) the scores of each row.
        writings: the n texts.
        steps: n numbers, the place of each row's draw in the sequence of its seed.
    """
    logits = logits.double()
    n = len(writings)
    best, tokens = logits.max(1)
    broken = ~torch.isfinite(best).numpy()
    hows = [each.how for each in writings]
    drawing = [at for at, how in enumerate(hows) if how.temperature > 0.0 and not broken[at]]
    if drawing:
        every = len(drawing) == n
        some = logits if every else logits[torch.tensor(drawing)]
        top = best if every else best[torch.tensor(drawing)]
        u = uniform(
            np.array([writings[at].seed for at in drawing], dtype=np.uint64),
            np.array([steps[at] for at in drawing], dtype=np.int64),
        )
        temperatures = torch.tensor([hows[at].temperature for at in drawing], dtype=torch.float64)
        # The largest score is subtracted before the division, so that it is 0 at any temperature.
        p = torch.softmax((some - top.unsqueeze(1)) / temperatures.unsqueeze(1), 1)
        found = _drawn(p, torch.from_numpy(u), [(hows[at].top_k, hows[at].top_p) for at in drawing])
        tokens = found if every else tokens.index_copy(0, torch.tensor(drawing), found)
    logprobs, best_of_all = None, None
    if any(how.logprobs is not None for how in hows):
        log_p = torch.log_softmax(logits, 1)
        logprobs = log_p.gather(1, tokens.unsqueeze(1))[:, 0].tolist()
        most = min(max(how.logprobs or 0 for how in hows), logits.shape[1])
        if most:
            values, ids = torch.topk(log_p, most, dim=1)
            best_of_all = ids.tolist(), values.tolist()
    return Drawn(tokens.tolist(), broken, logprobs, best_of_all)


def _drawn(p: torch.Tensor, u: torch.Tensor, bounds: list[tuple[int | None, float | None]]) -> torch.Tensor:
    """Draw tokens (n,) from the probabilities p (n, V), float64, within the bounds `top_k` and `top_p`."""
    bounded = [at for at, each in enumerate(bounds) if each != (None, None)]
    if not bounded:
        return _inverse(p, u)
    if len(bounded) < len(bounds):
        some = torch.tensor(bounded)
        found = _inverse(p, u)
        return found.index_copy(0, some, _drawn(p[some], u[some], [bounds[at] for at in bounded]))
    V = p.shape[1]
    ordered, ids = torch.sort(p, dim=1, descending=True, stable=True)
    ks = torch.tensor([V if k is None else k for k, _ in bounds])
    ordered = torch.where(torch.arange(V) < ks.unsqueeze(1), ordered, 0.0)
    ordered = ordered / ordered.sum(1, keepdim=True)
    shares = torch.tensor([2.0 if share is None else share for _, share in bounds], dtype=torch.float64)
    # A token stays if the sum of those before it is below the share, so the first always stays.
    ordered = torch.where(ordered.cumsum(1) - ordered >= shares.unsqueeze(1), 0.0, ordered)
    return ids.gather(1, _inverse(ordered, u).unsqueeze(1))[:, 0]


def _inverse(p: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    below = p.cumsum(1)
    drawn = torch.searchsorted(below, (u * below[:, -1]).unsqueeze(1), right=True)[:, 0]
    last = p.shape[1] - 1 - p.flip(1).ne(0.0).int().argmax(1)  # the last with p > 0; rounding could lead beyond
    return torch.minimum(drawn, last)
