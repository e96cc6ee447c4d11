"""Cells of one's own in the settings of a run, named by their places: looked for before anything else is done."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ostinato.cell_names import CellName
from ostinato.data.sources.plain_file import read_plain
from ostinato.errors import ConfigError
from ostinato.recipes.typed import field_types

FILE = "cells.json"  # in the folder of a run: of each place, the file where the cell was


def check(settings: Any, run: Path | None) -> None:
    """Looks whether all cells are where the settings say.

    Args:
        settings: of a run.
        run: its folder, if there is one already.

    Raises:
        ConfigError: one is not there; the message says where it was when the run began.
    """
    from ostinato.cells.places import find

    for place in places(settings):
        try:
            find(place)
        except ConfigError as error:
            was = None if run is None else _recorded(run).get(place)
            if was is None:
                raise
            raise ConfigError(
                f"{error} It was in {was} when the run {run} began; the run itself is as it was"
            ) from error


def record(settings: Any, run: Path) -> None:
    """Writes into the folder of a run where its cells are, if it has any of one's own."""
    from ostinato.training.run.files import write_json

    check(settings, run)
    # A package without an __init__.py has no file.
    modules = {place: sys.modules[place.partition(":")[0]] for place in places(settings)}
    if found := {place: getattr(module, "__file__", None) for place, module in modules.items()}:
        write_json(run / FILE, found)


def places(settings: Any) -> Iterator[str]:
    """Those in settings, with the settings within them."""
    for name, kind in field_types(type(settings)).items():
        value = getattr(settings, name)
        if kind is CellName and isinstance(value, str) and ":" in value:
            yield value
        elif dataclasses.is_dataclass(value):
            yield from places(value)


def _recorded(run: Path) -> dict[str, str]:
    try:
        found = json.loads(read_plain(run / FILE))
    except (OSError, ValueError, RecursionError):
        return {}  # it would only have said more
    return found if isinstance(found, dict) else {}
