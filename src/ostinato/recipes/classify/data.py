"""What a classifier reads: texts as tokens, images as rows, scaled recordings; and what it knows about its data."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.data.recordings.reading import names_of_labels
from ostinato.data.recordings.recording import Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.records.images import Images
from ostinato.data.records.targets import Target, TargetName, numbers_of, parts_of_label, sets_of, target_of
from ostinato.data.sources.tables import Example
from ostinato.data.stored.texts import MappedTexts, mapped_sets, texts_of
from ostinato.data.stored.tokens import token_ids
from ostinato.data.tokens.counts import WordCounts
from ostinato.data.tokens.vocabulary import Vocabulary, WordVocabulary, build_vocabulary, vocabulary_from_dict
from ostinato.data.tokens.words import Breaks, normalised, spaced
from ostinato.models.classifying.counting import FeatureCounts, count_features
from ostinato.recipes.classify.settings import ClassifyReadingSettings
from ostinato.recipes.numbers import NumberScale

# The longest runs of tokens that are counted: one or two words, or about as many letters as tell a word's beginning or
# end.
_LONGEST_RUN = {"word": 2, "bpe": 2, "char": 4, "byte": 4}

TextPart: TypeAlias = tuple[Example, ...] | MappedTexts
Part: TypeAlias = Images | Recordings | TextPart


@dataclass(frozen=True)
class ClassifyKnown:
    """What a classifier knows beside its weights.

    Attributes:
        classes: the names of the classes, in the order of the outputs.
        counts: the number of training examples of each class.
        vocabulary: the vocabulary of texts; None for other data.
        row: for images, how many values a step has.
        white: for images, the pixel value that is read as 1.
        mean: for images, the mean of all values of the training data, which are scaled to a mean of 0.
        deviation: for images, their standard deviation, which is scaled to 1.
        scaling: for recordings, how they are read.
        breaks: how words are found in texts.
        target: what a label is: a class, several labels at once (whose names are then `classes`), or a number.
        number: the scale of numbers to predict.
        examples: the number of training examples with a label.
        running: for recordings, the scales of the logits at the first steps, see `fit_running`.
        runs: for texts, how many runs of 2, 3, ... tokens were counted; None if nothing was counted.
        counted: the counts of texts, right after learning from them; not saved.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    vocabulary: Vocabulary | None = None
    row: int | None = None
    white: float = 1.0
    mean: float = 0.0
    deviation: float = 1.0
    scaling: Scaling | None = None
    breaks: Breaks = "clusters"
    target: Target = "class"
    number: NumberScale | None = None
    examples: int = 0
    running: tuple[float, ...] = ()
    runs: tuple[int, ...] | None = None
    counted: FeatureCounts | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        train: Part,
        reading: ClassifyReadingSettings,
        *,
        counting: bool = False,
        how: Mapping[str, Any] | None = None,
    ) -> ClassifyKnown:
        """Learns from the training data; a class without training examples is left out.

        Args:
            train: examples with labels.
            reading: how the examples are read.
            counting: for texts, count the tokens and runs of tokens of each class.
            how: for recordings, the arguments of `Scaling.of`.
        """
        target = target_in(train, reading.target)
        number = NumberScale.of(numbers_of(labels_in(train))) if target == "number" else None
        counts = Counter[str]() if number else label_counts(train)
        examples = len(train) if isinstance(train, MappedTexts) else sum(name is not None for name in labels_in(train))
        if target == "several":
            lists, counts = counts, Counter[str]()
            for label, count in lists.items():
                counts.update(dict.fromkeys(parts_of_label(label), count))
        order = train.classes if isinstance(train, Images) else sorted(counts)
        if isinstance(train, Recordings) and target == "class":
            order = names_of_labels(train)
        classes = () if number else tuple(name for name in order if counts[name])
        numbers = tuple(counts[name] for name in classes)
        kind: dict[str, Any] = {"target": target, "number": number, "examples": examples}
        if isinstance(train, Images):
            values = train.rows()
            mean, deviation = float(values.mean()), float(values.std()) or 1.0
            return cls(classes, numbers, None, values.shape[2], train.white, mean, deviation, **kind)
        if isinstance(train, Recordings):
            return cls(classes, numbers, scaling=Scaling.of(train, **(how or {"stack": None})), **kind)
        vocabulary = _vocabulary(train, reading)
        known = cls(classes, numbers, vocabulary, **kind)
        return known._counting(train, reading) if counting and target == "class" else known

    def _counting(self, train: TextPart, reading: ClassifyReadingSettings) -> ClassifyKnown:
        assert self.vocabulary is not None
        texts = Texts(train, self, reading)
        features = count_features(
            texts.ids,
            texts.labels,
            vocabulary_size=len(self.vocabulary),
            num_classes=len(self.classes),
            longest=_LONGEST_RUN[self.vocabulary.kind],
        )
        return dataclasses.replace(self, runs=features.sizes, counted=features)

    def to_dict(self) -> dict[str, Any]:
        """Everything but `counted` as plain values."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "counted"}
        vocabulary = None if self.vocabulary is None else self.vocabulary.to_dict()
        scaling = None if self.scaling is None else self.scaling.to_dict()
        lists = {"classes": list(self.classes), "counts": list(self.counts), "running": list(self.running)}
        number = None if self.number is None else dataclasses.asdict(self.number)
        return {**values, **lists, "vocabulary": vocabulary, "scaling": scaling, "number": number}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> ClassifyKnown:
        """The inverse of `to_dict`."""
        held = content["vocabulary"]
        vocabulary = None if held is None else vocabulary_from_dict(held)
        lists = {name: tuple(content[name]) for name in ("classes", "counts")}
        runs = content.get("runs")
        runs = None if runs is None else tuple(runs)
        told = content.get("scaling")
        scaling = None if told is None else Scaling.from_dict(told)
        scale = content.get("number")
        number = None if scale is None else NumberScale(**scale)
        found = {**content, **lists, "vocabulary": vocabulary, "runs": runs, "scaling": scaling, "number": number}
        found["running"] = tuple(content.get("running", ()))
        return cls(**{"breaks": "code points", **found})

    def with_unknown(self, part: Part) -> list[str]:
        """The classes, then the labels in `part` that training never had."""
        found = set[str]() if self.target == "number" else set(label_counts(part))
        if self.target == "several":
            found = {one for name in found for one in parts_of_label(name)}
        return [*self.classes, *sorted(found - set(self.classes))]

    def labels_of(self, part: Part) -> np.ndarray:
        """The label of each example, (N,) int64: its place in `with_unknown`; -1 for no label."""
        places = {name: place for place, name in enumerate(self.with_unknown(part))}
        if isinstance(part, MappedTexts) and (codes := part.codes()) is not None:
            assert part.names is not None
            return np.array([*(places.get(name, -1) for name in part.names), -1], dtype=np.int64)[codes]
        return np.array([-1 if name is None else places[name] for name in names_of(part)], dtype=np.int64)

    def targets_of(self, part: Part) -> np.ndarray:
        """What the model should predict for each example, in the form of `target`.

        Returns:
            `labels_of` for classes; for numbers (N,) float32 at their scale; for several labels (N, C) ones and zeros;
            NaN without label.

        Raises:
            DataError: the labels are to be numbers, and one is none.
        """
        if self.target == "class":
            return self.labels_of(part)
        if self.number is not None:
            return self.number.scaled(numbers_of(labels_in(part)))
        if isinstance(part, MappedTexts):
            return mapped_sets(part, self.classes)
        return sets_of(names_of(part), self.classes)

    def counts_of(self, targets: np.ndarray) -> np.ndarray:
        """How many losses each example has, (N,) int64: 1 with a known target, else 0."""
        if self.target == "class":
            return ((targets >= 0) & (targets < len(self.classes))).astype(np.int64)
        there: np.ndarray = np.isfinite(targets)
        return np.asarray(there.reshape(len(targets), -1).all(1), dtype=np.int64)


class Texts:
    """Texts as examples: token ids.

    Args:
        texts: N texts; if they are mapped from files, their ids are stored in files beside them.
        known: their vocabulary and classes.
        reading: how the texts are read.

    Attributes:
        kept: for mapped texts, a checksum of the ids and of which texts they are; else None.
    """

    def __init__(self, texts: TextPart, known: ClassifyKnown, reading: ClassifyReadingSettings):
        assert known.vocabulary is not None
        self.labels = known.targets_of(texts)
        self.ids = token_ids(texts_of(texts), TextEncoder(known, reading), known.vocabulary.dtype)
        self.kept = self.ids.kept
        self.lengths = self.ids.lengths()
        self.counts = known.counts_of(self.labels)

    def batch(self, rows: np.ndarray) -> Batch:
        """A batch with token ids (T, B) int64."""
        input, lengths = self.ids.padded(rows)
        return Batch(input, torch.from_numpy(self.labels[rows]), lengths, torch.from_numpy(rows))


class TextEncoder:
    """Makes token ids of a text.

    Args:
        known: the vocabulary.
        reading: how texts are read.

    Attributes:
        how: everything that the ids depend on, as JSON can hold it.
    """

    def __init__(self, known: ClassifyKnown, reading: ClassifyReadingSettings):
        assert known.vocabulary is not None
        self._vocabulary = known.vocabulary
        self._breaks: Breaks = known.breaks
        self._reading = dataclasses.replace(reading, tokens=known.vocabulary.kind)
        how = reading.normalisation, reading.lower_case, reading.max_length, known.breaks
        self.how = [*how, known.vocabulary.to_dict()]

    def __call__(self, text: str) -> np.ndarray:
        """The ids of a text, (T,), of the vocabulary's dtype."""
        return self._vocabulary.encode(prepared(text, self._reading, self._breaks))[: self._reading.max_length]


