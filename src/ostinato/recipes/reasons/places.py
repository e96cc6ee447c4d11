"""Finding other places where the network of a run was in a similar state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ostinato.errors import ConfigError, DataError
from ostinato.insight.reasons.similar import THRESHOLD, Measure, similar_ranges
from ostinato.models.parts.reading import reading
from ostinato.nn.recurrent import Recurrent
from ostinato.recipes.reasons.asking import opened
from ostinato.recipes.trained import Trained

_BLOCK = 4096  # steps of a text that are read at a time
_BESIDE = 6  # steps shown before and after a place


@dataclass(frozen=True)
class AlikePlace:
    """A range of steps in the corpus with similar states.

    Attributes:
        score: the likeness, 1 at most.
        example: the number of the example, from 0; in a text 0.
        start: its first step, from 0.
        end: the step after its last.
        before: the text before it, for people.
        text: its text.
        after: the text after it.
    """

    score: float
    example: int
    start: int
    end: int
    before: str
    text: str
    after: str


def alike(
    run: str | os.PathLike[str] | Trained[Any, Any, Any, Any],
    data: Any,
    start: int,
    end: int,
    *,
    row: int = 0,
    among: Any = None,
    count: int = 10,
    measure: Measure = "cosine",
    threshold: float = THRESHOLD,
) -> list[AlikePlace]:
    """Finds the places of a corpus at which the network was in states like those of a range of steps, most alike first.

    The states are those of the last layer that reads the input: h at each step, of all its directions. Places overlap
    neither each other nor the range itself.

    Args:
        run: see `ostinato.why`.
        data: the data with the range.
        start: the first step of the range, from 0: a word, a token, a step of a recording.
        end: the step after its last.
        row: the number of the example with the range; in a text 0.
        among: the corpus, of the same kind; None for `data` itself.
        count: how many places at most.
        measure: "cosine", or "threshold" as in LSTMVis.
        threshold: the threshold of the measure "threshold".

    Raises:
        DataError: data cannot be read.
        ConfigError: the range is not in the data, or the model has no recurrent layer over what it reads.
    """
    run = opened(run)
    here = _part(run, data)
    corpus = here if among is None else _part(run, among)
    stack = getattr(getattr(run.known, "scaling", None), "stack", 1)
    if not 0 <= start < end:
        raise ConfigError(
            f"--like {start}:{end}: expected the first step of a range and the one behind its last, such as 3:7"
        )
    first, last = start // stack, -(-end // stack)
    query = np.concatenate([block for _, block in _states(run, here, row)] or [np.zeros((0, 1))])
    if last > len(query):
        raise ConfigError(
            f"--like {start}:{end}: expected a range within the {len(query) * stack:,} steps of example {row}"
        )
    found = similar_ranges(
        query[first:last],
        _states(run, corpus),
        count,
        measure=measure,
        threshold=threshold,
        without=(row, first, last) if among is None else None,
    )
    return [
        AlikePlace(each.score, each.sequence, each.start * stack, each.end * stack, *_shown(run, corpus, each, stack))
        for each in found
    ]


def _part(trained: Trained[Any, Any, Any, Any], data: Any) -> Any:
    part = trained.read_part(os.fspath(data), labelled=bool(trained.task.no_answers)) if _is_path(data) else data
    if not trained.task.size(part):
        raise DataError(f"{data if _is_path(data) else 'the data'}: expected at least one example, got none")
    return part


def _is_path(data: Any) -> bool:
    return isinstance(data, str | os.PathLike)


def _is_text(part: Any) -> bool:
    return hasattr(part, "tokens") and hasattr(part, "vocabulary")


def _states(
    trained: Trained[Any, Any, Any, Any], part: Any, row: int | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of states with the number of their example, for all examples or for one."""
    if _is_text(part):
        if row:
            raise ConfigError(f"--row {row}: expected 0, as a text is one example")
        yield from _states_of_text(trained.model, part.tokens.ids)
        return
    task, learnt = trained.task, trained
    size = task.size(part)
    if row is not None and not 0 <= row < size:
        raise ConfigError(f"--row {row}: expected the number of an example, from 0 to {size - 1}")
    examples = task.examples(learnt.settings, learnt.known, part)
    layer = reading_layer(trained.model)
    batches = task.in_order(trained, examples) if row is None else [examples.batch(np.array([row]))]
    for batch in batches:
        with reading(trained.model):
            h = _until(trained.model, layer, batch)
        h = h.transpose(0, 1) if getattr(layer, "batch_first", False) else h
        found = h.float().cpu().numpy()
        lengths = [len(found)] * found.shape[1] if batch.lengths is None else batch.lengths.tolist()
        for at, (example, steps) in enumerate(zip(batch.rows.tolist(), lengths, strict=True)):
            yield example, found[:steps, at]


def _states_of_text(model: Any, ids: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    state = None
    for begin in range(0, len(ids), _BLOCK):
        block = torch.from_numpy(ids[begin : begin + _BLOCK].astype(np.int64)).to(model.embedding.weight.device)
        with reading(model):
            h, state = model.features(block[:, None], state)
        yield 0, h[:, 0].float().cpu().numpy()


def reading_layer(model: nn.Module) -> nn.Module:
    """The recurrent layer that reads the input of a model.

    Raises:
        ConfigError: the model has no such layer.
    """
    encoder = getattr(model, "encoder", None)
    for found in (getattr(model, "recurrent", None), encoder, getattr(encoder, "recurrent", None)):
        if isinstance(found, Recurrent | nn.RNNBase):
            return found
    if encoder is None:
        for found in model.modules():
            if isinstance(found, Recurrent | nn.RNNBase):
                return found
    raise ConfigError(
        f"expected a model with a recurrent layer over what it reads, got {type(model).__name__} without one"
    )


class _SeenError(Exception):
    """Raised once the layer has run, so that the rest of the model need not."""


def _until(model: Any, layer: nn.Module, batch: Any) -> torch.Tensor:
    seen: list[torch.Tensor] = []

    def hook(_: nn.Module, given: Any, result: Any) -> None:
        seen.append(result[0])
        raise _SeenError

    handle = layer.register_forward_hook(hook)
    try:
        model.loss(batch, None)
    except _SeenError:
        pass
    finally:
        handle.remove()
    if not seen:
        raise ConfigError(f"expected {type(model).__name__}.loss to run its recurrent layer, but it did not")
    return seen[0]


def _shown(trained: Trained[Any, Any, Any, Any], part: Any, found: Any, stack: int) -> tuple[str, str, str]:
    start, end = found.start * stack, found.end * stack
    if _is_text(part):
        begin, ids = max(0, start - 5 * _BESIDE), part.tokens.ids
        decode = part.vocabulary.decode
        return decode(ids[begin:start]), decode(ids[start:end]), decode(ids[end : end + 5 * _BESIDE])
    question = next(iter(trained.task.questions(trained, part, [found.sequence], None)))
    steps, between = question.steps, " " if question.joiner is None else question.joiner
    beside = _BESIDE * (1 if between else 5)
    if question.joiner is None:
        return (
            "",
            f"{question.name + ' ' if question.name else ''}{steps[start]} to {steps[min(end, len(steps)) - 1]}",
            "",
        )
    before, after = steps[max(0, start - beside) : start], steps[end : end + beside]
    return (
        between.join(before) + (between if before else ""),
        between.join(steps[start:end]),
        (between if after else "") + between.join(after),
    )
