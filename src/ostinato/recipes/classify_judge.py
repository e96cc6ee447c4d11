"""How good a classifier is: torchmetrics on its answers, and a confusion matrix to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

from ostinato.data.batches import Batch
from ostinato.models.classifier import Classifier
from ostinato.recipes.task import Judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 15
_DRAWN_CLASSES = 40  # more cannot be read
_NUMBERED_CLASSES = 12


class ClassJudge(Judge):
    """Judges a classifier on examples that have one label each.

    A label that training never had counts as an error, whatever the answer, and has no part in the loss.

    Args:
        model: C outputs.
        names: K names: of the C classes, then of labels that training never had.
    """

    def __init__(self, model: Classifier, names: Sequence[str]):
        self.model, self.names = model, list(names)
        self._probabilities: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model."""
        logits = self.model(batch.input, batch.lengths)
        self._probabilities.append(logits.float().softmax(-1).cpu())
        self._targets.append(batch.target.cpu())
        return self.model.cross_entropy(logits, batch.target)

    def confusion(self) -> np.ndarray:
        """(K, K) int64: how many examples of each label (rows) got each answer (columns)."""
        answers, targets = torch.cat(self._probabilities).argmax(-1), torch.cat(self._targets)
        if len(self.names) == 1:  # torchmetrics knows no task with one class
            return np.array([[len(answers)]])
        return multiclass_confusion_matrix(answers, targets, num_classes=len(self.names)).numpy()

    def figures(self) -> dict[str, float]:
        """Accuracy; F1 averaged over the labels that occur; expected calibration error (Guo et al. 2017, equation 3)."""
        confusion = self.confusion()
        occurs = confusion.sum(1) > 0
        return {
            "accuracy": float(np.diag(confusion).sum() / confusion.sum()),
            "macro_f1": float(per_class(confusion)[2][occurs].mean()),
            "calibration_error": self._calibration_error(),
        }

    def _calibration_error(self) -> float:
        probabilities, targets = torch.cat(self._probabilities), torch.cat(self._targets)
        classes = probabilities.shape[1]
        if classes == 1:  # it is always certain: wrong where the label is another
            return float((targets >= classes).double().mean())
        # Whatever was answered to a label that training never had is wrong; the class after it says so.
        wrong = (probabilities.argmax(-1) + 1) % classes
        targets = torch.where(targets < classes, targets, wrong)
        return float(multiclass_calibration_error(probabilities, targets, num_classes=classes, n_bins=_BINS))

    def details(self) -> dict[str, Any]:
        """Precision, recall, F1 and number of each label; the confusion matrix."""
        confusion = self.confusion()
        rows = {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "examples": int(n)}
            for name, p, r, f, n in zip(self.names, *per_class(confusion), confusion.sum(1), strict=True)
        }
        return {"classes": rows, "confusion": confusion.tolist()}

    def pictures(self) -> dict[str, Figure]:
        """The confusion matrix, as shares of each label."""
        if len(self.names) > _DRAWN_CLASSES:
            return {}
        from ostinato.insight.plots import figure, heat_map, name_axes

        confusion, names = self.confusion(), self.names
        side = 2.6 + 0.32 * len(names)
        made, (axes,) = figure(side + 1.2, side)
        shares = confusion / confusion.sum(1, keepdims=True).clip(1)
        heat_map(axes, shares, unit="share of the label", rows=names)
        axes.set_xticks(range(len(names)), names, fontsize=9, rotation=90 if max(map(len, names)) > 3 else 0)
        if len(names) <= _NUMBERED_CLASSES:
            for (row, column), count in np.ndenumerate(confusion):
                if count:
                    colour = "w" if shares[row, column] < 0.6 else "k"
                    axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
        name_axes(axes, "answer", "label", f"Confusion: {confusion.sum():,} examples")
        return {"confusion": made}

    def warnings(self) -> list[str]:
        """Labels that training never had."""
        classes = self.model.num_classes
        if len(self.names) == classes:
            return []
        strange = int((torch.cat(self._targets) >= classes).sum())
        named = ", ".join(self.names[classes:])
        return [f"training never had the label {named}: {strange:,} of the examples count as errors, without a loss"]


def per_class(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each label, (K,) each; 0 where there is nothing to divide by."""
    right = np.diag(confusion).astype(float)
    precision = right / confusion.sum(0).clip(1)
    recall = right / confusion.sum(1).clip(1)
    return precision, recall, 2 * precision * recall / np.where(precision + recall > 0, precision + recall, 1.0)
