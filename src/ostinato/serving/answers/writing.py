"""Translations and captions token by token, each token with the decoder's attention."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ostinato.data.records.captions import Captioned
from ostinato.data.records.pairs import Pair
from ostinato.models.parts.reading import reading
from ostinato.models.text.sampling import probabilities
from ostinato.recipes.caption.data import CaptionedImages
from ostinato.recipes.translate.data import TokenPairs, joined, never_written
from ostinato.serving.answers.predicting import caption_images
from ostinato.serving.errors import BadRequestError, FailedError, TooLargeError
from ostinato.serving.generating import Generating, Piece
from ostinato.serving.stepping.sampling import uniform
from ostinato.serving.stepping.writing import Held

_BYTES = ("byte", "bpe")  # kinds of vocabularies
WRITERS = ("translate", "caption")


@dataclass(frozen=True)
class _Source:
    """The encoded source of a translation or a caption.

    Attributes:
        state: the state of the decoder before its first token.
        told: the fields that the client gets first.
        read: the number of tokens of the source.
        forbidden: tokens that are never written.
        limit: the most tokens to write.
        text: turns tokens into text.
        in_bytes: whether a character may be several tokens.
    """

    state: Any
    told: dict[str, Any]
    read: int
    forbidden: Sequence[int]
    limit: int
    text: Callable[[Sequence[int]], str]
    in_bytes: bool


def write_for(trained: Any, given: Any, how: Generating, most: int) -> Iterator[Piece]:
    """Give the pieces of a translation or a caption; the first describes the source that attention refers to.

    Tokens are the most likely ones if the temperature is 0, else drawn.

    Args:
        trained: the model of a run.
        given: a text, or a picture in base64.
        how: how to write.
        most: how many tokens the source may have.

    Raises:
        BadRequestError, TooLargeError: the input cannot be read.
    """
    with reading(trained.model):
        source = (_translation if trained.task.name == "translate" else _caption)(trained, given, most)
    yield Piece("", more=source.told)
    yield from _written(trained.model, source, how)


def _translation(trained: Any, given: Any, most: int) -> _Source:
    if not isinstance(given, str):
        raise BadRequestError("input: expected a text", param="input")
    known, settings = trained.known, trained.settings.reading
    if len(given) > 64 * most:
        raise TooLargeError(f"input: expected at most {most} tokens", param="input")
    ids = TokenPairs([Pair(given.strip(), "")], known, settings).sources[0]
    if len(ids) > most:
        raise TooLargeError(f"input: expected at most {most} tokens, got {len(ids)}", param="input")
    decoder = known.source.vocabulary.decoder()
    told = [decoder.push(id).strip(" ") or " " for id in ids.tolist()]
    state = trained.model.encode(torch.from_numpy(ids.astype(np.int64))[:, None], torch.tensor([len(ids)]))
    return _Source(
        state,
        {"source": told},
        len(ids),
        never_written(known.target),
        2 * len(ids) + 10,
        lambda tokens: joined(known.target.decode(tokens), settings),
        known.target.vocabulary.kind in _BYTES,
    )


def _caption(trained: Any, given: Any, most: int) -> _Source:
    known, model = trained.known, trained.model
    part = Captioned(caption_images(known, [given]), ((),))
    state = model.encode(CaptionedImages(part, known).batch(np.array([0])).input)
    unknown = known.vocabulary.unknown_id
    places = getattr(model.encoder, "places", None)
    told = {} if state.memory is None or places is None else {"grid": list(places)}
    forbidden = () if unknown is None else (unknown,)
    return _Source(state, told, 0, forbidden, 2 * known.longest + 10, known.said, known.vocabulary.kind in _BYTES)


def _written(model: Any, source: _Source, how: Generating) -> Iterator[Piece]:
    decoder, state = model.decoder, source.state
    seed = secrets.randbits(63) if how.seed is None else how.seed & (2**64 - 1)
    forbidden = sorted({model.begin, *source.forbidden} - {model.end})
    tokens: list[int] = []
    held, text, finish = Held(how.stop), "", "length"
    token = model.begin
    while len(tokens) < min(how.max_tokens, source.limit):
        with reading(model):
            log_p, state = decoder.step(state, torch.tensor([token]))
            scores = log_p[0].double()
            weights = decoder.attention(state)
        allowed = scores.clone()
        allowed[forbidden] = -math.inf
        best = float(allowed.max())
        if not math.isfinite(best):
            raise FailedError("the model gave scores of the next token that are no numbers")
        token = _drawn(allowed, how, seed, len(tokens))
        if token == model.end:
            finish = "stop"
            break
        tokens.append(token)
        whole = source.text(tokens)
        if source.in_bytes:  # the last character may be incomplete
            whole = whole.rstrip("\ufffd")
        new, text = whole[len(text) :], whole
        certain, stopped = held.push(new)
        piece = Piece(certain, token)
        if how.logprobs is not None:
            piece.logprob = float(scores[token])
            values, ids = scores.topk(min(how.logprobs, len(scores)))
            if how.logprobs:
                found = zip(ids.tolist(), values.tolist(), strict=True)
                piece.top_logprobs = [(id, "" if id == model.end else source.text([id]), p) for id, p in found]
        if weights is not None:
            piece.attention = [round(each, 5) for each in weights[0].tolist()]
        yield piece
        if stopped:
            finish = "stop"
            break
    # Text that is held back after a stop text is not returned.
    left = ""
    if finish != "stop" or token == model.end:
        left = held.push(source.text(tokens)[len(text) :])[0] + held.rest()
    yield Piece(left, finish=finish, prompt_tokens=source.read, tokens=len(tokens))


def _drawn(scores: torch.Tensor, how: Generating, seed: int, count: int) -> int:
    p = probabilities(scores, how.temperature, how.top_k, how.top_p)
    u = float(uniform(np.array([seed], dtype=np.uint64), np.array([count]))[0])
    below = p.cumsum(0)
    at = int(torch.searchsorted(below, u * float(below[-1]), right=True))
    last = int(p.nonzero()[-1])
    return min(at, last)
