"""The loss on a text, with the state carried through it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from ostinato.data.batches.streams import Chunk
from ostinato.training.update.truncated_bptt import chunks as windows


@dataclass(frozen=True)
class Evaluation:
    """A sum of losses, and the other figures that a task measures.

    Args:
        nats: negative log likelihood of all tokens.
        tokens: the number of tokens.
        figures: the task's figures by name, such as accuracy.
        judged_by: the name of the figure that decides which weights are best; None for the loss.
        smallest_first: whether the smallest value of that figure is best, as of an error; else the largest is.
        losses: the loss of each example in nats, always in the same order. Given only for so few examples that their mean may not
            tell which weights are best, see `is_as_good_as`; else None.
    """

    nats: float
    tokens: int
    figures: Mapping[str, float] = field(default_factory=dict)
    judged_by: str | None = None
    smallest_first: bool = False
    losses: tuple[float, ...] | None = None

    @property
    def nats_per_token(self) -> float:
        """The mean loss of a token, in nats."""
        return self.nats / self.tokens

    @property
    def to_minimise(self) -> float:
        """The value to minimise: the mean loss, or the figure that the task is judged by, negated unless it is an error."""
        if self.judged_by is None:
            return self.nats_per_token
        return self.figures[self.judged_by] if self.smallest_first else -self.figures[self.judged_by]

    def is_better_than(self, best: float | None, best_loss: float | None) -> bool:
        """Whether the evaluated weights are to replace the best ones so far.

        A figure such as accuracy often has the same value twice, above all its extreme values: 0, where an untrained model begins,
        and 1. Then the loss decides. Weights that are equal in both are not better.

        Args:
            best: the lowest `to_minimise` so far; None if there is none.
            best_loss: the `nats_per_token` of the same evaluation; None if it is not known.
        """
        if best is None:
            return True
        before = math.inf if best_loss is None else best_loss
        return _in_order(self.to_minimise, self.nats_per_token) < _in_order(best, before)

    def is_as_good_as(self, lowest: Sequence[float]) -> bool:
        """Whether `losses` are no worse than those of an earlier evaluation, as far as so few examples can tell.

        They are no worse if their mean is higher by at most one standard error of the difference, taken example by example: the one
        standard error rule (Breiman et al. 1984, section 3.4.3), applied to pairs. Later weights have learnt at a lower rate from
        more passes, so they are preferred unless the losses speak against them.

        Args:
            lowest: the losses of the earlier evaluation: the same examples in the same order.
        """
        assert self.losses is not None
        differences = [now - before for now, before in zip(self.losses, lowest, strict=True)]
        count = len(differences)
        mean = math.fsum(differences) / count
        if count < 2 or not math.isfinite(mean):
            return mean <= 0.0
        variance = math.fsum((each - mean) ** 2 for each in differences) / (count - 1)
        return mean <= math.sqrt(variance / count)


def _in_order(*numbers: float) -> list[tuple[bool, float]]:
    """A key for comparison in which NaN, which an untrained model may give, is greater than any number."""
    return [(math.isnan(number), 0.0 if math.isnan(number) else number) for number in numbers]


class Evaluator(Protocol):
    """A function that evaluates a module in its own way."""

    def __call__(
        self, module: nn.Module, *, should_stop: Callable[[], bool], total: Callable[[Sequence[float]], list[float]]
    ) -> Evaluation | None:
        """See `evaluate`."""
        ...


def bits_per_character(nats_per_token: float, characters_per_token: float) -> float:
    """Convert a loss to bits per character, a unit in which models with different tokens can be compared."""
    return nats_per_token / math.log(2.0) / characters_per_token


def never() -> bool:
    """Return False: a `should_stop` that never stops."""
    return False


def evaluate(
    module: nn.Module,
    chunks: Iterable[Chunk],
    *,
    should_stop: Callable[[], bool] = never,
    total: Callable[[Sequence[float]], list[float]] = list,
) -> Evaluation | None:
    """Run `module.loss` over `chunks` in evaluation mode, without gradients, in the precision of its weights.

    Args:
        module: anything with `loss(chunk, state) -> (loss, state)`; its mode is restored afterwards.
        chunks: the chunks in order; the state goes from each to the next.
        should_stop: called before every chunk; True abandons the evaluation.
        total: sums numbers over the processes that share the chunks' rows.

    Returns:
        The loss over all chunks, or None if the evaluation was abandoned.

    Raises:
        ValueError: there are no chunks, or they contain nothing to predict.
    """
    device = next(module.parameters()).device
    losses: list[torch.Tensor] = []
    counts: list[int] = []
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            for window in windows(chunks, device=device):
                if should_stop():
                    return None
                losses.append(window.loss(module))  # pyright: ignore[reportArgumentType]
                counts.append(window.count)
    finally:
        module.train(was_training)
    if not counts:
        raise ValueError("expected at least one chunk to evaluate on, got none")
    means = torch.stack(losses).tolist()  # waits for the device, only once
    nats, tokens = total([math.fsum(mean * count for mean, count in zip(means, counts, strict=True)), sum(counts)])
    if not tokens:
        raise ValueError(
            f"expected at least one token or example to evaluate on, got none in {len(counts)} chunks; a Batch says how many "
            "it has in its count"
        )
    return Evaluation(nats, int(tokens))
