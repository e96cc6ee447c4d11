"""How good a classifier is: figures of its answers, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.models.classifying.classifier import Classifier
from ostinato.models.classifying.regressor import SequenceRegressor
from ostinato.models.classifying.several import MultiLabelClassifier
from ostinato.recipes import confusion
from ostinato.recipes.classify.data import ClassifyKnown, Part
from ostinato.recipes.classify.several import SeveralJudge
from ostinato.recipes.numbers import NumberJudge
from ostinato.recipes.task import Judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 15
_FEW = 200  # at most so many validation examples: their mean loss may not tell which weights are best


class ClassJudge(Judge):
    """Judges a classifier on examples that have one label each.

    A label that training never had counts as an error, whatever the answer, and is left out of the loss.

    Args:
        model: a model with C outputs.
        names: K names: those of the C classes, then labels that training never had.
    """

    memory = ("_experts", "_targets")

    def __init__(self, model: Classifier, names: Sequence[str]):
        self.model, self.names = model, list(names)
        self._experts: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model on a batch, and keeps its logits and the labels."""
        experts = self.model.experts(batch.input, batch.lengths)
        self._experts.append(experts.float().cpu())
        self._targets.append(batch.target.cpu())
        return self.model.cross_entropy(self.model.combined(experts), batch.target)

    def calibrate(self) -> None:
        """Fits the model's scales to the batches seen; the figures are then those of the answers at these scales."""
        self.model.calibrate(torch.cat(self._experts, 1), torch.cat(self._targets))

    def _logits(self) -> torch.Tensor:
        return self.model.combined(torch.cat(self._experts, 1))

    def nats(self) -> float:
        """The sum of the losses."""
        targets = torch.cat(self._targets)
        known = int(((targets >= 0) & (targets < self.model.num_classes)).sum())
        return float(self.model.cross_entropy(self._logits().double(), targets)) * known

    def losses(self) -> tuple[float, ...] | None:
        """The loss of each example with a known class, nats; None if there are so many that their mean tells enough."""
        targets, logits = torch.cat(self._targets), self._logits().double()
        known = (targets >= 0) & (targets < self.model.num_classes)
        if int(known.sum()) > _FEW:
            return None
        return tuple(torch.nn.functional.cross_entropy(logits[known], targets[known], reduction="none").tolist())

    def confusion(self) -> np.ndarray:
        """(K, K) int64: how many examples of each label (rows) got each answer (columns)."""
        answers, targets, names = self._logits().argmax(-1), torch.cat(self._targets), len(self.names)
        return torch.bincount(targets * names + answers, minlength=names**2).view(names, names).numpy()

    def figures(self) -> dict[str, float]:
        """Accuracy; F1 averaged over the labels that occur; expected calibration error (Guo et al. 2017, equation 3)."""
        return {
            **confusion.figures(self.confusion()),
            "calibration_error": calibration_error(self._logits().softmax(-1), torch.cat(self._targets)),
        }

    def details(self) -> dict[str, Any]:
        """Precision, recall, F1 and number of examples of each label; the confusion matrix."""
        return confusion.details(self.confusion(), self.names)

    def pictures(self) -> dict[str, Figure]:
        """The confusion matrix, as shares of each label."""
        return confusion.pictures(self.confusion(), self.names)

    def warnings(self) -> list[str]:
        """A line about labels that training never had."""
        classes = self.model.num_classes
        strange = int((torch.cat(self._targets) >= classes).sum())
        return confusion.unknown_label(self.names, classes, strange)


def calibration_error(probabilities: torch.Tensor, targets: torch.Tensor) -> float:
    """The expected calibration error, in 15 bins (Guo et al. 2017, equation 3).

    Args:
        probabilities: (N, C).
        targets: (N,) int64; C or more for a label that training never had, for which any answer is wrong.
    """
    confidence, answers = probabilities.max(-1)
    # A confidence of 1 has a bin of its own.
    bins = torch.bucketize(confidence, torch.linspace(0, 1, _BINS + 1, dtype=confidence.dtype), right=True)
    # |accuracy - confidence| of a bin times its share of the examples: a sum of differences.
    gaps = torch.zeros(_BINS + 2, dtype=torch.float64).index_add(0, bins, (answers == targets).double() - confidence)
    return float(gaps.abs().sum() / len(targets))


def judge_of(model: Classifier, known: ClassifyKnown, part: Part) -> Judge:
    """The judge that suits what a model predicts: a class, several labels or a number."""
    names = known.with_unknown(part)
    if isinstance(model, SequenceRegressor):
        assert known.number is not None
        return NumberJudge(lambda batch: model(batch.input, batch.lengths), model.number_losses, known.number)
    if isinstance(model, MultiLabelClassifier):
        return SeveralJudge(model, known.classes, names[len(known.classes) :])
    return ClassJudge(model, names)
