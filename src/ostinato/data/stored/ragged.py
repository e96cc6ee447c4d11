"""Sequences of different lengths as two arrays, in memory or mapped: all numbers one after the other, and the ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import torch
from typing_extensions import override

from ostinato.data.stored.folder import ColumnWriter, KeptColumns

BLOCK = 2**13  # rows that are processed together


class Ragged(Sequence[np.ndarray]):
    """Sequences of numbers.

    Args:
        flat: (M,), all sequences, one after the other.
        ends: (N,) int64, where each sequence ends in `flat`.
        rows: (K,) integers, the indices of these sequences in `ends`; None for all.
        columns: The columns on disk, if the arrays are mapped; None if they are in memory.
        table: A table that replaces each number n by `table[n]`; None for the numbers themselves.
    """

    def __init__(
        self,
        flat: np.ndarray,
        ends: np.ndarray,
        rows: np.ndarray | None = None,
        columns: KeptColumns | None = None,
        table: np.ndarray | None = None,
    ):
        self.flat, self._ends, self._rows, self._columns, self._table = flat, ends, rows, columns, table

    @property
    def kept(self) -> str | None:
        """A checksum of the mapped columns and the rows; None for sequences in memory."""
        if self._columns is None:
            return None
        rows = b"" if self._rows is None else self._rows.tobytes()
        return f"{self._columns.checksum} {hashlib.sha256(rows).hexdigest()}"

    @classmethod
    def of(cls, sequences: Iterable[np.ndarray], dtype: Any = np.int64) -> Ragged:
        """Hold sequences in memory; `dtype` is the type if there are none."""
        found = list(sequences)
        ends = np.cumsum([len(each) for each in found], dtype=np.int64)
        return cls(np.concatenate(found) if found else np.zeros(0, dtype), ends)

    def __len__(self) -> int:
        return len(self._ends) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, at: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, at: slice) -> list[np.ndarray]: ...
    @override
    def __getitem__(self, at: int | slice) -> np.ndarray | list[np.ndarray]:
        """Return one sequence, (T,), or several."""
        if isinstance(at, slice):
            return [self[row] for row in range(*at.indices(len(self)))]
        begin, end = self.bounds(np.array([range(len(self))[at]]))
        return self._read(slice(int(begin[0]), int(end[0])))

    def _read(self, at: slice | np.ndarray) -> np.ndarray:
        return self.flat[at] if self._table is None else self._table[self.flat[at]]

    @override
    def __iter__(self) -> Iterator[np.ndarray]:
        for at in range(0, len(self), BLOCK):
            begins, ends = self.bounds(np.arange(at, min(at + BLOCK, len(self))))
            for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
                yield self._read(slice(begin, end))

    def bounds(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the sequences `rows` begin and end in `flat`, (B,) int64 each."""
        rows = rows if self._rows is None else self._rows[rows]
        return np.where(rows > 0, self._ends[rows - 1], 0), self._ends[rows]

    def lengths(self) -> np.ndarray:
        """Return the length of each sequence, (N,) int64."""
        found = np.empty(len(self), np.int64)
        for at in range(0, len(found), 2**20):
            begins, ends = self.bounds(np.arange(at, min(at + 2**20, len(found))))
            found[at : at + 2**20] = ends - begins
        return found

    def take(self, rows: np.ndarray | None) -> Ragged:
        """Return the sequences with the indices `rows`, (K,) integers; None for all."""
        if rows is None:
            return self
        some = rows if self._rows is None else self._rows[rows]
        return Ragged(self.flat, self._ends, some, self._columns, self._table)

    def standing_for(self, table: np.ndarray) -> Ragged:
        """Return the same sequences, with each number n replaced by `table[n]` when it is read."""
        return Ragged(self.flat, self._ends, self._rows, self._columns, table)

    def sums(self, terms: np.ndarray) -> np.ndarray:
        """Return, for each sequence, the sum of `terms[n]` over its numbers n, (N,) int64."""
        found = np.empty(len(self), np.int64)
        at = 0
        for numbers, ends in self.blocks():
            added = np.concatenate([[0], np.cumsum(terms[numbers])])
            found[at : at + len(ends)] = np.diff(added[ends], prepend=0)
            at += len(ends)
        return found

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give blocks of sequences: their numbers one after the other, and where each sequence ends."""
        for at in range(0, len(self), BLOCK):
            begins, ends = self.bounds(np.arange(at, min(at + BLOCK, len(self))))
            lengths = ends - begins
            behind = np.cumsum(lengths)
            yield self._read(np.arange(int(behind[-1])) + np.repeat(begins - behind + lengths, lengths)), behind

    def padded(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Pad the sequences `rows`, as `pad` does: (T, B) int64, and their lengths."""
        begins, ends = self.bounds(rows)
        lengths = ends - begins
        T = max(1, int(lengths.max()))
        steps = np.arange(T)[:, None]
        inside = steps < lengths
        padded = np.zeros((T, len(rows)), np.int64)
        padded[inside] = self._read((begins + steps)[inside])
        return torch.as_tensor(padded, device="cpu"), None if int(lengths.min()) == T else torch.tensor(
            lengths, device="cpu"
        )


