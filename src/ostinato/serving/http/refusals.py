"""What HTTP itself refuses, before a service is asked."""

from __future__ import annotations

from ostinato.serving.errors import BadRequestError, NotFoundError, ServingError


class BodyError(ServingError):
    """A body that is not read to its end; the connection is of no use any more."""

    status, code = 413, "too_large"


class LengthError(BodyError):
    """A content-length that is no number."""

    status, code = 400, "invalid_header"


class HeadError(ServingError):
    """A request line and headers that are too long, or too many."""

    status, code = 431, "headers_too_large"


class HttpError(BadRequestError):
    """What is no HTTP."""

    code = "invalid_http"


class JsonError(BadRequestError):
    """A body that is no JSON."""

    code = "invalid_json"


class InvalidError(BadRequestError):
    """A part of a request that is not of its schema.

    Args:
        param: where, as "stop[2]"; empty for the whole body.
        message: what was expected and what came.
    """

    code = "invalid_value"

    def __init__(self, param: str, message: str):
        super().__init__(f"{param or 'the body'}: {message}", param=param or None)


class MediaTypeError(ServingError):
    """A body of another content type."""

    status, code = 415, "unsupported_media_type"


class TokenError(ServingError):
    """No token, or one that nobody knows."""

    status, code = 401, "invalid_api_key"


class OriginError(ServingError):
    """A page of another site that asks, or a name that is not this server's."""

    status, code = 403, "forbidden_origin"


class NoPathError(NotFoundError):
    """A path that is not there."""

    def __init__(self) -> None:
        super().__init__("there is nothing at this path; /openapi.json lists what is")


class NoModelError(NotFoundError):
    """A model that is not there."""

    code = "model_not_found"


class NotAllowedError(ServingError):
    """A path that is there, asked with another method."""

    status, code = 405, "method_not_allowed"

    def __init__(self, method: str, allow: str):
        super().__init__(f"{method[:16]} is not allowed here; expected {allow}")
        self.allow = allow


class DisconnectedError(Exception):
    """Whoever asked is gone; nobody reads an answer."""
