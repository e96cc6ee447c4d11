"""The recipe `classify`, many to one: texts, images, recordings in; a class, its probability, confusions out."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ostinato.data.batches.batches import Batch, Examples
from ostinato.data.mapped.store import TABLES
from ostinato.data.recordings.recording import Recordings
from ostinato.data.records.images import Images, read_image_splits
from ostinato.data.records.splits import Splits
from ostinato.data.records.targets import Target
from ostinato.data.sources.builtin import digits
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.lines import opened_once
from ostinato.data.tokens.vectors import load_vectors
from ostinato.data.tokens.vocabulary import WordVocabulary
from ostinato.errors import ConfigError, DataError
from ostinato.models.classifying.classifier import Classifier
from ostinato.models.classifying.regressor import SequenceRegressor
from ostinato.models.classifying.several import MultiLabelClassifier
from ostinato.models.parts.beside import extras_of
from ostinato.recipes.balance import balanced
from ostinato.recipes.classify.baselines import baselines
from ostinato.recipes.classify.data import (
    ClassifyKnown,
    ImageRows,
    Part,
    Texts,
    target_in,
)
from ostinato.recipes.classify.judge import ClassJudge, judge_of
from ostinato.recipes.classify.other_baselines import other_baselines
from ostinato.recipes.classify.prediction import ClassPrediction
from ostinato.recipes.classify.reading import blanks_told, is_texts, large_texts, read_all, read_pictures, read_texts
from ostinato.recipes.classify.running import ClassifyAnswering, fit_running, lengths_of, running_answers
from ostinato.recipes.classify.saying import said_of
from ostinato.recipes.classify.settings import ClassifySettings
from ostinato.recipes.classify.several import SeveralJudge
from ostinato.recipes.classify.values import part_of
from ostinato.recipes.engines.cutting import rows_of_table
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.recordings.examples import RecordingExamples
from ostinato.recipes.recordings.few import for_few
from ostinato.recipes.recordings.reading import RecordingReader, notes_of
from ostinato.recipes.task import Finished, Judge, Opening, Task
from ostinato.recipes.trained import validation_of
from ostinato.training.loop.evaluation import Evaluation
from ostinato.training.run.settings import UpdateSettings

_FEW = 1_000  # recordings; with at most so many, augmentation is on by default
# The dropout rates before the output and of the input. There are many words, each seen seldom, which a network learns
# by heart.
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
    from ostinato.recipes.engines.cutting import RowsAs
    from ostinato.recipes.exporting.exported import Exported

LearntClassifier: TypeAlias = Learnt[ClassifySettings, ClassifyKnown, Classifier]


class Classify(Task[ClassifySettings, Part, ClassifyKnown, Classifier]):
    """Classification of sequences.

    An answer is the class, its probability and the probabilities of all classes; if examples have several labels, the
    labels and the probability of each; if a number is predicted, the number, and its deviation if the model predicts
    one. The answer to a text holds the text too, and the answer to a recording its id.
    """

    name = "classify"
    settings = ClassifySettings
    prediction = ClassPrediction
    percentages = ("accuracy", "macro_f1", "calibration_error", "micro_f1", "exact")
    errors = ("mae", "rmse")
    answering = ClassifyAnswering
    files = ("reading.validation", "reading.test", "reading.vectors")
    _kept: Path | None = None

    @opened_once()
    def read(self, settings: ClassifySettings) -> Splits[Any]:
        """Reads the built-in digits without data; recordings or texts if the name is that of a table; else images."""
        data, reading = settings.data, settings.reading
        if data is None:
            return digits()
        if (recordings := _reader(settings)).reads(data):
            return recordings.splits(data)
        if is_texts(data):
            return read_all(data, reading)
        if reading.validation or reading.test:
            raise DataError(f"{data}: only tables have files of their own for validation and test; leave out reading's")
        return read_image_splits(data, validation_share=reading.validation_share, test_share=reading.test_share)

    def open(self, settings: ClassifySettings, opening: Opening) -> Splits[Any]:
        """Reads like `read`, but texts that are too large for memory are mapped from files in the run's folder."""
        data = settings.data
        places = None if data is None else large_texts(data, settings.reading)
        if data is None or places is None or _reader(settings).reads(data):
            return self.read(settings)
        kept = None if opening.folder is None else opening.folder / TABLES
        return read_all(data, settings.reading, places, kept, opening.on_progress)

    def load_known(self, folder: Path) -> ClassifyKnown:
        """Loads what a run knows; the files of large tables that it is given later go into the run's folder."""
        self._kept = folder / TABLES
        return super().load_known(folder)

    @opened_once()
    def read_part(self, settings: ClassifySettings, known: ClassifyKnown, data: str, *, labelled: bool) -> Part:
        """Reads data of the kind that the run was trained on: texts, recordings, or images of the same row size."""
        if known.scaling is not None:
            return _reader(settings, known.target).part(data, known.scaling, labelled=labelled)
        if known.vocabulary is not None:
            return read_texts(data, settings.reading, self._kept, with_labels=labelled)
        return read_pictures(data, known, with_labels=labelled)

    def rows_as(self, settings: ClassifySettings, known: ClassifyKnown, suffix: str) -> RowsAs | None:
        """A row or a line for texts; None for images and recordings, which are read whole."""
        if known.vocabulary is None or known.scaling is not None:
            return None
        return "lines" if suffix == ".txt" else rows_of_table(suffix)

    def reads_tables(self, known: ClassifyKnown) -> bool:
        """True for texts and recordings; images do not come in tables."""
        return known.scaling is not None or known.vocabulary is not None

    def from_values(self, settings: ClassifySettings, known: ClassifyKnown, given: Any) -> tuple[Part, bool]:
        """Turns texts or lists of tokens, images, or recordings into a part."""
        return part_of(known, given)

    def learn(self, settings: ClassifySettings, train: Part) -> ClassifyKnown:
        """Learns classes, vocabulary and scales."""
        model = settings.model
        how = {"stack": settings.recording.stack, "extras": extras_of(model.cell, model.options)}
        known = ClassifyKnown.of(train, settings.reading, counting=model.naive_bayes, how=how)
        if settings.model.class_weights == "balanced" and known.target == "number":
            raise ConfigError("model.class_weights: expected none where a number is predicted, got balanced")
        if known.target == "class" and len(known.classes) < 2:
            raise DataError(
                f"expected at least two classes to tell apart, got {len(known.classes)} ({', '.join(known.classes)}); "
                "is the column of labels the right one?"
            )
        return known

    def to_dict(self, known: ClassifyKnown) -> dict[str, Any]:
        """What is known as plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> ClassifyKnown:
        """The inverse of `to_dict`."""
        return ClassifyKnown.from_dict(content)

    def examples(self, settings: ClassifySettings, known: ClassifyKnown, part: Part) -> Examples:
        """Makes token ids, rows of pixels, or numbers."""
        if isinstance(part, Recordings):
            assert known.scaling is not None
            names, longest = known.with_unknown(part), settings.reading.max_length
            targets = None if known.target == "class" else known.targets_of(part)
            return RecordingExamples(
                part, known.scaling, names, len(known.classes), max_length=longest, targets=targets
            )
        if isinstance(part, Images):
            return ImageRows(part, known, settings.reading)
        return Texts(part, known, settings.reading)

    def remarks(self, splits: Splits[Part]) -> list[str]:
        """Notes about labels with blanks around them, about recordings, and about labels that are no classes."""
        found: Any = splits
        lines = notes_of(found) if isinstance(splits.train, Recordings) else blanks_told(found)
        target = target_in(splits.train)
        if target != "class":
            said = "are numbers, which are predicted" if target == "number" else "are lists of several labels"
            lines.append(f"{splits.name}: labels {said}, unless --reading.target says something else")
        return lines

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of inputs and labels."""
        assert isinstance(examples, Texts | ImageRows | RecordingExamples)
        if isinstance(examples, RecordingExamples):
            digest, arrays = hashlib.sha256(), [*examples.arrays()]
        elif isinstance(examples, Texts) and examples.kept is not None:
            return hashlib.sha256(
                f"{examples.kept} {len(examples.lengths)}".encode() + examples.labels.tobytes()
            ).hexdigest()
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
        given["class_weights"] = _weights(known) if given["class_weights"] == "balanced" else None
        given["naive_bayes"] = known.runs
        kind = known.vocabulary.kind if known.vocabulary else "image" if known.scaling is None else "recording"
        for name, rate in zip(("dropout", "input_dropout"), _DROPOUT[kind], strict=True):
            given[name] = rate if given[name] is None else given[name]
        given["augmentation"] = _augmentation(known, given["augmentation"])
        if given["bidirectional"] is None:
            given["bidirectional"] = kind != "image" and not (known.scaling and known.scaling.extras)
        given["with_extras"] = known.scaling is not None
        size = None if known.vocabulary is None else len(known.vocabulary)
        width = known.row if known.scaling is None else known.scaling.width
        given |= {"input_size": width, "vocabulary_size": size}
        number_loss = given.pop("number_loss")
        if known.target == "number":
            return SequenceRegressor(number_loss, **given)
        if known.target == "several":
            return MultiLabelClassifier(len(known.classes), **given)
        return Classifier(len(known.classes), **given)

    def begin(self, settings: ClassifySettings, known: ClassifyKnown, model: Classifier) -> list[str]:
        """Puts counts into naive Bayes, and word vectors into the embedding; tells if texts are read as characters."""
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
        """Trains longer and in smaller batches if there are few recordings."""
        return for_few(settings.training, examples) if isinstance(examples, RecordingExamples) else settings.training

    def judged_by(self, settings: ClassifySettings) -> str | None:
        """The loss, which knows how good each probability is; with balanced classes F1 averaged over them."""
        return "macro_f1" if settings.model.class_weights == "balanced" else None

    def settle(self, learnt: LearntClassifier, judge: Judge, found: Evaluation) -> Evaluation:
        """Fits the scales of the network and of naive Bayes; with several labels, the threshold."""
        if isinstance(judge, SeveralJudge):
            judge.choose_threshold()
            return dataclasses.replace(found, figures=judge.figures())
        if not isinstance(judge, ClassJudge):
            return found
        judge.calibrate()
        # Recordings to validate with are often few, so `losses` holds the loss of each.
        losses = judge.losses() if learnt.known.scaling is not None and found.judged_by is None else None
        return dataclasses.replace(found, nats=judge.nats(), figures=judge.figures(), losses=losses)

    def judge(self, learnt: LearntClassifier, part: Part, examples: Examples, *, final: bool) -> Judge:
        """A judge of classes, of several labels, or of numbers."""
        return judge_of(learnt.model, learnt.known, part)

    def baselines(
        self, settings: ClassifySettings, train: Part, parts: Mapping[str, Part]
    ) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """Naive Bayes of texts, the nearest recording, the most frequent class; see also `other_baselines`."""
        target = target_in(train, settings.reading.target)
        if target != "class":
            return other_baselines(train, parts, settings.reading, target)
        return baselines(train, parts, settings.reading)

    def exported(self, learnt: Any) -> Exported:
        """The graph of the network's logits; the runner adds those of naive Bayes."""
        from ostinato.recipes.classify.exported import exported

        part = validation_of(self, learnt)
        return exported(learnt.model, learnt.known, learnt.settings.reading, part)

    def question(self, learnt: LearntClassifier, part: Part, batch: Batch, target: str | None) -> Question:
        """Asks why this class is the answer."""
        from ostinato.recipes.classify.explained import question

        return question(learnt, part, batch, target)

    def answers(self, learnt: LearntClassifier, part: Part, batch: Batch) -> list[dict[str, Any]]:
        """The answers to the rows of a batch."""
        rows, said = batch.rows.tolist(), learnt.model(batch.input, batch.lengths)
        answers = said_of(learnt.known, learnt.model, said)
        more: list[dict[str, Any]] = [{} for _ in rows]
        how = learnt.answering  # a task derived from this one may have another type here
        if isinstance(how, ClassifyAnswering) and how.running:
            more = self._running(learnt, part, batch, how.confidence)
        return [{**_told(part, row), **answer, **also} for row, answer, also in zip(rows, answers, more, strict=True)]

    def _running(self, learnt: LearntClassifier, part: Part, batch: Batch, confidence: float) -> list[dict[str, Any]]:
        known = learnt.known
        if known.scaling is None or known.target != "class" or not isinstance(part, Recordings):
            raise ConfigError("running: expected a model that tells classes of recordings apart, got another")
        scaling = known.scaling
        longest = (learnt.settings.reading.max_length or sys.maxsize) * scaling.stack
        steps = [min(len(part[row]), longest) for row in batch.rows.tolist()]
        how = known.running, known.classes, batch.input, lengths_of(batch), steps, scaling.stack
        return running_answers(learnt.model, *how, confidence)

    def finish(self, learnt: LearntClassifier | None, finished: Finished) -> None:
        """Fits the scales for recordings that are still coming, and saves them."""
        if learnt is None or learnt.known.scaling is None or learnt.known.target != "class":
            return
        examples = self.examples(learnt.settings, learnt.known, finished.splits.validation)
        assert isinstance(examples, RecordingExamples)
        learnt.known = dataclasses.replace(learnt.known, running=fit_running(learnt.model, examples))
        with finished.run.writing():
            self.save_known(learnt.known, finished.run.path)


