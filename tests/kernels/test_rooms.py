"""How the rooms of kernels stand to each other; the floors are import-linter's, which sees no import that is for types only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ostinato

PACKAGE = Path(ostinato.__file__).parent


def name_of(file: Path) -> str:
    return "ostinato." + ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


def imported(file: Path, known: set[str]) -> Iterator[str]:
    """Every module that a file imports anywhere: at its top, in a function, for types."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else str(node.module)


@pytest.mark.parametrize("room", ["kernels", "nn"])
def test_no_modules_import_each_other(room: str) -> None:
    files = {name_of(file): file for file in (PACKAGE / room).rglob("*.py")}
    graph = {name: set(imported(file, set(files))) & set(files) for name, file in files.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
