"""How good a captioner is: exact match, and BLEU and chrF as sacrebleu computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from ostinato.data.batches.batches import Batch
from ostinato.data.records.captions import Captioned
from ostinato.models.writing.captioner import CaptionBatch, Captioner
from ostinato.models.writing.decoding import Hypothesis
from ostinato.recipes.caption.data import CaptionKnown
from ostinato.recipes.caption.pictures import Shown, plot_captions, plot_looks
from ostinato.recipes.task import Judge
from ostinato.recipes.text_target import scores_of_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WRONG = 50  # wrong answers in the report
_LOOKED_AT = 6  # images for which maps of attention are drawn
_DRAWN = 30
_DRAWN_WRONG = 12  # of these, wrong ones that are not among the first


class CaptionJudge(Judge):
    """Judges a captioner on images that have captions; an image without one is not counted.

    Args:
        model: the captioner, in evaluation mode.
        known: what is known about the data.
        part: N images and their captions.
        write: gives the best caption of each image, from images (B, channels, height, width).
    """

    memory = ("_answers", "_kept")

    def __init__(
        self, model: Captioner, known: CaptionKnown, part: Captioned, write: Callable[[torch.Tensor], list[Hypothesis]]
    ):
        self.model, self.known, self.part, self._write = model, known, part, write
        self._answers: dict[int, Hypothesis] = {}
        self._kept: dict[int, torch.Tensor] = {}

    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model on a batch, and keeps the captions that it writes."""
        assert isinstance(batch, CaptionBatch)
        for row, image, hypothesis in zip(batch.rows.tolist(), batch.input, self._write(batch.input), strict=True):
            self._answers[row] = hypothesis
            if row < _LOOKED_AT:
                self._kept[row] = image
        return self.model.loss(batch)[0]

    @cached_property
    def _said(self) -> dict[int, str]:
        """The written captions, by the number of the image, for images that have captions."""
        rows = (row for row in sorted(self._answers) if self.part.captions[row])
        return {row: self.known.said(self._answers[row].tokens) for row in rows}

    @cached_property
    def _wanted(self) -> dict[int, list[str]]:
        return {row: [self.known.normal(text) for text in self.part.captions[row]] for row in self._said}

    def _is_right(self, row: int) -> bool:
        return self._said[row] in self._wanted[row]

    def figures(self) -> dict[str, float]:
        """Share of images whose answer is one of their captions; BLEU and chrF against all of them, from 0 to 100."""
        metrics = self._metrics()
        right = sum(map(self._is_right, self._said))
        return {"exact_match": right / max(len(self._said), 1), **{name: score for name, (score, _) in metrics.items()}}

    def details(self) -> dict[str, Any]:
        """The signatures of BLEU and chrF; answers that are none of the captions."""
        wrong = [
            {"image": self._name(row), "answer": self._said[row], "captions": self._wanted[row]}
            for row in self._said
            if not self._is_right(row)
        ]
        signatures = {f"{name}_signature": signature for name, (_, signature) in self._metrics().items()}
        return {**signatures, "wrong": wrong[:_WRONG], "number_of_wrong": len(wrong)}

    def _metrics(self) -> dict[str, tuple[float, str]]:
        return metrics_of_captions(list(self._said.values()), list(self._wanted.values()))

    def _name(self, row: int) -> str | int:
        return self.part.names[row] if self.part.names else row

    def pictures(self) -> dict[str, Figure]:
        """Pictures: images with their captions; and where the decoder looked at each step."""
        first = list(self._said)[: _DRAWN - _DRAWN_WRONG]
        rows = [*first, *[row for row in self._said if row not in first and not self._is_right(row)][:_DRAWN_WRONG]]
        shown = [
            Shown(self.part.images.take([row]), self._said[row], self._is_right(row), self._wanted[row][0])
            for row in rows
        ]
        made = {"captions": plot_captions(shown)} if shown else {}
        looks = [
            (each, *look)
            for each, row in zip(shown, rows, strict=True)
            if row in self._kept and (look := self._look(row)) is not None
        ]
        return made | ({"attention": plot_looks(looks)} if looks else {})

    def _look(self, row: int) -> tuple[list[str], Any] | None:
        """The tokens of a caption with "end", and where each step looked, (steps, rows, columns); or None."""
        ids = list(self._answers[row].tokens)
        image = self._kept[row].unsqueeze(0)
        target = torch.tensor(ids, dtype=torch.int64, device=image.device).view(-1, 1)
        with torch.no_grad():
            weights = self.model(image, target).weights
        if weights is None:
            return None
        looked = weights[:, 0].reshape(-1, *self.model.encoder.places)
        return [*(self.known.said([id]) for id in ids), "end"], looked.cpu().numpy()

    def warnings(self) -> list[str]:
        """A line about images without captions."""
        without = len(self._answers) - len(self._said)
        return [f"{without:,} images have no caption: they have no part in the figures"] if without else []


def metrics_of_captions(answers: Sequence[str], wanted: Sequence[Sequence[str]]) -> dict[str, tuple[float, str]]:
    """Score and signature of BLEU and chrF, of one answer for each image against all of its captions."""
    # The effective order matters for captions of fewer than four words; others have the same score without it.
    return scores_of_texts(answers, wanted, effective_order=True)
