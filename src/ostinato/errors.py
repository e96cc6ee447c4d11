"""The errors that Ostinato raises by itself.

Layers raise what `torch.nn` raises (`ValueError`, `RuntimeError`, `TypeError`), so that they drop in. Everything around the
layers raises an `OstinatoError`: its message says what was expected, what came and what to do, in one line. The command line
prints that line and exits with status 2; a traceback is for bugs only.
"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What goes behind "... is no ...": a question with the closest of the names that are known, or a full stop."""
    import difflib  # here: a program that goes well never needs it

    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else "."


def told_kind(given: object) -> str:
    """What goes behind "got" of what is not the module that was asked for: its type, and where it has a module."""
    name = type(given).__name__
    return f"{name}; its network is its attribute `model`" if hasattr(given, "model") else name


class OstinatoError(Exception):
    """Something that the user can put right; the message says how."""


class DataError(OstinatoError):
    """Data that cannot be found, read, decoded or is too small for what was asked."""


class ConfigError(OstinatoError):
    """A setting with a wrong name, type or value, or settings that contradict each other."""


class RunError(OstinatoError):
    """A run folder that is missing, incomplete, damaged or not of the kind that was asked for."""


class PeerError(RunError):
    """Another process of the run is gone, or has stopped with an error that it tells itself."""


class ModelError(OstinatoError):
    """A model whose outputs are no numbers, so that nothing can be made of them."""


class CellError(OstinatoError):
    """A cell whose step and description disagree, or an option that this cell cannot take."""


class MissingPackageError(OstinatoError, ModuleNotFoundError):
    """A package of an extra that is not installed; `pip install` with the extra brings it."""


class StateError(OstinatoError):
    """A saved state that is damaged, or that is of something else than what it is given to."""
