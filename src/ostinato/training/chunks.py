"""Truncated back-propagation through time: the state goes on from chunk to chunk, the gradient stops between them.

Source: Williams & Peng 1990; the notes on BPTT. With chunks of k steps, a gradient reaches back at most k steps, memory does
not grow with the length of the text, and the forward pass is the one over the whole text.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn

from ostinato.data.streams import Chunk
from ostinato.training.tree import map_tensors


class HasLoss(Protocol):
    """What can be trained: a module whose `loss` takes a chunk and the state before it."""

    def loss(self, chunk: Chunk, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Returns the mean loss (a scalar, in nats a token) and the state after the chunk."""
        ...


def detach(state: Any) -> Any:
    """The same nested state, cut off from the graph that made it."""
    return map_tensors(torch.Tensor.detach, state)


class TruncatedBPTT(nn.Module):
    """Calls `module.loss` chunk after chunk and carries the detached state between the calls.

    Use it in a loop of your own:

        bptt = TruncatedBPTT(model)
        for chunk in streams:
            loss = bptt(chunk)
            loss.backward()
            ...

    Args:
        module: anything with `loss(chunk, state) -> (loss, state)`.
        state: the state before the first chunk; None for a fresh one.
    """

    def __init__(self, module: nn.Module, state: Any = None):
        super().__init__()
        if not callable(getattr(module, "loss", None)):
            raise TypeError(f"expected a module with loss(chunk, state), got a {type(module).__name__} without it")
        self.module = module
        self.state = state

    def forward(self, chunk: Chunk) -> torch.Tensor:
        """Returns the loss of `chunk`, given all chunks since the last `reset`."""
        loss, state = self.module.loss(chunk, self.state)  # pyright: ignore[reportCallIssue]
        self.state = detach(state)
        return loss

    def reset(self) -> None:
        """Forgets the state: the next chunk does not follow the last one."""
        self.state = None
