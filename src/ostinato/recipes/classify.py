"""The recipe `classify`, many to one: texts or images in; a class, its probability and a confusion matrix out."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from ostinato.data.batches import Batch, Examples, pad
from ostinato.data.builtin import digits
from ostinato.data.images import Images, read_image_splits, read_images
from ostinato.data.lines import numbered_lines, suffix_of
from ostinato.data.splits import Splits
from ostinato.data.tables import TABLE_SUFFIXES, Example, labelled, read_examples, read_labelled
from ostinato.data.vocabulary import Vocabulary, WordVocabulary, vocabulary_class
from ostinato.errors import DataError
from ostinato.models.classifier import Classifier
from ostinato.recipes.classify_judge import ClassJudge
from ostinato.recipes.classify_settings import ClassifySettings, ReadingSettings
from ostinato.recipes.task import Judge, Task

Part: TypeAlias = Images | tuple[Example, ...]
_LINES = (".txt", "-")


@dataclass(frozen=True)
class Known:
    """What a classifier knows beside its weights.

    Attributes:
        classes: their names, in the order of the outputs.
        counts: how many training examples each has.
        vocabulary: of texts.
        row: of images, how many values a step has.
        mean: of images, over all values of the training data, which are scaled to a mean of 0 ...
        deviation: ... and a standard deviation of 1.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    vocabulary: Vocabulary | None = None
    row: int | None = None
    mean: float = 0.0
    deviation: float = 1.0


class Texts:
    """Texts as examples: token ids.

    Args:
        texts: N of them.
        labels: (N,) int64.
        vocabulary: of the tokens.
        reading: how they are read.
    """

    def __init__(self, texts: Sequence[str], labels: np.ndarray, vocabulary: Vocabulary, reading: ReadingSettings):
        self.labels = labels
        self.ids = [vocabulary.encode(prepared(text, reading))[: reading.max_length] for text in texts]
        self.lengths = np.array([len(ids) for ids in self.ids], dtype=np.int64)
        self.counts = np.ones_like(self.lengths)

    def batch(self, rows: np.ndarray) -> Batch:
        """(T, B) int64 token ids."""
        input, lengths = pad([self.ids[row].astype(np.int64) for row in rows])
        return Batch(input, torch.from_numpy(self.labels[rows]), lengths, torch.from_numpy(rows))


class ImageRows:
    """Images as examples: a row is a step.

    Args:
        images: N of them.
        labels: (N,) int64.
        known: their scale.
        max_length: rows that are read; None for all.
    """

    def __init__(self, images: Images, labels: np.ndarray, known: Known, max_length: int | None = None):
        self.images, self.labels, self.known, self.max_length = images, labels, known, max_length
        height = images.pixels.shape[1]
        self.lengths = np.full(len(images), height if max_length is None else min(height, max_length))
        self.counts = np.ones_like(self.lengths)

    def batch(self, rows: np.ndarray) -> Batch:
        """(T, B, I) float32."""
        values = self.images.rows(rows)[:, : self.max_length].transpose(1, 0, 2)
        scaled = (values - np.float32(self.known.mean)) / np.float32(self.known.deviation)
        input = torch.from_numpy(np.ascontiguousarray(scaled))
        return Batch(input, torch.from_numpy(self.labels[rows]), None, torch.from_numpy(rows))


