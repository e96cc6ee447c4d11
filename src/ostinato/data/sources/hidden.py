"""Files that people do not know to be there: what systems leave in folders beside the data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is none of the data: `._a.png` and `.DS_Store` of macOS, `Thumbs.db` of Windows and the like."""
    return path.name.startswith(".") or path.name.lower() in _LEFT_BY_SYSTEMS


def visible(paths: Iterable[Path]) -> list[Path]:
    """Those that are not hidden, by name."""
    return sorted(path for path in paths if not is_hidden(path))
