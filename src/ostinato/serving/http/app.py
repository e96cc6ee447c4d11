"""The service as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from ostinato.serving.errors import ServingError, UnavailableError
from ostinato.serving.http.context import Context, Doors
from ostinato.serving.http.document import docs, openapi
from ostinato.serving.http.errors import CLOSE, error_reply, internal
from ostinato.serving.http.metrics import Metrics
from ostinato.serving.http.operating import RETRY_S
from ostinato.serving.http.refusals import DisconnectedError
from ostinato.serving.http.request import Reply, Request
from ostinato.serving.http.routes import Table
from ostinato.serving.http.server.logs import Log
from ostinato.serving.http.socket import Socket
from ostinato.serving.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TURN = 16  # events that are sent before other tasks get a turn
GONE = 499  # status for a client that disconnected before the answer; only in logs and metrics


class App(Context):
    """The ASGI application of a service, for HTTP and WebSockets.

    Args:
        service: the service, which must have been started.
        doors: which requests are admitted.
        log: gets a line for each request.
        metrics: the counters.
        page: Starlette's routes of the page; they need no token, as they hold no data.
    """

    def __init__(
        self, service: Service, doors: Doors, log: Log, metrics: Metrics | None = None, page: Sequence[Any] = ()
    ):
        super().__init__(service, doors, log, metrics or Metrics())
        self.document = openapi.document(list(service.models), tokens=doors.tokens.file is not None)
        self.docs = docs.page()
        self._page, self._table = page, Table()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a connection; the arguments are those of ASGI."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await Socket(self, scope, receive, send).run()
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)

    async def answer(self, request: Request) -> Reply:
        """Return the answer to a request, also for errors.

        Raises:
            DisconnectedError: the client has disconnected.
        """
        try:
            self.admit(request)
            route = self._table.find(request)
            if route.private:
                request.owner = self.doors.tokens.owner(request.authorization)
                if not self.takes_requests:
                    raise UnavailableError("the server ends or starts; try again", retry_after=RETRY_S)
            return await route.handler(self, request)
        except ServingError as error:
            return error_reply(error)
        except BaseExceptionGroup as group:
            return self._of_many(request, group)
        except (DisconnectedError, asyncio.CancelledError):
            raise
        except Exception:
            self.log.failed(request)
            return error_reply(internal())

    def headers_of(self, request: Request, reply: Reply) -> list[tuple[bytes, bytes]]:
        """Return all headers of an answer."""
        found = [(b"content-type", reply.kind), (b"x-request-id", request.id.encode())]
        if reply.events is None and reply.status != 204:
            found.append((b"content-length", str(len(reply.body)).encode()))
        if reply.status >= 400:
            found.append((b"cache-control", b"no-store"))
        found.append((b"x-content-type-options", b"nosniff"))
        if self._origins and request.origin is not None and self.may_ask(request):
            found += [
                (b"access-control-allow-origin", request.origin),
                (b"access-control-expose-headers", b"x-request-id, retry-after"),
                (b"vary", b"origin"),
            ]
        if self.draining:
            found.append(CLOSE)
        found += reply.headers
        return found

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        path = scope.get("raw_path") or quote(scope["path"]).encode()
        request = Request(scope["method"], path, scope["query_string"], scope["headers"], receive)
        if self._page and request.method in ("GET", "HEAD") and (page := self._page_of(scope)) is not None:
            return await page.handle(scope, receive, send)
        if self._origins and request.method == "OPTIONS" and request.origin is not None and self.may_ask(request):
            return await _send_whole(send, 204, _preflight(request.origin), b"")
        sent, status = 0, GONE
        try:
            reply = await self.answer(request)
            headers = self.headers_of(request, reply)
            if reply.events is None:
                await _send_whole(send, reply.status, headers, reply.body)
                sent = len(reply.body)
            else:
                sent = await _send_events(request, reply, headers, send)
            status = reply.status
        except DisconnectedError:
            pass
        finally:
            self.finished(request, status, start, sent)

    def _page_of(self, scope: Scope) -> Any:
        from starlette.routing import Match

        if scope["path"] != "/" and not scope["path"].startswith("/page/"):
            return None
        for route in self._page:
            match, more = route.matches(scope)
            if match is Match.FULL:
                scope.update(more)
                return route
        return None

    def _of_many(self, request: Request, group: BaseExceptionGroup[BaseException]) -> Reply:
        """Answer errors of several texts at once by the first refusal; anything else is an internal error."""
        refused, rest = group.split(ServingError)
        if refused is not None and rest is None:
            error: BaseException = refused
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            assert isinstance(error, ServingError)
            return error_reply(error)
        self.log.failed(request)
        return error_reply(internal())


def _preflight(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
        (b"access-control-allow-headers", b"authorization, content-type, idempotency-key, x-request-id"),
        (b"access-control-max-age", b"600"),
        (b"vary", b"origin"),
    ]


async def _send_whole(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def _send_events(request: Request, reply: Reply, headers: list[tuple[bytes, bytes]], send: Send) -> int:
    """Send events until they end or the client disconnects, in which case their source is stopped too.

    Raises:
        DisconnectedError: the client has disconnected.
    """
    assert reply.events is not None
    events, sent, count = reply.events, 0, 0

    async def pump() -> None:
        nonlocal sent, count
        async with aclosing(events):  # pyright: ignore[reportArgumentType]
            async for event in events:
                sent += len(event)
                if (count := count + 1) % TURN == 0:
                    await asyncio.sleep(0)  # gives other tasks a turn even if many events are ready
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    pumping, gone = asyncio.create_task(pump()), asyncio.create_task(request.gone())
    try:
        await asyncio.wait((pumping, gone), return_when=asyncio.FIRST_COMPLETED)
        if not pumping.done():
            raise DisconnectedError
        pumping.result()
    finally:
        gone.cancel()
        pumping.cancel()
        await asyncio.gather(pumping, gone, return_exceptions=True)
    return sent


async def _lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge ASGI's lifespan events; starting and draining the service is left to the code that made it."""
    while True:
        kind: Mapping[str, Any] = await receive()
        await send({"type": f"{kind['type']}.complete"})
        if kind["type"] == "lifespan.shutdown":
            return
