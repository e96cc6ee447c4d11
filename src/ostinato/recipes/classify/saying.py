"""The outputs of a classifier turned into answers that people read: a class, several labels or a number."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.models.classifying.classifier import Classifier
from ostinato.models.classifying.several import MultiLabelClassifier
from ostinato.recipes.classify.data import ClassifyKnown


def said_of(known: ClassifyKnown, model: Classifier, said: torch.Tensor) -> list[dict[str, Any]]:
    """Turns outputs into answers as JSON can hold them.

    Args:
        known: the classes, or the scale of numbers.
        model: the model.
        said: its outputs (B, C), in evaluation mode.
    """
    said = said.float()
    if known.number is not None:
        told = known.number.told(said)
        names = {"numbers": "number", "deviations": "deviation"}
        return [{names[name]: each[row] for name, each in told.items()} for row in range(len(said))]
    classes = known.classes
    if isinstance(model, MultiLabelClassifier):
        threshold = float(model.threshold)
        rows = [dict(zip(classes, p, strict=True)) for p in said.sigmoid().tolist()]
        return [{"labels": [name for name, p in row.items() if p >= threshold], "probabilities": row} for row in rows]
    found: list[dict[str, Any]] = []
    for p in said.softmax(-1).tolist():
        best = max(range(len(p)), key=p.__getitem__)
        probabilities = dict(zip(classes, p, strict=True))
        found.append({"class": classes[best], "probability": p[best], "probabilities": probabilities})
    return found
