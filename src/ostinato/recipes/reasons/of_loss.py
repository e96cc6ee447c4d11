"""The default question about a task's model: what makes the labels of an example likely, judged by its loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ostinato.data.batches.batches import Batch
from ostinato.errors import ConfigError, DataError
from ostinato.insight.reasons.question import Question
from ostinato.types import Tensor

_HOW = "give the task a method `question` (docs/why.md)"


def question_of_loss(name: str, model: nn.Module, batch: Any) -> Question:
    """Asks which steps of an example make its labels likely: about minus `model.loss`, as a function of the inputs.

    The inputs are `batch.input`, `(T, 1, ...)` of a floating dtype, or for tokens their vectors in the model's
    embedding.

    Args:
        name: the name of the task.
        model: a module with `loss(batch, state)`.
        batch: a batch of one row, with labels.

    Raises:
        ConfigError: the model reads neither.
        DataError: the example has no step.
    """
    given = getattr(batch, "input", None)
    if not isinstance(given, Tensor) or given.dim() < 2 or given.shape[1] != 1 or not isinstance(batch, Batch):
        raise ConfigError(f"the task {name} does not read a tensor (T, B, ...), whose steps could be to blame: {_HOW}")
    if not given.shape[0]:
        raise DataError("expected an example with at least one step, got none")
    if given.is_floating_point():
        x = given.flatten(2)
    else:
        with torch.no_grad(), _embedded(model, given, None) as seen:
            model.loss(batch, None)  # pyright: ignore[reportCallIssue]
        if not seen:
            raise ConfigError(f"the task {name} has no torch.nn.Embedding that reads its tokens: {_HOW}")
        x = seen[0]
    shape = given.shape[2:]

    def answer(network: Any, variants: Tensor) -> Tensor:
        found = []
        for row in variants.unbind(1):
            if given.is_floating_point():
                one = dataclasses.replace(batch, input=row.unsqueeze(1).unflatten(2, shape) if shape else row)
                found.append(-network.loss(one, None)[0])
                continue
            with _embedded(network, given, row.unsqueeze(1)):
                found.append(-network.loss(batch, None)[0])
        return torch.stack(found)

    channels = tuple(map(str, range(x.shape[2]))) if given.is_floating_point() and x.shape[2] > 1 else ()
    steps = tuple(map(str, range(len(x))))
    return Question(model, answer, x, torch.zeros_like(x), "minus the loss of its labels", "nats", steps, channels)


@contextmanager
def _embedded(model: nn.Module, ids: Tensor, vectors: Tensor | None) -> Iterator[list[Tensor]]:
    """Within this context, the embedding gives `vectors` for the tokens `ids`; None for its own, which are recorded."""
    seen: list[Tensor] = []

    def hook(_: nn.Module, given: tuple[Any, ...], result: Tensor) -> Tensor | None:
        if not given or given[0].shape != ids.shape or not torch.equal(given[0], ids):
            return None
        seen.append(result.detach())
        return vectors

    handles = [each.register_forward_hook(hook) for each in model.modules() if isinstance(each, nn.Embedding)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
