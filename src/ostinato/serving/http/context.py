"""The part of the application that all handlers of requests use."""

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
    """Which requests are admitted, and how large they may be.

    Attributes:
        tokens: the accepted tokens.
        cors: origins whose pages may send requests, such as "https://example.org"; "*" for all.
        max_body: the most bytes of a request's body.
        local: whether the header host must name this machine: another site could let its own name point to this
            machine's address.
    """

    tokens: Tokens
    cors: frozenset[str] = frozenset()
    max_body: int = 8 * 2**20
    local: bool = False


class Context:
    """A service with everything that handlers need around it.

    Args:
        service: the service, which must have been started.
        doors: which requests are admitted.
        log: gets a line for each request.
        metrics: the counters.

    Attributes:
        connections: returns how many connections are open.
        draining: whether new requests are told to try again.
        document: the OpenAPI document, in JSON.
        docs: the same document as HTML.
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
        """Whether new requests are answered, and not told to try again."""
        return self.service.ready and not self.draining

    def admit(self, request: Request) -> None:
        """Set the id and the limit of a request, and check the page that it comes from.

        Raises:
            OriginError: the page, or the name in the header host, is not allowed.
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
        """Tell whether a request comes from a page of this server or of an allowed site, or from no page."""
        origin = request.origin
        if origin is None or origin in self._origins or b"*" in self._origins:
            return True
        return request.host is not None and origin.partition(b"://")[2] == request.host

    def finished(self, request: Request, status: int, start: float, sent: int) -> None:
        """Count and log a request."""
        seconds = time.perf_counter() - start
        self.metrics.answered(request.route.path if request.route is not None else "", status, seconds)
        self.log.answered(request, status, seconds, sent)
