"""Pairs of texts: two files whose lines belong together, or one file with both sides in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import numpy as np

from ostinato.data.records.splits import Splits, stratified_split
from ostinato.data.sources.cells import JSON_SUFFIXES, PARQUET_SUFFIXES, read_cells
from ostinato.data.sources.lines import COMPRESSIONS, PART_NAMES, numbered_as, numbered_lines, part_of_name, suffix_of
from ostinato.errors import DataError

NAMED_COLUMNS = (".csv", *JSON_SUFFIXES, *PARQUET_SUFFIXES)


@dataclass(frozen=True)
class Pair:
    """A source text and its target text, such as a translation."""

    source: str
    target: str


@dataclass(frozen=True)
class Pairs:
    """Pairs in order, and which lines were left out.

    Attributes:
        name: The names of the files.
        pairs: The pairs that are used: a tuple, or a mapped sequence.
        empty: Numbers of the lines that are left out because one side is empty.
        equal: How many pairs have the same text on both sides, so that they are copied, not translated.
    """

    name: str
    pairs: Sequence[Pair]
    empty: Sequence[int] | np.ndarray
    equal: int

    def __len__(self) -> int:
        return len(self.pairs)

    def report(self) -> str:
        """Return one line for users: how many pairs there are, how many differ, and how many were left out."""
        left_out = (
            f"; left out {len(self.empty):,} with an empty side (line {self.empty[0]} first)" if len(self.empty) else ""
        )
        differ = len(self.pairs) - self.equal
        return f"{self.name}: {len(self.pairs):,} pairs, {differ:,} of them with two different sides{left_out}"


def read_pairs(
    source: str | Path,
    target: str | Path | None = None,
    *,
    columns: tuple[str, str] | None = None,
    keep_empty: bool = False,
) -> Pairs:
    """Read the pairs of two files, line by line, or of one table; compressed or not.

    Blanks around a text are removed.

    Args:
        source: A file with a text a line. Without `target`, a .tsv file with source, tab and target in each line
            (further columns are ignored), or a table with named columns: .csv, .jsonl (also with the pair in
            `translation`, as {"de": ..., "en": ...}) or .parquet.
        target: A file with the target of each line of `source`.
        columns: The names of the columns of source and target in a table with named columns; None for `source` and
            `target` (or `src` and `tgt`), or the only two.
        keep_empty: Keep pairs with an empty side, so that line n is pair n: for evaluation and prediction.

    Raises:
        DataError: A file cannot be read, the files differ in length, a line of a .tsv file has no tab, a table lacks a column, or
            no pair is left.
    """
    if target is not None:
        lines = side_by_side(source, numbered_lines(source), target, numbered_lines(target))
    elif suffix_of(source) in NAMED_COLUMNS:
        there, rows = read_cells(source)
        lines = named_pairs(source, there, rows, rows, columns)
    else:
        lines = _two_columns(source)
    pairs: list[Pair] = []
    empty: list[int] = []
    equal = 0
    for number, left, right in lines:
        pair = Pair(left.strip(), right.strip())
        if not (pair.source and pair.target) and not keep_empty:
            empty.append(number)
            continue
        equal += pair.source == pair.target
        pairs.append(pair)
    name = name_of_pairs(source, target)
    if not pairs:
        raise no_pair(name)
    return Pairs(name, tuple(pairs), tuple(empty), equal)


def name_of_pairs(source: str | Path, target: str | Path | None) -> str:
    """Return the name of pairs, from the name of the one file or of both."""
    return Path(str(source)).name + (f" and {Path(str(target)).name}" if target is not None else "")


def no_pair(name: str) -> DataError:
    """Make the error for files without a pair."""
    return DataError(f"{name}: there is no pair in which both sides have text; expected at least one")


def read_pair_splits(
    folder: str | Path,
    source: str | None = None,
    target: str | None = None,
    *,
    validation: Pairs | None = None,
    test: Pairs | None = None,
    read: Callable[..., Pairs] = read_pairs,
) -> Splits[Pairs]:
    """Read the parts of a folder with files like train.de, train.en, val.de, test_2016_flickr.de, or train.tsv.

    The files may be compressed.

    Args:
        folder: The folder of the files.
        source: The ending of the source files, such as "de"; or the column of the sources in a table such as train.csv.
            None for .tsv files, which hold both sides, and for tables whose columns have the usual names.
        target: The ending or the column of the targets, likewise.
        validation: Pairs to use instead of the folder's validation part.
        test: Pairs to use instead of the folder's test part.
        read: The function that reads the pairs of a part, with the arguments of `read_pairs`.

    Raises:
        DataError: A part for training or validation is missing, several files could be a part, or a file has no counterpart.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise DataError(
            f"{folder}: expected a folder with files like train.{source or 'de'} and train.{target or 'en'}"
        )
    columns = None if source is None or target is None else (source, target)
    given = {"validation": validation, "test": test}
    parts = {part: pairs for part, pairs in given.items() if pairs is not None}
    layouts = [[f".{language}" for language in columns]] if columns else []
    layouts += [[ending] for ending in (".tsv", *NAMED_COLUMNS)]
    files = next((found for endings in layouts if (found := _Files(folder, place, endings)).has("train")), None)
    files = files or _Files(folder, place, layouts[0])
    for part in PART_NAMES:
        if part not in parts and files.has(part):
            parts[part] = read(*files.of(part), columns=columns, keep_empty=part == "test")
    for part in ("train", "validation"):
        if part not in parts:
            raise files.missing(part)
    none = Pairs("no test part", (), (), 0)
    return Splits(place.name, parts["train"], parts["validation"], parts.get("test", none))


