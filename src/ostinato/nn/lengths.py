"""How many steps of each row are real."""

from __future__ import annotations

import torch

from ostinato.recorded import is_recorded
from ostinato.types import Lengths, Tensor

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def as_lengths(given: Lengths | int, rows: int, steps: int, device: torch.device) -> Tensor:
    """`(B,)` int64 on `device`.

    Raises:
        TypeError: if they are not integers.
        ValueError: if there is not one for each row, or one is not in [0, T].
    """
    try:
        lengths = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"lengths expected a tensor or a list of integers, got {type(given).__name__}") from None
    if lengths.numel() == 0 and rows == 0:
        return torch.zeros(0, dtype=torch.int64, device=device)
    if lengths.dtype not in _INTEGERS:
        raise TypeError(f"lengths expected integers, got {lengths.dtype}")
    if lengths.dim() == 0 and rows == 1:
        lengths = lengths[None]
    if tuple(lengths.shape) != (rows,):
        raise ValueError(
            f"lengths expected one number for each of the {rows} rows, got the shape {tuple(lengths.shape)}"
        )
    if lengths.is_meta:
        return lengths.to(torch.int64)
    if is_recorded():  # there are no values to look at; the compiled backend does so when it runs
        return lengths.to(device=device, dtype=torch.int64)
    low, high = int(lengths.min()), int(lengths.max())
    if low < 0 or high > steps:
        raise ValueError(f"lengths expected numbers from 0 to the {steps} time steps of the input, got {low} to {high}")
    return lengths.to(device=device, dtype=torch.int64)
