"""Which modules of the house import each other: `python -m tests.rooms`, which `make check` calls.

`python -m tests.rooms docs/house.svg` draws which room imports which.

import-linter holds the floors; it sees no import that is for types only. Here every import counts, at the top of a file, in a
function, for types: who reads one of two files that import each other must read both.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import ostinato

PACKAGE = Path(ostinato.__file__).parent
ROOT = Path(__file__).parents[1]
# What stands beside the house, for those who build it.
BESIDE = [ROOT / "benchmarks", ROOT / "pictures", ROOT / "tests"]


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


def picture(graph: Mapping[str, set[str]], floors: Sequence[str]) -> str:
    """A table as SVG: a dot where the room of a row imports that of a column, the larger the more of its modules do.

    Args:
        graph: as `imports` gives it.
        floors: of the house, from the top.
    """
    modules: dict[str, list[str]] = {}
    for name in sorted(graph):
        if len(name.split(".")) > 1 and _room(name, graph) is not None:
            modules.setdefault(str(_room(name, graph)), []).append(name)
    above = {floor: at for at, floor in enumerate(floors)}
    rooms = sorted(modules, key=lambda room: (above.get(room.partition("/")[0], -1), room.count("/"), room))
    rooms = [room for room in rooms if room.partition("/")[0] in above]
    left, top, step = 170, 150, 22
    width, height = left + step * len(rooms) + 20, top + step * len(rooms) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for at, room in enumerate(rooms):
        y, x = top + step * at, left + step * at
        if at % 2 == 0:
            parts.append(f'<rect x="0" y="{y}" width="{width}" height="{step}" fill="#f3f4f8"/>')
        parts.append(f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{room}</text>')
        parts.append(f'<text transform="translate({x + 15},{top - 8}) rotate(-60)">{room}</text>')
    for row, room in enumerate(rooms):
        for column, other in enumerate(rooms):
            inside = set(modules[other])
            count = sum(bool(graph[name] & inside) for name in modules[room])
            if count and room != other:
                radius = min(3 + count**0.5, step / 2 - 1)
                what = f"{count} of {len(modules[room])} modules of {room} import {other}"
                parts.append(
                    f'<circle cx="{left + step * column + step // 2}" cy="{top + step * row + step // 2}" r="{radius:.1f}" '
                    f'fill="#3f51b5"><title>{what}</title></circle>'
                )
    return "\n".join([*parts, "</svg>", ""])


def _room(name: str, graph: Mapping[str, set[str]]) -> str | None:
    """The folder that a module lies in, at most two below the package; None for the package's own files."""
    parts = name.split(".")[1:]
    is_folder = any(other.startswith(f"{name}.") for other in graph)
    folders = parts if is_folder else parts[:-1]
    return "/".join(folders[:2]) or None


def floors() -> list[str]:
    """From the top, as `pyproject.toml` has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return [name.strip("() ").removeprefix("ostinato.") for layer in layers for name in layer.split("|")]


def main(words: Sequence[str] = ()) -> int:
    """Prints a circle of each package that has one, and draws into the file that is named. Returns 0, or 1 for a circle."""
    graph = imports(PACKAGE)
    for path in words:
        Path(path).write_text(picture(graph, floors()), encoding="utf-8")
    circles = [found for each in (graph, *map(imports, BESIDE)) if (found := circle(each))]
    for found in circles:
        print(f"modules import each other: {' imports '.join(found)}; move what both need into a file of its own")
    return 1 if circles else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
