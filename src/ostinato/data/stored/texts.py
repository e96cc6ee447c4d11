"""Texts with labels from tables larger than memory: read once into columns on disk, which are mapped."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from typing_extensions import override

from ostinato.data.mapped.files import TableFiles, find_tables
from ostinato.data.records.splits import Splits, stratified_split
from ostinato.data.records.targets import Target, TargetName, number_of, sets_of, target_of
from ostinato.data.sources.cells import header_hint
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.tables import CellRoles, Example, labelled
from ostinato.data.stored.folder import ColumnWriter, KeptColumns, columns_beside, kept_columns
from ostinato.data.stored.ragged import BLOCK, RaggedTexts, write_texts
from ostinato.data.stored.rows import Progress, Told, bytes_of, rows_of_files
from ostinato.errors import DataError

MOST_NAMES = 2**16  # the most different labels that get codes; more must be numbers, or lists of several labels


class MappedTexts(Sequence[Example]):
    """Texts with labels on disk, the examples of `read_examples`; an example is read when it is accessed.

    Args:
        columns: The columns that hold the examples.
        rows: (K,) integers, the rows of these examples in the columns; None for all.
    """

    def __init__(self, columns: KeptColumns, rows: np.ndarray | None = None):
        self.columns, self.rows = columns, rows
        self.texts = RaggedTexts(columns, "text", rows)
        self.names: tuple[str, ...] | None = None if columns.found["names"] is None else tuple(columns.found["names"])
        self._labels = RaggedTexts(columns, "label", rows) if self.names is None else None

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, at: int) -> Example: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Example, ...]: ...
    @override
    def __getitem__(self, at: int | slice) -> Example | tuple[Example, ...]:
        """Return one example, or several."""
        if isinstance(at, slice):
            return tuple(self[row] for row in range(*at.indices(len(self))))
        row = range(len(self))[at]
        had_blanks = bool(self._column("blanks")[row])
        return Example(self.texts[row], next(iter(self.labels(np.array([row])))), had_blanks)

    @override
    def __iter__(self) -> Iterator[Example]:
        blanks = self._column("blanks")
        for at, (text, label) in enumerate(zip(self.texts, self.labels(), strict=True)):
            yield Example(text, label, bool(blanks[at]))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about the texts: nothing."""
        return ()

    def take(self, rows: np.ndarray) -> MappedTexts:
        """Return the examples with these indices."""
        return MappedTexts(self.columns, rows if self.rows is None else self.rows[rows])

    def codes(self) -> np.ndarray | None:
        """Return the indices of the labels in `names`, (N,) int32, -1 for none; None if there are too many names."""
        return None if self.names is None else self._column("code")

    def labels(self, rows: np.ndarray | None = None) -> Iterator[str | None]:
        """Give the labels as they are written, of the examples `rows` or of all."""
        if self._labels is not None:
            yield from (self._labels if rows is None else self._labels.take(rows))
            return
        assert self.names is not None
        names: tuple[str | None, ...] = (*self.names, None)
        codes = self._column("code") if rows is None else self._column("code")[rows]
        for at in range(0, len(codes), BLOCK):
            yield from (names[code] for code in codes[at : at + BLOCK].tolist())

    def label_counts(self) -> Counter[str | None]:
        """Count how often each label occurs (None: no label); large for more than `MOST_NAMES` labels."""
        codes = self.codes()
        if codes is None:
            return Counter(self.labels())
        assert self.names is not None
        counts = np.bincount(codes + 1, minlength=len(self.names) + 1).tolist()
        there = zip((None, *self.names), counts, strict=True)
        return Counter({name: count for name, count in there if count})

    def target(self, wanted: TargetName = "auto") -> Target:
        """Find the kind of the labels as `target_of` does; more than `MOST_NAMES` numbers are not held in memory."""
        if wanted != "auto" or self.names is not None:
            return target_of([name for name, count in self.label_counts().items() if count], wanted)
        is_whole = True
        for label in self.labels():
            found = number_of(label or "")
            if found is None:
                return target_of(set(self.labels()))
            is_whole = is_whole and found % 1 == 0
        return "class" if is_whole else "number"

    def blanks(self) -> int:
        """Return how many labels have blanks around them in the files."""
        return int(self._column("blanks").sum())

    def _column(self, name: str) -> np.ndarray:
        return self.columns[name] if self.rows is None else self.columns[name][self.rows]


def map_examples(
    path: str | Path,
    folder: str | Path | None,
    *,
    text: str | None = None,
    label: str | None = None,
    with_labels: bool = True,
    dialect: Dialect | None = None,
    several: bool = False,
    on_progress: Progress | None = None,
) -> MappedTexts:
    """Read the texts and labels of a table that may be larger than memory; the examples are those of `read_examples`.

    Args:
        path: A file, a folder, a glob (also `**`) or a URL of one of these: CSV, TSV, JSON lines or Parquet. Names of
            folders may give columns, as in `label=good/part.parquet`.
        folder: The folder for the columns, which are used again as long as the names, sizes and times of change of the
            files, and the other arguments, are the same. None for a temporary folder, which is removed with the last
            use of the texts.
        text: As for `read_examples`, like the arguments up to `several`.
        label: Name of the column of labels.
        with_labels: Whether labels are wanted.
        dialect: How CSV or TSV is written.
        several: Whether a label is a list of labels.
        on_progress: Called with the bytes that are read, and the bytes in all.

    Raises:
        DataError: A file cannot be read; the message names it, and the row if one is wrong.
    """
    tables, dialect = find_tables(str(path)), dialect or Dialect()
    asked = {"text": text, "label": label, "with_labels": with_labels, "several": several}
    how = {"texts": asked, "separator": dialect.separator, "header": dialect.header}

    def make(writer: ColumnWriter) -> dict[str, Any]:
        return _write(writer, tables, dialect, asked, on_progress)

    return MappedTexts(kept_columns(folder, str(path), tables.identity(), how, make, on_progress))


