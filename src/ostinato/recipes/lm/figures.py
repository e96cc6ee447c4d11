"""How well a model predicts a text, in every unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ostinato.data.tokens.tokens import Tokens


@dataclass(frozen=True)
class Figures:
    """How well a model predicts a text.

    Args:
        tokens: predicted.
        nats_per_token: mean loss.
        nats_per_character: comparable between vocabularies.
        bits_per_character: the same in bits.
        perplexity_per_token: exp of the mean loss; of a word model it is the figure of the papers, where a line end is a token too.
        perplexity_per_word: exp of the mean loss of a word; words are separated by white space.
    """

    tokens: int
    nats_per_token: float
    nats_per_character: float
    bits_per_character: float
    perplexity_per_token: float
    perplexity_per_word: float


def figures(nats_per_token: float, predicted: int, tokens: Tokens) -> Figures:
    """All units from one.

    Args:
        nats_per_token: mean loss.
        predicted: tokens that it is the mean of.
        tokens: the text, which says how many characters and words there are to a token.
    """
    nats = nats_per_token * len(tokens)
    per_character = nats / tokens.characters
    perplexity = _exp(nats / tokens.words) if tokens.words else math.inf
    bits = per_character / math.log(2.0)
    return Figures(predicted, nats_per_token, per_character, bits, _exp(nats_per_token), perplexity)


def _exp(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
