"""What the labels of examples are: a class each, several labels at once, or a number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from ostinato.errors import DataError

Target: TypeAlias = Literal["class", "number", "several"]
TargetName: TypeAlias = Literal["auto", "class", "number", "several"]
DrawnBy: TypeAlias = Literal["auto", "class", "number", "several", "text"]
SEVERAL = ";"  # between the labels of one example
_FEW_NUMBERS = 10  # of which each may be a class, as of stars from 0.5 to 5


def target_of(labels: Collection[str | None], wanted: TargetName = "auto") -> Target:
    """What labels are.

    Args:
        labels: As they are written; None for none.
        wanted: "auto" to look: numbers where all are and some have fractions, more than ten of them; several where one is a list
            (`a;b`) whose labels stand in other examples too; else classes.
    """
    if wanted != "auto":
        return wanted
    there = [label for label in labels if label is not None]
    lists = Counter(part for label in set(there) for part in set(parts_of_label(label)))
    if any(SEVERAL in label and any(lists[part] > 1 for part in parts_of_label(label)) for label in there):
        return "several"
    distinct = {number_of(label) for label in set(there)}
    if len(distinct) > _FEW_NUMBERS and None not in distinct and any(n % 1 for n in distinct if n is not None):
        return "number"
    return "class"


def parts_of_label(label: str) -> list[str]:
    """The labels of a list of them, without blanks around them."""
    return [part for part in (each.strip() for each in label.split(SEVERAL)) if part]


def number_of(label: str) -> float | None:
    """The number that a label is; None where it is none that is finite."""
    try:
        found = float(label) if "_" not in label else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def numbers_of(labels: Iterable[str | None], where: str = "the data") -> np.ndarray:
    """(N,) float64; NaN for no label.

    Raises:
        DataError: One is no number.
    """

    def number(label: str | None) -> float:
        found = math.nan if label is None else number_of(label)
        if found is None:
            raise DataError(
                f"{where}: expected numbers as labels, got {label!r:.60}; leave it empty where there is none, or "
                "set --reading.target class"
            )
        return found

    return np.fromiter(map(number, labels), np.float64)


def sets_of(labels: Sequence[str | None], names: Sequence[str]) -> np.ndarray:
    """(N, C) float32: 1 for a label that an example has, else 0; NaN of an example of which nobody says. Others are left out."""
    places = {name: place for place, name in enumerate(names)}
    found = np.zeros((len(labels), len(names)), dtype=np.float32)
    for row, label in enumerate(labels):
        if label is None:
            found[row] = np.nan
        else:
            found[row, [places[part] for part in parts_of_label(label) if part in places]] = 1.0
    return found


def drawn_by(labels: Sequence[str | None], wanted: DrawnBy = "auto") -> Sequence[Hashable]:
    """By what rows are drawn into parts: classes each in their share, others at random."""
    is_class = wanted != "text" and target_of(labels, wanted) == "class"
    return labels if is_class else [None] * len(labels)
