"""Object code kept on disk, so that a second process compiles nothing. If anything goes wrong here, a kernel is compiled again.

If nothing can be kept, a warning says so, once in a process.

Each entry is one file: a mark, the SHA-256 of key and object code, the object code. What is loaded runs as machine code with the
user's rights, so a file or folder that somebody else owns or can write to is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

MARK = b"ostinato-object-code-1\n"
LIMIT_BYTES = 256 << 20  # above it the least recently used entries are removed

_SUFFIX, _UNFINISHED = ".code", ".unfinished"
_UNFINISHED_S = 3600.0  # after so many seconds the process that wrote it must have ended
_DIGEST_BYTES = hashlib.sha256().digest_size
_log = logging.getLogger(__name__)
_warned = False


def folder() -> Path | None:
    """The folder of the entries: `OSTINATO_CACHE_DIR`, or one in the system's place for caches; None if there is no cache.

    An empty `OSTINATO_CACHE_DIR` switches the cache off, and a user without a home has none.
    """
    chosen = os.environ.get("OSTINATO_CACHE_DIR")
    if chosen is not None:
        return Path(chosen) if chosen else None
    caches = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    if os.path.isabs(caches):  # the XDG specification says to ignore a relative path
        return Path(caches, "ostinato", "kernels")
    try:
        home = Path.home()
    except RuntimeError:
        return None
    within = {"darwin": "Library/Caches", "win32": "AppData/Local"}.get(sys.platform, ".cache")
    usable = home.is_absolute() and home != home.parent  # an empty HOME is read as the root folder
    return home / within / "ostinato" / "kernels" if usable else None


def load(key: str) -> bytes | None:
    """The object code that was stored under this key; None if there is none that can be trusted."""
    place = folder()
    if place is None:
        return None
    path = place / _name(key)
    try:
        _check_private(os.stat(place), stat.S_ISDIR)
        content = _read(path)
        with contextlib.suppress(OSError):
            os.utime(path)  # marks the entry as used
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.debug("no object code from %s: %s", path, error)
        return None
    head = len(MARK) + _DIGEST_BYTES
    payload = content[head:]
    if content[:head] != MARK + _digest(key, payload):
        _log.debug("no object code from %s: it is damaged or not ours", path)
        return None
    return payload


def store(key: str, payload: bytes) -> None:
    """Store object code under this key, in place of what was there. It may be deleted at any time, or not be stored at all."""
    place = folder()
    if place is None and "OSTINATO_CACHE_DIR" not in os.environ:
        _warn("there is no home folder to keep it in")
    if place is None or len(payload) > LIMIT_BYTES:
        return
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_private(os.stat(place), stat.S_ISDIR)
        _write(place / _name(key), MARK + _digest(key, payload) + payload)
        _trim(place)
    except OSError as error:
        _log.debug("object code is not kept in %s: %s", place, error)
        _warn(f"it cannot be kept in {place}: {error}")


def _warn(why: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"compiled code is not kept, so every process compiles its cells anew, which takes seconds: {why}. "
            "Put that right, or let the environment variable OSTINATO_CACHE_DIR name a folder that only you can write to; "
            "an empty one says that nothing is to be kept",
            RuntimeWarning,
            stacklevel=3,
        )


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest() + _SUFFIX


def _digest(key: str, payload: bytes) -> bytes:
    # The key is included, so that a file that was copied to the name of another entry is noticed.
    digest = hashlib.sha256(hashlib.sha256(key.encode()).digest())
    digest.update(payload)
    return digest.digest()


def _check_private(status: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    """Raise `PermissionError` unless this is a file (or a folder) that nobody but the user can have written."""
    if not is_kind(status.st_mode):
        raise PermissionError("it is not a file or folder of the cache")
    if sys.platform == "win32":
        return  # on Windows, a user's folders are private
    if status.st_uid != os.geteuid():
        raise PermissionError("it belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError("others can write to it (`chmod go-w` ends that)")


def _read(path: Path) -> bytes:
    # Never follows a link, and never waits for the other end of a pipe. The check is of the open file itself.
    flags = os.O_RDONLY
    for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
        flags |= getattr(os, name, 0)
    with open(os.open(path, flags), "rb") as file:
        _check_private(os.fstat(file.fileno()), stat.S_ISREG)
        return file.read(len(MARK) + _DIGEST_BYTES + LIMIT_BYTES)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, even if several processes write it at once; only the user can read it."""
    handle, unfinished = tempfile.mkstemp(_UNFINISHED, dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise


def _trim(place: Path) -> None:
    now, entries, total = time.time(), [], 0
    with os.scandir(place) as files:
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # another process trims too
                status = file.stat(follow_symlinks=False)
                if file.name.endswith(_UNFINISHED) and now - status.st_mtime > _UNFINISHED_S:
                    os.unlink(file)
                elif file.name.endswith(_SUFFIX):
                    entries.append((status.st_mtime, status.st_size, file.path))
                    total += status.st_size
    for _, size, path in sorted(entries):
        if total <= LIMIT_BYTES:
            break
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        total -= size