class ImageRows:
    """Images as examples: a row is a step.

    Args:
        images: N of them.
        known: their scale and classes.
        reading: how they are read.
    """

    def __init__(self, images: Images, known: ClassifyKnown, reading: ClassifyReadingSettings):
        self.images, self._known = images, known
        self.labels = known.targets_of(images)
        height = images.pixels.shape[1]
        self._rows = height if reading.max_length is None else min(height, reading.max_length)
        self.lengths = np.full(len(images), self._rows)
        self.counts = known.counts_of(self.labels)

    def batch(self, rows: np.ndarray) -> Batch:
        """A batch with scaled pixels (T, B, I) float32."""
        values = self.images.rows(rows)[:, : self._rows].transpose(1, 0, 2)
        scaled = (values - np.float32(self._known.mean)) / np.float32(self._known.deviation)
        input = torch.from_numpy(np.ascontiguousarray(scaled))
        return Batch(input, torch.from_numpy(self.labels[rows]), None, torch.from_numpy(rows))


def names_of(part: Part) -> list[str | None]:
    """The label of each example; None for an example without."""
    if isinstance(part, Recordings):
        return [each.label for each in part.items]
    if isinstance(part, MappedTexts):
        return list(part.labels())
    if not isinstance(part, Images):
        return [each.label for each in part]
    return [None] * len(part) if part.labels is None else [part.classes[label] for label in part.labels.tolist()]


