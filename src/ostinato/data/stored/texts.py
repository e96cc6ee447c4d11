"""Texts with labels, of tables larger than memory: read once into columns on disk, which are mapped."""

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

MOST_NAMES = 2**16  # labels that have a number each; those that are more are numbers, or lists of several


class MappedTexts(Sequence[Example]):
    """Texts with labels on disk: what `read_examples` gives, an example made whenever one is asked for.

    Args:
        columns: That hold them.
        rows: (K,) integers, which of them these are; None for all.
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
        """One of them, or several."""
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
        """What a user should know of them."""
        return ()

    def take(self, rows: np.ndarray) -> MappedTexts:
        """Some of them."""
        return MappedTexts(self.columns, rows if self.rows is None else self.rows[rows])

    def codes(self) -> np.ndarray | None:
        """(N,) int32, the places of labels in `names`, -1 for none; None where there are too many names."""
        return None if self.names is None else self._column("code")

    def labels(self, rows: np.ndarray | None = None) -> Iterator[str | None]:
        """Labels as they are written, of some or of all."""
        if self._labels is not None:
            yield from (self._labels if rows is None else self._labels.take(rows))
            return
        assert self.names is not None
        names: tuple[str | None, ...] = (*self.names, None)
        codes = self._column("code") if rows is None else self._column("code")[rows]
        for at in range(0, len(codes), BLOCK):
            yield from (names[code] for code in codes[at : at + BLOCK].tolist())

    def label_counts(self) -> Counter[str | None]:
        """How often there is each label; None for none. Of more than `MOST_NAMES`, this is not small."""
        codes = self.codes()
        if codes is None:
            return Counter(self.labels())
        assert self.names is not None
        counts = np.bincount(codes + 1, minlength=len(self.names) + 1).tolist()
        there = zip((None, *self.names), counts, strict=True)
        return Counter({name: count for name, count in there if count})

    def target(self, wanted: TargetName = "auto") -> Target:
        """What labels are, see `target_of`: of very many different ones numbers, if they are such, or else as it says."""
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
        """Of how many the label has blanks around it."""
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
    """The texts of a table that may be larger than memory, with their labels, in order: what `read_examples` gives of it.

    Args:
        path: A file, a folder, a glob (also `**`) or a URL of such: CSV, TSV, JSON lines or Parquet. Folders may say columns, as
            in `label=good/part.parquet`.
        folder: Where the columns are kept; used again as long as the names, sizes and times of change of the files, and what
            else is asked for, are the same. None for a folder of the system that is gone when nobody uses them any more.
        text: As of `read_examples`, like all that follow.
        label: Name of the column of labels.
        with_labels: Whether labels are wanted.
        dialect: How CSV or TSV is written.
        several: Whether a label is a list of labels.
        on_progress: Called with the bytes that are read, and of how many.

    Raises:
        DataError: A file cannot be read; the message names it, and the row where one is wrong.
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
    """Texts and labels in three parts, each of which may be larger than memory: what `read_labelled` gives of them.

    Args:
        places: Where the parts are: "train", and "validation" and "test" where these are not drawn.
        name: Of the data.
        folder: As for `map_examples`.
        text: As for `read_labelled`, like all that follow.
        label: Name of the column of labels.
        validation_share: Of the rows.
        test_share: The same for test.
        seed: Of the draw.
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
    """The texts of some examples, one after the other."""
    return part.texts if isinstance(part, MappedTexts) else (each.text for each in part)


def mapped_sets(part: MappedTexts, classes: Sequence[str]) -> np.ndarray:
    """What `sets_of` says of labels that are lists of several, (N, C) float32, kept beside the texts and mapped."""

    def make(writer: ColumnWriter) -> dict[str, Any]:
        column, labels = writer.column("sets", np.dtype(np.float32)), iter(part.labels())
        while block := list(itertools.islice(labels, BLOCK)):
            column.append(sets_of(block, classes).reshape(-1))
        return {}

    rows = "" if part.rows is None else hashlib.sha256(part.rows.tobytes()).hexdigest()
    kept = columns_beside(part.columns, "sets", [list(classes), rows], make)
    return kept["sets"].reshape(len(part), len(classes))
