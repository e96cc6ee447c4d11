"""Writing answers into a file, in the form that its suffix says.

| suffix | form |
| --- | --- |
| .jsonl, .ndjson, .json, none | a line of JSON for each answer |
| .csv, .tsv, .parquet | a table: a row an answer; or a row a step, if answers have as many values as steps |
| .txt | the text of `--show` |
| .conllu, .conll, .bio | for a tagger: the file that was predicted for, with the predicted tags in their column |

In a table the parts of an answer are columns, such as `probabilities.good`; rows of steps begin with the numbers of the
answer and of the step, from 1 on. What fits no cell, such as other hypotheses or attention, is in JSON only.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ostinato.errors import ConfigError, OstinatoError

FORMS = (".conllu", ".conll", ".bio")  # forms that some task writes
JSON_LINES, TABLES, TEXT = (".jsonl", ".ndjson", ".json", ""), (".csv", ".tsv", ".parquet"), ".txt"
_EXAMPLE, _STEP = "answer", "step"
_PART_ROWS = 100_000  # rows of a table that are held before they are written

Write = Callable[[Mapping[str, Any]], None]
Rows = Callable[[Mapping[str, Any]], "list[dict[str, Any]] | None"]


def check_suffix(path: str) -> None:
    """Raises `ConfigError` if the suffix of a file is none of the forms of answers."""
    if (suffix := Path(path).suffix.lower()) not in (*JSON_LINES, *TABLES, TEXT, *FORMS):
        known = ", ".join(each for each in (*JSON_LINES, *TABLES, TEXT, *FORMS) if each)
        raise ConfigError(f"--output {path}: expected a name that ends in {known}, got {suffix}")


@contextmanager
def answers_into(path: str, task: Any, rows: Rows | None = None, *, before: int = 0) -> Iterator[Write]:
    """Opens a new file, and gives a function that writes an answer into it.

    Args:
        path: the file, with one of the suffixes above.
        task: the task of the answers; it makes the text of .txt.
        rows: makes the rows of a table from an answer; None from an answer that has the usual rows.
        before: how many answers are in the files before this one; answers are numbered from there on.

    Raises:
        ConfigError: the suffix is no form, or the task has no text.
        OstinatoError: the file cannot be written, or answers do not make a table.
    """
    check_suffix(path)
    suffix = Path(path).suffix.lower()
    if suffix == TEXT:
        _check_text(task)
    try:
        if suffix == ".parquet":
            with open(path, "wb"):  # fails before the answers are computed, not after
                pass
            table = _Columns(path, rows, before)
            try:
                yield table.write
                table.close()
            finally:
                table.leave()
            return
        with open(path, "w", encoding="utf-8", newline="" if suffix in TABLES else None) as file:
            if suffix in TABLES:
                yield _Table(file, "\t" if suffix == ".tsv" else ",", path, rows, before).write
            elif suffix == TEXT:
                yield lambda answer: print(task.shown(answer).plain, file=file)
            else:
                yield lambda answer: print(json.dumps(answer, ensure_ascii=False), file=file)
    except OSError as error:
        raise OstinatoError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error


def write_form(path: str, trained: Any, data: str, answers: Iterable[Mapping[str, Any]]) -> None:
    """Writes answers in a form of their task alone, such as CoNLL-U; an old file stays until the new one is complete.

    Args:
        path: the file.
        trained: the `Trained` of the run.
        data: what was predicted for.
        answers: the answers in the order of the data.

    Raises:
        ConfigError: the task has no such form, or the answers do not fit it.
        OstinatoError: the file cannot be written.
    """
    task, target = trained.task, Path(path)
    if target.suffix.lower() not in task.forms:
        known = ", ".join(each for each in (*JSON_LINES, *TABLES, TEXT, *task.forms) if each)
        raise ConfigError(f"--output {path}: answers of {task.name} are written to {known}, got {target.suffix}")
    lines = task.lines(trained, data, path, answers)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
        os.replace(beside, target)
    except OSError as error:
        raise OstinatoError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
    finally:
        beside.unlink(missing_ok=True)


def rows_of(answer: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    """The rows of an answer in a table: a row a step if it has lists of numbers or texts, else one row.

    Args:
        answer: the answer, as in JSON.
        number: how many answers come before it.
    """
    cells = dict(_flat(answer))
    lists = {name: cell for name, cell in cells.items() if isinstance(cell, list)}
    plain = {name: cell for name, cell in lists.items() if not any(isinstance(v, list | dict) for v in cell)}
    alone = {name: cell for name, cell in cells.items() if name not in lists}
    if not plain:
        return [alone]
    steps = Counter(map(len, plain.values())).most_common(1)[0][0]
    beside = {name: cell for name, cell in plain.items() if len(cell) == steps}
    return [
        {_EXAMPLE: number + 1, _STEP: at + 1, **alone, **{name: cell[at] for name, cell in beside.items()}}
        for at in range(steps)
    ]


def _flat(answer: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in answer.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


class _Table:
    """Writes rows as they come; the first row decides the columns."""

    def __init__(self, file: Any, separator: str, path: str, rows: Rows | None = None, before: int = 0) -> None:
        self._file, self._separator, self._path, self._rows = file, separator, path, rows
        self._answers = before
        self._writer: csv.DictWriter[str] | None = None

    def write(self, answer: Mapping[str, Any]) -> None:
        rows = (None if self._rows is None else self._rows(answer)) or rows_of(answer, self._answers)
        self._answers += 1
        for row in rows:
            if self._writer is None:
                self._writer = csv.DictWriter(self._file, list(row), delimiter=self._separator, lineterminator="\n")
                self._writer.writeheader()
            _check_columns(row, self._writer.fieldnames, self._path)
            self._writer.writerow(row)


def _check_columns(row: Mapping[str, Any], columns: Any, path: str) -> None:
    if extra := [name for name in row if name not in columns]:
        raise OstinatoError(
            f"{path}: answers do not make one table: one has {extra[0]!r}, which the first has not; write .jsonl instead"
        )


class _Columns:
    """Collects columns for Parquet; many rows are written to parts beside the file, which are joined at the end."""

    def __init__(self, path: str, rows: Rows | None = None, before: int = 0) -> None:
        self._path, self._answers, self._rows = path, before, rows
        self._columns: dict[str, list[Any]] = {}
        self._beside: Path | None = None
        self._parts: list[Path] = []

    def write(self, answer: Mapping[str, Any]) -> None:
        rows = (None if self._rows is None else self._rows(answer)) or rows_of(answer, self._answers)
        self._answers += 1
        for row in rows:
            self._columns = self._columns or {name: [] for name in row}
            _check_columns(row, self._columns, self._path)
            for name, cells in self._columns.items():
                cells.append(row.get(name))
        if len(next(iter(self._columns.values()), ())) >= _PART_ROWS:
            self._part()

    def _part(self) -> None:
        import polars

        if self._beside is None:
            target = Path(self._path)
            self._beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        self._parts.append(self._beside / f"{len(self._parts)}.parquet")
        polars.DataFrame(self._columns, strict=False).write_parquet(self._parts[-1])
        self._columns = {name: [] for name in self._columns}

    def close(self) -> None:
        """Writes the file, from the rows held and from the parts."""
        import polars

        if not self._parts:
            polars.DataFrame(self._columns, strict=False).write_parquet(self._path)
            return
        if any(self._columns.values()):
            self._part()
        # A column may be empty or of whole numbers in one part, and of other numbers in the next.
        parts = [polars.scan_parquet(part, glob=False) for part in self._parts]
        polars.concat(parts, how="vertical_relaxed").sink_parquet(self._path)

    def leave(self) -> None:
        """Removes the parts beside the file."""
        if self._beside is not None:
            shutil.rmtree(self._beside, ignore_errors=True)


def _check_text(task: Any) -> None:
    from ostinato.recipes.task import Task

    if type(task).shown is Task.shown:
        raise ConfigError(f"--output: answers of {task.name} have no text of their own; write .jsonl, .csv or .parquet")
