"""Reading files of untrusted folders, where a pipe in place of a file would block, and a device would never end."""

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
    """Open a plain file for reading bytes.

    Raises:
        OSError: the file cannot be opened, or is a pipe, a socket, a device or a folder.
    """
    handle = os.open(path, os.O_RDONLY | _WITHOUT_WAITING)  # opened first: the file may be replaced after a check
    kind = stat.S_IFMT(os.fstat(handle).st_mode)
    if kind != stat.S_IFREG:
        os.close(handle)
        raise OSError(errno.EINVAL, f"expected a plain file, got {_KINDS.get(kind, 'something else')}", str(path))
    return os.fdopen(handle, "rb")


def read_plain(path: Path, most_bytes: int = 2**30) -> bytes:
    """Read the content of a plain file.

    Args:
        path: the path of the file.
        most_bytes: the most bytes that a valid file of this kind can have.

    Raises:
        OSError: the file cannot be read, is no plain file, or is larger.
    """
    with open_plain(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > most_bytes:
            raise OSError(errno.EFBIG, f"expected at most {most_bytes:,} bytes, got {size:,}", str(path))
        content = file.read(most_bytes + 1)  # limited, as the file may grow while it is read
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"expected at most {most_bytes:,} bytes, got more", str(path))
    return content
