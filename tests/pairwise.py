"""Of tests that run over a cross of factors, a selection in which every two values of two factors still meet."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pytest

Row = Mapping[Any, Hashable]


def meetings(row: Row, of: int = 2) -> frozenset[tuple[Any, ...]]:
    """Every `of` factors of a row with their values; where it has fewer factors, those."""
    return frozenset(combinations(row.items(), min(of, len(row))))


def covering(rows: Sequence[Row], of: int = 2) -> list[int]:
    """The places of few rows in which all values meet that meet in any of `rows`; always the same for the same rows.

    Greedy: each time the first of the rows in which most of what is missing meets. What the rows leave out, as values that do not
    go together, is not asked for.

    Args:
        rows: the value of each factor, by its name; every row has the same names in the same order.
        of: how many values meet; 1 where it is enough that there is each value.

    Returns:
        Places in `rows`, ascending.
    """
    met = [meetings(row, of) for row in rows]
    missing = set().union(*met)
    chosen = []
    while missing:
        chosen.append(max(range(len(met)), key=lambda at: len(met[at] & missing)))
        missing -= met[chosen[-1]]
    return sorted(chosen)


def factors(item: pytest.Item) -> dict[str, Hashable]:
    """What a test is called with, by name; the fields of a dataclass each on its own."""
    found: dict[str, Any] = {}
    for name, value in item.callspec.params.items():  # pyright: ignore[reportAttributeAccessIssue]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= {f"{name}.{field.name}": getattr(value, field.name) for field in dataclasses.fields(value)}
        else:
            found[name] = value
    return {name: identity(value) for name, value in found.items()}


def identity(value: Any) -> Hashable:
    """What tells a value from others: itself with its type, as True is 1; or, without a hash, which object it is."""
    try:
        hash(value)
    except TypeError:
        return id(value)
    return (type(value), value)


def beyond_pairs(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Of the tests marked `cross`, those that the selection of their function does without."""
    crosses: dict[str, list[pytest.Item]] = {}
    strengths: dict[str, int] = {}
    for item in items:
        if marker := item.get_closest_marker("cross"):
            name = item.nodeid.partition("[")[0]
            crosses.setdefault(name, []).append(item)
            strengths[name] = marker.kwargs.get("of", 2)
    left = []
    for name, cross in crosses.items():
        chosen = set(covering([factors(item) for item in cross], strengths[name]))
        left += [item for at, item in enumerate(cross) if at not in chosen]
    return left
