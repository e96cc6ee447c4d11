"""A pool of memory that is used again: with a new large tensor, page faults take longer than the arithmetic."""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Callable

import numpy as np
import torch

from ostinato.locks import lock
from ostinato.types import Tensor

KEPT_BYTES = 1 << 30  # at most so much free memory is kept for later calls
_GRAIN = 1 << 18  # bytes; below this size the system's allocator is quicker, and keeps freed memory itself

# Bytes of the large pages that larger blocks ask for. With weights in small pages, the processor must look up the address of a page
# every few kilobytes.
HUGE = 1 << 21

# For each dtype a tensor whose `new_empty` is called: that takes half the time of `torch.empty`, and ignores the default device.
# Made at the first use: this module may be imported while torch.compile computes shapes, when a new tensor has no memory.
_like: dict[torch.dtype, Tensor] = {}
_NUMPY = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.uint8: np.uint8,
    torch.int8: np.int8,
    torch.int32: np.int32,
}


class _Lent(np.ndarray):
    """An array that torch holds as long as a tensor uses its memory; when it is freed, the memory goes back to the pool."""

    block: np.ndarray | None = None
    back: Callable[[np.ndarray], None]

    def __del__(self) -> None:
        if self.block is not None:  # a view of the array has no block
            self.back(self.block)


class Pool:
    """Gives out tensors whose memory comes back by itself when nothing refers to them any more.

    Attributes:
        poison: fill new tensors with NaN, so that tests notice a read of memory that was never written.
    """

    def __init__(self) -> None:
        self.poison = False
        self._free: dict[int, list[np.ndarray]] = {}
        self._kept = 0
        # Reentrant: memory may come back, by the garbage collector, while some is being given out.
        self._lock = lock()

    def take(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """A tensor of this shape, on CPU, with whatever was in the memory before."""
        wanted = math.prod(shape) * dtype.itemsize
        if wanted < _GRAIN:
            given = self.nothing(dtype).new_empty(*shape)  # with the shape as a tuple it takes 1.5 times as long
        else:
            size = 1 << (wanted - 1).bit_length()
            if size - wanted > size // 4:  # three quarters of a power of two are enough
                size -= size // 4
            block = self._block(size)
            lent = block[:wanted].view(_NUMPY[dtype]).reshape(shape).view(_Lent)
            lent.block, lent.back = block, self._back
            given = torch.from_numpy(lent)
        if self.poison:
            given.fill_(float("nan"))
        return given

    @staticmethod
    def nothing(dtype: torch.dtype) -> Tensor:
        """A tensor without numbers, always the same one; not to be changed."""
        try:
            return _like[dtype]
        except KeyError:
            with torch.inference_mode(False):  # or a graph of autograd may not hold it
                return _like.setdefault(dtype, torch.zeros(0, dtype=dtype, device="cpu"))

    def like(self, v: Tensor) -> Tensor:
        """Like `take`, with the shape and dtype of a contiguous tensor."""
        if v.nbytes < _GRAIN and not self.poison:
            return torch.empty_like(v)
        return self.take(*v.shape, dtype=v.dtype)

    def _block(self, size: int) -> np.ndarray:
        with self._lock:
            waiting = self._free.get(size)
            if waiting:
                self._kept -= size
                return waiting.pop()
        return _fresh(size)

    def _back(self, block: np.ndarray) -> None:
        with self._lock:
            if self._kept + block.size <= KEPT_BYTES:
                self._free.setdefault(block.size, []).append(block)
                self._kept += block.size

    def clear(self) -> None:
        """Give all free memory back to the system."""
        with self._lock:
            self._free.clear()
            self._kept = 0


def _fresh(size: int) -> np.ndarray:
    """Take new memory from the system, in large pages if the system gives them on request."""
    if size < 2 * HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(size, dtype=torch.uint8, device="cpu").numpy()
    mapped = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel of the system without large pages
        mapped.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(mapped, np.uint8)
    begin = -whole.ctypes.data % HUGE
    return whole[begin : begin + size]


pool = Pool()
