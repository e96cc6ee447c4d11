"""Tables of texts and labels: CSV, TSV, JSON lines and Parquet."""

from __future__ import annotations

import glob
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ostinato.data.records.splits import Splits, stratified_split
from ostinato.data.records.targets import SEVERAL, TargetName, drawn_by
from ostinato.data.sources.cells import TABLE_SUFFIXES, header_hint, read_cells
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.lines import PART_NAMES, find_parts
from ostinato.data.sources.text_folders import is_text_folder, part_folders, read_text_folder
from ostinato.errors import DataError

TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "message", "tweet", "document", "body", "input", "x")
LABEL_NAMES = ("label", "class", "category", "sentiment", "target", "intent", "topic", "emotion", "rating", "tag", "y")
_YES, _NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no", "")


@dataclass(frozen=True)
class Example:
    """A text with its label.

    Attributes:
        text: The text as it is in the file; may be empty.
        label: The label, without blanks around it; None if the file has none.
        had_blanks: Whether the file has blanks around the label.
    """

    text: str
    label: str | None
    had_blanks: bool = False


def read_examples(
    path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    with_labels: bool = True,
    dialect: Dialect | None = None,
    several: bool = False,
) -> tuple[Example, ...]:
    """Read the texts of a table with their labels, in order.

    An empty cell of text is the empty text. Labels may be words or numbers; each stays as it is written, without blanks around it.

    Args:
        path: A file or URL, as for `read_cells`; or a folder with a folder of texts for each class, see `text_folders`.
        text: Name of the column of texts; None for the one whose name says so (`TEXT_NAMES`), or the only one beside the labels.
        label: Name of the column of labels; None for the one whose name says so (`LABEL_NAMES`), if there is one.
        with_labels: Whether labels are wanted. If not, a column of labels is ignored, whatever it holds.
        dialect: How CSV or TSV is written; None for the usual form.
        several: Whether a label is a list of labels, possibly empty: `a;b` in a cell, a list of JSON, or, if `label`
            names several columns as `a;b`, ones and zeros in these.

    Raises:
        DataError: The file cannot be read, a column does not exist or cannot be guessed, or a row has no label.
    """
    if is_folder(path):
        found = read_text_folder(Path(path).expanduser(), with_labels=with_labels)
        return tuple(Example(*each) for each in found)
    columns, rows = read_cells(path, dialect)
    roles = CellRoles.of(path, columns, text, label, with_labels=with_labels, several=several)
    return tuple(Example(*roles.read(path, place, row)) for place, row in rows)