def map_labelled(
    places: dict[str, str],
    name: str,
    folder: str | Path | None,
    *,
    text: str | None = None,
    label: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    dialect: Dialect | None = None,
    target: TargetName = "auto",
    on_progress: Progress | None = None,
) -> Splits[MappedTexts]:
    """Read texts and labels in three parts, each possibly larger than memory; the parts are those of `read_labelled`.

    Args:
        places: The data of each part: "train", and "validation" and "test" if these are not drawn.
        name: The name of the data.
        folder: As for `map_examples`.
        text: As for `read_labelled`, like the arguments up to `target`.
        label: Name of the column of labels.
        validation_share: The share of the rows for validation.
        test_share: The share for the test.
        seed: The seed of the draw.
        dialect: How CSV or TSV is written.
        target: What labels are.
        on_progress: As for `map_examples`.

    Raises:
        DataError: As for `map_examples`; there is no row or no column of labels.
        ConfigError: A share is out of range.
    """

    def read(path: str) -> MappedTexts:
        found = map_examples(
            path, folder, text=text, label=label, dialect=dialect, several=target == "several", on_progress=on_progress
        )
        labelled(found[:1], path)
        return found

    train = read(places["train"])
    shares = (0.0 if "validation" in places else validation_share, 0.0 if "test" in places else test_share)
    codes = train.codes()
    is_class = codes is not None and train.target(target) == "class"
    rows = stratified_split(
        codes if is_class and codes is not None else np.zeros(len(train), np.int8), *shares, seed=seed
    )
    small = [each.astype(np.int32) if len(train) < 2**31 else each for each in rows]
    kept, drawn, last = (train.take(each) for each in small)
    parts = {part: read(path) for part, path in places.items() if part != "train"}
    return Splits(name, kept, parts.get("validation", drawn), parts.get("test", last))


def _write(
    writer: ColumnWriter, tables: TableFiles, dialect: Dialect, asked: dict[str, Any], on_progress: Progress | None
) -> dict[str, Any]:
    roles: list[CellRoles] = []
    names: dict[str, int] | None = {}
    told = Told(on_progress, bytes_of(tables.files))

    def wanted(name: str, columns: list[str]) -> Iterable[str]:
        if not roles:
            roles.append(CellRoles.of(name, columns, **asked))
        missing = [column for column in roles[0].columns if column not in columns]
        if missing:
            raise DataError(
                f"{name}: has no column {missing[0]!r}, which the files before have; its columns are {', '.join(columns)}"
                f"{header_hint(name)}"
            )
        return roles[0].columns

    for file in rows_of_files(tables, dialect, told, wanted):
        wanted(file.name, file.columns)
        for examples in _blocks(roles[0].read(file.name, place, row) for place, row in file.rows):
            write_texts(writer, "text", [text for text, _, _ in examples])
            said = [label or "" for _, label, _ in examples]
            write_texts(writer, "label", said)
            if names is not None:
                codes = [names.setdefault(label, len(names)) for label in said] if roles[0].label else [-1] * len(said)
                writer.column("code", np.dtype(np.int32)).append(np.array(codes, np.int32))
                names = names if len(names) <= MOST_NAMES else None
            writer.column("blanks", np.dtype(np.bool_)).append(np.array([each for _, _, each in examples]))
    for name in ("text", "label"):
        write_texts(writer, name, [])
    for name, dtype in (("code", np.int32), ("blanks", np.bool_)):
        writer.column(name, np.dtype(dtype))
    return {"names": None if names is None else list(names), "label": roles[0].label is not None}


def _blocks(found: Iterator[tuple[str, str | None, bool]]) -> Iterator[list[tuple[str, str | None, bool]]]:
    block: list[tuple[str, str | None, bool]] = []
    for each in found:
        block.append(each)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def texts_of(part: Sequence[Example]) -> Iterable[str]:
    """Give the texts of examples, one after the other."""
    return part.texts if isinstance(part, MappedTexts) else (each.text for each in part)


def mapped_sets(part: MappedTexts, classes: Sequence[str]) -> np.ndarray:
    """Return the result of `sets_of` for labels that are lists, (N, C) float32, mapped and stored beside the texts."""

    def make(writer: ColumnWriter) -> dict[str, Any]:
        column, labels = writer.column("sets", np.dtype(np.float32)), iter(part.labels())
        while block := list(itertools.islice(labels, BLOCK)):
            column.append(sets_of(block, classes).reshape(-1))
        return {}

    rows = "" if part.rows is None else hashlib.sha256(part.rows.tobytes()).hexdigest()
    kept = columns_beside(part.columns, "sets", [list(classes), rows], make)
    return kept["sets"].reshape(len(part), len(classes))
