"""A folder that an export fills: it is complete or absent, and replaces nothing but an export of its kind."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ostinato.errors import ConfigError

CARD = "card.json"


@contextmanager
def whole_folder(folder: Path, kind: str, no_export: str, *, force: bool) -> Generator[Path]:
    """Gives a temporary folder to fill, which becomes `folder` if the block succeeds; otherwise the old folder stays.

    Args:
        folder: the folder of the export; missing folders above it are made.
        kind: the "format" in the card of such an export, which the block must write.
        no_export: the error text if a folder to overwrite is no such export.
        force: overwrite an export.

    Raises:
        ConfigError: the folder exists, and `force` is not set; or it is no export of this kind.
    """
    if folder.exists() or folder.is_symlink():
        is_export = folder.is_dir() and (_is_card(folder / CARD, kind) or not any(folder.iterdir()))
        if not force:
            raise ConfigError(
                f"{folder} is there already; choose another folder" + (", or write over it with --force" * is_export)
            )
        if not is_export:
            raise ConfigError(f"{folder} is {no_export}; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o755)
        _put(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _is_card(file: Path, kind: str) -> bool:
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("format") == kind
    except (OSError, ValueError, AttributeError):
        return False


def _put(partial: Path, folder: Path) -> None:
    """Puts the new folder in the place of the old one, which is deleted only once the new one is there."""
    if not folder.exists():
        partial.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    folder.rename(old / folder.name)
    try:
        partial.rename(folder)
    except BaseException:
        (old / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
