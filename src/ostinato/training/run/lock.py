"""One file, one process that writes to it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from ostinato.errors import OstinatoError, RunError

if sys.platform != "win32":
    import fcntl


class Lock:
    """Held while entered, by one process at a time; the kernel frees it when the process ends, however it ends.

    It works on local and on network file systems that keep `flock`, and does nothing on Windows. A file stays behind, which says
    nothing.

    Args:
        path: the file to lock; its folder must be there.
        name: what processes of one launch have in common, of which one takes the place of another. Such a process takes the lock
            from the one before, which may be stopped or cut off, and hold it for ever: see `is_held`.
    """

    def __init__(self, path: Path, name: str | None = None):
        self.path, self.name = path, name
        self._file: int | None = None

    def __enter__(self) -> Lock:
        """Takes the lock.

        Raises:
            OstinatoError: another process, or another lock of this one, holds it; see `refused`.
            OSError: the file cannot be written.
        """
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._take(file)
                if _is(file, self.path):
                    self._file = file
                    return self
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # one who gave up has removed the file meanwhile

    def is_held(self) -> bool:
        """Whether the lock is still this one's: another of the same name may have taken it."""
        return self._file is not None and _is(self._file, self.path)

    def refused(self, who: str) -> OstinatoError:
        """What is told where another holds it; `who` is empty or names a process."""
        return RunError(
            f"another run{who} is at work in {self.path.parent.parent}; wait for its end, or choose another --run"
        )

    def _take(self, file: int) -> None:
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder, _, name = os.read(file, 1000).decode(errors="replace").strip().partition("\n")
            if self.name is not None and name == self.name:
                self.path.unlink(missing_ok=True)  # the next file of this path is another, which nobody holds
                return
            who = f" (process {holder})" if holder else ""
            raise self.refused(who) from None
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()} on {os.uname().nodename}\n{self.name or ''}\n".encode())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _is(file: int, path: Path) -> bool:
    try:
        now = os.open(path, os.O_RDONLY)  # a network file system asks its server again
    except FileNotFoundError:
        return False
    try:
        return os.path.samestat(os.fstat(file), os.fstat(now))
    finally:
        os.close(now)