class RaggedTexts(Sequence[str]):
    """Texts in a folder of columns, stored as UTF-8, one after the other.

    Args:
        columns: The columns that hold the texts.
        name: The name of the column.
        rows: (K,) integers, the rows of these texts in the column; None for all.
    """

    def __init__(self, columns: KeptColumns, name: str, rows: np.ndarray | None = None):
        self.columns, self.name, self.rows = columns, name, rows
        self.content = mapped_ragged(columns, name).take(rows)

    def __len__(self) -> int:
        return len(self.content)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    @override
    def __getitem__(self, at: int | slice) -> str | list[str]:
        """Return one text, or several."""
        if isinstance(at, slice):
            return [_decoded(each) for each in self.content[at]]
        return _decoded(self.content[at])

    @override
    def __iter__(self) -> Iterator[str]:
        told = self.columns.on_progress
        if told is None:
            yield from map(_decoded, self.content)
            return
        done, total = 0, int(self.content.lengths().sum())
        for row, each in enumerate(self.content, 1):
            yield _decoded(each)
            done += len(each)
            if row % BLOCK == 0:  # reports progress, as the caller's work on texts takes long
                told(done, total)

    def take(self, rows: np.ndarray | None) -> RaggedTexts:
        """Return the texts with the indices `rows`, (K,) integers; None for all."""
        if rows is None:
            return self
        return RaggedTexts(self.columns, self.name, rows if self.rows is None else self.rows[rows])

    def every(self) -> RaggedTexts:
        """Return all texts of the column."""
        return RaggedTexts(self.columns, self.name)


def _decoded(content: np.ndarray) -> str:
    return content.tobytes().decode("utf-8", "surrogatepass")


def write_ragged(writer: ColumnWriter, name: str, sequences: Sequence[np.ndarray], dtype: np.dtype[Any]) -> None:
    """Append sequences to a column."""
    flat = np.concatenate(sequences) if sequences else np.zeros(0, dtype)
    _write(writer, name, flat, [len(each) for each in sequences], dtype)


def write_texts(writer: ColumnWriter, name: str, texts: Sequence[str]) -> None:
    """Append texts to a column."""
    content = [text.encode("utf-8", "surrogatepass") for text in texts]
    flat = np.frombuffer(b"".join(content), np.uint8)
    _write(writer, name, flat, list(map(len, content)), np.dtype(np.uint8))


def _write(writer: ColumnWriter, name: str, flat: np.ndarray, lengths: list[int], dtype: np.dtype[Any]) -> None:
    column = writer.column(name, dtype)
    begin = column.count
    column.append(flat)
    writer.column(f"{name}-ends", np.dtype(np.int64)).append(begin + np.cumsum(lengths, dtype=np.int64))


def mapped_ragged(columns: KeptColumns, name: str) -> Ragged:
    """Return a mapped column of sequences."""
    return Ragged(columns[name], columns[f"{name}-ends"], None, columns)