class Classify(Task[ClassifySettings, Part, Known, Classifier]):
    """Classification of sequences; see `Task`.

    An answer of `predict` is the class, its probability and the probabilities of all; of texts, the text too.
    """

    name = "classify"
    judged_by = "accuracy"
    percentages = ("accuracy", "macro_f1", "calibration_error")
    files = ("reading.validation", "reading.test")
    settings = ClassifySettings

    def read(self, settings: ClassifySettings) -> Splits[Any]:
        """Digits without data; a table of texts where the name says so; else images."""
        data, reading = settings.data, settings.reading
        shares = reading.validation_share, reading.test_share
        if data is None:
            return digits()
        if is_table(data):
            return read_labelled(
                data,
                reading.validation,
                reading.test,
                text=reading.text,
                label=reading.label,
                validation_share=shares[0],
                test_share=shares[1],
            )
        if reading.validation or reading.test:
            raise DataError(f"{data}: images come with a test part of their own; leave out reading.validation and test")
        return read_image_splits(data, validation_share=shares[0], test_share=shares[1])

    def read_part(self, settings: ClassifySettings, known: Known, data: str, *, labelled: bool) -> Part:
        """Texts where the run has learnt texts, else images of the size that it has learnt."""
        reading = settings.reading
        if known.vocabulary is not None:
            if not labelled and (data == "-" or suffix_of(data) == ".txt"):
                return tuple(Example(line, None) for line in _lines(data))
            return _examples(data, reading, labelled)
        images = read_images_of(data)
        if labelled and images.labels is None:
            raise DataError(f"{data}: expected labels for the images; put the file of labels beside them")
        row = int(np.prod(images.pixels.shape[2:]))
        if row != known.row:
            raise DataError(
                f"{data}: expected images whose rows have {known.row} values, like those of training, got {row}"
            )
        return images

    def learn(self, settings: ClassifySettings, train: Part) -> Known:
        """Classes, vocabulary and scale of the training data."""
        counts = Counter(name for name in _names(train) if name is not None)
        # The order of the data's own class list where there is one; classes that training never has are none.
        order = train.classes if isinstance(train, Images) else sorted(counts)
        classes = tuple(name for name in order if counts[name])
        numbers = tuple(counts[name] for name in classes)
        if isinstance(train, Images):
            values = train.rows()
            return Known(classes, numbers, None, values.shape[2], float(values.mean()), float(values.std()) or 1.0)
        return Known(classes, numbers, vocabulary_of([each.text for each in train], settings.reading))

    def to_dict(self, known: Known) -> dict[str, Any]:
        """Plain values."""
        vocabulary = None if known.vocabulary is None else known.vocabulary.to_dict()
        values = {each.name: getattr(known, each.name) for each in dataclasses.fields(known)}
        return {**values, "classes": list(known.classes), "counts": list(known.counts), "vocabulary": vocabulary}

    def from_dict(self, content: dict[str, Any]) -> Known:
        """The inverse."""
        held = content["vocabulary"]
        vocabulary = None if held is None else vocabulary_class(held["kind"]).from_dict(held)
        lists = {name: tuple(content[name]) for name in ("classes", "counts")}
        return Known(**{**content, **lists, "vocabulary": vocabulary})

    def examples(self, settings: ClassifySettings, known: Known, part: Part) -> Examples:
        """Steps, and the numbers of the classes; C and above for those that training never had."""
        numbers = {name: number for number, name in enumerate([*known.classes, *unknown_classes(known, part)])}
        labels = np.array([-1 if name is None else numbers[name] for name in _names(part)], dtype=np.int64)
        if isinstance(part, Images):
            return ImageRows(part, labels, known, settings.reading.max_length)
        assert known.vocabulary is not None
        return Texts([each.text for each in part], labels, known.vocabulary, settings.reading)

    def build(self, settings: ClassifySettings, known: Known) -> Classifier:
        """The untrained model."""
        # The fields of ClassifierSettings are the model's arguments, by name.
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        given["class_weights"] = balanced(known.counts) if settings.model.class_weights == "balanced" else None
        size = None if known.vocabulary is None else len(known.vocabulary)
        return Classifier(len(known.classes), input_size=known.row, vocabulary_size=size, **given)

    def judge(self, settings: ClassifySettings, known: Known, model: Classifier, examples: Examples) -> Judge:
        """Accuracy, precision, recall, F1, confusion, calibration."""
        assert isinstance(examples, Texts | ImageRows)
        return ClassJudge(model, known.classes, examples.labels)

    def answers(self, known: Known, model: Classifier, part: Part, batch: Batch) -> list[dict[str, Any]]:
        """Class and probabilities of each row."""
        found = []
        for row, p in zip(batch.rows.tolist(), model(batch.input, batch.lengths).softmax(-1).tolist(), strict=True):
            best = max(range(len(p)), key=p.__getitem__)
            said = {"class": known.classes[best], "probability": p[best]}
            text = {} if isinstance(part, Images) else {"text": part[row].text}
            found.append({**text, **said, "probabilities": dict(zip(known.classes, p, strict=True))})
        return found

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of inputs and labels."""
        assert isinstance(examples, Texts | ImageRows)
        digest = hashlib.sha256(examples.labels.tobytes())
        for part in examples.ids if isinstance(examples, Texts) else [examples.images.pixels]:
            digest.update(str(part.shape).encode() + np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def is_table(data: str) -> bool:
    """Whether a path means texts: the name of a table, or a folder with a table called train."""
    if "://" not in data and Path(data).expanduser().is_dir():
        return any(each.name.startswith("train.") for each in Path(data).expanduser().iterdir())
    return suffix_of(data) in TABLE_SUFFIXES


def read_images_of(data: str) -> Images:
    """Images to look at: a file; of a folder with MNIST's files, those for test."""
    if "://" not in data and Path(data).expanduser().is_dir():
        return read_image_splits(data).test
    return read_images(data)


def prepared(text: str, reading: ReadingSettings) -> str:
    """A text as the vocabulary gets it: of words, with spaces around punctuation marks, and in small letters."""
    if reading.lower_case:
        text = text.lower()
    return " ".join(re.findall(r"\w+|[^\w\s]", text)) if reading.tokens == "word" else text


def vocabulary_of(texts: Sequence[str], reading: ReadingSettings) -> Vocabulary:
    """Of the training texts; words that they have fewer than `min_count` times are left out, unless all are."""
    texts = [prepared(text, reading) for text in texts]
    if reading.tokens == "word":
        counts = Counter(word for text in texts for word in text.split())
        kept = [" ".join(w for w in text.split() if counts[w] >= reading.min_count) for text in texts]
        return WordVocabulary.build(kept if any(kept) else texts, reading.vocabulary_size)
    return vocabulary_class(reading.tokens).build(texts, reading.vocabulary_size)


def balanced(counts: Sequence[int]) -> list[float]:
    """Weights of classes that make all count the same: N / (C n_c), whose mean over the N examples is 1."""
    total = sum(counts)
    return [total / (len(counts) * count) for count in counts]


def unknown_classes(known: Known, part: Part) -> list[str]:
    """The labels in `part` that training never had, in order."""
    return sorted({name for name in _names(part) if name is not None} - set(known.classes))


def _names(part: Part) -> list[str | None]:
    """The label of each example; None where the data have no labels."""
    if not isinstance(part, Images):
        return [each.label for each in part]
    return [None] * len(part) if part.labels is None else [part.classes[label] for label in part.labels.tolist()]


def _examples(data: str, reading: ReadingSettings, with_labels: bool) -> tuple[Example, ...]:
    rows = read_examples(data, text=reading.text, label=reading.label if with_labels else None)
    return labelled(rows, data) if with_labels else rows


def _lines(data: str) -> list[str]:
    if data == "-":
        import sys

        return [line.rstrip("\n") for line in sys.stdin]
    return [line for _, line in numbered_lines(data)]