def _augmentation(known: ClassifyKnown, given: float | None) -> float:
    """How much recordings are changed each time they are trained on.

    By default only few recordings are changed, at even times and without gaps. A number to predict may be their speed
    or their scale, so they are not changed then. Inputs for missing values and for the time between steps are no curves
    that could be changed.

    Raises:
        ConfigError: augmentation is set for recordings with gaps or at uneven times.
    """
    scaling = known.scaling
    is_uneven = scaling is not None and bool(scaling.gaps or scaling.step is not None)
    if given and is_uneven:
        raise ConfigError(
            f"model.augmentation: expected 0 of recordings with gaps or at uneven times, got {given:g}; leave it out"
        )
    if given is not None:
        return given
    if scaling is None or known.target == "number" or scaling.extras or is_uneven:
        return 0.0
    return float(known.examples <= _FEW)


def _weights(known: ClassifyKnown) -> list[float]:
    """Class weights under which all classes count the same; with several labels, having one counts as not having it."""
    if known.target == "several":
        return [(known.examples - count) / max(count, 1) for count in known.counts]
    return balanced(known.counts)


def _told(part: Part, row: int) -> dict[str, Any]:
    """Which example an answer is about: the recording's id, or the text."""
    if isinstance(part, Images):
        return {}
    return {"id": part[row].id} if isinstance(part, Recordings) else {"text": part[row].text}


def _reader(settings: ClassifySettings, target: Target | None = None) -> RecordingReader:
    reading = settings.reading
    dialect = Dialect(reading.separator, reading.header)
    return RecordingReader(settings.recording, reading, of_steps=False, dialect=dialect, target=target)
