"""Recurrent states: tensors nested in tuples and lists to any depth, with the batch second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def map_state(function: Callable[[torch.Tensor], torch.Tensor], state: Any) -> Any:
    """The same nesting, with `function` of each tensor; None stays None."""
    if state is None or isinstance(state, torch.Tensor):
        return None if state is None else function(state)
    return type(state)(map_state(function, part) for part in state)


def replace_rows(state: Any, fresh: Any, begins: torch.Tensor) -> Any:
    """`fresh` for the rows that begin a text, `state` for the others.

    Args:
        state: tensors (L D, B, H), or (D, B, H) by layer where widths differ.
        fresh: of the same shapes.
        begins: (B,) bool.
    """
    if isinstance(state, torch.Tensor):
        return torch.where(begins[:, None], fresh.to(state.dtype), state)
    return type(state)(replace_rows(old, new, begins) for old, new in zip(state, fresh, strict=True))
