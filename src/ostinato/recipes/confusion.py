"""How many examples of each label got each answer: the counts, figures from them, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN_LABELS = 40  # more cannot be read
_NUMBERED_LABELS = 12


def per_class(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each label, (K,) each; 0 where there is nothing to divide by.

    Args:
        confusion: (K, K), how many examples of each label (rows) got each answer (columns).
    """
    right = np.diag(confusion).astype(float)
    precision = right / confusion.sum(0).clip(1)
    recall = right / confusion.sum(1).clip(1)
    return precision, recall, 2 * precision * recall / np.where(precision + recall > 0, precision + recall, 1.0)


def figures(confusion: np.ndarray) -> dict[str, float]:
    """Accuracy, and F1 averaged over the labels that occur; NaN if there are no examples."""
    occurs = confusion.sum(1) > 0
    if not occurs.any():
        return {"accuracy": float("nan"), "macro_f1": float("nan")}
    return {
        "accuracy": float(np.diag(confusion).sum() / confusion.sum()),
        "macro_f1": float(per_class(confusion)[2][occurs].mean()),
    }


def details(confusion: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Precision, recall, F1 and number of each label by name, and the matrix, as JSON can hold them."""
    rows = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "examples": int(n)}
        for name, p, r, f, n in zip(names, *per_class(confusion), confusion.sum(1), strict=True)
    }
    return {"classes": rows, "confusion": confusion.tolist()}


def pictures(confusion: np.ndarray, names: Sequence[str], item: str = "example") -> dict[str, Figure]:
    """The matrix as shares of each label; none where there are too many labels to read.

    Args:
        confusion: (K, K), see `per_class`.
        names: the names of the K labels.
        item: the noun for what was counted.
    """
    if len(names) > _DRAWN_LABELS:
        return {}
    from ostinato.insight.plots import figure, heat_map, name_axes

    side = 2.6 + 0.32 * len(names)
    made, (axes,) = figure(side + 1.2, side)
    shares = confusion / confusion.sum(1, keepdims=True).clip(1)
    heat_map(axes, shares, unit="share of the label", rows=names)
    axes.set_xticks(range(len(names)), names, fontsize=9, rotation=90 if max(map(len, names)) > 3 else 0)
    if len(names) <= _NUMBERED_LABELS:
        for (row, column), count in np.ndenumerate(confusion):
            if count:
                colour = "w" if shares[row, column] < 0.6 else "k"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    name_axes(axes, "answer", "label", f"Confusion: {confusion.sum():,} {item}s")
    return {"confusion": made}


def unknown_label(names: Sequence[str], classes: int, strange: int, item: str = "example") -> list[str]:
    """A line about labels that training never had; empty if there are none.

    Args:
        names: the names of all labels; those that training had come first.
        classes: how many labels training had.
        strange: how many items have one of the other labels.
        item: the noun for what was counted.
    """
    if len(names) == classes:
        return []
    named = ", ".join(names[classes:])
    return [f"training never had the label {named}: {strange:,} of the {item}s count as errors, without a loss"]
