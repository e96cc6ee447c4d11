"""What a classifier reads: texts as tokens, images as rows, recordings as they are scaled; and what is known of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from ostinato.data.batches.batches import Batch, pad
from ostinato.data.recordings.reading import names_of_labels
from ostinato.data.recordings.recording import Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.records.images import Images, read_image_splits, read_images
from ostinato.data.records.splits import Splits
from ostinato.data.records.targets import Target, numbers_of, parts_of_label, sets_of, target_of
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.lines import PART_NAMES, find_parts, lines_of_stdin, numbered_lines, suffix_of
from ostinato.data.sources.tables import TABLE_SUFFIXES, Example, is_folder, labelled, read_examples
from ostinato.data.sources.text_folders import is_text_folder, part_folders
from ostinato.data.tokens.vocabulary import Vocabulary, build_vocabulary, vocabulary_from_dict
from ostinato.data.tokens.words import Breaks, normalised, spaced
from ostinato.errors import DataError
from ostinato.models.classifying.naive_bayes import FeatureCounts, count_features
from ostinato.recipes.classify.settings import ClassifyReadingSettings
from ostinato.recipes.numbers import NumberScale

# Tokens of the longest run that is counted: a word or two, or about as many letters as tell a word's beginning or end.
_LONGEST_RUN = {"word": 2, "bpe": 2, "char": 4, "byte": 4}

Part: TypeAlias = Images | Recordings | tuple[Example, ...]


@dataclass(frozen=True)
class ClassifyKnown:
    """What a classifier knows beside its weights.

    Attributes:
        classes: their names, in the order of the outputs.
        counts: how many training examples each has.
        vocabulary: of texts.
        row: of images, how many values a step has.
        white: of images, the value that is 1.
        mean: of images, over all values of the training data, which are scaled to a mean of 0 ...
        deviation: ... and a standard deviation of 1.
        scaling: of recordings, how they are read.
        breaks: how words are found.
        target: what a label is: a class, several labels at once, whose names are then `classes`, or a number.
        number: the scale of numbers.
        examples: how many training has with a label.
        running: of recordings, the scales of what is said while one is still coming, see `fit_running`.
        runs: of texts, how many runs of 2, 3, ... tokens were counted; None for nothing counted.
        counted: of texts that were just learnt from; not kept.
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
        """From the training data; classes that they never have are none.

        Args:
            train: examples with labels.
            reading: how they are read.
            counting: of texts, count which tokens and runs of them each class has.
            how: of recordings, the arguments of `Scaling.of`.
        """
        labels = names_of(train)
        target = target_of(labels, reading.target)
        there = [name for name in labels if name is not None]
        number = NumberScale.of(numbers_of(there)) if target == "number" else None
        counts = (
            Counter(part for name in there for part in set(parts_of_label(name)))
            if target == "several"
            else Counter(there)
        )
        order = train.classes if isinstance(train, Images) else sorted(counts)
        if isinstance(train, Recordings) and target == "class":
            order = names_of_labels(train)
        classes = () if number else tuple(name for name in order if counts[name])
        numbers = tuple(counts[name] for name in classes)
        kind: dict[str, Any] = {"target": target, "number": number, "examples": len(there)}
        if isinstance(train, Images):
            values = train.rows()
            mean, deviation = float(values.mean()), float(values.std()) or 1.0
            return cls(classes, numbers, None, values.shape[2], train.white, mean, deviation, **kind)
        if isinstance(train, Recordings):
            return cls(classes, numbers, scaling=Scaling.of(train, **(how or {"stack": None})), **kind)
        texts = [each.text for each in train]
        reading = with_tokens(reading, texts)
        texts = [prepared(text, reading) for text in texts]
        vocabulary = build_vocabulary(texts, reading.tokens, reading.vocabulary_size, reading.min_count)
        known = cls(classes, numbers, vocabulary, **kind)
        return known._counting(train, reading) if counting and target == "class" else known

    def _counting(self, train: tuple[Example, ...], reading: ClassifyReadingSettings) -> ClassifyKnown:
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
        """Plain values."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "counted"}
        vocabulary = None if self.vocabulary is None else self.vocabulary.to_dict()
        scaling = None if self.scaling is None else self.scaling.to_dict()
        lists = {"classes": list(self.classes), "counts": list(self.counts), "running": list(self.running)}
        number = None if self.number is None else dataclasses.asdict(self.number)
        return {**values, **lists, "vocabulary": vocabulary, "scaling": scaling, "number": number}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> ClassifyKnown:
        """The inverse."""
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
        found = {name for name in names_of(part) if name is not None}
        if self.target != "class":
            found = {one for name in found for one in parts_of_label(name)} if self.target == "several" else set[str]()
        return [*self.classes, *sorted(found - set(self.classes))]

    def labels_of(self, part: Part) -> np.ndarray:
        """(N,) int64: places in `with_unknown`; -1 for no label."""
        places = {name: place for place, name in enumerate(self.with_unknown(part))}
        return np.array([-1 if name is None else places[name] for name in names_of(part)], dtype=np.int64)

    def targets_of(self, part: Part) -> np.ndarray:
        """What is to be said of each example, as `target` has it.

        Returns:
            `labels_of`; of numbers (N,) float32 at their scale, of several labels (N, C) ones and zeros, NaN where nobody says.

        Raises:
            DataError: a label is to be a number, and is none.
        """
        if self.target == "class":
            return self.labels_of(part)
        if self.number is not None:
            return self.number.scaled(numbers_of(names_of(part)))
        return sets_of(names_of(part), self.classes)

    def counts_of(self, targets: np.ndarray) -> np.ndarray:
        """(N,) int64: 1 where there is a loss."""
        if self.target == "class":
            return ((targets >= 0) & (targets < len(self.classes))).astype(np.int64)
        there: np.ndarray = np.isfinite(targets)
        return np.asarray(there.reshape(len(targets), -1).all(1), dtype=np.int64)


class Texts:
    """Texts as examples: token ids.

    Args:
        texts: N of them.
        known: their vocabulary and classes.
        reading: how they are read.
    """

    def __init__(self, texts: tuple[Example, ...], known: ClassifyKnown, reading: ClassifyReadingSettings):
        assert known.vocabulary is not None
        encode, reading = known.vocabulary.encode, dataclasses.replace(reading, tokens=known.vocabulary.kind)
        self.labels = known.targets_of(texts)
        self.ids = [encode(prepared(each.text, reading, known.breaks))[: reading.max_length] for each in texts]
        self.lengths = np.array([len(ids) for ids in self.ids], dtype=np.int64)
        self.counts = known.counts_of(self.labels)

    def batch(self, rows: np.ndarray) -> Batch:
        """(T, B) int64 token ids."""
        input, lengths = pad([self.ids[row].astype(np.int64) for row in rows])
        return Batch(input, torch.from_numpy(self.labels[rows]), lengths, torch.from_numpy(rows))


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
        """(T, B, I) float32."""
        values = self.images.rows(rows)[:, : self._rows].transpose(1, 0, 2)
        scaled = (values - np.float32(self._known.mean)) / np.float32(self._known.deviation)
        input = torch.from_numpy(np.ascontiguousarray(scaled))
        return Batch(input, torch.from_numpy(self.labels[rows]), None, torch.from_numpy(rows))


def names_of(part: Part) -> list[str | None]:
    """The label of each example; None where the data have no labels."""
    if isinstance(part, Recordings):
        return [each.label for each in part.items]
    if not isinstance(part, Images):
        return [each.label for each in part]
    return [None] * len(part) if part.labels is None else [part.classes[label] for label in part.labels.tolist()]


def prepared(
    text: str, reading: ClassifyReadingSettings, breaks: Breaks = "clusters", *, tokens: str | None = None
) -> str:
    """A text as the vocabulary gets it: of words, with spaces around punctuation marks; normalised, in small letters, if so set.

    Args:
        text: as it stands in the data.
        reading: how it is read.
        breaks: how words are found.
        tokens: into which tokens; None for those of `reading`.
    """
    text = normalised(text, reading.normalisation, lower_case=reading.lower_case)
    return spaced(text, breaks=breaks) if (tokens or reading.tokens) == "word" else text


def with_tokens(reading: ClassifyReadingSettings, texts: Sequence[str]) -> ClassifyReadingSettings:
    """What "auto" stands for in training texts: characters, if more than half of the words are there once only, else words."""
    if reading.tokens != "auto":
        return reading
    counts = Counter(word for text in texts for word in prepared(text, reading, tokens="word").split())
    once = sum(count == 1 for count in counts.values())
    is_char = reading.vectors is None and 2 * once > counts.total()
    return dataclasses.replace(reading, tokens="char" if is_char else "word")


def is_texts(data: str) -> bool:
    """Whether data are texts: a table, or a folder with a table called train or with a folder of texts for each class."""
    if is_folder(data):
        folder = Path(data).expanduser()
        return "train" in find_parts(folder, PART_NAMES, TABLE_SUFFIXES) or is_text_folder(folder)
    return suffix_of(data) in TABLE_SUFFIXES


def read_texts(data: str, reading: ClassifyReadingSettings, *, with_labels: bool) -> tuple[Example, ...]:
    """A table or a folder of texts, of one with parts the test; to predict for, also lines of a .txt file or of stdin ("-").

    Raises:
        DataError: it cannot be read, or lacks the labels.
    """
    if not with_labels and data == "-":
        return tuple(Example(line, None) for _, line in lines_of_stdin())
    if not with_labels and suffix_of(data) == ".txt" and not is_folder(data):
        return tuple(Example(line, None) for _, line in numbered_lines(data))
    if is_folder(data):
        folder = Path(data).expanduser()
        data = str(part_folders(folder).get("test", folder))
    dialect = Dialect(reading.separator, reading.header)
    several = reading.target == "several"
    examples = read_examples(
        data, text=reading.text, label=reading.label, with_labels=with_labels, dialect=dialect, several=several
    )
    return labelled(examples, data) if with_labels else examples


def blanks_told(splits: Splits[Part]) -> list[str]:
    """How many labels had blanks around them, which makes no class of its own."""
    parts = [part for part in (splits.train, splits.validation, splits.test) if isinstance(part, tuple)]
    number = sum(each.had_blanks for part in parts for each in part)
    return [f"{splits.name}: {number:,} labels have blanks around them, which are left out"] if number else []


def read_pictures(data: str, known: ClassifyKnown, *, with_labels: bool) -> Images:
    """A file of images; of a folder with MNIST's files, those for test.

    Raises:
        DataError: it cannot be read, lacks the labels, or its rows are not like those of training.
    """
    images = read_image_splits(data).test if is_folder(data) else read_images(data)
    if with_labels and images.labels is None:
        raise DataError(f"{data}: expected labels for the images; put the file of labels beside them")
    row = int(np.prod(images.pixels.shape[2:]))
    if row != known.row:
        raise DataError(
            f"{data}: expected images whose rows have {known.row} values, like those of training, got {row}"
        )
    return dataclasses.replace(images, white=known.white)
