"""A log with a line of JSON for each request, without any text of users."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import orjson

from ostinato.serving.http.request import Request

FLUSH_S = 0.25
FLUSH_LINES = 256


class Log:
    """A log on standard error, written several lines at a time, as a write for each request costs as much as an answer.

    A line has time, level, event, the id of the request and its route. It does not have the path, because without
    tokens the id of a session in it would give others access.

    Args:
        requests: write a line for every request; if not, only for those that failed.
        text: write the bodies of requests too.
        file: the number of the open file.
    """

    def __init__(self, *, requests: bool = True, text: bool = False, file: int = 2):
        self.requests, self.text = requests, text
        self._file, self._lines = file, []
        self._timer: asyncio.TimerHandle | None = None

    def answered(self, request: Request, status: int, seconds: float, sent: int) -> None:
        """Log an answered request."""
        if not self.requests and status < 500:
            return
        route = request.route
        line: dict[str, Any] = {
            "time": round(time.time(), 6),
            "level": "info" if status < 500 else "error",
            "event": "request",
            "id": request.id,
            "method": request.method[:16],
            "route": route.path if route is not None else "",
            "model": request.names[0] if route is not None and request.names and status != 404 else "",
            "owner": request.owner,
            "status": status,
            "ms": round(seconds * 1e3, 3),
            "in": request.received,
            "out": sent,
        }
        if self.text and request.peeked is not None:
            line["text"] = request.peeked.decode("utf-8", "replace")
        self._add(line)

    def failed(self, request: Request) -> None:
        """Log the current exception, only by its class and frames, as values and messages may contain text of users."""
        kind, _, trace = sys.exc_info()
        line: dict[str, Any] = {"time": round(time.time(), 6), "level": "error", "event": "failed", "id": request.id}
        line |= {"error": kind.__name__ if kind is not None else "", "frames": _frames(trace)}
        if self.text:
            line["message"] = str(sys.exc_info()[1])
        self._add(line)

    def tell(self, event: str, level: str = "info", **more: Any) -> None:
        """Log an event of the server itself."""
        self._add({"time": round(time.time(), 6), "level": level, "event": event, **more})

    def _add(self, line: dict[str, Any]) -> None:
        self._lines.append(orjson.dumps(line, default=str))
        if len(self._lines) >= FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
            except RuntimeError:  # no loop runs
                self.flush()

    def flush(self) -> None:
        """Write the lines that are waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            data, self._lines = b"\n".join(self._lines) + b"\n", []
            with contextlib.suppress(OSError):  # the reader of the log is gone; the service continues
                os.write(self._file, data)


class _Records(logging.Handler):
    """Handler that writes the log records of libraries and threads as lines of JSON.

    From a library's message only the first line of the format string is kept, because its arguments may contain text of
    users.
    """

    def __init__(self, log: Log, loop: asyncio.AbstractEventLoop):
        super().__init__(logging.WARNING)
        self._log, self._loop = log, loop

    def emit(self, record: logging.LogRecord) -> None:
        is_own = record.name.startswith("ostinato") or self._log.text
        message = record.getMessage() if is_own else str(record.msg)
        more: dict[str, Any] = {"logger": record.name, "message": message.split("\n", 1)[0]}
        if record.exc_info is not None and record.exc_info[0] is not None:
            more |= {"error": record.exc_info[0].__name__, "frames": _frames(record.exc_info[2])}
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(lambda: self._log.tell("log", record.levelname.lower(), **more))


@contextlib.contextmanager
def json_logs(log: Log) -> Iterator[None]:
    """In the `with` block, write all log records of this process as lines of `log`."""
    root, handler = logging.getLogger(), _Records(log, asyncio.get_running_loop())
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"{each.filename}:{each.lineno} {each.name}" for each in traceback.extract_tb(trace)][-12:]
