"""Answers into a file, in the form that its suffix says.

| suffix | what |
| --- | --- |
| .jsonl, .ndjson, .json, none | a line of JSON for each answer |
| .csv, .tsv, .parquet | a table: a row an answer, or, of answers with as many values as steps, a row a step |
| .txt | what `--show` prints |
| .conllu, .conll, .bio | of a tagger: what was predicted for, with its tags in their column |

In a table the parts of an answer are columns, `probabilities.good`; rows of steps begin with the numbers of the answer and of the
step, from 1 on. What fits no cell, such as other hypotheses or attention, JSON alone has.
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

FORMS = (".conllu", ".conll", ".bio")  # that some task writes
JSON_LINES, TABLES, TEXT = (".jsonl", ".ndjson", ".json", ""), (".csv", ".tsv", ".parquet"), ".txt"
_EXAMPLE, _STEP = "answer", "step"
_PART_ROWS = 100_000  # of a table that are held before they are written

Write = Callable[[Mapping[str, Any]], None]
Rows = Callable[[Mapping[str, Any]], "list[dict[str, Any]] | None"]


def check_suffix(path: str) -> None:
    """Raises `ConfigError` where the name of a file says a form that answers are not written in."""
    if (suffix := Path(path).suffix.lower()) not in (*JSON_LINES, *TABLES, TEXT, *FORMS):
        known = ", ".join(each for each in (*JSON_LINES, *TABLES, TEXT, *FORMS) if each)
        raise ConfigError(f"--output {path}: expected a name that ends in {known}, got {suffix}")


@contextmanager
def answers_into(path: str, task: Any, rows: Rows | None = None, *, before: int = 0) -> Iterator[Write]:
    """What writes an answer at a time into a new file.

    Args:
        path: of the file, with one of the suffixes above.
        task: whose answers they are; it says how text shows them.
        rows: what makes the rows of a table of an answer, and None of one that has no rows of its own.
        before: how many answers stand in the files before this one, of which it goes on counting.

    Raises:
        ConfigError: the suffix says no form, or the task has no text.
        OstinatoError: the file cannot be written, or answers do not make a table.
    """
    check_suffix(path)
    suffix = Path(path).suffix.lower()
    if suffix == TEXT:
        _check_text(task)
    try:
        if suffix == ".parquet":
            with open(path, "wb"):  # before an hour of answers, not after
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
    """Writes answers in a form of their task alone, such as CoNLL-U; a file that was there stays until the new one is whole.

    Args:
        path: of the file.
        trained: of the run.
        data: what was predicted for.
        answers: in order.

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
    """The rows of an answer.

    Args:
        answer: as JSON has it.
        number: how many answers were before it.
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
    """Rows as they come; the first says which columns there are."""

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
    """Columns, as Parquet wants them: parts beside the file as soon as there is much, which become one in the end."""

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
        """Writes the file."""
        import polars

        if not self._parts:
            polars.DataFrame(self._columns, strict=False).write_parquet(self._path)
            return
        if any(self._columns.values()):
            self._part()
        # What is whole numbers in one part, or nothing at all, may be others in the next.
        parts = [polars.scan_parquet(part, glob=False) for part in self._parts]
        polars.concat(parts, how="vertical_relaxed").sink_parquet(self._path)

    def leave(self) -> None:
        """Takes away what lies beside the file."""
        if self._beside is not None:
            shutil.rmtree(self._beside, ignore_errors=True)


def _check_text(task: Any) -> None:
    from ostinato.recipes.task import Task

    if type(task).shown is Task.shown:
        raise ConfigError(f"--output: answers of {task.name} have no text of their own; write .jsonl, .csv or .parquet")
