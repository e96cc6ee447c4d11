"""What the errors of file systems far away mean: whether asking again helps, and what a person is told.

fsspec tells whatever goes wrong with a URL as a file that is not there; the cause of that error knows better.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TypeVar

T = TypeVar("T")

TRIES = 4
FIRST_WAIT_S = 0.25
_PASSING = frozenset({408, 425, 429, *range(500, 600)})
_BROKEN = frozenset({"ClientConnectionError", "ClientPayloadError"})
_REFUSED = frozenset({401, 403, 407, 451})


def steadily(call: Callable[[], T]) -> T:
    """What `call` returns, which is called again, with longer and longer waits between, where its error may pass."""
    for attempt in range(TRIES - 1):
        try:
            return call()
        except Exception as error:  # behind fsspec each file system has errors of its own
            if lasts(error):
                raise
            time.sleep(FIRST_WAIT_S * 2**attempt)
    return call()


def lasts(error: BaseException) -> bool:
    """Whether the same request would fail again: not where a server is overloaded, a connection breaks, or nobody knows."""
    if (status := _status(error)) is not None:
        return status not in _PASSING
    return _broken(error) is None and isinstance(error, FileNotFoundError | PermissionError | ValueError)


def explained(error: Exception) -> str:
    """What went wrong with a document and what to do, for behind its name and a colon."""
    status, broken = _status(error), _broken(error)
    if status in _REFUSED:
        return f"the server refuses it ({_named(status)}); check the name, and give it credentials if it wants some"
    if status in _PASSING:
        return f"the server does not answer as it should ({_named(status)}); run the same again later"
    if isinstance(error, FileNotFoundError):
        if status in (None, 404, 410) and broken is None and error.__cause__ is None:
            return "not found; check the name"
        if status in (404, 410):
            return f"not found ({_named(status)}); check the name"
        if broken is not None:
            return f"the server cannot be reached ({_reason(broken)}); check the name and the network"
        if status is None and not _is_web(error.__cause__):
            return "not found; check the name"
    said = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ is not None else error
    return f"cannot be read ({_named(status) if status else _reason(said)}); check the name and the rights"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _status(error: BaseException) -> int | None:
    """The answer of a web server, if there was one."""
    found = (getattr(each, "status", None) for each in _chain(error))
    return next((status for status in found if isinstance(status, int) and 300 <= status < 600), None)


def _broken(error: BaseException) -> BaseException | None:
    """What broke a connection, if that was it."""
    for each in _chain(error):
        # aiohttp's by their names: importing it costs more than all of this module.
        names = {kind.__name__ for kind in type(each).__mro__}
        if isinstance(each, ConnectionError | TimeoutError | EOFError) or names & _BROKEN:
            return each
    return None


def _is_web(error: BaseException | None) -> bool:
    return type(error).__module__.partition(".")[0] == "aiohttp"


def _named(status: int | None) -> str:
    try:
        return f"{status} {HTTPStatus(status or 0).phrase}"
    except ValueError:  # a number that no standard names
        return str(status)


def _reason(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or error
    return " ".join(str(said).split()) or type(error).__name__
