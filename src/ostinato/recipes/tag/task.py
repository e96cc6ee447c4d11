"""The recipe `tag`, aligned many to many: words, characters or numbers in; a tag for each, a confusion matrix out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from rich.text import Text

from ostinato.data.batches.batches import Batch, Examples
from ostinato.data.mapped.store import TABLES
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.conll import Sentence
from ostinato.data.records.splits import Splits
from ostinato.data.sources.lines import opened_once
from ostinato.data.sources.syntax import Highlighted
from ostinato.data.tokens.vectors import load_vectors
from ostinato.errors import ConfigError
from ostinato.models.parts.beside import extras_of
from ostinato.models.tagging.numbers import Numbers
from ostinato.models.tagging.regressor import StepRegressor
from ostinato.models.tagging.tagger import Tagger
from ostinato.models.tagging.words import WordEncoder
from ostinato.nn.crf.crf import span_constraints
from ostinato.recipes.balance import balanced
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.numbers import NumberJudge
from ostinato.recipes.recordings.examples import RecordingExamples
from ostinato.recipes.recordings.few import for_few
from ostinato.recipes.recordings.reading import RecordingReader, notes_of
from ostinato.recipes.tag.baselines import baselines
from ostinato.recipes.tag.colours import coloured
from ostinato.recipes.tag.data import CharacterExamples, Part, TagKnown, WordExamples, is_source
from ostinato.recipes.tag.files import COLUMNS, CONLLU, lines_of
from ostinato.recipes.tag.judge import TagJudge
from ostinato.recipes.tag.prediction import TagPrediction
from ostinato.recipes.tag.reading import is_large_text, read_source, read_splits, read_words
from ostinato.recipes.tag.settings import TagSettings
from ostinato.recipes.tag.spans import scheme_told
from ostinato.recipes.tag.values import part_of
from ostinato.recipes.task import Judge, Opening, Task
from ostinato.recipes.trained import validation_of
from ostinato.training.run.settings import UpdateSettings

if TYPE_CHECKING:
    from ostinato.insight.reasons.question import Question
    from ostinato.recipes.engines.cutting import RowsAs
    from ostinato.recipes.exporting.exported import Exported

LearntTagger: TypeAlias = Learnt[TagSettings, TagKnown, Tagger]

_BATCH_STEPS = 2**15  # steps of a batch, of which a layer keeps some 100 MB


class Tag(Task[TagSettings, Part, TagKnown, Tagger]):
    """Tagging of sequences.

    An answer for a sentence is its words, their tags and the probability of each; for source code its name, its text and the spans
    of characters that have the same tag, [first, end, tag]; for a recording its id, the tags of its steps, their probabilities, and
    the segments that have the same tag, [first step, step after the last, tag, mean probability]; or, where steps have numbers, the
    numbers, and their deviations if these are learnt.
    """

    name = "tag"
    settings = TagSettings
    prediction = TagPrediction
    pair = ("words", "tags")
    forms = (CONLLU, *COLUMNS)
    item = "tag"
    percentages = ("accuracy", "macro_f1", "unknown_word_accuracy", "span_f1")
    errors = ("mae", "rmse")
    files = ("reading.validation", "reading.test", "reading.vectors")
    _kept: Path | None = None

    @opened_once()
    def read(self, settings: TagSettings) -> Splits[Part]:
        """Reads the standard library of Python without data; else Python source, recordings or sentences."""
        data = settings.data
        if data is not None and (recordings := _reader(settings)).reads(data):
            return recordings.splits(data)  # pyright: ignore[reportReturnType]
        return read_splits(settings.data, settings.reading)

    def open(self, settings: TagSettings, opening: Opening) -> Splits[Part]:
        """Reads like `read`, but sentences that are too large for memory are mapped from files in the run's folder."""
        data = settings.data
        if data is None or not is_large_text(data, settings.reading) or _reader(settings).reads(data):
            return self.read(settings)
        kept = None if opening.folder is None else opening.folder / TABLES
        return read_splits(data, settings.reading, kept, opening.on_progress)

    def load_known(self, folder: Path) -> TagKnown:
        """Loads what a run knows; the files of large data that it is given later go into the run's folder."""
        self._kept = folder / TABLES
        return super().load_known(folder)

    @opened_once()
    def read_part(self, settings: TagSettings, known: TagKnown, data: str, *, labelled: bool) -> Part:
        """Reads data of the kind that the run was trained on: source code, recordings or sentences."""
        if known.scaling is not None:
            return _reader(settings).part(data, known.scaling, labelled=labelled)
        if known.words is None:
            return read_source(data, labelled=labelled)
        return read_words(data, settings.reading, self._kept, tagged=labelled)

    def rows_as(self, settings: TagSettings, known: TagKnown, suffix: str) -> RowsAs | None:
        """A sentence of CoNLL-U, or a line of plain text; None for columns, whose meaning needs all lines."""
        if known.scaling is not None or known.words is None:
            return None
        return "blocks" if suffix == CONLLU else None if suffix in (*COLUMNS, ".tsv") else "lines"

    def reads_tables(self, known: TagKnown) -> bool:
        """True for recordings; sentences do not come in tables."""
        return known.scaling is not None

    def from_values(self, settings: TagSettings, known: TagKnown, given: Any) -> tuple[Part, bool]:
        """Turns sentences or lists of words, source code, or recordings into a part."""
        return part_of(known, given)

    def learn(self, settings: TagSettings, train: Part) -> TagKnown:
        """Learns tags, words and characters."""
        model = settings.model
        return TagKnown.of(train, settings.reading, extras_of(model.cell, model.options))

    def to_dict(self, known: TagKnown) -> dict[str, Any]:
        """What is known as plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> TagKnown:
        """The inverse of `to_dict`."""
        return TagKnown.from_dict(content)

    def examples(self, settings: TagSettings, known: TagKnown, part: Part) -> Examples:
        """Makes words with their spelling, characters, or numbers."""
        if isinstance(part, Recordings):
            assert known.scaling is not None
            names, numbers = known.with_unknown(part), known.numbers_of(part)
            return RecordingExamples(part, known.scaling, names, len(known.tags), of_steps=True, targets=numbers)
        if known.words is None:
            return CharacterExamples(part, known)  # pyright: ignore[reportArgumentType]
        return WordExamples(part, known)  # pyright: ignore[reportArgumentType]

    def remarks(self, splits: Splits[Part]) -> list[str]:
        """Notes on how the tags mark spans, or on recordings."""
        if isinstance(splits.train, Recordings):
            return notes_of(splits)  # pyright: ignore[reportArgumentType]
        return [] if is_source(splits.train) else scheme_told(splits.train)  # pyright: ignore[reportArgumentType]

    def batch_steps(self, settings: TagSettings) -> int:
        """The most steps of a batch, which bounds its memory."""
        return _BATCH_STEPS

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of inputs and tags."""
        assert isinstance(examples, WordExamples | CharacterExamples | RecordingExamples)
        if isinstance(examples, WordExamples) and examples.kept is not None:
            return hashlib.sha256(examples.kept.encode()).hexdigest()
        is_recording = isinstance(examples, RecordingExamples)
        digest = hashlib.sha256()
        for array in examples.arrays() if is_recording else (*examples.ids, *examples.targets):
            digest.update(str(len(array)).encode() + array.tobytes())
        return digest.hexdigest()

    def build(self, settings: TagSettings, known: TagKnown) -> Tagger:
        """The untrained model."""
        # The other fields of TaggerSettings are the model's arguments, by name.
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        given["class_weights"] = balanced(known.tag_counts) if given["class_weights"] == "balanced" else None
        if given["bidirectional"] is None:
            given["bidirectional"] = not (known.scaling and known.scaling.extras)
        size, word = given.pop("embedding_size"), settings.word
        if known.scaling is not None:
            encoder = Numbers(known.scaling.width)
        elif known.words is None:
            encoder = torch.nn.Embedding(len(known.characters), size)
        else:
            encoder = WordEncoder(
                (1, *known.counts),
                len(known.characters),
                embedding_size=word.embedding_size,
                character_embedding_size=word.character_embedding_size,
                character_hidden_size=word.character_hidden_size,
                cell=settings.model.cell,
                word_dropout=word.dropout,
            )
        number_loss = given.pop("number_loss")
        if known.number is not None:
            return StepRegressor(encoder, number_loss, **given)
        has_rules = known.scheme is not None and settings.model.output == "crf"
        constraints = span_constraints(known.tags, known.scheme) if has_rules else None
        return Tagger(encoder, len(known.tags), constraints=constraints, **given)

    def begin(self, settings: TagSettings, known: TagKnown, model: Tagger) -> list[str]:
        """Puts pretrained word vectors into the embedding."""
        path = settings.reading.vectors
        if path is None:
            return []
        assert isinstance(model.encoder, WordEncoder)  # reading.vectors is refused with source code
        assert known.words is not None
        counts = dict(zip(known.words, known.counts, strict=True))
        return [str(load_vectors(path, model.encoder.embedding, ("<unk>", *known.words), counts=counts))]

    def trained_with(self, settings: TagSettings, examples: Examples) -> UpdateSettings:
        """Trains longer and in smaller batches if there are few recordings."""
        return for_few(settings.training, examples) if isinstance(examples, RecordingExamples) else settings.training

    def judged_by(self, settings: TagSettings) -> str | None:
        """Accuracy; with balanced tags F1 averaged over them; the loss for numbers."""
        if settings.reading.target == "number":
            return None
        return "macro_f1" if settings.model.class_weights == "balanced" else "accuracy"

    def judge(self, learnt: LearntTagger, part: Part, examples: Examples, *, final: bool) -> Judge:
        """A judge of tags and spans, or of numbers."""
        known, model = learnt.known, learnt.model
        if isinstance(model, StepRegressor):
            assert known.number is not None
            loss = lambda said, target: model.tag_loss(said, target, None)  # noqa: E731
            return NumberJudge(lambda batch: model(batch.input, batch.lengths), loss, known.number)
        item = "word" if known.words is not None else "character" if known.scaling is None else "step"
        return TagJudge(learnt.model, known.with_unknown(part), item, scheme=known.scheme)

    def baselines(
        self, settings: TagSettings, train: Part, parts: Mapping[str, Part]
    ) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """The most frequent tag of each word or character."""
        return baselines(train, parts, settings.reading)

    def exported(self, learnt: Any) -> Exported:
        """The graph of emissions; the runner finds the best path of a CRF."""
        from ostinato.recipes.exporting.exported import refuse_extras
        from ostinato.recipes.tag.exported import exported

        if learnt.known.number is not None:
            raise ConfigError(
                "a model that predicts a number at every step is not exported as a tagger; use ostinato.export on it"
            )
        refuse_extras(learnt.known.scaling)
        return exported(learnt.model, learnt.known, validation_of(self, learnt))

    def question(self, learnt: LearntTagger, part: Part, batch: Batch, target: str | None) -> Question:
        """Asks why these tags are the answer, or why this one."""
        from ostinato.recipes.tag.explained import question

        return question(learnt, part, batch, target)

    def answers(self, learnt: LearntTagger, part: Part, batch: Batch) -> list[dict[str, Any]]:
        """The tags or numbers of each row."""
        model, names = learnt.model, learnt.known.tags
        emissions = model(batch.input, batch.lengths)
        if (scale := learnt.known.number) is not None:
            return [
                {"id": part[row].id, **scale.told(emissions[: len(part[row]), at])}  # pyright: ignore[reportAttributeAccessIssue]
                for at, row in enumerate(batch.rows.tolist())
            ]
        tags = model.decode(emissions, batch.lengths)
        p = model.probabilities(emissions, batch.lengths).gather(2, tags.unsqueeze(2)).squeeze(2)
        return [
            _answer(part[row], [names[tag] for tag in found], chances)
            for row, found, chances in zip(batch.rows.tolist(), tags.T.tolist(), p.T.tolist(), strict=True)
        ]

    def lines(self, learnt: LearntTagger, data: str, path: str, answers: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        """Lines of CoNLL-U or columns: copies of the data's lines with other tags, if the data have this form."""
        return lines_of(learnt, data, path, answers)

    def shown(self, answer: Mapping[str, Any]) -> Text:
        """Source code in colours, or words with their tags."""
        return coloured(answer)


def _reader(settings: TagSettings) -> RecordingReader:
    return RecordingReader(settings.recording, settings.reading, of_steps=True)


def _answer(given: Sentence | Highlighted | Recording, tags: list[str], probabilities: list[float]) -> dict[str, Any]:
    """The answer about an example; `tags` and `probabilities` may be longer than the example, because of padding."""
    if isinstance(given, Sentence):
        count = len(given.words)
        return {"words": list(given.words), "tags": tags[:count], "probabilities": probabilities[:count]}
    spans: list[list[Any]] = []
    at = 0
    if isinstance(given, Recording):
        tags, probabilities = tags[: len(given)], probabilities[: len(given)]
        for tag, group in groupby(tags):
            end = at + sum(1 for _ in group)
            spans.append([at, end, tag, sum(probabilities[at:end]) / (end - at)])
            at = end
        return {"id": given.id, "tags": tags, "probabilities": probabilities, "segments": spans}
    for tag, group in groupby(tags[: len(given.text)]):
        end = at + sum(1 for _ in group)
        spans.append([at, end, tag])
        at = end
    return {"name": given.name, "text": given.text, "spans": spans}
