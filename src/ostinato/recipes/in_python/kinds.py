"""What kind of value a plain value is: numbers, texts, a picture, a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ostinato.recipes.in_python.frames import cells_of, is_column, is_frame

if TYPE_CHECKING:
    from PIL.Image import Image


def is_array(given: Any) -> bool:
    """Whether it is an array of NumPy, a tensor of torch, or something that NumPy reads without a copy."""
    return isinstance(given, np.ndarray) or hasattr(given, "detach") or hasattr(given, "__array_interface__")


def is_picture(given: Any) -> TypeGuard[Image]:
    """Whether it is an image of Pillow."""
    return any(each.__name__ == "Image" and each.__module__ == "PIL.Image" for each in type(given).__mro__)


def is_list(given: Any) -> bool:
    """Whether it is a list, a tuple, a column or an array of texts, and no array of numbers, text or mapping."""
    return (
        isinstance(given, list | tuple)
        or is_column(given)
        or (isinstance(given, np.ndarray) and given.dtype.kind in "OUS")
    )


def items_of(given: Any) -> list[Any]:
    """The items of something that `is_list` accepts; None for missing cells of a column."""
    if is_column(given):
        return cells_of(given)
    return given.tolist() if isinstance(given, np.ndarray) else list(given)


def numbers_of(given: Any) -> np.ndarray | None:
    """An array of numbers from an array or tensor, a column, or nested lists of equal lengths; None for others.

    None in a list is a missing number, NaN.
    """
    if hasattr(given, "detach"):
        tensor = given.detach().cpu()
        return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
    if is_picture(given) or isinstance(given, str | bytes | Mapping) or is_frame(given):
        return None
    if is_column(given):
        given = cells_of(given)
    if isinstance(given, list | tuple) and any(is_picture(each) for each in given):
        return None
    if not (isinstance(given, list | tuple | int | float) or is_array(given)) or not _begins_with_numbers(given):
        return None
    try:
        found = np.asarray(given)
        if found.dtype.kind == "O" and _has_numbers(given):
            found = np.asarray(given, dtype=np.float64)  # None is NaN
    except (TypeError, ValueError):
        return None  # lists of several lengths
    return found if found.dtype.kind in "iufb" else None


def _begins_with_numbers(given: Any) -> bool:
    """Whether the first item in nested lists is a number: NumPy would make all texts as wide as the longest."""
    while isinstance(given, list | tuple):
        first = next((each for each in given if each is not None), None)
        if first is None:
            return True
        given = first
    return isinstance(given, int | float | np.number) or is_array(given)


def _has_numbers(given: Any) -> bool:
    """Whether nested lists hold numbers and None only."""
    if is_list(given):
        return all(_has_numbers(each) for each in items_of(given))
    if is_array(given):
        return np.asarray(given).dtype.kind in "iufb"
    return given is None or (isinstance(given, int | float | np.number) and not isinstance(given, bool))


def is_path(given: Any) -> TypeGuard[os.PathLike[str]]:
    """Whether it is a path object, so that it cannot be a text."""
    return isinstance(given, os.PathLike)


def told(given: Any) -> str:
    """What a value is, in words for a message."""
    if is_list(given) and not len(given):
        return f"an empty {type(given).__name__}"
    if (numbers := None if isinstance(given, int | float) else numbers_of(given)) is not None:
        return f"numbers {tuple(numbers.shape)}"
    if isinstance(given, str):
        return f"the text {given[:40]!r}"
    if is_list(given):
        items: Sequence[Any] = items_of(given)
        return f"a {type(given).__name__} of {type(items[0]).__name__}"
    name = type(given).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
