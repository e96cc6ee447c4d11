"""Weights in the order in which the products read them; packed again when the parameter has changed."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.weak import WeakIdKeyDictionary

from ostinato.kernels.cpu.checksum import checksum
from ostinato.kernels.cpu.memory import pool
from ostinato.kernels.cpu.product import Shape
from ostinato.kernels.cpu.threads import run
from ostinato.types import Tensor


@dataclass(frozen=True)
class Packing:
    """Which rows of a weight make the panels.

    Attributes:
        gates: the blocks of `units` rows that are used, in the order in which they lie in a unit block.
        units: rows of a block.
        transposed: pack for a product with the transposed weight.
        paired: in bfloat16, as `tiles` wants it; the functions must have `pair_share`.
    """

    gates: tuple[int, ...]
    units: int
    transposed: bool
    paired: bool = False


@functools.lru_cache(maxsize=256)
def _row_places(packing: Packing, lanes: int, row: int) -> np.ndarray:
    """For each place `(block, gate, lane)` how many bytes the row of the weight lies behind its first, or -1 past the last unit."""
    blocks = -(-packing.units // lanes)
    unit = np.arange(blocks * lanes).reshape(blocks, 1, lanes)
    gate = np.array(packing.gates).reshape(1, -1, 1)
    return np.where(unit < packing.units, (gate * packing.units + unit) * row, -1).reshape(-1)


@dataclass
class _Packed:
    version: int
    address: int
    shape: tuple[int, ...]
    checksum: bytes | None
    panels: Tensor


_packed: MutableMapping[Tensor, dict[tuple[Packing, Shape], _Packed]] = WeakIdKeyDictionary()


def packed(weight: Tensor, packing: Packing, shape: Shape, functions: Mapping[str, int]) -> Tensor:
    """Panels of a weight, `(R, K)` contiguous."""
    kept = _packed.setdefault(weight, {})
    key = (packing, shape)
    found = kept.get(key)
    # Tensors made in inference mode have no version; for them the bits have to tell.
    seen = 0 if weight.is_inference() else weight._version, weight.data_ptr(), weight.shape
    again = found is not None and (found.version, found.address, found.shape) == seen
    # Whoever writes through `.data` leaves no trace in the version, so the bits are looked at: from the second use on, as in
    # training there is none.
    sums = checksum(weight, functions) if again else None
    if found is not None and sums is not None and found.checksum == sums:
        return found.panels
    panels = pack(weight, packing, shape, functions)
    kept[key] = _Packed(*seen, sums, panels)
    return panels


def pack(weight: Tensor, packing: Packing, shape: Shape, functions: Mapping[str, int]) -> Tensor:
    """Panels of a weight, newly made."""
    places = _row_places(packing, shape.lanes, weight.shape[1] * shape.bytes)
    sources = np.where(places < 0, 0, weight.data_ptr() + places)
    depth, columns = (places.size, weight.shape[1]) if packing.transposed else (weight.shape[1], places.size)
    panels = -(-columns // shape.panel)
    to = pool.take(panels, depth, shape.panel, dtype=weight.dtype)
    loop = functions["pack_share" if packing.transposed else "pack_transposed_share"]
    fields = (ctypes.c_int64 * 4)(to.data_ptr(), sources.ctypes.data, depth, columns)
    threads = min(panels, _threads(weight.numel() * weight.itemsize))
    run(functions["region"], loop, ctypes.addressof(fields), threads)
    if packing.paired:
        fields = (ctypes.c_int64 * 3)(to.data_ptr(), panels, depth)
        run(functions["region"], functions["pair_share"], ctypes.addressof(fields), threads)
    return to


def _threads(bytes_: int) -> int:
    """A small weight is done before a second thread has come."""
    return torch.get_num_threads() if bytes_ > 1 << 17 else 1
