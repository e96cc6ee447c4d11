"""Memory that is used again: a fresh large tensor costs more in page faults than in arithmetic."""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Callable

import numpy as np
import torch

from ostinato.locks import lock
from ostinato.types import Tensor

KEPT_BYTES = 1 << 30  # what is kept for the next call at most
_GRAIN = 1 << 16  # bytes; below, the system's allocator is quicker, and keeps what it is given back

# Bytes of the pages that larger blocks ask for. Where weights lie in small ones, the table of addresses is read from memory anew
# with every few kilobytes of them.
HUGE = 1 << 21

# `new_empty` takes half the time of `torch.empty`, and asks for no default device. Made when first used: this module may be
# imported while torch.compile makes shapes, where a tensor that is made has no memory.
_like: dict[torch.dtype, Tensor] = {}
_NUMPY = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.uint8: np.uint8,
    torch.int8: np.int8,
    torch.int32: np.int32,
}


class _Lent(np.ndarray):
    """torch holds this array as long as any tensor on its memory lives; its end is how the pool hears of it."""

    block: np.ndarray | None = None
    back: Callable[[np.ndarray], None]

    def __del__(self) -> None:
        if self.block is not None:  # else a view
            self.back(self.block)


class Pool:
    """Hands out tensors of memory that comes back by itself when nobody holds them any more.

    Attributes:
        poison: fill what is handed out with NaN, so that a read of what was never written shows; for tests.
    """

    def __init__(self) -> None:
        self.poison = False
        self._free: dict[int, list[np.ndarray]] = {}
        self._kept = 0
        # Reentrant: memory may come back, by the garbage collector, while some is being handed out.
        self._lock = lock()

    def take(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """A tensor of this shape, on CPU, with whatever was in the memory before."""
        wanted = math.prod(shape) * dtype.itemsize
        if wanted < _GRAIN:
            try:
                like = _like[dtype]
            except KeyError:
                like = _like[dtype] = torch.zeros(0, dtype=dtype, device="cpu")
            given = like.new_empty(*shape)  # as a tuple it takes half as long again
        else:
            size = 1 << (wanted - 1).bit_length()
            if size - wanted > size // 4:  # three quarters of a power of two, where that is enough
                size -= size // 4
            block = self._block(size)
            lent = block[:wanted].view(_NUMPY[dtype]).reshape(shape).view(_Lent)
            lent.block, lent.back = block, self._back
            given = torch.from_numpy(lent)
        if self.poison:
            given.fill_(float("nan"))
        return given

    def like(self, v: Tensor) -> Tensor:
        """The same of the shape and the type of a contiguous tensor."""
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
        """Give what is kept back to the system."""
        with self._lock:
            self._free.clear()
            self._kept = 0


def _fresh(size: int) -> np.ndarray:
    """Memory of the system's, in large pages where it has such for whoever asks."""
    if size < 2 * HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(size, dtype=torch.uint8, device="cpu").numpy()
    mapped = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        mapped.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(mapped, np.uint8)
    begin = -whole.ctypes.data % HUGE
    return whole[begin : begin + size]


pool = Pool()
