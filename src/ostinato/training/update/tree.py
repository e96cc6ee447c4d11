"""Nested states: tensors inside tuples, lists, dicts and dataclasses, to any depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch


def map_tensors(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Return a copy of `tree` with `function` applied to each tensor; everything else stays as it is.

    Args:
        function: called with a tensor and the values of `others` at its place; returns the value that replaces the tensor.
        tree: tensors in mappings, tuples, named tuples, lists and dataclasses.
        others: trees with the structure of `tree`, down to its tensors; the types of mappings and lists may differ.
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
    """The tensors of `tree`, in the order in which `map_tensors` visits them."""
    found: list[torch.Tensor] = []
    map_tensors(found.append, tree)
    return found


def is_plain(tree: Any) -> bool:
    """Whether `pack` and `unpack` restore the tree exactly: it has no named tuples, dataclasses or other types."""
    if isinstance(tree, Mapping):
        return type(tree) is dict and all(type(key) in (str, int) and is_plain(value) for key, value in tree.items())
    if isinstance(tree, tuple | list):
        return type(tree) in (tuple, list) and all(map(is_plain, tree))
    return tree is None or isinstance(tree, torch.Tensor | bool | int | float | str)


def pack(tree: Any, prefix: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Put the tensors of `tree` into `tensors`, under names that begin with `prefix`, and return the rest of the tree.

    The rest can be written as JSON; `unpack` is the inverse. Tuples, lists, dicts (with keys of type str or int), tensors, numbers,
    strings, booleans and None are restored exactly; a named tuple comes back as a tuple.

    Raises:
        TypeError: the tree contains something of another type.
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
