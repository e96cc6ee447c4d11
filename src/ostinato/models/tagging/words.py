"""How a tagger reads a word: by a vector of its own, and by its spelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.models.classifying.pooling import Pooling
from ostinato.models.parts.layers import AnyCell, make_layers, output_size


class Words(NamedTuple):
    """Words side by side; a word that occurs more than once has one spelling.

    Attributes:
        ids: (T, B) int64, 0 for words that training never had.
        spellings: (L, W) int64, the characters of W different words.
        spelling_lengths: (W,) int64, how many characters of each are real.
        places: (T, B) int64, the number of the spelling at each step.
    """

    ids: torch.Tensor
    spellings: torch.Tensor
    spelling_lengths: torch.Tensor
    places: torch.Tensor


class WordEncoder(nn.Module):
    """A vector for each word: its own from a table, beside one from a bidirectional recurrence over its characters.

        x_t = [E(word_t); h_forward(last character of word_t); h_backward(first character of word_t)]

    In training, a word that the training data have n times is read as unknown, id 0, with probability a / (a + n): so
    the vector of unknown words is learnt at rare words, which are like unknown ones, and the spelling learns to tell
    what the table does not.

    Source: both vectors Ling et al. 2015 (arXiv 1508.02096) and Plank et al. 2016 (arXiv 1604.05529); a / (a + n) Kiperwasser &
    Goldberg 2016 (arXiv 1603.04351), section 4, with a = 0.25.

    Args:
        counts: (V,), how often training has the word of each id; the entry of id 0 is not used.
        num_characters: how many different characters there are, including the unknown one.
        embedding_size: E, the size of the word's own vector.
        character_embedding_size: the size of the vector that stands for a character.
        character_hidden_size: units of each direction over the characters.
        cell: the recurrent layer over the characters.
        word_dropout: a, at least 0.

    Attributes:
        embedding_dim: the width of its output.

    Raises:
        ConfigError: a size or `word_dropout` is out of its range.
    """

    unknown_rates: torch.Tensor

    def __init__(
        self,
        counts: Sequence[int],
        num_characters: int,
        *,
        embedding_size: int = 100,
        character_embedding_size: int = 32,
        character_hidden_size: int = 64,
        cell: AnyCell = "lstm",
        word_dropout: float = 0.25,
    ):
        super().__init__()
        for name, value in (
            ("counts", len(counts)),
            ("num_characters", num_characters),
            ("embedding_size", embedding_size),
            ("character_embedding_size", character_embedding_size),
            ("character_hidden_size", character_hidden_size),
        ):
            if value < 1:
                raise ConfigError(f"{name}: expected at least 1, got {value}")
        if not word_dropout >= 0:
            raise ConfigError(f"word_dropout: expected a number of at least 0, got {word_dropout}")
        self.embedding = nn.Embedding(len(counts), embedding_size)
        self.characters = nn.Embedding(num_characters, character_embedding_size)
        self.spelling = make_layers(cell, character_embedding_size, character_hidden_size, bidirectional=True)
        width = output_size(self.spelling)
        self.pooling = Pooling("last", width, self.spelling.num_directions)
        self.embedding_dim = embedding_size + width
        n = torch.tensor(counts, dtype=torch.float32).clamp_min(1.0)
        # Not in the state_dict: it follows from the training data, whose counts a run stores.
        self.register_buffer("unknown_rates", word_dropout / (word_dropout + n), persistent=False)

    def forward(self, words: Words) -> torch.Tensor:
        """The vectors of the words, (T, B, embedding_dim)."""
        ids = words.ids
        if self.training:
            ids = ids.masked_fill(torch.rand(ids.shape, device=ids.device) < self.unknown_rates[ids], 0)
        h = self.spelling(self.characters(words.spellings), lengths=words.spelling_lengths)[0]
        spelt = self.pooling(h, words.spelling_lengths)  # (W, 2 H)
        return torch.cat((self.embedding(ids), nn.functional.embedding(words.places, spelt)), dim=-1)
