"""Nested states: tensors inside tuples, lists, dicts and dataclasses, to any depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch


def map_tensors(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Returns a copy of `tree` with `function` applied to each tensor; what is no tensor stays as it is.

    Args:
        function: from a tensor, and what `others` have in its place, to what takes its place.
        tree: tensors in mappings, tuples, named tuples, lists and dataclasses.
        others: built like `tree`, down to its tensors; a mapping may be of another type, as may a list.
    """
    if isinstance(tree, torch.Tensor):
        return function(tree, *others)
    if isinstance(tree, Mapping):
        return {key: map_tensors(function, value, *(other[key] for other in others)) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        values = (map_tensors(function, *each) for each in zip(tree, *others, strict=True))
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = [field.name for field in dataclasses.fields(tree) if field.init]
        values = {name: map_tensors(function, *(getattr(each, name) for each in (tree, *others))) for name in names}
        return dataclasses.replace(tree, **values)
    return tree


def tensors_of(tree: Any) -> list[torch.Tensor]:
    """The tensors of `tree`, in the order in which `map_tensors` meets them."""
    found: list[torch.Tensor] = []
    map_tensors(found.append, tree)
    return found


def is_plain(tree: Any) -> bool:
    """True where `pack` and `unpack` give back the very same: no named tuples, dataclasses and other types."""
    if isinstance(tree, Mapping):
        return type(tree) is dict and all(type(key) in (str, int) and is_plain(value) for key, value in tree.items())
    if isinstance(tree, tuple | list):
        return type(tree) in (tuple, list) and all(map(is_plain, tree))
    return tree is None or isinstance(tree, torch.Tensor | bool | int | float | str)


def pack(tree: Any, prefix: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Moves the tensors of `tree` into `tensors`, under names that begin with `prefix`, and returns what is left.

    What is left can be written as JSON, and `unpack` turns it back. Tuples, lists, dicts (with keys of type str or int),
    tensors, numbers, strings, booleans and None are kept exactly; a named tuple comes back as a tuple.

    Raises:
        TypeError: something of another type is in the tree.
    """
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, torch.Tensor):
        tensors[prefix] = tree
        return {"tensor": prefix}
    if isinstance(tree, Mapping):
        return {"dict": [[key, pack(value, f"{prefix}.{key}", tensors)] for key, value in tree.items()]}
    if isinstance(tree, tuple | list):
        kind = "tuple" if isinstance(tree, tuple) else "list"
        return {kind: [pack(value, f"{prefix}.{i}", tensors) for i, value in enumerate(tree)]}
    raise TypeError(f"{prefix}: expected tensors in tuples, lists and dicts, got a {type(tree).__name__}")


def unpack(packed: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The inverse of `pack`.

    Raises:
        KeyError: a tensor is missing.
    """
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: unpack(value, tensors) for key, value in content}
    values = [unpack(value, tensors) for value in content]
    return tuple(values) if kind == "tuple" else values
