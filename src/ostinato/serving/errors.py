"""The errors that a service answers with: each has a status, a code and a message for a person."""

from __future__ import annotations

from typing import Any, ClassVar

from ostinato.errors import OstinatoError


class ServingError(OstinatoError):
    """A request that is refused, or that failed.

    Args:
        message: what was expected, what came and what to do, for the client; it contains no text of users.
        param: the name of the part of the request that is wrong.
        retry_after: seconds after which a retry may succeed; None if it cannot.
        **details: further fields of the answer, such as the `step` of a session.

    Attributes:
        status: the status of HTTP.
        code: the kind of error, for programs.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None, **details: Any
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.retry_after, self.details = message, param, retry_after, details


class BadRequestError(ServingError):
    """A request that is not what the API expects."""

    status, code = 400, "invalid_request"


class NotFoundError(ServingError):
    """There is no such model, session or mark; also for sessions of others."""

    status, code = 404, "not_found"


class StepMismatchError(ServingError):
    """The session is at another step than the client thinks; `details["step"]` is the true one."""

    status, code = 409, "step_mismatch"


class GoneError(ServingError):
    """The session has ended, because its model was replaced by one that its state does not fit."""

    status, code = 410, "gone"


class TooLargeError(ServingError):
    """More tokens, steps or bytes than a request may have."""

    status, code = 413, "too_large"


class KeyReusedError(ServingError):
    """An idempotency key was used before with another request."""

    status, code = 422, "idempotency_key_reused"


class RepeatedError(ServingError):
    """The request was done before, but its answer was too long to be kept; `details["step"]` is the session's step."""

    status, code = 409, "already_done"


class BusyError(ServingError):
    """A limit is reached: of sessions or of the queue; or another replica is stepping the session."""

    status, code = 429, "busy"


class UnavailableError(ServingError):
    """The service takes no requests at the moment: it starts, drains, or cannot reach its store."""

    status, code = 503, "unavailable"


class FailedError(ServingError):
    """The scores of the model are NaN or infinite, or the service failed; the session is at the step before."""

    status, code = 500, "model_failed"
