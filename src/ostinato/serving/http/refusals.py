"""The errors of HTTP itself, which are raised before the service is called."""

from __future__ import annotations

from ostinato.serving.errors import BadRequestError, NotFoundError, ServingError


class BodyError(ServingError):
    """A body is not read to its end, so the connection must be closed."""

    status, code = 413, "too_large"


class LengthError(BodyError):
    """The header content-length is no number."""

    status, code = 400, "invalid_header"


class HeadError(ServingError):
    """The request line and the headers are too long, or there are too many headers."""

    status, code = 431, "headers_too_large"


class HttpError(BadRequestError):
    """The request is no HTTP."""

    code = "invalid_http"


class JsonError(BadRequestError):
    """The body is no JSON."""

    code = "invalid_json"


class InvalidError(BadRequestError):
    """A part of a request does not fit its schema.

    Args:
        param: the place of the part, such as "stop[2]"; empty for the whole body.
        message: what was expected and what came.
    """

    code = "invalid_value"

    def __init__(self, param: str, message: str):
        super().__init__(f"{param or 'the body'}: {message}", param=param or None)


class MediaTypeError(ServingError):
    """The body has another content type than expected."""

    status, code = 415, "unsupported_media_type"


class TokenError(ServingError):
    """The request has no token, or an unknown one."""

    status, code = 401, "invalid_api_key"


class OriginError(ServingError):
    """The request comes from a page of another site, or uses a name that is not this server's."""

    status, code = 403, "forbidden_origin"


class NoPathError(NotFoundError):
    """There is no such path."""

    def __init__(self) -> None:
        super().__init__("there is nothing at this path; /openapi.json lists what is")


class NoModelError(NotFoundError):
    """There is no such model."""

    code = "model_not_found"


class NotAllowedError(ServingError):
    """The path exists, but not for this method."""

    status, code = 405, "method_not_allowed"

    def __init__(self, method: str, allow: str):
        super().__init__(f"{method[:16]} is not allowed here; expected {allow}")
        self.allow = allow


class DisconnectedError(Exception):
    """The client has disconnected and reads no answer."""
