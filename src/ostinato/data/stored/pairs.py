"""Pairs of texts from files larger than memory: read once into columns on disk, which are mapped."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from typing_extensions import override

from ostinato.data.mapped.files import find_tables
from ostinato.data.records.pairs import (
    NAMED_COLUMNS,
    Pair,
    Pairs,
    name_of_pairs,
    named_pairs,
    no_pair,
    parted_pairs,
    side_by_side,
)
from ostinato.data.records.splits import Splits, stratified_split
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.lines import numbered, open_document, suffix_of
from ostinato.data.sources.text import Document, find_text
from ostinato.data.stored.folder import ColumnWriter, KeptColumns, kept_columns
from ostinato.data.stored.ragged import BLOCK, RaggedTexts, write_texts
from ostinato.data.stored.rows import HEAD_ROWS, Progress, Told, bytes_of, rows_of_files
from ostinato.errors import DataError

_Line = tuple[int, str, str]


class MappedPairs(Sequence[Pair]):
    """Pairs on disk; a pair is read when it is accessed.

    Args:
        columns: The columns that hold the pairs.
        rows: (K,) integers, the rows of these pairs in the columns; None for all.
        change: A function that is applied to each text when it is read; None for none.
    """

    def __init__(
        self, columns: KeptColumns, rows: np.ndarray | None = None, change: Callable[[str], str] | None = None
    ):
        self.columns, self.rows, self._change = columns, rows, change
        self.sources, self.targets = (RaggedTexts(columns, side, rows) for side in ("source", "target"))

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, at: int) -> Pair: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Pair, ...]: ...
    @override
    def __getitem__(self, at: int | slice) -> Pair | tuple[Pair, ...]:
        """Return one pair, or several."""
        if isinstance(at, slice):
            return tuple(self[row] for row in range(*at.indices(len(self))))
        return self._pair(self.sources[at], self.targets[at])

    @override
    def __iter__(self) -> Iterator[Pair]:
        return map(self._pair, self.sources, self.targets)

    def _pair(self, source: str, target: str) -> Pair:
        return Pair(source, target) if self._change is None else Pair(self._change(source), self._change(target))

    def changed(self, change: Callable[[str], str]) -> MappedPairs:
        """Return the same pairs, with `change` applied to each text when it is read."""
        return MappedPairs(self.columns, self.rows, change)

    def take(self, rows: np.ndarray) -> MappedPairs:
        """Return the pairs with these indices."""
        return MappedPairs(self.columns, rows if self.rows is None else self.rows[rows], self._change)

    def equal(self) -> int:
        """Return how many pairs have the same text on both sides."""
        found = self.columns["equal"]
        return int((found if self.rows is None else found[self.rows]).sum())


def map_pairs(
    source: str | Path,
    target: str | Path | None = None,
    folder: str | Path | None = None,
    *,
    columns: tuple[str, str] | None = None,
    keep_empty: bool = False,
    on_progress: Progress | None = None,
) -> Pairs:
    """Read the pairs of files that may be larger than memory; the pairs are those of `read_pairs`.

    Args:
        source: As for `read_pairs`; or a folder or a glob (also `**`) of such files, local or remote.
        target: As `source`, with as many files; the n-th belongs to the n-th of `source`.
        folder: The folder for the columns, which are used again as long as the names, sizes and times of change of the
            files are the same. None for a temporary folder, which is removed with the last use of the pairs.
        columns: As for `read_pairs`.
        keep_empty: As for `read_pairs`.
        on_progress: Called with the bytes that are read, and the bytes in all.

    Raises:
        DataError: As for `read_pairs`; the message names the file, and the line if one is wrong.
    """
    sides = [find_text(str(side), binary=True).documents for side in (source, target) if side is not None]
    files = [[each.name, each.stored, each.modified] for side in sides for each in side]
    name = name_of_pairs(source, target)

    def make(writer: ColumnWriter) -> dict[str, Any]:
        if target is not None:
            lines = _both((source, target), sides, Told(on_progress, _bytes(sides)))
        elif is_named(str(source)):
            lines = _named(str(source), columns, on_progress)
        else:
            lines = _tabs(sides[0], Told(on_progress, _bytes(sides)))
        return _write(writer, name, lines, keep_empty)

    how = {"columns": columns, "keep_empty": keep_empty, "sides": len(sides)}
    kept = kept_columns(folder, f"{source},{target or ''}", files, how, make, on_progress)
    pairs = MappedPairs(kept)
    return Pairs(name, pairs, kept["empty"], pairs.equal())


def is_named(data: str) -> bool:
    """Tell whether files are tables with named columns."""
    if suffix_of(data) in NAMED_COLUMNS:
        return True
    try:
        return find_tables(data).files[0].suffix in NAMED_COLUMNS
    except DataError:
        return False


def draw_mapped_splits(
    pairs: Pairs, validation_share: float = 0.1, test_share: float = 0.1, *, seed: int = 0
) -> Splits[Pairs]:
    """Draw three parts of mapped pairs, as `draw_pair_splits` does; sources are compared by 64 bits of a BLAKE2 hash.

    Args:
        pairs: Pairs from `map_pairs`.
        validation_share: The share of the different sources for validation.
        test_share: The share for the test.
        seed: The seed of the draw.

    Raises:
        DataError: There are too few sources for a share that is more than 0.
        ConfigError: A share is out of range.
    """
    mapped = pairs.pairs
    assert isinstance(mapped, MappedPairs)
    hashes = (hashlib.blake2b(each.tobytes(), digest_size=8).digest() for each in mapped.sources.content)
    keys = np.empty(len(mapped), np.uint64)
    for at in range(0, len(keys), BLOCK):
        block = b"".join(itertools.islice(hashes, BLOCK))
        keys[at : at + BLOCK] = np.frombuffer(block, np.uint64)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    # Number the sources in the order of their first appearance.
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    zeros = np.zeros(len(first), np.int8)
    drawn = stratified_split(zeros, validation_share, test_share, seed=seed, what="different sources")
    part_of = np.empty(len(first), np.int8)
    for part, sources in enumerate(drawn):
        part_of[sources] = part
    its = part_of[number[which]]

    def chosen(part: int, name: str) -> Pairs:
        some = mapped.take(np.flatnonzero(its == part).astype(np.int32 if len(mapped) < 2**31 else np.int64))
        return Pairs(f"{pairs.name}, {name}", some, (), some.equal())

    return Splits(pairs.name, chosen(0, "train"), chosen(1, "validation"), chosen(2, "test"))


def sources_of(pairs: Sequence[Pair]) -> Iterable[str]:
    """Give the sources of pairs, one after the other."""
    return pairs.sources if isinstance(pairs, MappedPairs) else (pair.source for pair in pairs)


def targets_of(pairs: Sequence[Pair]) -> Iterable[str]:
    """Give the targets of pairs, one after the other."""
    return pairs.targets if isinstance(pairs, MappedPairs) else (pair.target for pair in pairs)


def _write(writer: ColumnWriter, name: str, lines: Iterator[_Line], keep_empty: bool) -> dict[str, Any]:
    empty = writer.column("empty", np.dtype(np.int64))
    equal = writer.column("equal", np.dtype(np.bool_))
    count = 0
    while block := list(itertools.islice(lines, BLOCK)):
        kept: list[tuple[str, str]] = []
        left_out: list[int] = []
        for number, left, right in block:
            pair = left.strip(), right.strip()
            if all(pair) or keep_empty:
                kept.append(pair)
            else:
                left_out.append(number)
        for at, side in enumerate(("source", "target")):
            write_texts(writer, side, [pair[at] for pair in kept])
        empty.append(np.array(left_out, np.int64))
        equal.append(np.array([left == right for left, right in kept], np.bool_))
        count += len(kept)
    if not count:
        raise no_pair(name)
    return {}


def _bytes(sides: list[tuple[Document, ...]]) -> int | None:
    sizes = [each.size for side in sides for each in side]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _lines(document: Document, told: Told) -> Iterator[tuple[int, str]]:
    with open_document(document) as content:
        yield from numbered(told.lines(content), document.name)


def _both(names: tuple[str | Path, str | Path], sides: list[tuple[Document, ...]], told: Told) -> Iterator[_Line]:
    left, right = sides
    if len(left) != len(right):
        raise DataError(
            f"{names[0]} has {len(left):,} files, {names[1]} {len(right):,}; expected the n-th of one to belong to the n-th of the "
            "other"
        )
    for one, other in zip(left, right, strict=True):
        yield from side_by_side(one.name, _lines(one, told), other.name, _lines(other, told))


def _tabs(documents: tuple[Document, ...], told: Told) -> Iterator[_Line]:
    for each in documents:
        yield from parted_pairs(each.name, _lines(each, told))


def _named(data: str, columns: tuple[str, str] | None, on_progress: Progress | None) -> Iterator[_Line]:
    tables = find_tables(data)
    told = Told(on_progress, bytes_of(tables.files))
    for file in rows_of_files(tables, Dialect(), told, lambda name, there: there):
        head = list(itertools.islice(file.rows, HEAD_ROWS))
        yield from named_pairs(file.name, file.columns, head, itertools.chain(head, file.rows), columns)
