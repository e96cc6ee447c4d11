"""How many steps of each row are real: the checks, and the way from and to `PackedSequence`."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import PackedSequence

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


def unpack(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """`(T, B, I)` in the order of the user's batch, and its lengths `(B,)`."""
    places, lengths = _places(packed)
    steps, rows = packed.batch_sizes.numel(), lengths.numel()
    flat = packed.data.new_zeros(steps * rows, *packed.data.shape[1:]).index_copy(0, places, packed.data)
    return flat.view(steps, rows, *packed.data.shape[1:]), lengths


def repack(output: Tensor, lengths: Tensor, like: PackedSequence) -> PackedSequence:
    """`(T, B, F)` packed as `like` is, whose lengths these are."""
    places, _ = _places(like)
    data = output.flatten(0, 1).index_select(0, places)
    return PackedSequence(data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)


def _places(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """For each row of the data its place in `(T, B)`, and the lengths `(B,)`; torch's own functions go step by step."""
    sizes, device = packed.batch_sizes, packed.data.device
    rows = int(sizes[0])
    here = torch.arange(rows) < sizes[:, None]
    order = torch.arange(rows) if packed.sorted_indices is None else packed.sorted_indices.cpu()
    places = (torch.arange(sizes.numel())[:, None] * rows + order)[here]
    lengths = torch.empty(rows, dtype=torch.int64).index_copy_(0, order, here.sum(0))
    return places.to(device), lengths.to(device)
