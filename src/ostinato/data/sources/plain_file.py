"""Files of a folder that somebody else may have filled: a pipe in the place of one would be waited for, a device never ends."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_plain(path: Path) -> io.BufferedReader:
    """Opens a file for reading bytes.

    Raises:
        OSError: it cannot be opened, or is no plain file but a pipe, a socket, a device or a folder.
    """
    handle = os.open(path, os.O_RDONLY | _WITHOUT_WAITING)  # opened first: what a name stands for may change in between
    kind = stat.S_IFMT(os.fstat(handle).st_mode)
    if kind != stat.S_IFREG:
        os.close(handle)
        raise OSError(errno.EINVAL, f"expected a plain file, got {_KINDS.get(kind, 'something else')}", str(path))
    return os.fdopen(handle, "rb")


def read_plain(path: Path, most_bytes: int = 2**30) -> bytes:
    """What is in a file.

    Args:
        path: of a plain file.
        most_bytes: that it can have if it is what its name says.

    Raises:
        OSError: it cannot be read, is no plain file, or is larger.
    """
    with open_plain(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > most_bytes:
            raise OSError(errno.EFBIG, f"expected at most {most_bytes:,} bytes, got {size:,}", str(path))
        content = file.read(most_bytes + 1)  # not all: it may grow while it is read
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"expected at most {most_bytes:,} bytes, got more", str(path))
    return content
