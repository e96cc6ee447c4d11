"""The built-in cells of all files. `make stubs` writes their names to a stub file for editors."""

from __future__ import annotations

import importlib

from ostinato.cell_names import declared
from ostinato.cells.registry import REGISTRY

_modules = [importlib.import_module(name) for name in sorted({each.module for each in declared()})]
_found = {name: getattr(module, name) for module in _modules for name in module.__all__}
globals().update(_found)
__all__ = list(_found)  # pyright: ignore[reportUnsupportedDunderAll]

# In order, by the name that models and the command line use.
NAMED = {each.key: REGISTRY[each.name] for each in declared()}
