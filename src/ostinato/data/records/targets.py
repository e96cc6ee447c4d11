"""The kinds of labels of examples: one class, several labels at once, or a number."""

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
_FEW_NUMBERS = 10  # up to so many different numbers may be classes, such as stars from 0.5 to 5


def target_of(labels: Collection[str | None], wanted: TargetName = "auto") -> Target:
    """Find the kind of labels.

    Args:
        labels: The labels as they are written; None for an example without one.
        wanted: The kind; or "auto" to find it in the labels. It is "several" if a label is a list (`a;b`) with a part
            that other labels have too; "number" if all labels are numbers, more than ten different ones, and some have
            fractions; else "class".
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
    """Split a list of labels into its labels, without blanks around them."""
    return [part for part in (each.strip() for each in label.split(SEVERAL)) if part]


def number_of(label: str) -> float | None:
    """Return a label as a number; None if it is not a finite number."""
    try:
        found = float(label) if "_" not in label else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def numbers_of(labels: Iterable[str | None], where: str = "the data") -> np.ndarray:
    """Return labels as numbers, (N,) float64; NaN for an example without a label.

    Raises:
        DataError: A label is no number.
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
    """Return (N, C) float32: 1 for each label that an example has, else 0; a row of NaN for an example without labels.

    Labels that are not in `names` are ignored.
    """
    places = {name: place for place, name in enumerate(names)}
    found = np.zeros((len(labels), len(names)), dtype=np.float32)
    for row, label in enumerate(labels):
        if label is None:
            found[row] = np.nan
        else:
            found[row, [places[part] for part in parts_of_label(label) if part in places]] = 1.0
    return found


def drawn_by(labels: Sequence[str | None], wanted: DrawnBy = "auto") -> Sequence[Hashable]:
    """Return the labels to stratify a split by: classes, or the same value for all rows if labels are no classes."""
    is_class = wanted != "text" and target_of(labels, wanted) == "class"
    return labels if is_class else [None] * len(labels)
