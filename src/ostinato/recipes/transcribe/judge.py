"""How good a transcriber is: character and word error rates as jiwer counts them, and pictures of what belongs where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ostinato.data.batches.batches import Batch, TargetBatch
from ostinato.data.recordings.recording import Recordings
from ostinato.extras import needed
from ostinato.models.transcribing.transcriber import Transcriber, text_loss
from ostinato.recipes.task import Judge
from ostinato.recipes.transcribe.data import TranscribeKnown, unknown_units
from ostinato.recipes.transcribe.decoding import Transcript
from ostinato.recipes.transcribe.pictures import Line, plot_alignment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ostinato.types import Lengths

_WRONG = 50  # answers in the report
_DRAWN = 4
_MOST_NAMED = 10


class TranscriptJudge(Judge):
    """Judges a transcriber on recordings that have texts.

    A character that training never had is an error, whatever the answer; its text has no part in the loss.

    Args:
        model: in evaluation mode.
        known: units and frames.
        part: N recordings with texts; one without has no part in it.
        write: from (F, B, V) log probabilities and their lengths to the best text of each row.
        too_long: how many texts of the part have more units than there are frames.
    """

    memory = ("_answers", "_kept")

    def __init__(
        self,
        model: Transcriber,
        known: TranscribeKnown,
        part: Recordings,
        write: Callable[[torch.Tensor, Lengths | None], list[Transcript]],
        too_long: int,
    ):
        self.model, self.known, self.part, self._write, self._too_long = model, known, part, write, too_long
        self._answers: dict[int, Transcript] = {}
        self._kept: dict[int, np.ndarray] = {}

    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model."""
        assert isinstance(batch, TargetBatch)
        log_probs = self.model(batch.input, batch.lengths)
        rows = batch.rows.tolist()
        self._answers |= zip(rows, self._write(log_probs, batch.lengths), strict=True)
        ends = [len(log_probs)] * len(rows) if batch.lengths is None else batch.lengths.tolist()
        for at, row in enumerate(rows):
            if row < _DRAWN:
                self._kept[row] = log_probs[: ends[at], at].float().cpu().numpy()
        return text_loss(log_probs, batch)

    @cached_property
    def pairs(self) -> dict[int, tuple[str, str]]:
        """What is written and what was found, by the number of the recording, for those that have a text."""
        said = ((row, self.part[row].label) for row in sorted(self._answers))
        return {
            row: (self.known.normal(label), self.known.said(self._answers[row].units))
            for row, label in said
            if label is not None
        }

    def figures(self) -> dict[str, float]:
        """Characters and words that are wrong, missing or too many, over those that are written; texts without any error."""
        return error_rates(list(self.pairs.values()))

    def details(self) -> dict[str, Any]:
        """Which errors there are; answers that are wrong."""
        wrong = [
            {"recording": self.part[row].id, "text": wanted, "answer": got}
            for row, (wanted, got) in self.pairs.items()
            if wanted != got
        ]
        return {**errors_of(list(self.pairs.values())), "wrong": wrong[:_WRONG], "number_of_wrong": len(wrong)}

    def line(self) -> str:
        """One text and what was found."""
        for wanted, got in self.pairs.values():
            if wanted:
                return f"{wanted} | {got}"
        return ""

    def pictures(self) -> dict[str, Figure]:
        """Recordings, what the network says at each of their frames, and the text."""
        lines = [
            Line(
                self.part[row],
                self._kept[row],
                self._answers[row].units,
                tuple(self.known.unit_name(unit) for unit in self._answers[row].units),
                self.pairs[row][0] if row in self.pairs else "",
                self.known.stride,
                self.known.height is not None,
            )
            for row in sorted(self._kept)
        ]
        return {"alignment": plot_alignment(lines, self.part.channels)} if lines else {}

    def warnings(self) -> list[str]:
        """Characters that training never had; texts that are too long."""
        told: list[str] = []
        if strange := unknown_units(self.part, self.known):
            names = ", ".join(map(repr, strange[:_MOST_NAMED])) + (", ..." if len(strange) > _MOST_NAMED else "")
            what = "words" if self.known.tokens == "word" else "characters"
            told.append(f"{len(strange):,} {what} that training never had count as errors: {names}")
        if self._too_long:
            told.append(
                f"{self._too_long:,} texts have more units than their recordings have frames: they count as errors, and have no "
                "part in the loss"
            )
        without = len(self._answers) - len(self.pairs)
        if without:
            told.append(f"{without:,} recordings have no text: they have no part in the figures")
        return told


def error_rates(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Of texts and what was found: errors over characters, over words (Levenshtein 1966), and the share without any.

    Where nothing is written at all, every character that was found is one error over one.
    """
    with needed():
        import jiwer

    if not pairs:
        return {"character_error_rate": float("nan"), "word_error_rate": float("nan"), "exact_match": float("nan")}
    wanted, found = [a for a, _ in pairs], [b for _, b in pairs]
    characters = jiwer.process_characters(wanted, found)
    words = jiwer.process_words(wanted, found)
    return {
        "character_error_rate": _rate(characters),
        "word_error_rate": _rate(words),
        "exact_match": sum(a == b for a, b in pairs) / len(pairs),
    }


def errors_of(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """How many characters were taken for others, left out and put in; which were taken for which, the most frequent first."""
    with needed():
        import jiwer

    if not pairs:
        return {}
    found = jiwer.process_characters([a for a, _ in pairs], [b for _, b in pairs])
    taken: dict[tuple[str, str], int] = {}
    for wanted, got, chunks in zip(found.references, found.hypotheses, found.alignments, strict=True):
        for chunk in chunks:
            if chunk.type == "substitute":
                both = zip(
                    wanted[chunk.ref_start_idx : chunk.ref_end_idx],
                    got[chunk.hyp_start_idx : chunk.hyp_end_idx],
                    strict=True,
                )
                for pair in both:
                    taken[pair] = taken.get(pair, 0) + 1
    most = sorted(taken.items(), key=lambda item: -item[1])[:20]
    return {
        "errors": {"replaced": found.substitutions, "left_out": found.deletions, "put_in": found.insertions},
        "taken_for": [[wanted, got, count] for (wanted, got), count in most],
    }


def _rate(found: Any) -> float:
    written = found.hits + found.substitutions + found.deletions
    return (found.substitutions + found.deletions + found.insertions) / max(1, written)
