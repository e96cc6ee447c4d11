"""What a tagger reads: sentences of words, source code by character, recordings; and what it knows about its data."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from typing_extensions import TypeIs  # typing's own from Python 3.13 on

from ostinato.data.batches.batches import Batch, pad
from ostinato.data.recordings.reading import names_of_labels
from ostinato.data.recordings.recording import Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.records.conll import Sentence
from ostinato.data.records.targets import numbers_of, target_of
from ostinato.data.sources.syntax import SYNTAX_CLASSES, Highlighted
from ostinato.data.stored.ragged import Ragged
from ostinato.data.stored.sentences import MappedSentences
from ostinato.data.tokens.counts import WordCounts
from ostinato.data.tokens.vocabulary import CharVocabulary, frequent
from ostinato.data.tokens.words import Normalisation, normalised
from ostinato.models.tagging.words import Words
from ostinato.nn.crf.span_schemes import SCHEMES, SpanScheme
from ostinato.recipes.numbers import NumberScale
from ostinato.recipes.tag.settings import TagReadingSettings

Sentences: TypeAlias = tuple[Sentence, ...] | MappedSentences
Part: TypeAlias = Sentences | tuple[Highlighted, ...] | Recordings
_MOST_SPELLINGS = 200_000  # spellings that are held at most
_BLOCK = 2**13  # words that are normalised and counted together
LONGEST_SPELLING = 40  # of a longer word, such as an address, only the beginning and the end are read


@dataclass(frozen=True)
class TagKnown:
    """What a tagger knows beside its weights.

    Attributes:
        tags: the names of the tags, in the order of the outputs.
        tag_counts: how many training steps have each tag.
        characters: the characters of source code, or of the spelling of words.
        words: the words that have a vector of their own, by id from 1 on; None if the steps are no words.
        counts: how often each of these words occurs in training.
        lower_case: whether words are looked up without regard to case.
        scheme: how the tags mark spans; None if they do not.
        normalisation: the normal form of Unicode in which words are looked up and spelt.
        scaling: for recordings, how they are read.
        number: for recordings whose steps have numbers, the scale of these; None for tags.
    """

    tags: tuple[str, ...]
    tag_counts: tuple[int, ...]
    characters: CharVocabulary
    words: tuple[str, ...] | None = None
    counts: tuple[int, ...] = ()
    lower_case: bool = False
    scheme: SpanScheme | None = None
    normalisation: Normalisation = "none"
    scaling: Scaling | None = None
    number: NumberScale | None = None

    @classmethod
    def of(cls, train: Part, reading: TagReadingSettings, extras: Mapping[str, str] | None = None) -> TagKnown:
        """Learns from the training data; `extras` are those of the cell for recordings, see `Scaling.of`."""
        if isinstance(train, Recordings):
            said = [tag for each in train.items for tag in each.labels or ()]
            if target_of(said, reading.target) == "number":
                scale = NumberScale.of(numbers_of(said))
                return cls((), (), CharVocabulary(""), scaling=Scaling.of(train, extras=extras), number=scale)
            found = Counter(tag for each in train.items for tag in each.labels or () if tag is not None)
            names = tuple(name for name in names_of_labels(train) if found[name])
            numbers = tuple(found[name] for name in names)
            return cls(names, numbers, CharVocabulary(""), scaling=Scaling.of(train, extras=extras))
        if is_source(train):
            numbers = sum(
                np.bincount(file.labels, minlength=len(SYNTAX_CLASSES)) for file in train if file.labels is not None
            )
            found = tuple(np.asarray(numbers).tolist())
            return cls(SYNTAX_CLASSES, found, _characters((file.text for file in train), reading.min_count))
        tags = tag_counts(train)
        order = tuple(sorted(tags))
        form = reading.normalisation
        words = WordCounts()
        for block in _blocks(words_of(train)):
            words.add([normalised(word, form) for word in block])
        looked_up = words
        if reading.lower_case:
            looked_up = WordCounts()
            for word, count in words:
                looked_up.add_counts({word.lower(): count})
        best = looked_up.most_common(reading.vocabulary_size, lambda word, count: True)
        names, counts = tuple(word for word, _ in best), tuple(count for _, count in best)
        scheme = SpanScheme.of(order, tags_of(train))
        letters = Counter[str]()
        for word, count in words:
            for letter in word:
                letters[letter] += count
        characters = CharVocabulary("".join(sorted(frequent(letters, reading.min_count))))
        tag_numbers = tuple(tags[tag] for tag in order)
        return cls(order, tag_numbers, characters, names, counts, reading.lower_case, scheme, form)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return {
            "tags": list(self.tags),
            "tag_counts": list(self.tag_counts),
            "characters": self.characters.to_dict(),
            "words": None if self.words is None else list(self.words),
            "counts": list(self.counts),
            "lower_case": self.lower_case,
            "scheme": None if self.scheme is None else {"name": self.scheme.name, "broken": self.scheme.broken},
            "normalisation": self.normalisation,
            "scaling": None if self.scaling is None else self.scaling.to_dict(),
            "number": None if self.number is None else asdict(self.number),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> TagKnown:
        """The inverse of `to_dict`."""
        words = content["words"]
        return cls(
            tuple(content["tags"]),
            tuple(content["tag_counts"]),
            CharVocabulary.from_dict(content["characters"]),
            None if words is None else tuple(words),
            tuple(content["counts"]),
            content["lower_case"],
            _scheme(content),
            content.get("normalisation", "none"),
            None if content.get("scaling") is None else Scaling.from_dict(content["scaling"]),
            None if content.get("number") is None else NumberScale(**content["number"]),
        )

    def word_ids(self, words: Sequence[str]) -> np.ndarray:
        """The ids of words, (T,) int64; 0 for words that training never had."""
        looked_up = (normalised(word, self.normalisation, lower_case=self.lower_case) for word in words)
        return np.array([self._ids.get(word, 0) for word in looked_up], dtype=np.int64)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: id for id, word in enumerate(self.words or (), start=1)}

    def with_unknown(self, part: Part) -> list[str]:
        """The tags, then those in `part` that training never had."""
        if is_source(part):
            return list(self.tags)
        if self.number is not None:
            return []
        if isinstance(part, Recordings):
            return [*self.tags, *(name for name in names_of_labels(part) if name not in self.tags)]
        return [*self.tags, *sorted(set(tag_counts(part)) - set(self.tags))]

    def numbers_of(self, part: Recordings) -> list[np.ndarray] | None:
        """The numbers of each recording's steps, (T,) float32 at their scale, NaN for none; None for tags."""
        if self.number is None:
            return None
        return [self.number.scaled(numbers_of(each.labels or (None,) * len(each))) for each in part.items]


