"""The lengths of rows: how many steps of each row are valid, the rest being padding."""

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
    """The lengths as a `(B,)` int64 tensor on `device`, checked.

    Lengths that are on a GPU are checked there, without waiting for it: a wrong number stops the GPU, as a wrong index does.

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
    if is_recorded():  # there are no values to check yet; the compiled backend checks them when it runs
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
    """Turn numbers into a tensor on the CPU, whatever the default device is; a tensor is returned as it is."""
    if isinstance(given, torch.Tensor):
        return given
    if torch.compiler.is_dynamo_compiling() and _are_integers(given):
        # torch.tensor would make each number a constant of the graph, so that each batch needs a new graph. As an argument
        # of torch.full a number stays a variable.
        return torch.cat([torch.full((1,), n, dtype=torch.int64, device="cpu") for n in given])
    return torch.as_tensor(given, device="cpu")


def moved(given: Lengths, device: torch.device) -> Tensor:
    """The lengths as a tensor on `device`."""
    return as_tensor(given).to(device)


def takes_lists(method: AnyMethod) -> AnyMethod:
    """Wrap a method so that it gets tensors in place of lists and tuples of integers, before torch.compile sees them.

    torch.compile treats a tensor as a variable, but a list as a constant: other lengths would need another graph. So the frame of
    this wrapper is hidden from torch.compile if compilation would begin with it. Inside other compiled code hiding would be of no
    use, as torch.compile has already seen the list.
    """

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:  # without a comprehension, which would have a frame of its own
        # Lengths can only follow `self` and the input.
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
    for n in given:  # a generator in `all` would have a frame of its own
        if not isinstance(n, int | np.integer):
            return False
    return len(given) > 0


hide(_tensor_for_list)
hide(_are_integers)
