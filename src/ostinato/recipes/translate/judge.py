"""How good translations are: sacreBLEU, chrF, exact match, perplexity; and maps of attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ostinato.data.batches.batches import Batch, TargetBatch
from ostinato.data.records.marked import MarkedVocabulary
from ostinato.data.records.pairs import Pairs
from ostinato.extras import needed
from ostinato.recipes.task import Judge
from ostinato.recipes.text_target import scores_of_texts
from ostinato.recipes.translate.settings import ScoringSettings
from ostinato.recipes.translate.writing import Translation, Writer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLEU_WORDS = 4
_TOLD = 20  # translations in the report
_DRAWN = 3
_DRAWN_TOKENS = 30
_DRAWN_CHARACTERS = 0x530  # Latin, Greek and Cyrillic: the font of the pictures has no others


class TranslationJudge(Judge):
    """Compares translations with the known ones.

    Args:
        writer: the writer that translates.
        part: the pairs; row n of a batch is the n-th pair.
        scoring: how translations are scored.
        draws: whether to keep what pictures need.
    """

    memory = ("answers", "_maps", "_losses", "_counts")

    def __init__(self, writer: Writer, part: Pairs, scoring: ScoringSettings, *, draws: bool):
        self.writer, self.pairs, self.scoring = writer, part.pairs, scoring
        self.lower_case = scoring.lower_case or writer.reading.lower_case
        self.answers: dict[int, Translation] = {}
        self._drawn = self._to_draw() if draws else []
        self._maps: dict[int, tuple[torch.Tensor, list[str], list[str]]] = {}
        self._losses: list[torch.Tensor] = []
        self._counts: list[int] = []

    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model on a batch, and keeps translations and losses."""
        assert isinstance(batch, TargetBatch)
        loss, _ = self.writer.model.loss(batch)
        self._losses.append(loss)
        self._counts.append(batch.count)
        rows = batch.rows.tolist()
        for row, found in zip(rows, self.writer(batch, [self.pairs[row].source for row in rows]), strict=True):
            self.answers[row] = found[0]
        for at, row in enumerate(rows):
            if row in self._drawn:
                self._keep_map(batch, at, row)
        return loss

    def figures(self) -> dict[str, float]:
        """BLEU and chrF, 0 to 100; the share of exact matches; exp of the mean loss of a token."""
        losses = torch.stack(self._losses).tolist()
        nats = math.fsum(loss * count for loss, count in zip(losses, self._counts, strict=True))
        return {
            **figures_of_texts(*self._texts(), self.scoring, lower_case=self.lower_case),
            "perplexity": math.exp(min(nats / max(sum(self._counts), 1), 700.0)),
        }

    def _texts(self) -> tuple[list[str], list[str]]:
        rows = sorted(self.answers)
        return [self.answers[row].text for row in rows], [self.pairs[row].target for row in rows]

    def details(self) -> dict[str, Any]:
        """The signatures with which sacreBLEU says how it computed BLEU and chrF, and some translations."""
        scores = _scores(*self._texts(), self.scoring, self.lower_case)
        told = [
            {"source": self.pairs[row].source, "target": self.pairs[row].target, "answer": self.answers[row].text}
            for row in sorted(self.answers)[:_TOLD]
        ]
        return {"signatures": {name: signed for name, (_, signed) in scores.items()}, "translations": told}

    def warnings(self) -> list[str]:
        """A line if BLEU tells nothing about these texts."""
        with needed():
            from sacrebleu.metrics.bleu import BLEU

        bleu = BLEU(tokenize=self.scoring.tokenize)
        references = [bleu.tokenizer(self.pairs[row].target).split() for row in self.answers]
        short = sum(len(words) < _BLEU_WORDS for words in references)
        if 2 * short > len(references):
            share = short / len(references)
            return [
                f"{share:.0%} of the translations have fewer than four words, whose runs BLEU counts: go by chrF here"
            ]
        figures = self.figures()
        if figures["bleu"] > 0.0 or figures["chrf"] == 0.0:
            return []
        return ["BLEU is 0, for no four words in a row are right: go by chrF here"]

    # --- where attention looked ---

    def _to_draw(self) -> list[int]:
        """The first pairs that a picture can show legibly."""
        found: list[int] = []
        for row, pair in enumerate(self.pairs):
            if len(found) < _DRAWN and pair.source and all(map(_is_drawn, pair.source + pair.target)):
                found.append(row)
        return found

    def _keep_map(self, batch: TargetBatch, at: int, row: int) -> None:
        known, length = self.writer.known, len(batch.input) if batch.lengths is None else int(batch.lengths[at])
        source = batch.input[:length, at : at + 1]
        ids = self.answers[row].hypothesis.tokens
        if not 0 < length <= _DRAWN_TOKENS or len(ids) >= _DRAWN_TOKENS:
            return
        target = torch.tensor(ids, dtype=torch.int64, device=source.device).unsqueeze(1)
        weights = self.writer.model(source, target).weights
        if weights is not None:
            read = [_piece(known.source, id) for id in source[:, 0].tolist()]
            written = [*(_piece(known.target, id) for id in ids), "end"]
            self._maps[row] = weights[:, 0].float().cpu(), read, written

    def pictures(self) -> dict[str, Figure]:
        """Maps of where the decoder looked for each token of some translations."""
        from ostinato.insight.attention_map import plot_attention

        return {
            f"attention_{number}": plot_attention(weights, read, written, title="Where the decoder looked")
            for number, (_, (weights, read, written)) in enumerate(sorted(self._maps.items()), start=1)
        }


def figures_of_texts(
    written: Sequence[str], known: Sequence[str], scoring: ScoringSettings, *, lower_case: bool
) -> dict[str, float]:
    """BLEU and chrF, 0 to 100, and the share of exact matches, for at least one text."""
    same = [_plain(w, lower_case) == _plain(k, lower_case) for w, k in zip(written, known, strict=True)]
    scores = _scores(written, known, scoring, lower_case)
    return {name: score for name, (score, _) in scores.items()} | {"exact_match": sum(same) / len(same)}


def _scores(
    written: Sequence[str], known: Sequence[str], scoring: ScoringSettings, lower_case: bool
) -> dict[str, tuple[float, str]]:
    wanted = [[text] for text in known]
    return scores_of_texts(written, wanted, lower_case=lower_case, tokenize=scoring.tokenize)


def _plain(text: str, lower_case: bool) -> str:
    text = " ".join(text.split())
    return text.lower() if lower_case else text


def _is_drawn(character: str) -> bool:
    return ord(character) < _DRAWN_CHARACTERS


def _piece(vocabulary: MarkedVocabulary, id: int) -> str:
    return vocabulary.decode([id])
