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
    """A sum of losses, and what else a task measures.

    Args:
        nats: negative log likelihood of all tokens.
        tokens: how many.
        figures: of the task by name, such as accuracy.
        judged_by: the name of the figure that tells which weights are best; None for the loss.
        smallest_first: whether that figure is an error, of which the smallest is best; else the largest is.
        losses: of each example, nats, always in the same order, of so few that their mean may not tell which weights are best; see
            `is_as_good_as`. None where it does.
    """

    nats: float
    tokens: int
    figures: Mapping[str, float] = field(default_factory=dict)
    judged_by: str | None = None
    smallest_first: bool = False
    losses: tuple[float, ...] | None = None

    @property
    def nats_per_token(self) -> float:
        """The mean."""
        return self.nats / self.tokens

    @property
    def to_minimise(self) -> float:
        """The lower, the better: the mean loss, or the figure that the task is judged by, negative unless it is an error."""
        if self.judged_by is None:
            return self.nats_per_token
        return self.figures[self.judged_by] if self.smallest_first else -self.figures[self.judged_by]

    def is_better_than(self, best: float | None, best_loss: float | None) -> bool:
        """Whether its weights are to be kept in place of those that were best so far.

        A figure such as accuracy is often the same twice, above all at its ends: 0, where an untrained model begins, and 1. Then
        the loss decides, which tells the two apart. What is the same in both is not better.

        Args:
            best: the lowest `to_minimise` so far; None for none.
            best_loss: the `nats_per_token` of the same evaluation; None where it is not known.
        """
        if best is None:
            return True
        before = math.inf if best_loss is None else best_loss
        return _in_order(self.to_minimise, self.nats_per_token) < _in_order(best, before)

    def is_as_good_as(self, lowest: Sequence[float]) -> bool:
        """Whether `losses` are no worse than those of an evaluation before, as far as so few examples tell.

        They are where their mean is higher by at most one standard error of the difference, example by example: the one standard
        error rule (Breiman et al. 1984, section 3.4.3), of pairs. Later weights have learnt at a lower rate from more passes, so
        where nothing speaks against them they are to be preferred.

        Args:
            lowest: of the same examples in the same order.
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
    """For comparison: any number is lower than NaN, which an untrained model may give."""
    return [(math.isnan(number), 0.0 if math.isnan(number) else number) for number in numbers]


class Evaluator(Protocol):
    """Evaluates a module in a way of its own."""

    def __call__(
        self, module: nn.Module, *, should_stop: Callable[[], bool], total: Callable[[Sequence[float]], list[float]]
    ) -> Evaluation | None:
        """See `evaluate`."""
        ...


def bits_per_character(nats_per_token: float, characters_per_token: float) -> float:
    """The unit in which models with different tokens can be compared."""
    return nats_per_token / math.log(2.0) / characters_per_token


def never() -> bool:
    """The answer of one who never wants to stop."""
    return False


def evaluate(
    module: nn.Module,
    chunks: Iterable[Chunk],
    *,
    should_stop: Callable[[], bool] = never,
    total: Callable[[Sequence[float]], list[float]] = list,
) -> Evaluation | None:
    """Runs `module.loss` over `chunks` in evaluation mode, without gradients, in the precision of its weights.

    Args:
        module: anything with `loss(chunk, state) -> (loss, state)`; its mode is put back afterwards.
        chunks: in order; the state goes from each to the next.
        should_stop: asked before every chunk; True gives the evaluation up.
        total: sums numbers over the processes that share the chunks' rows.

    Returns:
        The loss over all chunks, or None if it was given up.

    Raises:
        ValueError: there are no chunks, or nothing in them is to be predicted.
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
    means = torch.stack(losses).tolist()  # the only time that the device is waited for
    nats, tokens = total([math.fsum(mean * count for mean, count in zip(means, counts, strict=True)), sum(counts)])
    if not tokens:
        raise ValueError(
            f"expected at least one token or example to evaluate on, got none in {len(counts)} chunks; a Batch says how many "
            "it has in its count"
        )
    return Evaluation(nats, int(tokens))