@dataclass(frozen=True)
class CellRoles:
    """The columns of a table that hold texts and labels.

    Attributes:
        text: The column of texts.
        label: The column of labels; None if there is none.
        several: Whether a label is a list of labels.
        parts: Columns of ones and zeros, one for each label, that together give the label of a row; usually empty.
    """

    text: str
    label: str | None
    several: bool = False
    parts: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        path: str | Path,
        columns: Sequence[str],
        text: str | None,
        label: str | None,
        *,
        with_labels: bool,
        several: bool,
    ) -> CellRoles:
        """Find the columns: those that the user named, as for `read_examples`, the others by their names.

        Raises:
            DataError: A column does not exist, or cannot be guessed.
        """
        names = several_labels(label, columns)
        if names is not None:
            columns = [
                *(column for column in columns if column not in names),
                *([label] if with_labels and label else []),
            ]
            several = True
        if not with_labels and label not in columns:
            label = None
        label_column = _named(path, columns, label, "--reading.label") or _guess(columns, LABEL_NAMES, taken=text)
        text_column = _named(path, columns, text, "--reading.text") or _guess(columns, TEXT_NAMES, taken=label_column)
        if text_column is None:
            others = [column for column in columns if column != label_column]
            if len(others) != 1:
                raise DataError(
                    f"{path}: none of the columns {', '.join(columns)} is called text; name it with --reading.text"
                    f"{header_hint(path)}"
                )
            text_column = others[0]
        parts = tuple(names or ()) if with_labels else ()
        return cls(text_column, label_column if with_labels else None, several, parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        label = () if self.label is None or self.parts else (self.label,)
        return (self.text, *label, *self.parts)

    def read(self, path: str | Path, place: str, row: Mapping[str, Any]) -> tuple[str, str | None, bool]:
        """Return the values of an `Example`: text, label, and whether there were blanks around the label.

        Raises:
            DataError: A cell holds no text or number, or the label is missing; the message names the place.
        """
        words = row.get(self.text)
        if type(words) is not str or not words.isascii():
            words = _written(words, path, place, self.text) or ""
        if self.label is None:
            return words, None, False
        cell = joined_label(row, self.parts, f"{path}, {place}") if self.parts else row.get(self.label)
        if self.several and isinstance(cell, list):
            cell = SEVERAL.join(map(str, cast("list[Any]", cell)))
        written = _written(cell, path, place, self.label)
        name = (written or "").strip()
        if not name and not self.several:
            raise DataError(
                f"{path}, {place}: column {self.label!r} is empty; give every row a label or leave the row out"
            )
        return words, name, name != written


def read_labelled(
    train: str | Path,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    *,
    text: str | None = None,
    label: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    dialect: Dialect | None = None,
    target: TargetName = "auto",
) -> Splits[tuple[Example, ...]]:
    """Read a data set of texts and labels in three parts.

    Args:
        train: A table, or a folder that holds train, validation (valid, val, dev) and test tables; or a folder with a
            folder of texts for each class, or with folders for the parts that have these.
        validation: A table; None to draw `validation_share` of the training rows, each label in its share.
        test: A table; None to draw `test_share` of the training rows.
        text: As for `read_examples`.
        label: As for `read_examples`.
        validation_share: The share of the rows of `train`, 0 <= share < 1; not used if there is a table for validation.
        test_share: The share for the test, likewise.
        seed: The seed of the draw.
        dialect: How CSV or TSV is written; None for the usual form.
        target: What labels are, see `ostinato.data.records.targets.target_of`; only classes are stratified.

    Raises:
        DataError: As for `read_examples`; there is no row or no column of labels.
        ConfigError: A share is out of range.
    """
    name = Path(str(train)).name
    if is_folder(train):
        folder = Path(train).expanduser()
        parts = find_parts(folder, PART_NAMES, TABLE_SUFFIXES, numbered=True)
        if "train" not in parts and is_text_folder(folder):
            parts = {"train": folder, **part_folders(folder)}
        if "train" not in parts:
            raise DataError(
                f"{train}: expected a table called train.csv (.tsv, .jsonl, .parquet) in this folder, or a folder of texts (.txt) "
                "for each class"
            )
        train, validation, test = parts["train"], validation or parts.get("validation"), test or parts.get("test")
    several = target == "several"

    def read(path: str | Path) -> tuple[Example, ...]:
        is_glob = "://" not in str(path) and glob.has_magic(str(path)) and not Path(path).expanduser().exists()
        files = sorted(glob.glob(str(path))) if is_glob else [path]
        each = [read_examples(file, text=text, label=label, dialect=dialect, several=several) for file in files]
        return labelled(tuple(itertools.chain(*each)), path)

    rows = read(train)
    kept, drawn, last = stratified_split(
        drawn_by([row.label for row in rows], target),
        validation_share if validation is None else 0.0,
        test_share if test is None else 0.0,
        seed=seed,
    )

    def part(path: str | Path | None, indices: Iterable[int]) -> tuple[Example, ...]:
        if path is None:
            return tuple(rows[index] for index in indices)
        return read(path)

    return Splits(name, part(None, kept), part(validation, drawn), part(test, last))


def is_folder(path: str | Path) -> bool:
    """Tell whether a path is a folder on this machine."""
    return "://" not in str(path) and Path(path).expanduser().is_dir()


def labelled(rows: tuple[Example, ...], path: str | Path) -> tuple[Example, ...]:
    """Return the rows, after checking that there are any and that they have labels.

    Raises:
        DataError: There is no row, or no label.
    """
    if not rows:
        raise DataError(f"{path}: there is no row in it; expected at least one")
    if rows[0].label is None:
        raise DataError(
            f"{path}: none of its columns is called label, class or category; name it with --reading.label{header_hint(path)}"
        )
    return rows


def several_labels(label: str | None, columns: Sequence[str]) -> list[str] | None:
    """Return the columns in a name for several columns, such as "rain;wind"; None if it names one column, or none."""
    if label is None or label in columns or SEVERAL not in label:
        return None
    return [name.strip() for name in label.split(SEVERAL) if name.strip()]


def joined_label(row: Mapping[str, Any], names: Sequence[str], place: str) -> str:
    """Join the labels of a row that has a column of 1 or 0 for each label: "rain;wind", or "" for no label.

    Raises:
        DataError: A column does not exist, or does not hold 1 or 0.
    """
    found: list[str] = []
    for name in names:
        if name not in row:
            raise DataError(f"{place}: has no column {name!r}; its columns are {', '.join(row)}")
        cell = row[name]
        said = "" if cell is None or cell != cell else str(cell).strip().lower()
        if said not in (*_YES, *_NO):
            raise DataError(f"{place}: expected 1 or 0 in column {name!r}, a label, got {said!r:.50}")
        if said in _YES:
            found.append(name)
    return SEVERAL.join(found)


def _written(cell: object, path: str | Path, place: str, column: str) -> str | None:
    """Return a cell as text; None if it is missing."""
    if cell is None or isinstance(cell, str):
        if cell and not cell.isascii() and any("\ud800" <= character <= "\udfff" for character in cell):
            raise DataError(
                f"{path}, {place}: column {column!r} has half a character (a lone surrogate); write the file again"
            )
        return cell
    if issubclass(kind := type(cell), list | dict):
        raise DataError(
            f"{path}, {place}: column {column!r} holds {kind.__name__}, expected a text or a number; name another column"
        )
    return json.dumps(cell) if isinstance(cell, bool) else str(cell)


def _named(path: str | Path, columns: Sequence[str], name: str | None, option: str) -> str | None:
    if name is not None and name not in columns:
        raise DataError(
            f"{path}: has no column {name!r}; its columns are {', '.join(columns)}: name one with {option}{header_hint(path)}"
        )
    return name


def _guess(columns: Sequence[str], names: tuple[str, ...], taken: str | None) -> str | None:
    free = {column.strip().lower(): column for column in columns if column != taken}
    return next((free[name] for name in names if name in free), None)
