"""Load objects by their place, "module:name": a user's own tasks and cells."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from ostinato.errors import ConfigError, did_you_mean


def load(place: str, what: str) -> Any:
    """Load the object at a place.

    Args:
        place: "module:name", with points between folders.
        what: the expected kind of object, in a word, such as "class".

    Raises:
        ConfigError: there is nothing at the place, or its module cannot be imported.
    """
    module, _, name = place.partition(":")
    if not name.strip() or not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(f"{place}: expected a {what} at a place module:{what}, with points between folders")
    try:
        found: Any = importlib.import_module(module)
        for part in [name] if hasattr(found, name) else name.split("."):
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's module may raise anything, even SystemExit
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"{place}: expected a {what} at this place, module:{what}; it cannot be loaded ({reason}){_advice(module, name, error)}"
        ) from error
    return found


def _advice(module: str, name: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        if module.endswith(".py"):
            return f"; did you mean {module[:-3]}:{name}?"
        return "; is its folder the one that you are in, or in PYTHONPATH?"
    if (found := sys.modules.get(module)) is not None:
        file = getattr(found, "__file__", None)
        here = f"; the module is {file}" if file else ", and the module is a folder without __init__.py"
        return here + did_you_mean(name, vars(found)).removesuffix(".")
    return ""


def load_from_here(place: str, what: str) -> Any:
    """Load the object at a place, also from a module in the current folder.

    Raises:
        ConfigError: see `load`; or the object was made where no other process can import it.
    """
    if place.startswith("__main__:") or "<locals>" in place:
        raise ConfigError(
            f"{place}: the {what} was made in a script or in a function; move it into a module that can be imported"
        )
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())  # at the end, so that a file in it does not replace another module
    return load(place, what)
