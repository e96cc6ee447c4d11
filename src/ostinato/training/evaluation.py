"""The loss on a text, with the state carried through it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ostinato.data.streams import Chunk
from ostinato.training.truncated_bptt import chunks as windows


@dataclass(frozen=True)
class Evaluation:
    """A sum of losses.

    Args:
        nats: negative log likelihood of all tokens.
        tokens: how many.
    """

    nats: float
    tokens: int

    @property
    def nats_per_token(self) -> float:
        """The mean."""
        return self.nats / self.tokens


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
        ValueError: there are no chunks.
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
                counts.append(window.target.numel())
    finally:
        module.train(was_training)
    if not counts:
        raise ValueError("expected at least one chunk to evaluate on, got none")
    means = torch.stack(losses).tolist()  # the only time that the device is waited for
    nats, tokens = total([math.fsum(mean * count for mean, count in zip(means, counts, strict=True)), sum(counts)])
    return Evaluation(nats, int(tokens))
