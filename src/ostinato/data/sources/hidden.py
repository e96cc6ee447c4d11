"""Hidden files, which systems leave in folders beside the data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def is_hidden(path: Path) -> bool:
    """Tell whether a path is no data, such as `._a.png` and `.DS_Store` of macOS, or `Thumbs.db` of Windows."""
    return path.name.startswith(".") or path.name.lower() in _LEFT_BY_SYSTEMS


def visible(paths: Iterable[Path]) -> list[Path]:
    """Return the paths that are not hidden, sorted."""
    return sorted(path for path in paths if not is_hidden(path))


def matching(pattern: str | Path) -> list[Path] | None:
    """Return the files that match a pattern such as `sounds/*.wav`, sorted; None if it is no pattern.

    `*`, `?` and `[` mean what they do in a shell, `**` any folders; the name of a file that exists is no pattern.
    """
    place = Path(pattern).expanduser()
    if "://" in str(pattern) or not any(mark in str(pattern) for mark in "*?[") or place.exists():
        return None
    root = root_of(place)
    found = (file for file in root.glob(str(place.relative_to(root))) if file.is_file())
    return sorted(file for file in found if not any(map(is_hidden, (file, *file.relative_to(root).parents))))


def root_of(pattern: Path) -> Path:
    """Return the folder before the first part of a pattern that can match several names."""
    parts = [at for at, part in enumerate(pattern.parts) if any(mark in part for mark in "*?[")]
    return Path(*pattern.parts[: parts[0]]) if parts else pattern
