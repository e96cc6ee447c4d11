"""How many steps of each row are real."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import torch

from ostinato.nn.dynamo import hide
from ostinato.recorded import is_recorded
from ostinato.types import Lengths, Tensor

AnyMethod = TypeVar("AnyMethod", bound=Callable[..., Any])


def as_lengths(given: Lengths | int, rows: int, steps: int, device: torch.device) -> Tensor:
    """`(B,)` int64 on `device`.

    Lengths that are on a GPU are looked at there, without waiting for it: numbers that are wrong stop it, as a wrong index does.

    Raises:
        TypeError: if they are not integers.
        ValueError: if there is not one for each row, or one is not in [0, T].
    """
    try:
        lengths = given if isinstance(given, torch.Tensor) else as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"lengths expected a tensor or a list of integers, got {type(given).__name__}") from None
    if lengths.numel() == 0 and rows == 0:
        return torch.zeros(0, dtype=torch.int64, device=device)
    if lengths.dtype == torch.bool or lengths.is_floating_point() or lengths.is_complex():
        raise TypeError(f"lengths expected integers, got {lengths.dtype}")
    if lengths.dim() == 0 and rows == 1:
        lengths = lengths[None]
    if tuple(lengths.shape) != (rows,):
        raise ValueError(
            f"lengths expected one number for each of the {rows} rows, got the shape {tuple(lengths.shape)}"
        )
    lengths = lengths.to(torch.int64)
    if lengths.is_meta:
        return lengths
    if is_recorded():  # there are no values to look at; the compiled backend does so when it runs
        return lengths.to(device)
    expected = f"lengths expected numbers from 0 to the {steps} time steps of the input"
    if lengths.is_cuda and device.type == "cuda":
        torch.ops.aten._assert_async.msg(((lengths >= 0) & (lengths <= steps)).all(), expected)
        return lengths.to(device)
    low, high = int(lengths.min()), int(lengths.max())
    if low < 0 or high > steps:
        raise ValueError(f"{expected}, got {low} to {high}")
    return lengths.to(device, non_blocking=True)


def as_tensor(given: Any) -> Tensor:
    """Numbers as a tensor on the CPU, whatever the default device is; a tensor as it is."""
    if isinstance(given, torch.Tensor):
        return given
    if torch.compiler.is_dynamo_compiling() and _are_integers(given):
        # torch.tensor would make a constant of each, and with it a new graph for each batch; a number to fill with stays one.
        return torch.cat([torch.full((1,), n, dtype=torch.int64, device="cpu") for n in given])
    return torch.as_tensor(given, device="cpu")


def moved(given: Lengths, device: torch.device) -> Tensor:
    """Lengths where they are needed."""
    return as_tensor(given).to(device)


def takes_lists(method: AnyMethod) -> AnyMethod:
    """A method that is given tensors in the place of lists and tuples of integers, before torch.compile looks.

    torch.compile takes a tensor for what changes from call to call, but a list for a part of the program: other lengths would be
    another graph. So where the call begins with this method, its first frame is hidden; inside of what somebody else compiles there
    is nothing to hide, as the list has been seen.
    """

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:  # without a comprehension, which is a frame of its own
        # Lengths come behind the input.
        if (kwargs or len(args) > 2) and not torch.compiler.is_compiling():
            args = tuple(map(_tensor_for_list, args))
            for name, given in kwargs.items():
                kwargs[name] = _tensor_for_list(given)
        return method(*args, **kwargs)

    hide(call)
    return cast("AnyMethod", call)


def _tensor_for_list(given: Any) -> Any:
    return torch.tensor(given, device="cpu") if _are_integers(given) else given


def _are_integers(given: Any) -> bool:
    kind = type(given)  # pyright: ignore[reportUnknownVariableType]
    if kind is not list and kind is not tuple:
        return False
    for n in given:  # `all` would be given a frame of its own
        if not isinstance(n, int | np.integer):
            return False
    return len(given) > 0


hide(_tensor_for_list)
hide(_are_integers)
