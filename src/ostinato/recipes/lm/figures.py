"""How well a model predicts a text, in every common unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ostinato.data.tokens.tokens import Tokens


@dataclass(frozen=True)
class Figures:
    """How well a model predicts a text, in several units.

    Args:
        tokens: how many tokens were predicted.
        nats_per_token: the mean loss.
        nats_per_character: can be compared between vocabularies.
        bits_per_character: the same number in bits.
        perplexity_per_token: exp of the mean loss; for a word model it is the figure of the papers, where a line end is
            a token too.
        perplexity_per_word: exp of the mean loss of a word; words are separated by white space.
    """

    tokens: int
    nats_per_token: float
    nats_per_character: float
    bits_per_character: float
    perplexity_per_token: float
    perplexity_per_word: float


def figures(nats_per_token: float, predicted: int, tokens: Tokens) -> Figures:
    """Computes the figures in all units from the mean loss of a token.

    Args:
        nats_per_token: the mean loss.
        predicted: the number of tokens that it is the mean of.
        tokens: the text, which tells how many characters and words a token has on average.
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
