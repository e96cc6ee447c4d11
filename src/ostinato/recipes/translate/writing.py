"""From what a translator writes to texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ostinato.data.batches import TargetBatch
from ostinato.models.beam import BeamSettings
from ostinato.models.decoding import Hypothesis, copy_unknown
from ostinato.models.seq2seq import Seq2Seq
from ostinato.recipes.translate.data import Known, joined, never_written, prepared, texts_of_tokens
from ostinato.recipes.translate.settings import Answering, ReadingSettings


@dataclass(frozen=True)
class Translation:
    """An answer.

    Attributes:
        text: of the target.
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
        answering: how they are written.

    Raises:
        ConfigError: settings of `answering` do not fit.
    """

    def __init__(self, model: Seq2Seq, known: Known, reading: ReadingSettings, answering: Answering):
        self.model, self.known, self.reading, self.answering = model, known, reading, answering
        self.beam = BeamSettings(
            answering.beam,
            answering.length_penalty,
            answering.coverage_penalty,
            min(answering.n_best, answering.beam),
        )
        self._pieces = texts_of_tokens(known.target)

    def __call__(self, batch: TargetBatch, sources: Sequence[str]) -> list[list[Translation]]:
        """The translations of each row, best first; of an empty text an empty one.

        Args:
            batch: B rows.
            sources: their texts.
        """
        answering = self.answering
        given = {"max_length": answering.max_length, "forbidden": never_written(self.known.target)}
        if answering.temperature != 0.0 or answering.beam == 1:
            drawn = self.model.write(
                batch.input,
                batch.lengths,
                temperature=answering.temperature,
                top_k=answering.top_k,
                top_p=answering.top_p,
                seed=answering.seed + int(batch.rows[0]),
                **given,
            )
            found = [[hypothesis] for hypothesis in drawn]
        else:
            found = self.model.translate(batch.input, batch.lengths, beam=self.beam, **given)
        nothing = Translation("", Hypothesis((), 0.0, 0.0))
        return [
            [Translation(self._text(each, source), each) for each in hypotheses] if source.strip() else [nothing]
            for hypotheses, source in zip(found, sources, strict=True)
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
