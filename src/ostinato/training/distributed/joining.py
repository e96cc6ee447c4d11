"""Adding up what several processes have gathered."""

from __future__ import annotations

from collections.abc import Sized
from numbers import Number
from typing import Any

import numpy as np
import torch

_ADDED = (Number, np.generic, str, bytes, tuple)


def joined(mine: Any, theirs: Any) -> Any:
    """Add `theirs` to `mine`, in place if `mine` can be changed, and return the sum.

    Lists, texts and tuples are concatenated; sets are united; of dicts, the values of equal keys are joined; numbers, tensors and
    arrays are added. None adds nothing.

    Raises:
        TypeError: the two cannot be joined: objects of a class without `__iadd__`, or arrays of different shapes.
    """
    if mine is None or theirs is None:
        return theirs if mine is None else mine
    if isinstance(mine, dict):
        for key, value in theirs.items():
            mine[key] = joined(mine[key], value) if key in mine else value
        return mine
    if isinstance(mine, set | frozenset):
        return mine | theirs
    if isinstance(mine, torch.Tensor) and isinstance(theirs, torch.Tensor):
        theirs = theirs.to(mine.device)
    kinds = (torch.Tensor, np.ndarray)
    if isinstance(mine, kinds) and isinstance(theirs, kinds):
        if tuple(mine.shape) != tuple(theirs.shape):
            raise TypeError(
                f"shapes {tuple(mine.shape)} and {tuple(theirs.shape)} cannot be added; keep a list of them"
            )
        total: Any = mine + theirs
        if total.dtype != mine.dtype:
            return total
    if not isinstance(mine, _ADDED) and not hasattr(mine, "__iadd__"):
        raise TypeError(f"{type(mine).__name__} has no __iadd__")  # its + may be another: of two metrics, a third
    both: Any = mine
    try:
        both += theirs
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(" ".join(str(error).split())) from error
    return both


def adds_nothing(value: Any) -> bool:
    """Whether joining `value` with another leaves the other unchanged; True for kinds that are not known here."""
    if value is None:
        return True
    if isinstance(value, dict):
        return all(map(adds_nothing, value.values()))
    if isinstance(value, torch.Tensor | np.ndarray):
        return not value.any()
    if isinstance(value, bool | int | float | complex | np.generic):
        return not value
    return len(value) == 0 if isinstance(value, Sized) else True
