"""Checking that values read from a file have the types of a dataclass' fields."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ostinato.cell_names import CellName, expected, names_a_cell

_WORDS = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "settings by name",
}


@functools.cache
def field_types(kind: type[Any]) -> dict[str, Any]:
    """The types of the fields of a dataclass, by name."""
    return get_type_hints(kind)


def fits(kind: Any, value: Any) -> bool:
    """Whether a value is of a type.

    An integer counts as a number; true and false are neither numbers nor integers; NaN is no number. A tuple counts as
    a list.

    Args:
        kind: bool, int, float, str, None, Literal, CellName, list, dict, unions of these, Any, or a class.
        value: a value from YAML, JSON or Python.
    """
    if kind is Any:
        return True
    if kind is CellName:
        return names_a_cell(value)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if origin in (Union, types.UnionType):
        return any(fits(each, value) for each in inner)
    if origin is list:
        return isinstance(value, list | tuple) and all(fits(inner[0], each) for each in value)
    if origin is dict:
        return isinstance(value, Mapping) and all(fits(inner[0], k) and fits(inner[1], v) for k, v in value.items())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def in_words(kind: Any) -> str:
    """A type in words, for error messages."""
    if kind is CellName:
        return expected()
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(each) for each in inner)
    if origin is list and inner[0] in (int, float, str):
        return f"a list of {'integers' if inner[0] is int else 'numbers' if inner[0] is float else 'texts'}"
    return _WORDS.get(origin or kind, str(kind))
