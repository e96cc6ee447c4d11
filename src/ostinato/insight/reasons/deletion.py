"""Test whether reasons describe the model: delete the steps and channels that they name, and as many random ones.

    drop(share) = f(x) - f(x without the share of steps and channels that speaks most for the answer)

Reasons that say nothing about the model have the same drop as a random choice.

Source: Samek et al. 2017, arXiv 1509.06321, whose regions are here the steps and channels;
Petsiuk et al. 2018, arXiv 1806.07421, section 4.3 ("deletion").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.errors import ConfigError
from ostinato.insight.reasons.question import Question, Reasons

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
_DRAWS = 10


@dataclass(frozen=True)
class Deletion:
    """How far answers fall, as means over examples.

    Attributes:
        method: the method of the reasons.
        unit: the unit of the drops.
        examples: the number of examples.
        shares: the shares of steps and channels that were deleted.
        named: the drop for each share if the strongest reasons are deleted.
        at_random: the drop for each share if random steps and channels are deleted.
    """

    method: str
    unit: str
    examples: int
    shares: tuple[float, ...]
    named: tuple[float, ...]
    at_random: tuple[float, ...]

    @property
    def is_faithful(self) -> bool:
        """Whether deleting the strongest reasons lowers the answer more than a random choice, at every share."""
        return all(own > drawn for own, drawn in zip(self.named, self.at_random, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "method": self.method,
            "unit": self.unit,
            "examples": self.examples,
            "shares": list(self.shares),
            "drop": list(self.named),
            "drop_at_random": list(self.at_random),
            "better_than_random_at_every_share": self.is_faithful,
        }

    def __str__(self) -> str:
        lines = [
            f"taken away   drop of the answer ({self.unit}), {self.examples} examples",
            f"{'':13}{self.method:>10}  at random",
        ]
        for share, own, drawn in zip(self.shares, self.named, self.at_random, strict=True):
            lines.append(f"{share:>8.0%}     {own:>+10.3f} {drawn:>+10.3f}")
        return "\n".join(lines)


def deletion(
    pairs: Iterable[tuple[Question, Reasons]], *, shares: Sequence[float] = SHARES, draws: int = _DRAWS, seed: int = 0
) -> Deletion:
    """Delete the steps and channels that reasons name, and as many random ones.

    Args:
        pairs: questions with the reasons that one method found.
        shares: shares of steps and channels, above 0 and below 1; at least one is deleted, and never all.
        draws: the number of random choices for each share of each example.
        seed: the seed of the random choices.

    Raises:
        ConfigError: there is no pair, or a share is out of its range.
    """
    if not all(0.0 < share < 1.0 for share in shares):
        raise ConfigError(f"shares: expected numbers above 0 and below 1, got {list(shares)}")
    generator, rows, seen = np.random.default_rng(seed), [], None
    for question, found in pairs:
        seen, size = found, found.values.size
        if size < 2:
            continue
        counts = [min(max(1, math.ceil(share * size)), size - 1) for share in shares]
        orders = [np.argsort(-found.values.ravel(), kind="stable")]
        orders += [generator.permutation(size) for _ in range(draws)]
        hidden = [_hidden(order[:count], found.values.shape) for order in orders for count in counts]
        whole, *left = question.without([np.zeros(found.values.shape, dtype=bool), *hidden]).double().tolist()
        rows.append(whole - np.array(left).reshape(1 + draws, len(counts)))
    if seen is None or not rows:
        raise ConfigError("expected at least one example with two steps or more to check reasons on, got none")
    mean = np.mean(rows, 0)
    named, drawn = mean[0], mean[1:].mean(0)
    return Deletion(seen.method, seen.unit, len(rows), tuple(shares), tuple(named.tolist()), tuple(drawn.tolist()))


def _hidden(chosen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(math.prod(shape), dtype=bool)
    mask[chosen] = True
    return mask.reshape(shape)
