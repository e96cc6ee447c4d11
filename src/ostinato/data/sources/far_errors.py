"""The meaning of errors of remote file systems: whether a retry helps, and what the user is told.

fsspec reports any failure with a URL as a missing file; the cause of that error has the real reason.
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
    """Return the result of `call`; if its error may be temporary, call it again, after longer and longer waits."""
    for attempt in range(TRIES - 1):
        try:
            return call()
        except Exception as error:  # each file system of fsspec has errors of its own
            if lasts(error):
                raise
            time.sleep(FIRST_WAIT_S * 2**attempt)
    return call()


def lasts(error: BaseException) -> bool:
    """Tell whether a retry would fail too; False for an overloaded server, a broken connection or an unknown error."""
    if (status := _status(error)) is not None:
        return status not in _PASSING
    return _broken(error) is None and isinstance(error, FileNotFoundError | PermissionError | ValueError)


def explained(error: Exception) -> str:
    """Return what went wrong with a document and what to do, to follow its name and a colon."""
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
    """Return the status that a web server answered with; None if there was no answer."""
    found = (getattr(each, "status", None) for each in _chain(error))
    return next((status for status in found if isinstance(status, int) and 300 <= status < 600), None)


def _broken(error: BaseException) -> BaseException | None:
    """Return the error that broke a connection; None if there is none in the chain of causes."""
    for each in _chain(error):
        # aiohttp's errors are found by their names, because importing aiohttp costs more than all of this module.
        names = {kind.__name__ for kind in type(each).__mro__}
        if isinstance(each, ConnectionError | TimeoutError | EOFError) or names & _BROKEN:
            return each
    return None


def _is_web(error: BaseException | None) -> bool:
    return type(error).__module__.partition(".")[0] == "aiohttp"


def _named(status: int | None) -> str:
    try:
        return f"{status} {HTTPStatus(status or 0).phrase}"
    except ValueError:  # a number without a name in the standard library
        return str(status)


def _reason(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or error
    return " ".join(str(said).split()) or type(error).__name__
