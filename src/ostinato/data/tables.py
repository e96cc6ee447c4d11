"""Tables of texts and labels: CSV, TSV, JSON lines and Parquet, read by polars."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.data.lines import PART_NAMES, decoded, find_parts, numbered_lines, open_file, suffix_of
from ostinato.data.splits import Splits, stratified_split
from ostinato.errors import DataError

if TYPE_CHECKING:
    import polars

TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "message", "tweet", "document", "body", "input", "x")
LABEL_NAMES = ("label", "class", "category", "sentiment", "target", "intent", "topic", "emotion", "rating", "tag", "y")
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_JSON_LINES = {".jsonl", ".ndjson", ".json"}
_PARQUET = {".parquet", ".pq"}
_NO_NUMBER = ["NA", "N/A", "n/a", "NaN", "nan", "null", "NULL"]
TABLE_SUFFIXES = (*_SEPARATORS, *sorted(_JSON_LINES), *sorted(_PARQUET))


@dataclass(frozen=True)
class Example:
    """A text and what it is.

    Attributes:
        text: As it stands in the file; may be empty.
        label: Its class; None where the file says none.
    """

    text: str
    label: str | None


def read_examples(path: str | Path, *, text: str | None = None, label: str | None = None) -> tuple[Example, ...]:
    """The texts of a table with their labels, in order.

    An empty cell of text is the empty text. Labels may be words or numbers; each is kept as it is written.

    Args:
        path: A file or URL, as for `read_table`.
        text: Name of the column of texts; None for the one whose name says so (`TEXT_NAMES`), or the only one beside the labels.
        label: Name of the column of labels; None for the one whose name says so (`LABEL_NAMES`), if there is one.

    Raises:
        DataError: The file cannot be read, a column is not there or cannot be guessed, a label is missing in some rows only.
    """
    table = read_table(path, as_text=True)
    columns = table.columns
    label_column = _named(path, columns, label, "--label") or _guess(columns, LABEL_NAMES, taken=text)
    text_column = _named(path, columns, text, "--text") or _guess(columns, TEXT_NAMES, taken=label_column)
    if text_column is None:
        others = [column for column in columns if column != label_column]
        if len(others) != 1:
            raise DataError(f"{path}: none of the columns {', '.join(columns)} is called text; name it with --text")
        text_column = others[0]
    texts = [cell or "" for cell in table[text_column].to_list()]
    if label_column is None:
        return tuple(Example(cell, None) for cell in texts)
    labels = table[label_column].to_list()
    missing = next((row for row, cell in enumerate(labels) if cell is None or cell == ""), None)
    if missing is not None:
        raise DataError(
            f"{path}, row {missing + 1} after the header: column {label_column!r} is empty there; "
            "give every row a label or leave the row out"
        )
    return tuple(Example(cell, name) for cell, name in zip(texts, labels, strict=True))


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
) -> Splits[tuple[Example, ...]]:
    """A data set of texts and labels in three parts.

    Args:
        train: A table, or a folder that holds train, validation (valid, val, dev) and test tables.
        validation: A table; None to draw `validation_share` of the training rows, each label in its share.
        test: A table; None to draw `test_share` of the training rows.
        text: As for `read_examples`.
        label: As for `read_examples`.
        validation_share: Of the rows of `train`, 0 <= share < 1; not used where there is a table of its own.
        test_share: The same for test.
        seed: Of the draw.

    Raises:
        DataError: As for `read_examples`; there is no row or no column of labels.
        ConfigError: A share is out of range.
    """
    name = Path(str(train)).name
    if "://" not in str(train) and Path(train).expanduser().is_dir():
        parts = find_parts(Path(train).expanduser(), PART_NAMES, TABLE_SUFFIXES)
        if "train" not in parts:
            raise DataError(f"{train}: expected a table called train.csv (.tsv, .jsonl, .parquet) in this folder")
        train, validation, test = parts["train"], validation or parts.get("validation"), test or parts.get("test")
    rows = labelled(read_examples(train, text=text, label=label), train)
    kept, drawn, last = stratified_split(
        [row.label for row in rows],
        validation_share if validation is None else 0.0,
        test_share if test is None else 0.0,
        seed=seed,
    )

    def part(path: str | Path | None, indices: Iterable[int]) -> tuple[Example, ...]:
        if path is None:
            return tuple(rows[index] for index in indices)
        return labelled(read_examples(path, text=text, label=label), path)

    return Splits(name, part(None, kept), part(validation, drawn), part(test, last))


def labelled(rows: tuple[Example, ...], path: str | Path) -> tuple[Example, ...]:
    """The rows, if there are any and they have labels.

    Raises:
        DataError: There is no row, or no label.
    """
    if not rows:
        raise DataError(f"{path}: there is no row in it; expected at least one")
    if rows[0].label is None:
        raise DataError(f"{path}: none of its columns is called label, class or category; name it with --label")
    return rows


def read_table(path: str | Path, *, as_text: bool = False) -> polars.DataFrame:
    """A table of a file or URL, by its suffix; compressed or not.

    Args:
        path: .csv or .tsv, whose first line names the columns; .jsonl (also .ndjson, .json: an object a line) or .parquet.
        as_text: Give every cell as text, without columns of lists and objects; else numbers become numbers.

    Raises:
        DataError: The suffix tells no format, or the content is not what the suffix says; the message names the line.
    """
    import polars

    suffix = suffix_of(path)
    if suffix in _JSON_LINES:
        table = polars.DataFrame(list(json_lines(path)), infer_schema_length=None, strict=False)
    else:
        with open_file(path) as file:
            content = file.read()
        if suffix in _SEPARATORS:
            table = _separated(path, content, _SEPARATORS[suffix], as_text)
        elif suffix in _PARQUET:
            try:
                table = polars.read_parquet(io.BytesIO(content))
            except Exception as error:  # polars has errors of its own, without a common class
                raise DataError(f"{path}: is not a whole Parquet file ({_one_line(error)}); write it again") from error
        else:
            raise DataError(f"{path}: expected a name that ends in {', '.join(TABLE_SUFFIXES)}, compressed or not")
    if not table.width:
        raise DataError(f"{path}: there is nothing in it; expected a table whose columns have names")
    if not as_text:
        return table
    flat = [column for column in table.columns if not table[column].dtype.is_nested()]
    return table.select(polars.col(flat).cast(polars.String, strict=False))


def json_lines(path: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines; empty lines are passed over.

    Raises:
        DataError: A line is not a JSON object; the message names it.
    """
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}: is not JSON ({_one_line(error)}); write one object a line"
            ) from error
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: expected a JSON object with named values, got {type(row).__name__}"
            )
        yield row


