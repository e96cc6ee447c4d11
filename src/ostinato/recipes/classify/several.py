"""How good several labels at once are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.models.classifying.several import MultiLabelClassifier
from ostinato.recipes.task import Judge


def several_figures(said: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """F1 over all labels together, F1 averaged over the labels that occur, and the share of examples all right.

    Args:
        said: (N, C) bool, the predicted labels.
        target: (N, C) bool, the true labels.
    """
    if not len(target):
        return {"micro_f1": float("nan"), "macro_f1": float("nan"), "exact": float("nan")}
    right, both = (said & target).sum(0), said.sum(0) + target.sum(0)
    each, occurs = 2 * right / np.maximum(both, 1), target.any(0)
    return {
        "micro_f1": float(2 * right.sum() / max(both.sum(), 1)),
        "macro_f1": float(each[occurs].mean()) if occurs.any() else float("nan"),
        "exact": float((said == target).all(1).mean()),
    }


class SeveralJudge(Judge):
    """Judges a classifier whose examples may have several labels. Labels that training never had are not counted.

    Args:
        model: a model with C outputs.
        names: the names of the C labels.
        strange: the labels of the data that training never had.
    """

    memory = ("_p", "_targets")

    def __init__(self, model: MultiLabelClassifier, names: Sequence[str], strange: Sequence[str]):
        self.model, self.names, self.strange = model, list(names), list(strange)
        self._p: list[torch.Tensor] = []
        self._targets: list[torch.Tensor] = []

    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model on a batch, and keeps probabilities and labels."""
        logits = self.model(batch.input, batch.lengths)
        self._p.append(logits.float().sigmoid().cpu())
        self._targets.append(batch.target.cpu())
        return self.model.label_loss(logits, batch.target)

    def choose_threshold(self) -> None:
        """Has the model choose its threshold from the batches seen."""
        self.model.choose_threshold(torch.cat(self._p), torch.cat(self._targets))

    def _sets(self) -> tuple[np.ndarray, np.ndarray]:
        p, target = torch.cat(self._p), torch.cat(self._targets)
        known = target.isfinite().all(-1)
        return (p[known] >= self.model.threshold.cpu()).numpy(), (target[known] > 0.5).numpy()

    def figures(self) -> dict[str, float]:
        """The figures of `several_figures`."""
        return several_figures(*self._sets())

    def details(self) -> dict[str, Any]:
        """Precision, recall, F1 and number of examples of each label; the threshold."""
        said, target = self._sets()
        right = (said & target).sum(0)
        rows = {
            name: {
                "precision": float(right[at] / max(said[:, at].sum(), 1)),
                "recall": float(right[at] / max(target[:, at].sum(), 1)),
                "f1": float(2 * right[at] / max(said[:, at].sum() + target[:, at].sum(), 1)),
                "examples": int(target[:, at].sum()),
            }
            for at, name in enumerate(self.names)
        }
        return {"classes": rows, "threshold": float(self.model.threshold)}

    def warnings(self) -> list[str]:
        """A line about labels that training never had."""
        return [f"training never had the label {', '.join(self.strange)}: not counted"] if self.strange else []
