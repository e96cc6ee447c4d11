"""A user's own cells in the settings of a run, named by their places: looked up before anything else is done."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ostinato.cell_names import CellName
from ostinato.data.sources.plain_file import read_plain
from ostinato.errors import ConfigError
from ostinato.recipes.typed import field_types

FILE = "cells.json"  # in the folder of a run: for each place, the file where the cell was, and a digest of its source


def check(settings: Any, run: Path | None) -> None:
    """Checks that all cells are at the places in the settings, and are still the same as when the run began.

    Args:
        settings: the settings of a run.
        run: the run's folder; None if there is none yet.

    Raises:
        ConfigError: a cell is not there, and the message says where it was when the run began; or another cell is there
            now.
    """
    from ostinato.cells.places import find

    for place in places(settings):
        file, written = (None, None) if run is None else _recorded(run).get(place, (None, None))
        try:
            find(place)
        except ConfigError as error:
            if file is None:
                raise
            said = str(error)
            stop = "" if said.endswith((".", "?", "!")) else "."
            raise ConfigError(
                f"{said}{stop} It was in {file} when the run {run} began; the run itself is as it was"
            ) from error
        if run is not None and written is not None and _written(place) not in (None, written):
            raise ConfigError(
                f"{place}: it is written otherwise than when the run {run} began, and would make something else of what was "
                f"learnt; put it back, or give the new one another name; if it computes the same, delete {run / FILE}"
            )


def record(settings: Any, run: Path) -> None:
    """Writes into the folder of a run where the user's own cells are, if it has any."""
    from ostinato.training.run.files import write_json

    check(settings, run)
    # A package without an __init__.py has no file.
    modules = {place: sys.modules[place.partition(":")[0]] for place in places(settings)}
    if modules:
        found = {place: [getattr(module, "__file__", None), _written(place)] for place, module in modules.items()}
        write_json(run / FILE, found)


def _written(place: str) -> str | None:
    """A digest of the function at a place, without comments and docstrings; None if its source cannot be read."""
    from ostinato.cells.spec import Cell
    from ostinato.places import load_from_here

    found = load_from_here(place, "cell")
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(found.step if isinstance(found, Cell) else found)))
    except (OSError, TypeError, SyntaxError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def places(settings: Any) -> Iterator[str]:
    """The places of cells in settings and in the groups within them."""
    for name, kind in field_types(type(settings)).items():
        value = getattr(settings, name)
        if kind is CellName and isinstance(value, str) and ":" in value:
            yield value
        elif dataclasses.is_dataclass(value):
            yield from places(value)


def _recorded(run: Path) -> dict[str, tuple[str | None, str | None]]:
    """For each place the file and the digest of the source when the run began; None for what is not known."""
    try:
        found = json.loads(read_plain(run / FILE))
    except (OSError, ValueError, RecursionError):
        return {}  # the file only makes messages more precise, so the run goes on without it
    told: dict[str, tuple[str | None, str | None]] = {}
    for place, what in (found if isinstance(found, dict) else {}).items():
        match what:
            case [str() | None as file, str() | None as written]:
                told[place] = file, written
            case str():  # the format of the first versions: no digest
                told[place] = what, None
            case _:
                pass
    return told
