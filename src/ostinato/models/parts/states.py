"""Recurrent states: tensors nested in tuples and lists to any depth, with the batch second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def map_state(function: Callable[[torch.Tensor], torch.Tensor], state: Any) -> Any:
    """Applies `function` to each tensor, and keeps the nesting; None stays None."""
    if state is None or isinstance(state, torch.Tensor):
        return None if state is None else function(state)
    return type(state)(map_state(function, part) for part in state)


def replace_rows(state: Any, fresh: Any, begins: torch.Tensor) -> Any:
    """Takes the states `fresh` for the rows that begin a text, and `state` for the others.

    Args:
        state: tensors (L D, B, H), or a list over layers of (D, B, H) if their widths differ.
        fresh: of the same shapes.
        begins: (B,) bool.
    """
    if isinstance(state, torch.Tensor):
        return torch.where(begins[:, None], fresh.to(state.dtype), state)
    return type(state)(replace_rows(old, new, begins) for old, new in zip(state, fresh, strict=True))
