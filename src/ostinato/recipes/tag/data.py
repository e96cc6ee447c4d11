"""What a tagger reads: sentences of words, source code character by character, recordings; and what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
from ostinato.data.tokens.vocabulary import CharVocabulary, frequent
from ostinato.data.tokens.words import Normalisation, normalised
from ostinato.models.tagging.words import Words
from ostinato.nn.crf.span_schemes import SCHEMES, SpanScheme
from ostinato.recipes.numbers import NumberScale
from ostinato.recipes.tag.settings import TagReadingSettings

Part: TypeAlias = tuple[Sentence, ...] | tuple[Highlighted, ...] | Recordings
LONGEST_SPELLING = 40  # of a longer word, such as an address, the beginning and the end are read


@dataclass(frozen=True)
class TagKnown:
    """What a tagger knows beside its weights.

    Attributes:
        tags: their names, in the order of the outputs.
        tag_counts: how many steps of training each has.
        characters: of source code, or of the spelling of words.
        words: that have a vector of their own, by id from 1 on; None where the steps are characters.
        counts: how often training has each of them.
        lower_case: whether words are looked up without regard to case.
        scheme: how the tags mark spans; None where they do not.
        normalisation: of Unicode, that words are looked up and spelt in.
        scaling: of recordings, how they are read.
        number: of recordings whose steps have numbers, their scale; None for tags.
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
        """From the training data; of recordings with the extras of the cell, see `Scaling.of`."""
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
            tag_counts = tuple(np.asarray(numbers).tolist())
            return cls(SYNTAX_CLASSES, tag_counts, _characters((file.text for file in train), reading.min_count))
        tags = Counter(tag for sentence in train for tag in sentence.tags if tag is not None)
        order = tuple(sorted(tags))
        form = reading.normalisation
        words = [normalised(word, form) for sentence in train for word in sentence.words]
        numbers = Counter(word.lower() if reading.lower_case else word for word in words)
        best = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))[: reading.vocabulary_size]
        names, counts = tuple(word for word, _ in best), tuple(count for _, count in best)
        tag_counts, scheme = tuple(tags[tag] for tag in order), SpanScheme.of(order, (each.tags for each in train))
        characters = _characters(words, reading.min_count)
        return cls(order, tag_counts, characters, names, counts, reading.lower_case, scheme, form)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
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
        """The inverse."""
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
        """(T,) int64; 0 for words that training never had."""
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
        found = {tag for sentence in part for tag in sentence.tags if tag is not None}
        return [*self.tags, *sorted(found - set(self.tags))]

    def numbers_of(self, part: Recordings) -> list[np.ndarray] | None:
        """Of recordings whose steps have numbers, those of each, (T,) float32 at their scale, NaN for none; None for tags."""
        if self.number is None:
            return None
        return [self.number.scaled(numbers_of(each.labels or (None,) * len(each))) for each in part.items]


class WordExamples:
    """Sentences as examples.

    Args:
        sentences: N of them.
        known: their words, characters and tags.

    Attributes:
        targets: of each sentence (T,) int64, places in `TagKnown.with_unknown`; -1 for no tag.
    """

    def __init__(self, sentences: tuple[Sentence, ...], known: TagKnown):
        places = {name: place for place, name in enumerate(known.with_unknown(sentences))}
        self.ids = [known.word_ids(sentence.words) for sentence in sentences]
        self.targets = [
            np.array([-1 if tag is None else places[tag] for tag in sentence.tags], dtype=np.int64)
            for sentence in sentences
        ]
        self.lengths = np.array([len(ids) for ids in self.ids], dtype=np.int64)
        self.counts = _known_tags(self.targets, known)
        self._words, self._known = [sentence.words for sentence in sentences], known
        self._spellings: dict[str, np.ndarray] = {}

    def batch(self, rows: np.ndarray) -> Batch:
        """`Words`."""
        ids, lengths = pad([self.ids[row] for row in rows])
        target, _ = pad([self.targets[row] for row in rows])
        seen: dict[str, int] = {}
        places, _ = pad(
            [np.array([seen.setdefault(word, len(seen)) for word in self._words[row]], dtype=np.int64) for row in rows]
        )
        spelt = [self._spelling(word) for word in seen] or [np.zeros(0, dtype=np.int64)]
        spellings, _ = pad(spelt)
        words = Words(ids, spellings, torch.tensor([len(each) for each in spelt]), places)
        return Batch(words, target, lengths, torch.from_numpy(rows))

    def _spelling(self, word: str) -> np.ndarray:
        if word not in self._spellings:
            half, read = LONGEST_SPELLING // 2, normalised(word, self._known.normalisation)
            read = read if len(read) <= LONGEST_SPELLING else read[:half] + read[-half:]
            self._spellings[word] = self._known.characters.encode(read).astype(np.int64)
        return self._spellings[word]


class CharacterExamples:
    """Source code as examples: a character is a step.

    Args:
        files: N files, or pieces of such.
        known: their characters.

    Attributes:
        targets: of each file (T,) int64; -1 where nobody says.
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
        """(T, B) int64 characters."""
        input, lengths = pad([self.ids[row].astype(np.int64) for row in rows])
        target, _ = pad([self.targets[row] for row in rows])
        return Batch(input, target, lengths, torch.from_numpy(rows))


def is_source(part: Part) -> TypeIs[tuple[Highlighted, ...]]:
    """Whether a part is source code; one without examples is none."""
    return bool(part) and isinstance(part[0], Highlighted)


def cut(files: tuple[Highlighted, ...], length: int) -> tuple[Highlighted, ...]:
    """Pieces of at most `length` characters."""
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
    """As it was kept; runs of before it was kept took every scheme for IOB2 or IOBES, which the letters tell."""
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
