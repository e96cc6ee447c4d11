"""The recipe `classify`, many to one: texts, images or recordings in; a class, its probability and a confusion matrix out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ostinato.data.batches.batches import Batch, Examples
from ostinato.data.recordings.recording import Recordings
from ostinato.data.records.images import Images, read_image_splits
from ostinato.data.records.splits import Splits
from ostinato.data.sources.builtin import digits
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.lines import opened_once
from ostinato.data.sources.tables import read_labelled
from ostinato.data.tokens.vectors import load_vectors
from ostinato.data.tokens.vocabulary import WordVocabulary
from ostinato.errors import ConfigError, DataError
from ostinato.models.classifying.classifier import Classifier
from ostinato.recipes.balance import balanced
from ostinato.recipes.classify.baselines import baselines
from ostinato.recipes.classify.data import (
    ClassifyKnown,
    ImageRows,
    Part,
    Texts,
    blanks_told,
    is_texts,
    read_pictures,
    read_texts,
)
from ostinato.recipes.classify.judge import ClassJudge
from ostinato.recipes.classify.settings import ClassifySettings
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.recordings.examples import RecordingExamples
from ostinato.recipes.recordings.few import for_few
from ostinato.recipes.recordings.reading import RecordingReader, notes_of
from ostinato.recipes.task import Judge, Task
from ostinato.recipes.trained import validation_of
from ostinato.training.loop.evaluation import Evaluation
from ostinato.training.run.settings import UpdateSettings

# Before the output and of what enters. Words are many, and each is seen seldom: a network learns them by heart.
_DROPOUT = {
    "word": (0.5, 0.5),
    "bpe": (0.5, 0.5),
    "char": (0.5, 0.2),
    "byte": (0.5, 0.2),
    "image": (0.2, 0.0),
    "recording": (0.2, 0.0),
}

if TYPE_CHECKING:
    from ostinato.insight.reasons.question import Question
    from ostinato.recipes.exporting.exported import Exported

LearntClassifier: TypeAlias = Learnt[ClassifySettings, ClassifyKnown, Classifier]


class Classify(Task[ClassifySettings, Part, ClassifyKnown, Classifier]):
    """Classification of sequences.

    An answer is the class, its probability and the probabilities of all; of texts, the text too, and of recordings the id.
    """

    name = "classify"
    settings = ClassifySettings
    percentages = ("accuracy", "macro_f1", "calibration_error")
    files = ("reading.validation", "reading.test", "reading.vectors")

    @opened_once()
    def read(self, settings: ClassifySettings) -> Splits[Any]:
        """Digits without data; recordings or texts where the name is that of a table; else images."""
        data, reading = settings.data, settings.reading
        if data is None:
            return digits()
        if (recordings := _reader(settings)).reads(data):
            return recordings.splits(data)
        if is_texts(data):
            return read_labelled(
                data,
                reading.validation,
                reading.test,
                text=reading.text,
                label=reading.label,
                validation_share=reading.validation_share,
                test_share=reading.test_share,
                dialect=Dialect(reading.separator, reading.header),
            )
        if reading.validation or reading.test:
            raise DataError(f"{data}: only tables have files of their own for validation and test; leave out reading's")
        return read_image_splits(data, validation_share=reading.validation_share, test_share=reading.test_share)

    @opened_once()
    def read_part(self, settings: ClassifySettings, known: ClassifyKnown, data: str, *, labelled: bool) -> Part:
        """Texts or recordings where the run has learnt such, else images of the size that it has learnt."""
        if known.scaling is not None:
            return _reader(settings).part(data, known.scaling, labelled=labelled)
        if known.vocabulary is not None:
            return read_texts(data, settings.reading, with_labels=labelled)
        return read_pictures(data, known, with_labels=labelled)

    def learn(self, settings: ClassifySettings, train: Part) -> ClassifyKnown:
        """Classes, vocabulary and scale."""
        how, stack = settings.reading, settings.recording.stack
        known = ClassifyKnown.of(train, how, counting=settings.model.naive_bayes, stack=stack)
        if len(known.classes) < 2:
            raise DataError(
                f"expected at least two classes to tell apart, got {len(known.classes)} ({', '.join(known.classes)}); "
                "is the column of labels the right one?"
            )
        return known

    def to_dict(self, known: ClassifyKnown) -> dict[str, Any]:
        """Plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> ClassifyKnown:
        """The inverse."""
        return ClassifyKnown.from_dict(content)

    def examples(self, settings: ClassifySettings, known: ClassifyKnown, part: Part) -> Examples:
        """Token ids, rows of pixels, or numbers."""
        if isinstance(part, Recordings):
            assert known.scaling is not None
            names, longest = known.with_unknown(part), settings.reading.max_length
            return RecordingExamples(part, known.scaling, names, len(known.classes), max_length=longest)
        if isinstance(part, Images):
            return ImageRows(part, known, settings.reading)
        return Texts(part, known, settings.reading)

    def remarks(self, splits: Splits[Part]) -> list[str]:
        """Labels with blanks around them; what recordings are."""
        if isinstance(splits.train, Recordings):
            return notes_of(splits)  # pyright: ignore[reportArgumentType]
        return blanks_told(splits)

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of inputs and labels."""
        assert isinstance(examples, Texts | ImageRows | RecordingExamples)
        if isinstance(examples, RecordingExamples):
            digest, arrays = hashlib.sha256(), [*examples.arrays()]
        else:
            digest = hashlib.sha256(examples.labels.tobytes())
            arrays = examples.ids if isinstance(examples, Texts) else [examples.images.pixels]
        for array in arrays:
            digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def build(self, settings: ClassifySettings, known: ClassifyKnown) -> Classifier:
        """The untrained model."""
        # The other fields of ClassifierSettings are the model's arguments, by name.
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        given["class_weights"] = balanced(known.counts) if given["class_weights"] == "balanced" else None
        given["naive_bayes"] = known.runs
        kind = known.vocabulary.kind if known.vocabulary else "image" if known.scaling is None else "recording"
        for name, rate in zip(("dropout", "input_dropout"), _DROPOUT[kind], strict=True):
            given[name] = rate if given[name] is None else given[name]
        if given["bidirectional"] is None:
            given["bidirectional"] = kind != "image"
        size = None if known.vocabulary is None else len(known.vocabulary)
        width = known.row if known.scaling is None else known.scaling.width
        return Classifier(len(known.classes), input_size=width, vocabulary_size=size, **given)

    def begin(self, settings: ClassifySettings, known: ClassifyKnown, model: Classifier) -> list[str]:
        """Puts in what was counted, and pretrained word vectors into the embedding; tells which tokens suit the texts."""
        if model.naive_bayes is not None and known.counted is not None:
            model.naive_bayes.take(known.counted, balanced=settings.model.class_weights == "balanced")
        path, vocabulary = settings.reading.vectors, known.vocabulary
        lines = []
        if vocabulary is not None and vocabulary.kind == "char" and settings.reading.tokens == "auto":
            lines.append(
                "most words are there once only, so texts are read as characters; --reading.tokens word reads words"
            )
        if path is None:
            return lines
        if model.embedding is None or not isinstance(vocabulary, WordVocabulary):
            raise ConfigError("reading.vectors: expected texts that are read as words, for these are vectors of words")
        return [*lines, str(load_vectors(path, model.embedding, vocabulary.words))]

    def trained_with(self, settings: ClassifySettings, examples: Examples) -> UpdateSettings:
        """Of few recordings longer, and in smaller batches."""
        return for_few(settings.training, examples) if isinstance(examples, RecordingExamples) else settings.training

    def judged_by(self, settings: ClassifySettings) -> str | None:
        """The loss, which knows how good each probability is; where classes are to count the same, F1 averaged over them."""
        return "macro_f1" if settings.model.class_weights == "balanced" else None

    def settle(self, learnt: LearntClassifier, judge: Judge, found: Evaluation) -> Evaluation:
        """Fits the scales of the network and of naive Bayes."""
        assert isinstance(judge, ClassJudge)
        judge.calibrate()
        return dataclasses.replace(found, nats=judge.nats(), figures=judge.figures())

    def judge(self, learnt: LearntClassifier, part: Part, examples: Examples, *, final: bool) -> Judge:
        """Accuracy, precision, recall, F1, confusion, calibration."""
        return ClassJudge(learnt.model, learnt.known.with_unknown(part))

    def baselines(
        self, settings: ClassifySettings, train: Part, parts: Mapping[str, Part]
    ) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """Naive Bayes on words and pairs of words, the nearest recording, and the most frequent class."""
        return baselines(train, parts, settings.reading)

    def exported(self, learnt: Any) -> Exported:
        """The network's logits; the runner adds those of naive Bayes."""
        from ostinato.recipes.classify.exported import exported

        part = validation_of(self, learnt)
        return exported(learnt.model, learnt.known, learnt.settings.reading, part)

    def question(self, learnt: LearntClassifier, part: Part, batch: Batch, target: str | None) -> Question:
        """Why this class."""
        from ostinato.recipes.classify.explained import question

        return question(learnt, part, batch, target)

    def answers(self, learnt: LearntClassifier, part: Part, batch: Batch) -> list[dict[str, Any]]:
        """Class and probabilities of each row."""
        classes, found = learnt.known.classes, []
        probabilities = learnt.model(batch.input, batch.lengths).softmax(-1)
        for row, p in zip(batch.rows.tolist(), probabilities.tolist(), strict=True):
            best = max(range(len(p)), key=p.__getitem__)
            told = _told(part, row)
            all_of_them = dict(zip(classes, p, strict=True))
            found.append({**told, "class": classes[best], "probability": p[best], "probabilities": all_of_them})
        return found


def _told(part: Part, row: int) -> dict[str, Any]:
    """Which example an answer is about."""
    if isinstance(part, Images):
        return {}
    return {"id": part[row].id} if isinstance(part, Recordings) else {"text": part[row].text}


def _reader(settings: ClassifySettings) -> RecordingReader:
    reading = settings.reading
    dialect = Dialect(reading.separator, reading.header)
    return RecordingReader(settings.recording, reading, of_steps=False, dialect=dialect)