def _separated(path: str | Path, content: bytes, separator: str, as_text: bool) -> polars.DataFrame:
    import polars

    if not content.strip():
        raise DataError(f"{path}: there is nothing in it; expected a first line with the names of the columns")
    try:
        return polars.read_csv(
            content,
            separator=separator,
            infer_schema=not as_text,
            infer_schema_length=None,
            try_parse_dates=not as_text,
            null_values=None if as_text else _NO_NUMBER,
        )
    except Exception as error:  # polars has errors of its own, without a common class
        _explain_row(path, content, separator)
        raise DataError(f"{path}: is not a table that can be read ({_one_line(error)})") from error


def _explain_row(path: str | Path, content: bytes, separator: str) -> None:
    """Find the first row that is not like the others; polars does not say which it is."""
    for number, raw in enumerate(content.splitlines(keepends=True), start=1):
        decoded(raw, path, number)
    reader = csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator)
    try:
        width = len(next(reader))
        for row in reader:
            if len(row) > width:
                raise DataError(
                    f"{path}, line {reader.line_num}: has {len(row)} cells, but the header has {width}; "
                    f"put a cell that contains {separator!r} in double quotes"
                )
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {_one_line(error)}") from error


def _named(path: str | Path, columns: list[str], name: str | None, option: str) -> str | None:
    if name is not None and name not in columns:
        raise DataError(f"{path}: has no column {name!r}; its columns are {', '.join(columns)}: name one with {option}")
    return name


def _guess(columns: list[str], names: tuple[str, ...], taken: str | None) -> str | None:
    free = {column.strip().lower(): column for column in columns if column != taken}
    return next((free[name] for name in names if name in free), None)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