def labels_in(part: Part) -> Iterable[str | None]:
    """The label of each example, one after the other; see `names_of`."""
    return part.labels() if isinstance(part, MappedTexts) else names_of(part)


def label_counts(part: Part) -> Counter[str]:
    """How often each label occurs in a part."""
    found = part.label_counts() if isinstance(part, MappedTexts) else Counter(names_of(part))
    return Counter({name: count for name, count in found.items() if name is not None})


def target_in(part: Part, wanted: TargetName = "auto") -> Target:
    """What the labels of a part are, see `target_of`."""
    return part.target(wanted) if isinstance(part, MappedTexts) else target_of(names_of(part), wanted)


def prepared(
    text: str, reading: ClassifyReadingSettings, breaks: Breaks = "clusters", *, tokens: str | None = None
) -> str:
    """Prepares a text for the vocabulary: normalised, in lower case if so set, spaces around marks if words are read.

    Args:
        text: the text as it is in the data.
        reading: how it is read.
        breaks: how words are found.
        tokens: the kind of token; None for that of `reading`.
    """
    text = normalised(text, reading.normalisation, lower_case=reading.lower_case)
    return spaced(text, breaks=breaks) if (tokens or reading.tokens) == "word" else text


def with_tokens(reading: ClassifyReadingSettings, texts: Iterable[str]) -> ClassifyReadingSettings:
    """Decides what "auto" means for training texts: characters if most words occur once only, else words."""
    return _with_tokens(reading, words_of(texts, reading)) if reading.tokens == "auto" else reading


def words_of(texts: Iterable[str], reading: ClassifyReadingSettings) -> WordCounts:
    """How often each word occurs in texts."""
    return WordCounts.of(prepared(text, reading, tokens="word") for text in texts)


def _with_tokens(reading: ClassifyReadingSettings, words: WordCounts) -> ClassifyReadingSettings:
    is_char = reading.tokens == "auto" and reading.vectors is None and 2 * words.once() > words.total
    return dataclasses.replace(reading, tokens="char" if is_char else "word")


def _vocabulary(train: TextPart, reading: ClassifyReadingSettings) -> Vocabulary:
    """The vocabulary of the training texts; words are counted only once, even if "auto" needs the counts too."""
    if reading.tokens in ("auto", "word"):
        words = words_of(texts_of(train), reading)
        reading = _with_tokens(reading, words)
        if reading.tokens == "word":
            return WordVocabulary.of_counts(words, reading.vocabulary_size, reading.min_count)
    texts = (prepared(text, reading) for text in texts_of(train))
    return build_vocabulary(texts, reading.tokens, reading.vocabulary_size, reading.min_count)
