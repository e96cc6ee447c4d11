"""Turning what a translator writes into texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ostinato.data.batches.batches import TargetBatch
from ostinato.models.writing.decoding import Hypothesis, copy_unknown
from ostinato.models.writing.seq2seq import Seq2Seq
from ostinato.recipes.text_target import beam_settings, hypotheses
from ostinato.recipes.translate.data import TranslateKnown, joined, never_written, prepared, texts_of_tokens
from ostinato.recipes.translate.settings import Answering, TranslateReadingSettings


@dataclass(frozen=True)
class Translation:
    """A translation of a text.

    Attributes:
        text: the translation.
        hypothesis: its tokens and how likely they are.
    """

    text: str
    hypothesis: Hypothesis


class Writer:
    """Translates batches.

    Args:
        model: the network.
        known: the vocabularies.
        reading: how texts are read.
        answering: how translations are written.

    Raises:
        ConfigError: settings of `answering` do not fit.
    """

    def __init__(self, model: Seq2Seq, known: TranslateKnown, reading: TranslateReadingSettings, answering: Answering):
        self.model, self.known, self.reading, self.answering = model, known, reading, answering
        beam_settings(answering)  # raises an error for settings that do not fit
        self._pieces = texts_of_tokens(known.target)

    def __call__(self, batch: TargetBatch, sources: Sequence[str]) -> list[list[Translation]]:
        """The translations of each row, best first; an empty text has an empty one.

        Args:
            batch: B rows.
            sources: the texts of these rows.
        """
        found = hypotheses(
            self.answering,
            partial(self.model.write, batch.input, batch.lengths),
            partial(self.model.translate, batch.input, batch.lengths),
            seed=self.answering.seed + int(batch.rows[0]),
            max_length=self.answering.max_length,
            forbidden=never_written(self.known.target),
        )
        nothing = Translation("", Hypothesis((), 0.0, 0.0))
        return [
            [Translation(self._text(each, source), each) for each in best] if source.strip() else [nothing]
            for best, source in zip(found, sources, strict=True)
        ]

    def _text(self, hypothesis: Hypothesis, source: str) -> str:
        vocabulary, reading = self.known.target, self.reading
        unknown = vocabulary.unknown_id
        if not self.answering.copy_unknown or unknown is None or unknown not in hypothesis.tokens:
            return joined(vocabulary.decode(hypothesis.tokens), reading)
        words = reading.tokens == "word"
        read = prepared(source, reading, self.known.breaks)
        read = read.split() if words else read
        written = copy_unknown(self._pieces, hypothesis, read, unknown)
        return joined((" " if words else "").join(written), reading)
