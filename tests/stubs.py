"""Writes what editors and type checkers see of the cells that have a name, whose classes are made when they are imported.

And their table in the documentation.

```shell
make stubs
```
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Any, get_type_hints

import ostinato
from ostinato import catalogue
from ostinato.cell_names import Declared, catalogued, classes, declared, every
from ostinato.cells import library
from ostinato.cells.places import find
from ostinato.nn import layers, steps

ROOT = Path(ostinato.__file__).parent
PAGE = Path(__file__).parents[1] / "docs/catalogue.md"
HEAD = "# Written by `make stubs` from the files in ostinato/cells, not by hand.\n"


def stubs() -> dict[Path, str]:
    """The text of each file by its path."""
    return {
        ROOT / "cell_names.pyi": _names(),
        ROOT / "catalogue.pyi": _catalogue(),
        ROOT / "cells/library.pyi": _library(),
        ROOT / "nn/layers.pyi": _classes(layers, "Recurrent"),
        ROOT / "nn/steps.pyi": _classes(steps, "Step"),
        PAGE: _page_of_cells(),
    }


def _page_of_cells() -> str:
    rows = ["| name | layer | states | gates | source |", "| --- | --- | --- | --- | --- |"]
    for each in every():
        made = find(each.key)
        of, own = made.choose(), ", ".join(f"{name}={p.default!r}" for name, p in made.arguments.items())
        layer = f"{'catalogue.' * (each in catalogued())}{each.name}({own})"
        cells = [f"`{each.key}`", f"`{layer}`", f"`{' '.join(of.states)}`", f"`{' '.join(of.gates)}`", of.source]
        rows.append(f"| {' | '.join(cells)} |")
    start, end = "<!-- cells -->\n", "<!-- end of cells -->"
    before, after = PAGE.read_text(encoding="utf-8").split(start)
    return "\n".join([f"{before}{start}", *rows, "", f"{end}{after.partition(end)[2]}"])


def _names() -> str:
    keys = "".join(f'        "{each.key}",\n' for each in every())
    fields = "".join(f"    {name}: {kind.__name__}\n" for name, kind in get_type_hints(Declared).items())
    return (
        f"{HEAD}from typing import Literal, NamedTuple, TypeAlias\n\n"
        f"CellName: TypeAlias = (\n    Literal[\n{keys}    ]\n    | str\n)\n\n"
        f"class Declared(NamedTuple):\n{fields}    @property\n    def key(self) -> str: ...\n\n"
        "def declared() -> tuple[Declared, ...]: ...\n"
        "def catalogued() -> tuple[Declared, ...]: ...\n"
        "def every() -> tuple[Declared, ...]: ...\n"
        "def classes(of: tuple[Declared, ...] | None = None) -> list[str]: ...\n"
        "def names_a_cell(text: object) -> bool: ...\n"
        "def expected() -> str: ...\n"
        "def unknown(name: object) -> str: ...\n"
    )


def _library() -> str:
    modules = sorted({each.module for each in declared()})
    imports = [f"from {name} import {each} as {each}" for name in modules for each in _module(name).__all__]
    return "\n".join(
        [
            HEAD,
            *imports,
            "from ostinato.cells.registry import NamedCell\n",
            "NAMED: dict[str, NamedCell]",
            _public(library.__all__),
        ]
    )


def _module(name: str) -> Any:
    return importlib.import_module(name)


_HOMES = {"Recurrent": ("recurrent", "LayerOptions"), "Step": ("step", "StepOptions")}


def _classes(module: Any, base: str) -> str:
    return _page([base], [_class(getattr(module, name), base) for name in module.__all__], module.__all__)


def _catalogue() -> str:
    names = classes(catalogued())
    kinds = [
        _class(getattr(catalogue, name), "Recurrent" if at < len(names) / 2 else "Step")
        for at, name in enumerate(names)
    ]
    functions = [
        _function(each)
        for each in vars(catalogue).values()
        if inspect.isfunction(each) and each.__module__ == catalogue.__name__ and not each.__name__.startswith("_")
    ]
    more = "from ostinato.cell_names import CellName\nfrom ostinato.cells.spec import Cell\n"
    return _page(["Recurrent", "Step"], functions + kinds, catalogue.__all__, more)


def _page(bases: list[str], parts: list[str], public: list[str], more: str = "") -> str:
    several = "from collections.abc import Sequence\n" if "Recurrent" in bases else ""
    several = several.replace("Sequence", "Callable, Sequence") if more else several
    options = ", ".join(_HOMES[base][1] for base in bases)
    homes = "".join(f"from ostinato.nn.{_HOMES[base][0]} import {base}\n" for base in bases)
    head = (
        f"{HEAD}{several}from typing import Any, Unpack\n\nimport torch\n\n"
        f"{more}from ostinato.nn.options import {options}\n{homes}"
    )
    return "\n".join([head, *parts, _public(public)])


def _function(of: Any) -> str:
    signature = inspect.signature(of)
    arguments = textwrap.indent("\n".join(_written(signature.parameters.values())), "    ")
    head = f"def {of.__name__}(" + f"\n{arguments}\n" * bool(arguments) + f") -> {signature.return_annotation}:"
    # Python keeps how far a docstring is indented, from 3.13 on it does not.
    said = textwrap.indent(inspect.cleandoc(of.__doc__), "    ").lstrip()
    end = "\n    " if "\n" in said else ""
    return f'{head}\n    """{said}{end}"""\n'


def _class(kind: Any, base: str) -> str:
    bases = f"{base}, torch.nn.{kind.torch_class.__name__}" if kind.torch_class else base
    note = "  # pyright: ignore[reportIncompatibleMethodOverride]" if kind.torch_class else ""
    parameters = inspect.signature(kind.__init__).parameters.values()
    shared = inspect.signature(kind.__base__.__init__).parameters
    attributes = [f"{each.name}: {each.annotation}" for each in parameters if each.name not in shared]
    said = kind.__doc__ if kind.__module__ != catalogue.__name__ else _without_options(kind.__doc__)
    body = [f'"""{said}\n"""' if "\n" in said else f'"""{said}"""', ""]
    body += attributes + [""] * bool(attributes)
    body += ["def __init__(", *textwrap.indent("\n".join(_written(parameters)), "    ").split("\n"), ") -> None: ..."]
    return f"class {kind.__name__}({bases}):{note}\n" + textwrap.indent("\n".join(body), "    ") + "\n"


def _without_options(said: str) -> str:
    """What eighty classes need not repeat: `help` tells it of each."""
    return re.sub(
        r"(    \*\*options: )by keyword, (`\w+`):\n(?: {8}.*\n)+",
        r"\1see \2.\n",
        said,
    )


def _written(parameters: Any) -> list[str]:
    lines = []
    keyword_only = False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not keyword_only:
            lines.append("*,")
            keyword_only = True
        stars = "**" if each.kind is each.VAR_KEYWORD else ""
        note = "" if each.annotation is each.empty else f": {each.annotation}"
        default = json.dumps(each.default) if isinstance(each.default, str) else repr(each.default)
        lines.append(f"{stars}{each.name}{note}{'' if each.default is each.empty else f' = {default}'},")
    return lines


def _public(names: list[str]) -> str:
    return "__all__ = [\n" + "".join(f'    "{name}",\n' for name in names) + "]\n"


if __name__ == "__main__":
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")
