"""Memory that is used again: a fresh large tensor costs more in page faults than in arithmetic."""

from __future__ import annotations

import threading
import weakref

import torch

from ostinato.types import Tensor

KEPT_BYTES = 1 << 30  # what is kept for the next call at most
_GRAIN = 1 << 12


class Pool:
    """Hands out tensors of memory that comes back by itself when nobody holds them any more.

    Attributes:
        poison: fill what is handed out with NaN, so that a read of what was never written shows; for tests.
    """

    def __init__(self) -> None:
        self.poison = False
        self._free: dict[int, list[Tensor]] = {}
        self._kept = 0
        # Reentrant: memory may come back, by the garbage collector, while some is being handed out.
        self._lock = threading.RLock()

    def take(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """A tensor of this shape, on CPU, with whatever was in the memory before."""
        numbers = 1
        for size in shape:
            numbers *= size
        wanted = numbers * dtype.itemsize
        if wanted < _GRAIN:
            given = torch.empty(shape, dtype=dtype)
        else:
            size = 1 << (wanted - 1).bit_length()
            if size - wanted > size // 4:  # three quarters of a power of two, where that is enough
                size -= size // 4
            given = self._block(size)[:wanted].view(dtype).view(shape)
        if self.poison:
            given.fill_(float("nan"))
        return given

    def _block(self, size: int) -> Tensor:
        with self._lock:
            waiting = self._free.get(size)
            memory = waiting.pop() if waiting else None
            if memory is not None:
                self._kept -= size
        if memory is None:
            memory = torch.empty(size, dtype=torch.uint8)
        # torch holds this array as long as any tensor on its memory lives; its end is how we hear of it.
        array = memory.numpy()[:]
        weakref.finalize(array, self._back, memory).atexit = False
        return torch.from_numpy(array)

    def _back(self, memory: Tensor) -> None:
        size = memory.numel()
        with self._lock:
            if self._kept + size <= KEPT_BYTES:
                self._free.setdefault(size, []).append(memory)
                self._kept += size

    def clear(self) -> None:
        """Give what is kept back to the system."""
        with self._lock:
            self._free.clear()
            self._kept = 0


pool = Pool()
