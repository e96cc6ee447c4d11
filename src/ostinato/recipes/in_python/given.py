"""Data in memory where a command takes a file: whether they are a table, and a file made of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from ostinato.errors import OstinatoError
from ostinato.recipes.in_python.frames import is_column, is_frame
from ostinato.recipes.in_python.kept import keep
from ostinato.recipes.in_python.kinds import is_array, is_list, items_of

_LONGEST_NAME = 1024
_OF_RECORDING = {"values", "times", "id"}


def names_a_file(text: str) -> bool:
    """Whether a text is the name of a file on this machine: without blanks, with a suffix, and the file exists."""
    if len(text) > _LONGEST_NAME or len(text.split()) != 1 or not Path(text).suffix:
        return False
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def is_table(given: Any) -> bool:
    """Whether values to predict for are a table: a frame, a mapping of columns, a list of rows, a column with times."""
    if is_frame(given):
        return True
    if is_column(given):  # of pandas, whose index may be times or names
        kind = getattr(getattr(given, "index", None), "dtype", None)
        return kind is not None and str(kind).startswith("datetime64")
    if isinstance(given, Mapping):
        return not _is_recording(given)
    if is_list(given) and (items := items_of(given)):
        return all(isinstance(each, Mapping) and not _is_recording(each) for each in items)
    return False


def _is_recording(given: Mapping[Any, Any]) -> bool:
    return "values" in given and set(given) <= _OF_RECORDING


def is_labelled_data(given: Any) -> bool:
    """Whether data to evaluate on are of a kind that `ostinato.train` takes, not what a task has read already."""
    if is_table(given) or is_array(given):
        return True
    if isinstance(given, list | tuple):
        first: Any = next(iter(given), None)
        # In a user's own task, a row may be a named tuple of two.
        return is_array(first) or isinstance(first, str) or (type(first) in (tuple, list) and len(first) == 2)
    return isinstance(given, Dataset)


@contextmanager
def as_file(given: Any, pair: tuple[str, str] | None) -> Iterator[Path]:
    """Writes data in memory into a temporary file for a task to read; error messages give only the file's name.

    Args:
        given: data of a kind that `keep` takes.
        pair: what the sides of a pair are called, see `Task.pair`.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield keep(given, Path(folder), "data", pair)
        except OstinatoError as error:
            error.args = (str(error).replace(f"{folder}{os.sep}", ""), *error.args[1:])
            raise