class _Files:
    """The files of a folder with some endings, by the rest of their names.

    Args:
        folder: The folder as the user named it.
        place: The path of the folder.
        endings: The endings of the two sides, or the ending of a table.
    """

    def __init__(self, folder: str | Path, place: Path, endings: list[str]):
        self.folder, self.endings = folder, endings
        self.sides: list[dict[str, Path]] = [{} for _ in endings]
        self.others = set[str]()
        for file in sorted(place.iterdir()):
            name = file.name.lower()
            for compression in COMPRESSIONS:
                name = name.removesuffix(compression)
            if file.name.startswith(".") or not file.is_file():
                continue
            if part_of_name(name.rpartition(".")[0], PART_NAMES) == "train":
                self.others.add(name.rpartition(".")[2])
            for side, ending in zip(self.sides, endings, strict=True):
                if name.endswith(ending.lower()):
                    side.setdefault(name.removesuffix(ending.lower()), file)

    def _stems(self, part: str) -> tuple[list[str], list[str]]:
        """Return the names, without endings, of the files of a part that have all sides, and of those that lack one."""
        stems = sorted({stem for side in self.sides for stem in side if part_of_name(stem, PART_NAMES) == part})
        whole = [stem for stem in stems if all(stem in side for side in self.sides)]
        exact = [stem for stem in whole if stem in PART_NAMES[part]]
        return exact or whole, [stem for stem in stems if stem not in whole]

    def has(self, part: str) -> bool:
        return any(self._stems(part))

    def of(self, part: str) -> list[Path]:
        """Return the one file, or the two files, of a part."""
        whole, half = self._stems(part)
        if not whole:
            there = next(side[half[0]] for side in self.sides if half[0] in side)
            other = next(ending for side, ending in zip(self.sides, self.endings, strict=True) if half[0] not in side)
            raise DataError(f"{there}: has no counterpart that ends in {other} in its folder; put both sides there")
        if (
            len(whole) > 1
            and None not in (one := {numbered_as(self.sides[0][stem]) for stem in whole})
            and len(one) == 1
        ):
            return [numbered_as(side[whole[0]]) or side[whole[0]] for side in self.sides]
        if len(whole) > 1:
            first, second = ([side[stem].name for side in self.sides] for stem in whole[:2])
            option = {"train": "--data", "validation": "--reading.validation", "test": "--reading.test"}[part]
            named = ",".join(str(Path(self.folder) / name) for name in first)
            rest = (
                "" if part != "train" else ", and the other parts likewise with --reading.validation and --reading.test"
            )
            raise DataError(
                f"{self.folder}: {first[0]} and {second[0]} could both be the {part} part; say which, such as "
                f"{option} {named}{rest}"
            )
        return [side[whole[0]] for side in self.sides]

    def missing(self, part: str) -> DataError:
        stem = PART_NAMES[part][0]
        expected = " and ".join(f"{stem}{ending}" for ending in self.endings)
        hint = ""
        if len(self.endings) == 1:
            there = f" (there are {', '.join(sorted(self.others))})" if self.others - {"tsv"} else ""
            hint = f"; of two files a part, say what they end in: --reading.source de --reading.target en{there}"
        return DataError(f"{self.folder}: expected {expected} there{hint}")


def read_sources(path: str | Path, column: str | None = None) -> list[str]:
    """Read the texts to translate from a column of a table with named columns.

    Args:
        path: A .csv, .jsonl or .parquet file.
        column: The name of the column; None for `source`, else `src`, else the first.

    Raises:
        DataError: The table cannot be read, or has no such column.
    """
    there, cells = read_cells(path)
    columns, rows = _within(there, cells, cells)
    name = column or next((name for name in ("source", "src") if name in columns), columns[0])
    return [_text(path, place, name, row) for place, row in rows]


