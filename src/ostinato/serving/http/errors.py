"""Errors as OpenAI's clients expect them, without a word about the inside of the server."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ostinato.serving.errors import ServingError
from ostinato.serving.http.request import BodyError, Reply, as_json

CLOSE = (b"connection", b"close")
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_body(error: ServingError) -> dict[str, Any]:
    """What a client is told, under "error"."""
    kind = "server_error" if error.status >= 500 else _KINDS.get(error.status, "invalid_request_error")
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "code": error.code,
            "param": getattr(error, "param", None),
            **more_of(error),
        }
    }


def more_of(error: ServingError) -> Mapping[str, Any]:
    """What an error says besides, such as the step at which a session is."""
    return getattr(error, "more", None) or {}


def error_reply(error: ServingError) -> Reply:
    """The answer that tells an error."""
    headers = []
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after))).encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, BodyError):
        headers.append(CLOSE)  # what is left of the body is not read
    if allowed := getattr(error, "allow", None):
        headers.append((b"allow", allowed.encode()))
    return as_json(error_body(error), error.status, headers)


class NotAllowedError(ServingError):
    """A path that is there, asked with another method."""

    def __init__(self, method: str, allow: str):
        super().__init__(405, "method_not_allowed", f"{method[:16]} is not allowed here; expected {allow}")
        self.allow = allow


def not_found() -> ServingError:
    """A path that is not there."""
    return ServingError(404, "not_found", "there is nothing at this path; /openapi.json lists what is")


def internal() -> ServingError:
    """A bug: the log has the traceback, the client the id of the request."""
    phrase = HTTPStatus.INTERNAL_SERVER_ERROR.phrase.lower()
    return ServingError(500, "internal_error", f"{phrase}; the log of the server has it under the id of this request")
