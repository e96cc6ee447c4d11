"""The rows of a model's sessions: their states in a stream, and further state of the kind of task."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ostinato.errors import StateError

_MARK = b"OSTROWS1"  # begins a state that holds more than the stream's


class Bank:
    """Rows for the states of sessions, which are packed and unpacked many at a time.

    Args:
        stream: `Stream(model, rows=N)`.
        beside: the initial state of each row beside the stream's: arrays `(N, ...)` by name.
        also: a text that describes everything that states depend on beside the model, such as a vocabulary.
        soft: names in `beside` that are left out of the state for clients.

    Attributes:
        signature: 16 bytes; states fit every bank with the same signature.
        size: the bytes of a row's state; None if rows differ.
    """

    def __init__(
        self,
        stream: Any,
        beside: Mapping[str, np.ndarray] | None = None,
        also: str = "",
        *,
        soft: Collection[str] = (),
    ) -> None:
        self.stream = stream
        self.beside = dict(beside or {})
        self._hard = [name for name in self.beside if name not in soft]
        self._fresh = {name: v[:1].copy() for name, v in self.beside.items()}
        varies = bool(getattr(stream, "_evidence", None))
        told = [stream._described(), also, *(f"{n} {v.dtype} {v.shape[1:]}" for n, v in self.beside.items())]
        self.signature = hashlib.blake2b("\n".join(told).encode(), digest_size=16).digest()
        self.size = None if varies else sum(v.shape[1] for v in self._blocks(np.zeros(1, dtype=np.int64)))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.stream.rows

    def grow(self, rows: int) -> None:
        """Extend the bank to `rows` rows."""
        self.stream.grow(rows)
        for name, v in self.beside.items():
            new = np.empty((rows, *v.shape[1:]), dtype=v.dtype)
            new[: len(v)], new[len(v) :] = v, self._fresh[name]
            self.beside[name] = new

    def reset(self, rows: np.ndarray) -> None:
        """Reset rows to the initial state."""
        self.stream.reset(rows)
        for name, v in self.beside.items():
            v[rows] = self._fresh[name]

    # one contiguous block of bytes a row

    def pack(self, rows: np.ndarray) -> list[bytes]:
        """Return the state of each row, for `unpack`."""
        if not len(rows):
            return []
        if self.size is None:
            return [self._packed_one(int(row)) for row in rows]
        whole = np.concatenate(list(self._blocks(rows)), axis=1).tobytes()
        return [whole[at : at + self.size] for at in range(0, len(whole), self.size)]

    def unpack(self, rows: np.ndarray, states: Sequence[bytes]) -> None:
        """Set rows to states from `pack`.

        Raises:
            StateError: a state is not of this bank, and no row has changed.
        """
        if not len(rows):
            return
        if self.size is None:
            before = self.pack(rows)
            try:
                for row, state in zip(rows.tolist(), states, strict=True):
                    self._unpack_one(row, state)
            except StateError:
                for row, state in zip(rows.tolist(), before, strict=True):
                    self._unpack_one(row, state)
                raise
            return
        if any(len(state) != self.size for state in states):
            raise StateError(f"expected states of {self.size} bytes, got {sorted({len(state) for state in states})}")
        table = np.frombuffer(b"".join(states), dtype=np.uint8).reshape(len(rows), self.size)
        at = 0

        def taken(like: torch.Tensor | np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
            nonlocal at
            dtype = torch.empty(0, dtype=like.dtype).numpy().dtype if isinstance(like, torch.Tensor) else like.dtype
            width = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
            part = np.ascontiguousarray(table[:, at : at + width])
            at += width
            return torch.from_numpy(part.view(dtype).reshape(shape).copy())

        n, memory = len(rows), self.stream._memory

        def opened(part: Any) -> Any:
            if isinstance(part, torch.Tensor):
                return taken(part, (n, part.shape[0], *part.shape[2:])).transpose(0, 1).contiguous()
            return type(part)(opened(each) for each in part)

        self.stream.layers.set_state(opened(self.stream.layers.state_of(rows[:1])), rows)
        which = torch.from_numpy(rows)
        for v in memory.values():
            v[which] = taken(v, (n, *v.shape[1:]))
        for v in self.beside.values():
            v[rows] = taken(v, (n, *v.shape[1:])).numpy()

    def _blocks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Give the parts of the states, (n, bytes) uint8 each."""
        n, which = len(rows), torch.from_numpy(rows)
        for part in _tensors(self.stream.layers.state_of(rows)):
            yield _bytes(part.transpose(0, 1).contiguous().numpy(), n)
        for v in self.stream._memory.values():
            yield _bytes(v[which].numpy(), n)
        for v in self.beside.values():
            yield _bytes(v[rows], n)

    def _packed_one(self, row: int) -> bytes:
        return self._beside_one(row, self.beside) + self.stream.state_bytes(row)

    def _unpack_one(self, row: int, state: bytes) -> None:
        size = sum(v[:1].nbytes for v in self.beside.values())
        if len(state) < size:
            raise StateError(f"expected a state of at least {size} bytes, got {len(state)}")
        self.stream.from_bytes(state[size:], row)
        self._put_beside(row, state[:size], self.beside)

    def _beside_one(self, row: int, names: Collection[str]) -> bytes:
        return b"".join(self.beside[name][row : row + 1].tobytes() for name in names)

    def _put_beside(self, row: int, given: bytes, names: Collection[str]) -> None:
        at = 0
        for name in names:
            v = self.beside[name]
            size = v[:1].nbytes
            v[row] = np.frombuffer(given[at : at + size], dtype=v.dtype).reshape(v.shape[1:])
            at += size

    # for clients

    def state_bytes(self, row: int) -> bytes:
        """Return the state in the form for clients: the further state of the row, then the stream's `state_bytes`."""
        told = b""
        if self._hard:
            beside = self._beside_one(row, self._hard)
            told = _MARK + len(beside).to_bytes(4, "little") + beside
        return told + self.stream.state_bytes(row)

    def put_state_bytes(self, row: int, data: bytes) -> None:
        """Set a row to a state from `state_bytes`.

        Raises:
            StateError: the bytes are damaged, or of something else. The row is left as it is.
        """
        beside = b""
        if self._hard:
            begin, size = len(_MARK) + 4, sum(self.beside[name][:1].nbytes for name in self._hard)
            if data[: len(_MARK)] != _MARK or data[len(_MARK) : begin] != size.to_bytes(4, "little"):
                raise StateError("expected the bytes of a session's state, from GET .../state, got something else")
            beside, data = data[begin : begin + size], data[begin + size :]
        self.stream.from_bytes(data, row)
        for name, v in self.beside.items():
            v[row] = self._fresh[name][0]
        self._put_beside(row, beside, self._hard)


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        yield state
    else:
        for part in state:
            yield from _tensors(part)


def _bytes(v: np.ndarray, n: int) -> np.ndarray:
    return np.ascontiguousarray(v).reshape(n, -1).view(np.uint8).reshape(n, -1)
