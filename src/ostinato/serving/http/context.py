"""What all that answers requests sees of the application."""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from ostinato.serving.http.auth import Tokens
from ostinato.serving.http.metrics import Metrics
from ostinato.serving.http.refusals import OriginError
from ostinato.serving.http.request import Request
from ostinato.serving.http.server.logs import Log
from ostinato.serving.service import Service

_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LOOPBACK = re.compile(rb"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")


@dataclass(frozen=True)
class Doors:
    """Who may come in, and with how much.

    Attributes:
        tokens: a file of lines `name:token`; None lets everybody in.
        cors: origins whose pages may ask, such as "https://example.org"; "*" for all.
        max_body: bytes of a request.
        local: whether only names of this machine are answered, as a page of another site may give its own name the address of this
            machine.
    """

    tokens: Tokens
    cors: frozenset[str] = frozenset()
    max_body: int = 8 * 2**20
    local: bool = False


class Context:
    """A service and what stands around it.

    Args:
        service: what answers; it must have been started.
        doors: who may come in.
        log: where a line of each request goes.
        metrics: what is counted.

    Attributes:
        connections: how many are open.
        draining: whether what comes is told to come again.
        document: OpenAPI's.
        docs: the same for people.
    """

    def __init__(self, service: Service, doors: Doors, log: Log, metrics: Metrics):
        self.service, self.doors, self.log, self.metrics = service, doors, log, metrics
        self.connections: Callable[[], int] = int
        self.draining = False
        self.document = self.docs = b""
        self._prefix, self._count = secrets.token_hex(4), itertools.count()
        self._origins = {each.encode() for each in doors.cors}

    @property
    def takes_requests(self) -> bool:
        """Whether new ones are answered, and not told to come again."""
        return self.service.ready and not self.draining

    def admit(self, request: Request) -> None:
        """Gives a request its id and its bound, and looks at which page asks.

        Raises:
            OriginError: one that may not.
        """
        given = request.given_id
        request.id = (
            given.decode()
            if given is not None and _GIVEN_ID.fullmatch(given)
            else f"{self._prefix}-{next(self._count):x}"
        )
        request.limit = self.doors.max_body
        if self.doors.local and request.host is not None and not _LOOPBACK.fullmatch(request.host):
            raise OriginError("expected the name of this machine in the header host, such as localhost")
        origin = request.origin
        if origin is not None and request.method not in ("GET", "HEAD", "OPTIONS") and not self.may_ask(request):
            raise OriginError("expected a page of this server, or of a site that --cors names")

    def may_ask(self, request: Request) -> bool:
        """Whether the page that asks is of this server, or of a site that is let in."""
        origin = request.origin
        if origin is None or origin in self._origins or b"*" in self._origins:
            return True
        return request.host is not None and origin.partition(b"://")[2] == request.host

    def finished(self, request: Request, status: int, start: float, sent: int) -> None:
        """Counts and logs a request."""
        seconds = time.perf_counter() - start
        self.metrics.answered(request.route.path if request.route is not None else "", status, seconds)
        self.log.answered(request, status, seconds, sent)
