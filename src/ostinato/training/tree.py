"""Nested states: tensors inside tuples, lists, dicts and dataclasses, to any depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch


def map_tensors(function: Callable[[torch.Tensor], torch.Tensor], tree: Any) -> Any:
    """Returns a copy of `tree` with `function` applied to each tensor; what is no tensor stays as it is."""
    if isinstance(tree, torch.Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: map_tensors(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_tensors(function, value) for value in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(map_tensors(function, value) for value in tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = (field.name for field in dataclasses.fields(tree) if field.init)
        return dataclasses.replace(tree, **{name: map_tensors(function, getattr(tree, name)) for name in fields})
    return tree


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
