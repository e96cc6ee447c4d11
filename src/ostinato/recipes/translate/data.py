"""What a translator reads: pairs of texts as tokens, and the vocabularies of both sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ostinato.data.batches.batches import TargetBatch, pad
from ostinato.data.records.dates import dates_to_iso
from ostinato.data.records.marked import MarkedVocabulary
from ostinato.data.records.pairs import (
    NAMED_COLUMNS,
    Pair,
    Pairs,
    draw_pair_splits,
    read_pair_splits,
    read_pairs,
    read_sources,
)
from ostinato.data.records.splits import Splits
from ostinato.data.sources.lines import lines_of_stdin, numbered_lines, suffix_of
from ostinato.data.sources.tables import is_folder
from ostinato.data.tokens.vocabulary import CharVocabulary, WordVocabulary, build_vocabulary, vocabulary_from_dict
from ostinato.data.tokens.words import Breaks, normalised, spaced
from ostinato.errors import DataError
from ostinato.recipes.translate.settings import TranslateReadingSettings

JOINER = "￭"
"""Before a word that follows without a blank, so that words can be put together again as they were."""


@dataclass(frozen=True)
class TranslateKnown:
    """What a translator knows beside its weights.

    Attributes:
        source: the vocabulary of the sources; the same object as `target` where both sides share one.
        target: of the targets.
        breaks: how words are found.
    """

    source: MarkedVocabulary
    target: MarkedVocabulary
    breaks: Breaks = "clusters"

    @classmethod
    def of(cls, train: Pairs, reading: TranslateReadingSettings) -> TranslateKnown:
        """From the training data."""
        sources, targets = [pair.source for pair in train.pairs], [pair.target for pair in train.pairs]
        if reading.joint:
            both = _vocabulary([*sources, *targets], reading)
            return cls(both, both)
        return cls(_vocabulary(sources, reading), _vocabulary(targets, reading))

    @property
    def is_joint(self) -> bool:
        """Whether both sides share a vocabulary."""
        return self.source is self.target

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        source = None if self.is_joint else self.source.vocabulary.to_dict()
        return {"source": source, "target": self.target.vocabulary.to_dict(), "breaks": self.breaks}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> TranslateKnown:
        """The inverse."""
        target = _marked(content["target"])
        source = target if content["source"] is None else _marked(content["source"])
        return cls(source, target, content.get("breaks", "code points"))


class TokenPairs:
    """Pairs as examples: token ids of both sides.

    Args:
        pairs: N of them.
        known: the vocabularies.
        reading: how they are read.
    """

    def __init__(self, pairs: Sequence[Pair], known: TranslateKnown, reading: TranslateReadingSettings):
        self.sources = [known.source.encode(prepared(pair.source, reading, known.breaks)) for pair in pairs]
        self.targets = [known.target.encode(prepared(pair.target, reading, known.breaks)) for pair in pairs]
        read, written = (np.array([len(ids) for ids in side], dtype=np.int64) for side in (self.sources, self.targets))
        self.counts = written + 1  # its end is said too
        self.lengths = np.maximum(read, self.counts)

    def batch(self, rows: np.ndarray) -> TargetBatch:
        """(T_in, B) and (T_out, B) int64 token ids."""
        input, lengths = pad([self.sources[row] for row in rows])
        target, target_lengths = pad([self.targets[row] for row in rows])
        return TargetBatch(input, target, lengths, torch.from_numpy(rows), target_lengths=target_lengths)


def prepared(text: str, reading: TranslateReadingSettings, breaks: Breaks = "clusters") -> str:
    """A text as the vocabulary gets it: normalised, in small letters, if so set; of words, with blanks around punctuation.

    Blanks at its ends should be gone already.
    """
    text = normalised(text, reading.normalisation, lower_case=reading.lower_case)
    if reading.tokens == "bpe":
        return " " + text  # or a word would be another at the beginning
    return spaced(text, joiner=JOINER, breaks=breaks) if reading.tokens == "word" else text


def normalised_pairs(pairs: Pairs, reading: TranslateReadingSettings) -> Pairs:
    """The same pairs in the normal form that is set: what answers are compared with."""
    form = reading.normalisation
    same = tuple(Pair(normalised(pair.source, form), normalised(pair.target, form)) for pair in pairs.pairs)
    return dataclasses.replace(pairs, pairs=same)


def joined(text: str, reading: TranslateReadingSettings) -> str:
    """The inverse of `prepared`, but for letters that were made small and more than one blank."""
    if reading.tokens == "bpe":
        return text.removeprefix(" ")
    return text.replace(f" {JOINER}", "").removeprefix(JOINER) if reading.tokens == "word" else text


def texts_of_tokens(vocabulary: MarkedVocabulary) -> list[str]:
    """The text of each token of a vocabulary with an unknown one, marks left out; empty for others."""
    inner = vocabulary.vocabulary
    if isinstance(inner, WordVocabulary):
        return inner.words
    return ["\ufffd", *inner.characters] if isinstance(inner, CharVocabulary) else []


def never_written(vocabulary: MarkedVocabulary) -> tuple[int, ...]:
    """Tokens that no answer has: the line end that every vocabulary of words begins with."""
    return (1,) if isinstance(vocabulary.vocabulary, WordVocabulary) else ()


def read(data: str | None, reading: TranslateReadingSettings) -> Splits[Pairs]:
    """The data to learn from.

    Raises:
        DataError: they cannot be read, or do not fit the settings.
    """
    if data is None:
        if reading.validation or reading.test:
            raise DataError(
                "the built-in data have parts for validation and test; leave out reading.validation and reading.test"
            )
        return dates_to_iso()
    validation = None if reading.validation is None else read_file(reading.validation, reading)
    test = None if reading.test is None else read_file(reading.test, reading, keep_empty=True)
    if is_folder(data):
        return read_pair_splits(data, reading.source, reading.target, validation=validation, test=test)
    pairs = read_file(data, reading)
    shares = (0.0 if validation else reading.validation_share, 0.0 if test else reading.test_share)
    parts = draw_pair_splits(pairs, *shares)
    return Splits(parts.name, parts.train, validation or parts.validation, test or parts.test)


def read_part(data: str, reading: TranslateReadingSettings, *, labelled: bool) -> Pairs:
    """Pairs to evaluate on, every line one of them; or texts to translate, a line each, also of standard input: "-".

    Raises:
        DataError: they cannot be read.
    """
    if labelled:
        if is_folder(data):
            return read_pair_splits(data, reading.source, reading.target).test
        return read_file(data, reading, keep_empty=True)
    if data != "-" and suffix_of(data) in NAMED_COLUMNS:
        return Pairs(data, tuple(Pair(text.strip(), "") for text in read_sources(data, reading.source)), (), 0)
    lines = (line for _, line in (lines_of_stdin() if data == "-" else numbered_lines(data)))
    if data != "-" and suffix_of(data) == ".tsv":
        lines = (line.partition("\t")[0] for line in lines)
    return Pairs(data, tuple(Pair(line.strip(), "") for line in lines), (), 0)


def read_file(data: str, reading: TranslateReadingSettings | None = None, *, keep_empty: bool = False) -> Pairs:
    """Pairs of two files, as data.de,data.en, of a .tsv file, or of a table whose columns `reading` may name."""
    source, comma, target = data.partition(",")
    columns = None if reading is None or reading.source is None else (reading.source, reading.target or "")
    if Path(data).expanduser().exists() or not comma:
        return read_pairs(data, columns=columns, keep_empty=keep_empty)
    if "," in target or not target:
        raise DataError(f"{data}: expected two files with a comma between them, as data.de,data.en, or a .tsv file")
    return read_pairs(source, target, keep_empty=keep_empty)


def _vocabulary(texts: Sequence[str], reading: TranslateReadingSettings) -> MarkedVocabulary:
    texts = [prepared(text, reading) for text in texts]
    return MarkedVocabulary(build_vocabulary(texts, reading.tokens, reading.vocabulary_size, reading.min_count))


def _marked(content: dict[str, Any]) -> MarkedVocabulary:
    return MarkedVocabulary(vocabulary_from_dict(content))
