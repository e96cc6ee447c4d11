"""The errors that Ostinato raises by itself.

Layers raise what `torch.nn` raises (`ValueError`, `RuntimeError`, `TypeError`), so that they drop in. Everything around the
layers raises an `OstinatoError`: its message says what was expected, what came and what to do, in one line. The command line
prints that line and exits with status 2; a traceback is for bugs only.
"""

from __future__ import annotations


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


class CellError(OstinatoError):
    """A cell whose step and description disagree, or an option that this cell cannot take."""
