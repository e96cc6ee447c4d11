"""Which modules of the house import each other: `python -m tests.rooms`, which `make check` calls.

import-linter holds the floors; it sees no import that is for types only. Here every import counts, at the top of a file, in a
function, for types: who reads one of two files that import each other must read both.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import ostinato

PACKAGE = Path(ostinato.__file__).parent


def imports(package: Path) -> dict[str, set[str]]:
    """For each module of a package, by name, the modules of the package that it imports."""
    files = {_name_of(file, package): file for file in package.rglob("*.py")}
    return {name: (set(_imported(file, files)) & set(files)) - {name} for name, file in files.items()}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules of which each imports the next and the last the first, which stands at both ends; empty where there are none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def _name_of(file: Path, package: Path) -> str:
    parts = (package.name, *file.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else str(node.module)


def main() -> int:
    """Prints a circle, if there is one. Returns 0, or 1 for one."""
    found = circle(imports(PACKAGE))
    if found:
        print(f"modules import each other: {' imports '.join(found)}; move what both need into a file of its own")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
