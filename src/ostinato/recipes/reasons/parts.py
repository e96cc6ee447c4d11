"""Functions that the questions of several tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ostinato.data.recordings.recording import Recording
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.tokens.vocabulary import Vocabulary
from ostinato.errors import ConfigError, DataError, did_you_mean
from ostinato.types import Tensor


def log_odds(logits: Tensor, at: int) -> Tensor:
    """`(K,)`: log p / (1 - p) of one of the classes, from logits `(K, C)`; log p itself if there is one class only."""
    others = torch.cat([logits[:, :at], logits[:, at + 1 :]], 1)
    return logits[:, at] - others.logsumexp(1) if others.shape[1] else logits.log_softmax(1)[:, at]


def pieces(vocabulary: Vocabulary, ids: Sequence[int] | np.ndarray, words: Sequence[str] = ()) -> tuple[str, ...]:
    """The text of each token for people: the text's own words, if there are as many words as tokens."""
    if len(words) == len(ids):
        return tuple(words)
    return tuple(vocabulary.decode([int(id)]) for id in ids)


def joiner_of(vocabulary: Vocabulary) -> str:
    """The text between two tokens."""
    return " " if vocabulary.kind == "word" else ""


def one_of(target: str | None, names: Sequence[str], what: str) -> int | None:
    """The place of a name; None if the name is None.

    Raises:
        ConfigError: there is no such name.
    """
    if target is None:
        return None
    if target not in names:
        raise ConfigError(
            f"--target {target}: expected a {what}{did_you_mean(target, names)} Expected one of {', '.join(names)}"
        )
    return list(names).index(target)


def number_of(target: str | None, first: int, end: int, what: str) -> int | None:
    """A target as a number, from `first` to below `end`; None if the target is None.

    Raises:
        ConfigError: it is no number, or out of its range.
    """
    if target is None:
        return None
    try:
        found = int(target)
    except ValueError:
        found = end
    if not first <= found < end:
        raise ConfigError(f"--target {target}: expected the number of a {what} from {first} to {end - 1}")
    return found


def trimmed(input: Tensor, lengths: Tensor | None) -> Tensor:
    """The steps of the only row of a batch.

    Raises:
        DataError: it has no step.
    """
    steps = len(input) if lengths is None else int(lengths[0])
    if not steps:
        raise DataError("expected an example with at least one step, got an empty one; leave it out")
    return input[:steps]


def written_log_probability(logits: Tensor, tokens: Sequence[int], only: int | None) -> Tensor:
    """`(K,)`: log p of a written text, or the log-odds of one of its tokens.

    Args:
        logits: `(N, K, V)`, for its N tokens.
        tokens: the N tokens, including the end.
        only: the number of the token to ask about; None for the whole text.
    """
    if only is not None:
        return log_odds(logits[only], tokens[only])
    at = torch.tensor(list(tokens), device=logits.device)[:, None, None].expand(-1, logits.shape[1], 1)
    return logits.log_softmax(-1).gather(2, at).sum((0, 2))


def recording_parts(scaling: Scaling, input: Tensor, given: Recording) -> dict[str, Any]:
    """The parts of a `Question` about a recording: baseline, cells, and names of steps and channels.

    In the baseline, every channel is at its mean and does not change, no value is missing, and steps have their usual
    distance in time. Masks and times since a channel had a value, which some cells read, belong to their channel.

    Args:
        scaling: how the recording is read.
        input: `(T, 1, I)`, what the network reads.
        given: the recording itself.
    """
    channels = list(scaling.channels)
    C = len(channels)
    told, nothing = _inputs(scaling, len(input))
    baseline = torch.from_numpy(nothing).to(input).expand(-1, scaling.stack, -1).unsqueeze(1)
    names = [*channels, *(["time between steps"] if C in told else [])]
    steps = min(len(given), len(input) * scaling.stack)
    read = np.full((steps, len(names)), np.nan)
    read[:, :C] = given.values[:steps]
    if given.times is not None and len(names) > C:
        read[1:, C:] = np.diff(given.times[:steps])[:, None]
    at = np.arange(len(input) * scaling.stack).reshape(-1, scaling.stack, 1)
    cells = np.where(at < steps, at * len(names) + np.array(told), -1)
    return {
        "baseline": baseline.flatten(2),
        "cells": cells.reshape(len(input), -1),
        "steps": tuple(map(str, range(steps))),
        "channels": tuple(names),
        "name": given.id,
        "read": read,
    }


def _inputs(scaling: Scaling, steps: int) -> tuple[list[int], np.ndarray]:
    """The channel of each number read at a step (C for the time); and the baseline's values, `(steps, 1, numbers)`.

    For the order of the numbers see `Scaling`.
    """
    C, gaps = len(scaling.channels), list(scaling.gaps)
    wide = bool(scaling.extras) and all(letter == "I" for _, letter in scaling.extras)
    told, ones = list(range(C)), 0
    if not wide:
        told, ones = [*range(C), *range(C), *gaps], len(gaps)
    if scaling.step is not None and not scaling.extras:
        told.append(C)
    found = np.zeros((steps, 1, len(told)))
    if ones:
        found[..., 2 * C : 2 * C + ones] = 1.0
    since = np.arange(steps, dtype=np.float64)
    for name, letter in scaling.extras:
        columns = list(range(C)) if letter == "I" else [C]
        told += columns
        # The time since a channel had a value begins with 0, see `Scaling`; the time between two steps does not.
        usual = {"mask": np.ones(steps), "t": since, "dt": since.clip(max=1.0) if letter == "I" else np.ones(steps)}
        column = usual[name]
        found = np.concatenate([found, np.repeat(column[:, None, None], len(columns), 2)], 2)
    return told, found