def draw_pair_splits(
    pairs: Pairs, validation_share: float = 0.1, test_share: float = 0.1, *, seed: int = 0
) -> Splits[Pairs]:
    """Draw three parts of one file of pairs.

    All pairs with the same source go to one part, so that no source of a test was trained on.

    Args:
        pairs: The pairs of the file.
        validation_share: The share of the different sources for validation, 0 <= share < 1.
        test_share: The share for the test, likewise.
        seed: The seed of the draw.

    Raises:
        DataError: There are too few sources for a share that is more than 0.
        ConfigError: A share is out of range.
    """
    sources = [*dict.fromkeys(pair.source for pair in pairs.pairs)]
    rows = stratified_split([0] * len(sources), validation_share, test_share, seed=seed, what="different sources")
    part_of = {sources[int(row)]: part for part, indices in enumerate(rows) for row in indices}

    def drawn(part: int, name: str) -> Pairs:
        chosen = tuple(pair for pair in pairs.pairs if part_of[pair.source] == part)
        return Pairs(f"{pairs.name}, {name}", chosen, (), sum(pair.source == pair.target for pair in chosen))

    return Splits(pairs.name, drawn(0, "train"), drawn(1, "validation"), drawn(2, "test"))


def side_by_side(
    source: str | Path, sources: Iterable[tuple[int, str]], target: str | Path, targets: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, str, str]]:
    """Give the lines of two files that belong together, with their numbers.

    Args:
        source: The name of the first file.
        sources: The lines of the first file, with their numbers.
        target: The name of the second file.
        targets: The lines of the second file, with their numbers.

    Raises:
        DataError: One file has more lines than the other.
    """
    lengths = [0, 0]
    for left, right in zip_longest(sources, targets):
        for side, line in enumerate((left, right)):
            lengths[side] += line is not None
        if left is not None and right is not None:
            yield left[0], left[1], right[1]
    if lengths[0] != lengths[1]:
        raise DataError(
            f"{source} has {lengths[0]:,} lines, {target} {lengths[1]:,}: they differ by {abs(lengths[0] - lengths[1]):,}; "
            "expected line n of one to belong to line n of the other"
        )


def named_pairs(
    path: str | Path,
    columns: list[str],
    head: Iterable[tuple[str, dict[str, Any]]],
    rows: Iterable[tuple[str, dict[str, Any]]],
    names: tuple[str, str] | None,
) -> Iterator[tuple[int, str, str]]:
    """Give the pairs of a table, with the numbers of their lines.

    Args:
        path: The path of the table, for messages.
        columns: The names of its columns.
        head: Rows that show whether a pair is in one cell, as {"de": ..., "en": ...}.
        rows: All rows.
        names: The columns of source and target; None for `source` and `target` (or `src` and `tgt`), or the only two.

    Raises:
        DataError: A column does not exist, or holds no text.
    """
    columns, rows = _within(columns, head, rows)
    wanted = names or next(
        (pair for pair in (("source", "target"), ("src", "tgt")) if set(pair) <= set(columns)),
        (columns[0], columns[1]) if len(columns) == 2 else None,
    )
    if wanted is None or not set(wanted) <= set(columns):
        expected = " and ".join(wanted or ("source", "target"))
        raise DataError(
            f"{path}: expected columns {expected}, got {', '.join(columns)}; name both: --reading.source de --reading.target en"
        )
    for number, (place, row) in enumerate(rows, start=1):
        left, right = (_text(path, place, name, row) for name in wanted)
        yield int(place.rpartition(" ")[2] or number), left, right


def _within(
    columns: list[str], head: Iterable[tuple[str, dict[str, Any]]], rows: Iterable[tuple[str, dict[str, Any]]]
) -> tuple[list[str], Iterable[tuple[str, dict[str, Any]]]]:
    """Return columns and rows; if a pair is in one cell, as {"de": ..., "en": ...}, those within the cells."""
    if "translation" in columns and any(isinstance(row.get("translation"), dict) for _, row in head):
        cells = (cast("dict[str, Any]", row.get("translation") or {}) for _, row in head)
        columns = list(dict.fromkeys(name for cell in cells for name in cell))
        rows = ((place, dict(row.get("translation") or {})) for place, row in rows)
    return columns, rows


def _text(path: str | Path, place: str, column: str, row: dict[str, Any]) -> str:
    text = row.get(column)
    if text is None or isinstance(text, str):
        return text or ""
    raise DataError(f"{path}, {place}: expected a text in column {column}, got {str(text)[:40]}")


def _two_columns(path: str | Path) -> Iterator[tuple[int, str, str]]:
    if suffix_of(path) not in (".tsv", ".tab", ".txt"):
        next(numbered_lines(path), None)  # raises the error for a file that does not exist
        raise DataError(
            f"{path}: expected a second file with the targets, or a .tsv file with both sides a line; .csv and .jsonl name "
            "their columns"
        )
    yield from parted_pairs(path, numbered_lines(path))


def parted_pairs(path: str | Path, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """Give the pairs of lines with source, tab and target, with the numbers of the lines.

    Args:
        path: The path of the file, for messages.
        lines: The lines, with their numbers.

    Raises:
        DataError: A line has no tab.
    """
    for number, line in lines:
        if not line.strip():
            yield number, "", ""
            continue
        cells = line.split("\t")
        if len(cells) < 2:
            raise DataError(f"{path}, line {number}: expected source, tab and target; there is no tab in {line[:40]!r}")
        yield number, cells[0], cells[1]
