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


def matching(pattern: str | Path) -> list[Path] | None:
    """The files that a pattern such as `sounds/*.wav` means, by name; None where it is the name of one thing.

    `*`, `?` and `[` stand for what they do in a shell, `**` for any folders; a file that is called so means itself.
    """
    place = Path(pattern).expanduser()
    if "://" in str(pattern) or not any(mark in str(pattern) for mark in "*?[") or place.exists():
        return None
    root = root_of(place)
    found = (file for file in root.glob(str(place.relative_to(root))) if file.is_file())
    return sorted(file for file in found if not any(map(is_hidden, (file, *file.relative_to(root).parents))))


def root_of(pattern: Path) -> Path:
    """The folder before the first part of a pattern that stands for several."""
    parts = [at for at, part in enumerate(pattern.parts) if any(mark in part for mark in "*?[")]
    return Path(*pattern.parts[: parts[0]]) if parts else pattern
