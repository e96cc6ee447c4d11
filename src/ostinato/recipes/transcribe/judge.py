"""How good a transcriber is: character and word error rates as jiwer counts them, and pictures of alignments."""

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

_WRONG = 50  # wrong answers in the report
_DRAWN = 4
_MOST_NAMED = 10


class TranscriptJudge(Judge):
    """Judges a transcriber on recordings that have texts.

    A character that training never had is an error, whatever the answer; its text is left out of the loss.

    Args:
        model: the transcriber, in evaluation mode.
        known: the units and the frames.
        part: N recordings with texts; a recording without text is not counted.
        write: gives the best text of each row from log-probabilities (F, B, V) and their lengths.
        too_long: how many texts of the part have more units than frames.
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
        """Runs the model on a batch, and keeps the texts that it writes."""
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
        """The true and the found text, by the number of the recording, for recordings with a text."""
        said = ((row, self.part[row].label) for row in sorted(self._answers))
        return {
            row: (self.known.normal(label), self.known.said(self._answers[row].units))
            for row, label in said
            if label is not None
        }

    def figures(self) -> dict[str, float]:
        """Wrong, missing and extra characters and words, over the true ones; the share of texts without errors."""
        return error_rates(list(self.pairs.values()))

    def details(self) -> dict[str, Any]:
        """The kinds of errors; wrong answers."""
        wrong = [
            {"recording": self.part[row].id, "text": wanted, "answer": got}
            for row, (wanted, got) in self.pairs.items()
            if wanted != got
        ]
        return {**errors_of(list(self.pairs.values())), "wrong": wrong[:_WRONG], "number_of_wrong": len(wrong)}

    def line(self) -> str:
        """A true text and the found one."""
        for wanted, got in self.pairs.values():
            if wanted:
                return f"{wanted} | {got}"
        return ""

    def pictures(self) -> dict[str, Figure]:
        """A picture of recordings, the probabilities at each of their frames, and the text."""
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
        """Lines about characters that training never had, and about texts that are too long."""
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
    """Errors divided by true characters, by true words (Levenshtein 1966), and the share of texts without errors.

    Args:
        pairs: the true and the found text of each recording. If nothing at all is true, every found character is an
            error over one.
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
    """How many characters were replaced, left out and put in; and the most frequent replacements."""
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
