"""Errors as OpenAI's clients expect them, without anything about the inside of the server."""

from __future__ import annotations

from typing import Any

from ostinato.serving.errors import ServingError
from ostinato.serving.http.refusals import BodyError, NotAllowedError
from ostinato.serving.http.request import Reply, as_json

CLOSE = (b"connection", b"close")
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_body(error: ServingError) -> dict[str, Any]:
    """Return the body of an answer that reports an error."""
    kind = "server_error" if error.status >= 500 else _KINDS.get(error.status, "invalid_request_error")
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "code": error.code,
            "param": error.param,
            **error.details,
        }
    }


def error_reply(error: ServingError) -> Reply:
    """Return the answer that reports an error."""
    headers = []
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after))).encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, BodyError):
        headers.append(CLOSE)  # the rest of the body is not read
    if isinstance(error, NotAllowedError):
        headers.append((b"allow", error.allow.encode()))
    return as_json(error_body(error), error.status, headers)


def internal() -> ServingError:
    """Return the error for a bug: the log has the traceback, and the client the id of the request."""
    return ServingError("something went wrong here; the server's log has it under the id of this request")
