"""How good a tagger is: for each tag, on words that training never had, and on spans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.models.tagging.tagger import Tagger
from ostinato.models.tagging.words import Words
from ostinato.nn.crf.span_schemes import SpanScheme
from ostinato.recipes import confusion
from ostinato.recipes.tag.spans import SpanCounter
from ostinato.recipes.task import Judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TagJudge(Judge):
    """Judges a tagger.

    Steps without a tag in the data are not counted. A tag that training never had is an error, whatever the answer, and
    is left out of the loss.

    Args:
        model: a model with N outputs.
        names: K names: those of the N tags, then tags that training never had.
        item: what a step is: "word", "character" or "step".
        scheme: how tags mark spans, so that spans are counted too; None to count none.
    """

    memory = ("_counts", "_unknown", "spans")

    def __init__(self, model: Tagger, names: Sequence[str], item: str, *, scheme: SpanScheme | None = None):
        self.model, self.names, self.item = model, list(names), item
        self.spans = None if scheme is None else SpanCounter(scheme.read)
        self._counts = torch.zeros(len(names), len(names), dtype=torch.int64)
        self._unknown = torch.zeros(2, dtype=torch.int64)  # words that training never had: right ones, all

    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model on a batch, and counts its answers."""
        emissions = self.model(batch.input, batch.lengths)
        answers, target = self.model.decode(emissions, batch.lengths).cpu(), batch.target.cpu()
        T, B = target.shape
        lengths = torch.full((B,), T) if batch.lengths is None else batch.lengths.cpu()
        counted = (target >= 0) & (torch.arange(T).unsqueeze(1) < lengths)
        K = len(self.names)
        pairs = target[counted] * K + answers[counted]
        self._counts += torch.bincount(pairs, minlength=K * K).view(K, K)
        if isinstance(batch.input, Words):
            unknown = counted & (batch.input.ids.cpu() == 0)
            self._unknown += torch.stack(((unknown & (answers == target)).sum(), unknown.sum()))
        if self.spans is not None:
            for gold, answer, length in zip(target.T.tolist(), answers.T.tolist(), lengths.tolist(), strict=True):
                self.spans.add([self._name(tag) for tag in gold[:length]], [self._name(tag) for tag in answer[:length]])
        return self.model.tag_loss(emissions, batch.target, batch.lengths)

    def _name(self, tag: int) -> str | None:
        return None if tag < 0 else self.names[tag]

    def confusion(self) -> np.ndarray:
        """(K, K) int64: how many steps of each tag (rows) got each answer (columns)."""
        return self._counts.numpy()

    def figures(self) -> dict[str, float]:
        """Accuracy; F1 averaged over the tags that occur; accuracy on unknown words; F1 of spans. NaN without steps."""
        found = confusion.figures(self.confusion())
        if self.item == "word":
            right, all_of_them = self._unknown.tolist()
            found["unknown_word_accuracy"] = right / all_of_them if all_of_them else float("nan")
        if self.spans is not None:
            found["span_f1"] = self.spans.f1()
        return found

    def details(self) -> dict[str, Any]:
        """Precision, recall, F1 and number of steps of each tag; the confusion matrix; the same for kinds of span."""
        found = {**confusion.details(self.confusion(), self.names), "unknown_words": int(self._unknown[1])}
        return found if self.spans is None else {**found, "spans": self.spans.details()}

    def pictures(self) -> dict[str, Figure]:
        """The confusion matrix, as shares of each tag."""
        return confusion.pictures(self.confusion(), self.names, self.item)

    def warnings(self) -> list[str]:
        """A line about tags that training never had."""
        strange = int(self._counts[self.model.num_tags :].sum())
        return confusion.unknown_label(self.names, self.model.num_tags, strange, self.item)