class WordExamples:
    """Sentences as examples.

    Args:
        sentences: N sentences; if they are mapped from files, their ids are stored in files beside them.
        known: their words, characters and tags.

    Attributes:
        targets: for each sentence (T,) int64, places in `TagKnown.with_unknown`; -1 for no tag.
        kept: for mapped sentences, a checksum of ids and targets; else None.
    """

    def __init__(self, sentences: Sentences, known: TagKnown):
        names = known.with_unknown(sentences)
        places = {name: place for place, name in enumerate(names)}
        self.kept: str | None = None
        if isinstance(sentences, MappedSentences):
            how = [list(known.words or ()), known.lower_case, known.normalisation]
            self.ids = sentences.ids(known.word_ids, how)
            self.targets = sentences.codes.standing_for(
                np.array([*(places.get(name, -1) for name in sentences.names), -1], dtype=np.int64)
            )
            self.kept = f"{self.ids.kept} {sentences.columns.checksum} {names}"
        else:
            self.ids = Ragged.of(known.word_ids(sentence.words) for sentence in sentences)
            self.targets = Ragged.of(
                np.array([-1 if tag is None else places[tag] for tag in sentence.tags], dtype=np.int64)
                for sentence in sentences
            )
        self.lengths = self.ids.lengths()
        # A target of -1 counts the last entry of this array, which is False.
        self.counts = self.targets.sums(np.arange(len(names) + 1) < len(known.tags))
        self._sentences, self._known = sentences, known
        self._spellings: dict[str, np.ndarray] = {}

    def batch(self, rows: np.ndarray) -> Batch:
        """A batch whose input is a `Words`."""
        ids, lengths = self.ids.padded(rows)
        target, _ = self.targets.padded(rows)
        seen: dict[str, int] = {}
        words = [self._sentences[row].words for row in rows.tolist()]
        places, _ = pad(
            [np.array([seen.setdefault(word, len(seen)) for word in each], dtype=np.int64) for each in words]
        )
        spelt = [self._spelling(word) for word in seen] or [np.zeros(0, dtype=np.int64)]
        spellings, _ = pad(spelt)
        read = Words(ids, spellings, torch.tensor([len(each) for each in spelt]), places)
        return Batch(read, target, lengths, torch.from_numpy(rows))

    def _spelling(self, word: str) -> np.ndarray:
        if word not in self._spellings:
            if len(self._spellings) >= _MOST_SPELLINGS:
                self._spellings.clear()
            half, read = LONGEST_SPELLING // 2, normalised(word, self._known.normalisation)
            read = read if len(read) <= LONGEST_SPELLING else read[:half] + read[-half:]
            self._spellings[word] = self._known.characters.encode(read).astype(np.int64)
        return self._spellings[word]


