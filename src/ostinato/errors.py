"""The errors that Ostinato raises by itself.

Layers raise what `torch.nn` raises (`ValueError`, `RuntimeError`, `TypeError`), so that they drop in. Everything around the
layers raises an `OstinatoError`: its message says in one line what was expected, what was given and what to do. The command line
prints that line and exits with status 2; a traceback appears only for bugs.
"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message "... is no ...": a question with the closest known name, or a full stop."""
    import difflib  # imported late, as a program without errors never needs it

    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else "."


def told_kind(given: object) -> str:
    """The text after "got" for an object that is not the expected module: its type, and its attribute with a module, if any."""
    name = type(given).__name__
    return f"{name}; its network is its attribute `model`" if hasattr(given, "model") else name


class OstinatoError(Exception):
    """An error that the user can correct; the message says how."""


class DataError(OstinatoError):
    """Data that cannot be found, read or decoded, or that are too small for the purpose."""


class ConfigError(OstinatoError):
    """A setting with a wrong name, type or value, or settings that contradict each other."""


class RunError(OstinatoError):
    """A run folder that is missing, incomplete, damaged or of another kind than expected."""


class PeerError(RunError):
    """Another process of the run is gone, or has stopped with an error that it reports itself."""


class ModelError(OstinatoError):
    """A model whose outputs are NaN or infinite, or an exported model that is not valid or computes something else."""


class CellError(OstinatoError):
    """A cell whose step and description disagree, or an option that this cell cannot take."""


class MissingPackageError(OstinatoError, ModuleNotFoundError):
    """A package of an extra is not installed; `pip install` with that extra installs it."""


class StateError(OstinatoError):
    """A saved state that is damaged, or that belongs to something else than the object that should load it."""
