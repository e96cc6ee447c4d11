"""The errors of requests: statuses, codes and advice, for the OpenAPI document and its page."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """The description of an error status.

    Attributes:
        codes: the codes in the answer, for programs.
        words: what the status means.
        advice: what a client may do.
    """

    codes: tuple[str, ...]
    words: str
    advice: str


FAULTS = {
    400: Fault(
        ("invalid_value", "invalid_request", "invalid_json", "invalid_header", "invalid_http"),
        "what was sent is not what is expected",
        "mend param; the message says what was expected",
    ),
    401: Fault(("invalid_api_key",), "no token, or an unknown one", "send authorization: Bearer TOKEN"),
    403: Fault(
        ("forbidden_origin",),
        "a page of another site asks, or a name that is not this server's",
        "ask by a name of this server, or have the page's origin in --cors",
    ),
    404: Fault(
        ("not_found", "model_not_found"),
        "no such path, model, session or mark; or it is somebody else's",
        "begin another session; /v1/models lists models",
    ),
    405: Fault(("method_not_allowed",), "another method is expected", "the header allow says which"),
    408: Fault((), "the request came too slowly", "send it faster, or raise --header-seconds or --body-seconds"),
    409: Fault(
        ("step_mismatch", "already_done"),
        "the session is at another step, or did this and keeps no long answer",
        "send what comes after step, or rewind to a mark",
    ),
    410: Fault(
        ("gone",), "the session ended, as its model was replaced by one that it does not fit", "begin another session"
    ),
    413: Fault(("too_large",), "more bytes, tokens or steps than a request may have", "send it in parts"),
    415: Fault(("unsupported_media_type",), "another content type is expected", "send the content-type of the route"),
    422: Fault(
        ("idempotency_key_reused",),
        "this idempotency key came before with another body",
        "take a new key for a new body",
    ),
    429: Fault(("busy",), "a bound is reached", "try again after Retry-After seconds, or delete what is not needed"),
    431: Fault(("headers_too_large",), "too many headers, or too long ones", "send fewer"),
    500: Fault(
        ("internal_error", "model_failed"),
        "something went wrong inside",
        "a session is at the step before; the log has it under x-request-id",
    ),
    503: Fault(
        ("unavailable",), "the server starts or ends, or cannot reach its store", "try again after Retry-After seconds"
    ),
}