class CharacterExamples:
    """Source code as examples: a character is a step.

    Args:
        files: N files, or pieces of such.
        known: the characters that the model knows.

    Attributes:
        targets: for each file (T,) int64; -1 for no tag.
    """

    def __init__(self, files: tuple[Highlighted, ...], known: TagKnown):
        self.ids = [known.characters.encode(file.text) for file in files]
        self.targets = [
            np.full(len(file.text), -1, np.int64) if file.labels is None else file.labels.astype(np.int64)
            for file in files
        ]
        self.lengths = np.array([len(ids) for ids in self.ids], dtype=np.int64)
        self.counts = _known_tags(self.targets, known)

    def batch(self, rows: np.ndarray) -> Batch:
        """A batch with characters (T, B) int64."""
        input, lengths = pad([self.ids[row].astype(np.int64) for row in rows])
        target, _ = pad([self.targets[row] for row in rows])
        return Batch(input, target, lengths, torch.from_numpy(rows))


def words_of(part: Sentences) -> Iterator[str]:
    """All words of the sentences, one after the other."""
    return part.words() if isinstance(part, MappedSentences) else (word for each in part for word in each.words)


def tags_of(part: Sentences) -> Iterator[tuple[str | None, ...]]:
    """The tags of each sentence."""
    return part.tags() if isinstance(part, MappedSentences) else (each.tags for each in part)


def tag_counts(part: Sentences) -> Counter[str]:
    """How often each tag occurs in sentences."""
    if isinstance(part, MappedSentences):
        return part.tag_counts()
    return Counter(tag for each in part for tag in each.tags if tag is not None)


def _blocks(words: Iterator[str]) -> Iterator[list[str]]:
    while block := list(itertools.islice(words, _BLOCK)):
        yield block


def is_source(part: Part) -> TypeIs[tuple[Highlighted, ...]]:
    """Whether a part is source code; False for an empty part."""
    return bool(part) and isinstance(part[0], Highlighted)


def cut(files: tuple[Highlighted, ...], length: int) -> tuple[Highlighted, ...]:
    """Cuts files into pieces of at most `length` characters."""
    return tuple(
        Highlighted(
            file.name, file.text[at : at + length], None if file.labels is None else file.labels[at : at + length]
        )
        for file in files
        for at in range(0, len(file.text), length)
    )


def _known_tags(targets: list[np.ndarray], known: TagKnown) -> np.ndarray:
    """(N,) int64: how many steps of each example have a loss."""
    return np.array([((each >= 0) & (each < len(known.tags))).sum() for each in targets], dtype=np.int64)


def _scheme(content: dict[str, Any]) -> SpanScheme | None:
    """The span scheme as saved; older runs did not save it and took IOB2 or IOBES, as the tags' letters tell."""
    by_letters = None if content["words"] is None else SpanScheme.of(content["tags"])
    if by_letters is None or "scheme" not in content:
        return by_letters
    kept = content["scheme"]
    if kept["name"] not in SCHEMES:
        raise ValueError(f"scheme {kept['name']!r}")
    return SpanScheme(kept["name"], by_letters.marks, tuple((before, after) for before, after in kept["broken"]))


def _characters(texts: Iterable[str], min_count: int) -> CharVocabulary:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return CharVocabulary("".join(sorted(frequent(counts, min_count))))
