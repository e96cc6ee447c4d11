"""How well a model predicts a text, and the state of a model after a text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ostinato.data.batches.streams import Chunk
from ostinato.data.tokens.vocabulary import Vocabulary


@dataclass(frozen=True)
class TextState:
    """The state of a model after a text; give it back to continue from there.

    Args:
        hidden: the recurrent state after all tokens but the last.
        last: the last token, which the model has not read yet.
    """

    hidden: Any
    last: int


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text.

    Args:
        nats: negative log likelihood of the predicted tokens.
        tokens: how many were predicted: all, except the first of a text without a state before it.
        characters: the characters of the text, without those of a first token that was not predicted.
        words: the words of the text, separated by white space, without a first one that was not predicted.
        state: the state of the model after the text; None only after an empty one.
    """

    nats: float
    tokens: int
    characters: int
    words: int
    state: TextState | None

    @property
    def nats_per_token(self) -> float:
        """The mean; NaN if no token was predicted."""
        return self.nats / self.tokens if self.tokens else math.nan

    @property
    def bits_per_character(self) -> float:
        """Can be compared between models with different tokens; NaN without characters."""
        return self.nats / math.log(2.0) / self.characters if self.characters else math.nan

    @property
    def perplexity_per_word(self) -> float:
        """exp(nats / words); NaN without words, infinite if it overflows."""
        try:
            return math.exp(self.nats / self.words) if self.words else math.nan
        except OverflowError:
            return math.inf


class ScoreReader(Protocol):
    """A model that scores a text chunk by chunk: a language model, or one that adapts to what it reads."""

    def loss(self, chunk: Chunk, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Returns the mean loss, a scalar in nats a token, and the state after the chunk."""
        ...


def to_score(vocabulary: Vocabulary, text: str, state: TextState | None) -> tuple[np.ndarray, Any, int, int]:
    """What is needed to score a text.

    Returns:
        ids: (N,) int64, tokens to read; all but the first are predicted.
        hidden: the recurrent state before them; None for a fresh one.
        characters, words: see `Score`.
    """
    ids = vocabulary.encode(text).astype(np.int64)
    if state is not None:
        return np.concatenate([[state.last], ids]), state.hidden, len(text), len(text.split())
    first, words = vocabulary.decode(ids[:1]), text.split()
    # A first word that is a token of its own is not predicted at all.
    return ids, None, len(text) - len(first), len(words) - bool(words and first.split() == words[:1])


@torch.no_grad()
def score_text(
    reader: ScoreReader,
    vocabulary: Vocabulary,
    text: str,
    state: TextState | None,
    device: torch.device,
    chunk_length: int,
) -> Score:
    """Reads `text` as one stream, `chunk_length` tokens at a time; see `LanguageModel.score`."""
    ids, hidden, characters, words = to_score(vocabulary, text, state)
    if not len(ids):
        return Score(0.0, 0, 0, 0, None)
    tokens = torch.from_numpy(ids).to(device)[:, None]  # (N, 1)
    nats = 0.0
    for start in range(0, len(ids) - 1, chunk_length):
        end = min(start + chunk_length, len(ids) - 1)
        chunk = Chunk(tokens[start:end], tokens[start + 1 : end + 1], None)
        loss, hidden = reader.loss(chunk, hidden)
        nats += float(loss.double()) * (end - start)
    return Score(nats, len(ids) - 1, characters, words, TextState(hidden, int(ids[-1])))
