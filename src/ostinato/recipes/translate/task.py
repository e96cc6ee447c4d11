"""The recipe `translate`, unaligned many to many: a text in; its translation out, with BLEU and maps of attention."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from rich.text import Text

from ostinato.data.batches.batches import Batch, Examples, TargetBatch
from ostinato.data.mapped.store import TABLES
from ostinato.data.records.pairs import NAMED_COLUMNS, Pairs
from ostinato.data.records.splits import Splits
from ostinato.errors import ConfigError
from ostinato.models.writing.scheduled_sampling import ScheduledSampling
from ostinato.models.writing.seq2seq import Seq2Seq
from ostinato.recipes.engines.cutting import rows_of_table
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.task import Judge, Opening, Task
from ostinato.recipes.text_target import checksum
from ostinato.recipes.trained import validation_of
from ostinato.recipes.translate.baselines import baselines
from ostinato.recipes.translate.data import TokenPairs, TranslateKnown, normalised_pairs
from ostinato.recipes.translate.judge import TranslationJudge
from ostinato.recipes.translate.prediction import TranslationPrediction
from ostinato.recipes.translate.reading import Kept, read, read_part
from ostinato.recipes.translate.settings import Answering, TranslateSettings
from ostinato.recipes.translate.values import part_of
from ostinato.recipes.translate.writing import Writer

if TYPE_CHECKING:
    from ostinato.insight.reasons.question import Question
    from ostinato.recipes.engines.cutting import RowsAs
    from ostinato.recipes.exporting.exported import Exported

LearntTranslator: TypeAlias = Learnt[TranslateSettings, TranslateKnown, Seq2Seq]


class Translate(Task[TranslateSettings, Pairs, TranslateKnown, Seq2Seq]):
    """Translation.

    An answer has the source, its translation, and how likely it is.
    """

    name = "translate"
    settings = TranslateSettings
    prediction = TranslationPrediction
    pair = ("source", "target")
    item = "token"
    percentages = ("exact_match",)
    files = ("reading.validation", "reading.test")
    answering = Answering
    _kept = Kept()

    def read(self, settings: TranslateSettings) -> Splits[Pairs]:
        """Reads the built-in dates without data; else pairs of texts."""
        return self.open(settings, Opening())

    def open(self, settings: TranslateSettings, opening: Opening) -> Splits[Pairs]:
        """Reads like `read`, but pairs that are too large for memory are mapped from files in the run's folder."""
        folder = None if opening.folder is None else opening.folder / TABLES
        return read(settings.data, settings.reading, Kept(folder, opening.on_progress))

    def load_known(self, folder: Path) -> TranslateKnown:
        """Loads what a run knows; the files of large data that it is given later go into the run's folder."""
        self._kept = Kept(folder / TABLES)
        return super().load_known(folder)

    def read_part(self, settings: TranslateSettings, known: TranslateKnown, data: str, *, labelled: bool) -> Pairs:
        """Reads pairs, or texts to translate, a line each."""
        return read_part(data, settings.reading, self._kept, labelled=labelled)

    def rows_as(self, settings: TranslateSettings, known: TranslateKnown, suffix: str) -> RowsAs | None:
        """A row of a table with named columns, or a line."""
        return rows_of_table(suffix) if suffix in NAMED_COLUMNS else "lines"

    def from_values(self, settings: TranslateSettings, known: TranslateKnown, given: Any) -> tuple[Pairs, bool]:
        """Turns texts into a part."""
        return part_of(given)

    def learn(self, settings: TranslateSettings, train: Pairs) -> TranslateKnown:
        """Learns the vocabularies."""
        return TranslateKnown.of(train, settings.reading)

    def to_dict(self, known: TranslateKnown) -> dict[str, Any]:
        """What is known as plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> TranslateKnown:
        """The inverse of `to_dict`."""
        return TranslateKnown.from_dict(content)

    def examples(self, settings: TranslateSettings, known: TranslateKnown, part: Pairs) -> Examples:
        """Token ids of both sides."""
        return TokenPairs(part.pairs, known, settings.reading)

    def remarks(self, splits: Splits[Pairs]) -> list[str]:
        """Notes on pairs that were left out, and on parts whose two sides are the same suspiciously often."""
        return [
            part.report() for part in (splits.train, splits.validation, splits.test) if len(part.empty) or part.equal
        ]

    def batch_steps(self, settings: TranslateSettings) -> int | None:
        """The setting `reading.batch_tokens`."""
        return settings.reading.batch_tokens

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of both sides."""
        assert isinstance(examples, TokenPairs)
        if examples.kept is not None:
            return checksum((), examples.kept.encode())
        return checksum(ids.astype(np.int64) for ids in itertools.chain(examples.sources, examples.targets))

    def build(self, settings: TranslateSettings, known: TranslateKnown) -> Seq2Seq:
        """The untrained model."""
        # The other fields of TranslatorSettings are the model's arguments, by name.
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        if given["attention"] == "none":
            given["attention"] = None
        if given["tied"] == "auto":
            given["tied"] = "three-way" if known.is_joint else "two-way"
        elif given["tied"] == "three-way" and not known.is_joint:
            raise ConfigError("model.tied three-way: expected one vocabulary for both sides; set reading.joint too")
        sampling = dataclasses.asdict(settings.sampling)
        is_sampled = sampling["decay"] != "none"
        return Seq2Seq(
            len(known.source),
            len(known.target),
            begin=known.target.begin,
            end=known.target.end,
            scheduled_sampling=ScheduledSampling(**sampling) if is_sampled else None,
            **given,
        )

    def judged_by(self, settings: TranslateSettings) -> str | None:
        """The figure that is set as `scoring.best_by`; None for the loss."""
        best_by = settings.scoring.best_by
        return None if best_by == "loss" else best_by

    def judge(self, learnt: LearntTranslator, part: Pairs, examples: Examples, *, final: bool) -> Judge:
        """A judge of BLEU and others; while training, texts are written greedily, which is fast."""
        answering = learnt.answering if final else Answering(beam=1)
        writer = Writer(learnt.model, learnt.known, learnt.settings.reading, answering)
        part = normalised_pairs(part, learnt.settings.reading)
        return TranslationJudge(writer, part, learnt.settings.scoring, draws=final)

    def baselines(
        self, settings: TranslateSettings, train: Pairs, parts: Mapping[str, Pairs]
    ) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """Figures of copied sources, and of texts translated word by word."""
        return baselines(train, parts, settings.reading, settings.scoring)

    def exported(self, learnt: Any) -> Exported:
        """The graphs of the encoder and of a decoder step."""
        from ostinato.recipes.translate.exported import exported

        return exported(learnt.model, learnt.known, learnt.settings.reading, validation_of(self, learnt))

    def question(self, learnt: LearntTranslator, part: Pairs, batch: Batch, target: str | None) -> Question:
        """Asks which words of the source made the translation."""
        from ostinato.recipes.translate.explained import question

        return question(learnt, part, batch, target)

    def answers(self, learnt: LearntTranslator, part: Pairs, batch: Batch) -> list[dict[str, Any]]:
        """The translations of each row."""
        assert isinstance(batch, TargetBatch)
        answering: Answering = learnt.answering
        writer = Writer(learnt.model, learnt.known, learnt.settings.reading, answering)
        sources = [part.pairs[row].source for row in batch.rows.tolist()]
        found: list[dict[str, Any]] = []
        for source, translations in zip(sources, writer(batch, sources), strict=True):
            told = [
                {
                    "translation": each.text,
                    "score": each.hypothesis.score,
                    "log_probability": each.hypothesis.log_probability,
                }
                for each in translations
            ]
            others = {"n_best": told} if answering.n_best > 1 else {}
            found.append({"source": source, **told[0], **others})
        return found

    def shown(self, answer: Mapping[str, Any]) -> Text:
        """The translation, without the rest of the answer."""
        return Text(answer["translation"])
