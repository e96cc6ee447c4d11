"""What a translator reads: pairs of texts as tokens, and the vocabularies of both sides."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from ostinato.data.batches.batches import TargetBatch
from ostinato.data.records.marked import MarkedVocabulary
from ostinato.data.records.pairs import Pair, Pairs
from ostinato.data.stored.pairs import MappedPairs, sources_of, targets_of
from ostinato.data.stored.ragged import Ragged
from ostinato.data.stored.tokens import token_ids
from ostinato.data.tokens.vocabulary import CharVocabulary, WordVocabulary, build_vocabulary, vocabulary_from_dict
from ostinato.data.tokens.words import Breaks, normalised, spaced
from ostinato.recipes.translate.settings import TranslateReadingSettings

JOINER = "￭"
"""Before a word that follows without a blank, so that words can be put together again as they were."""


@dataclass(frozen=True)
class TranslateKnown:
    """What a translator knows beside its weights.

    Attributes:
        source: the vocabulary of the sources; the same object as `target` if both sides share one.
        target: the vocabulary of the targets.
        breaks: how words are found in texts.
    """

    source: MarkedVocabulary
    target: MarkedVocabulary
    breaks: Breaks = "clusters"

    @classmethod
    def of(cls, train: Pairs, reading: TranslateReadingSettings) -> TranslateKnown:
        """Learns the vocabularies from the training data."""
        sources, targets = sources_of(train.pairs), targets_of(train.pairs)
        if reading.joint:
            both = _vocabulary(itertools.chain(sources, targets), reading)
            return cls(both, both)
        return cls(_vocabulary(sources, reading), _vocabulary(targets, reading))

    @property
    def is_joint(self) -> bool:
        """Whether both sides share a vocabulary."""
        return self.source is self.target

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        source = None if self.is_joint else self.source.vocabulary.to_dict()
        return {"source": source, "target": self.target.vocabulary.to_dict(), "breaks": self.breaks}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> TranslateKnown:
        """The inverse of `to_dict`."""
        target = _marked(content["target"])
        source = target if content["source"] is None else _marked(content["source"])
        return cls(source, target, content.get("breaks", "code points"))


class TokenPairs:
    """Pairs of texts as examples: token ids of both sides.

    Args:
        pairs: N pairs; if they are mapped from files, their ids are stored in files beside them.
        known: the vocabularies.
        reading: how texts are read.

    Attributes:
        kept: for mapped pairs, a checksum of the ids and of which pairs they are; else None.
    """

    def __init__(self, pairs: Sequence[Pair], known: TranslateKnown, reading: TranslateReadingSettings):
        self.sources = _ids(sources_of(pairs), known.source, known, reading)
        self.targets = _ids(targets_of(pairs), known.target, known, reading)
        self.kept = f"{self.sources.kept} {self.targets.kept}" if isinstance(pairs, MappedPairs) else None
        read, written = self.sources.lengths(), self.targets.lengths()
        self.counts = written + 1  # the end token is predicted too
        self.lengths = np.maximum(read, self.counts)

    def batch(self, rows: np.ndarray) -> TargetBatch:
        """A batch with token ids (T_in, B) and (T_out, B), int64."""
        input, lengths = self.sources.padded(rows)
        target, target_lengths = self.targets.padded(rows)
        return TargetBatch(input, target, lengths, torch.from_numpy(rows), target_lengths=target_lengths)


class _SideEncoder:
    """Makes token ids of texts of one side."""

    def __init__(self, vocabulary: MarkedVocabulary, breaks: Breaks, reading: TranslateReadingSettings):
        self._vocabulary, self._reading = vocabulary.vocabulary, reading
        self._breaks: Breaks = breaks
        told = self._vocabulary.to_dict()
        self.how = [reading.normalisation, reading.lower_case, reading.tokens, breaks, told]

    def __call__(self, text: str) -> np.ndarray:
        return self._vocabulary.encode(prepared(text, self._reading, self._breaks))


def _ids(
    texts: Iterable[str], vocabulary: MarkedVocabulary, known: TranslateKnown, reading: TranslateReadingSettings
) -> Ragged:
    return token_ids(texts, _SideEncoder(vocabulary, known.breaks, reading), vocabulary.vocabulary.dtype)


def prepared(text: str, reading: TranslateReadingSettings, breaks: Breaks = "clusters") -> str:
    """Prepares a text for the vocabulary: normalised, in lower case if so set, blanks around marks if words are read.

    Blanks at its ends should have been removed already.
    """
    text = normalised(text, reading.normalisation, lower_case=reading.lower_case)
    if reading.tokens == "bpe":
        return " " + text  # so that the first word is read like the others
    return spaced(text, joiner=JOINER, breaks=breaks) if reading.tokens == "word" else text


def normalised_pairs(pairs: Pairs, reading: TranslateReadingSettings) -> Pairs:
    """The pairs in the normal form that is set, with which answers are compared."""
    form = reading.normalisation
    if isinstance(pairs.pairs, MappedPairs):
        mapped = pairs.pairs if form == "none" else pairs.pairs.changed(partial(normalised, form=form))
        return dataclasses.replace(pairs, pairs=mapped)
    same = tuple(Pair(normalised(pair.source, form), normalised(pair.target, form)) for pair in pairs.pairs)
    return dataclasses.replace(pairs, pairs=same)


def joined(text: str, reading: TranslateReadingSettings) -> str:
    """The inverse of `prepared`, except for lower case and repeated blanks."""
    if reading.tokens == "bpe":
        return text.removeprefix(" ")
    return text.replace(f" {JOINER}", "").removeprefix(JOINER) if reading.tokens == "word" else text


def texts_of_tokens(vocabulary: MarkedVocabulary) -> list[str]:
    """The text of each token of a vocabulary with an unknown token, without marks; empty for other vocabularies."""
    inner = vocabulary.vocabulary
    if isinstance(inner, WordVocabulary):
        return inner.words
    return ["\ufffd", *inner.characters] if isinstance(inner, CharVocabulary) else []


def never_written(vocabulary: MarkedVocabulary) -> tuple[int, ...]:
    """Tokens that no answer contains: the line end with which every vocabulary of words begins."""
    return (1,) if isinstance(vocabulary.vocabulary, WordVocabulary) else ()


def _vocabulary(texts: Iterable[str], reading: TranslateReadingSettings) -> MarkedVocabulary:
    read = (prepared(text, reading) for text in texts)
    return MarkedVocabulary(build_vocabulary(read, reading.tokens, reading.vocabulary_size, reading.min_count))


def _marked(content: dict[str, Any]) -> MarkedVocabulary:
    return MarkedVocabulary(vocabulary_from_dict(content))
