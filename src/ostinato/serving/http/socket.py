"""A session over a WebSocket, with messages in both directions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any, NamedTuple

import orjson

from ostinato.serving.errors import BadRequestError, BusyError, ServingError, UnavailableError
from ostinato.serving.http.context import Context
from ostinato.serving.http.document import schemas
from ostinato.serving.http.document.schema import check_of
from ostinato.serving.http.errors import error_body, error_reply, internal
from ostinato.serving.http.events import finish_data, generating, piece_data
from ostinato.serving.http.operating import RETRY_S
from ostinato.serving.http.refusals import DisconnectedError, InvalidError, JsonError, NoPathError, OriginError
from ostinato.serving.http.request import Request

PATH = "/v1/{model}/sessions/{id}/socket"
PROTOCOL = b"ostinato"
_BEARER = b"bearer."
MOST_WAITING = 256  # messages in the queue
POLICY, LATER = 1008, 1013  # codes for closing, from RFC 6455 and its registry
_GENERATE = check_of(schemas.SESSION_GENERATE)
_STEPS = check_of(schemas.STEPS)


class _Message(NamedTuple):
    """A message in the queue."""

    order: int
    size: int
    number: Any
    body: dict[str, Any] | ServingError


class _Here:
    """The route of a WebSocket, for logs."""

    path, check = PATH, None


class Socket:
    """One WebSocket, at /v1/{model}/sessions/{id}/socket.

    A message is the body of `steps`, or {"generate": the body of `generate`}. It may have "request", a number that
    comes back in all answers to it, and "key", an idempotency key. Messages are answered in their order; {"stop": true}
    ends all texts that were requested before it, also those that have not begun. A browser, which cannot send the
    header, gives its token as a subprotocol, "bearer.TOKEN", beside "ostinato".
    """

    def __init__(
        self,
        app: Context,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ):
        self.app, self._receive, self._send = app, receive, send
        self._offered = [
            part.strip()
            for name, value in scope["headers"]
            if name == b"sec-websocket-protocol"
            for part in value.split(b",")
        ]
        path = scope.get("raw_path") or scope["path"].encode()
        self.request = Request("GET", path.split(b"?", 1)[0], b"", scope["headers"], receive)
        self.request.route = _Here()
        self._takes_answers = "websocket.http.response" in scope.get("extensions", {})
        self._waiting: asyncio.Queue[_Message | None] = asyncio.Queue()
        self._size = 0  # bytes of the messages in the queue
        self._count = self._stopped = 0  # messages so far, and how many of these have their texts stopped
        self._writing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve the WebSocket from the handshake to the end."""
        start = time.perf_counter()
        await self._receive()  # websocket.connect
        try:
            await self._enter()
        except ServingError as error:
            self.app.finished(self.request, error.status, start, 0)
            await self._refuse(error)
            return
        subprotocol = PROTOCOL.decode() if PROTOCOL in self._offered else None
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        reading = asyncio.create_task(self._read())
        try:
            await self._answer()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self.app.log.answered(self.request, 101, time.perf_counter() - start, 0)

    async def _refuse(self, error: ServingError) -> None:
        """Answer the handshake with an error, or, if the server cannot, close it, which the client sees as 403."""
        if not self._takes_answers:
            await self._send({"type": "websocket.close", "code": POLICY, "reason": error.code})
            return
        reply = error_reply(error)
        headers = [(b"content-type", reply.kind), (b"x-request-id", self.request.id.encode()), *reply.headers]
        await self._send({"type": "websocket.http.response.start", "status": reply.status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": reply.body})

    async def _enter(self) -> None:
        app, request = self.app, self.request
        app.admit(request)
        parts = request.path.decode("latin-1").split("/")
        if len(parts) != 6 or parts[1] != "v1" or parts[3] != "sessions" or parts[5] != "socket":
            raise NoPathError
        request.names = [parts[2], parts[4]]
        # Browsers let a page of any site open a WebSocket; without tokens only this check keeps it out.
        if not app.may_ask(request):
            raise OriginError("expected a page of this server, or of a site that --cors names")
        given = request.authorization
        if given is None:
            found = [each for each in self._offered if each.startswith(_BEARER)]
            given = b"Bearer " + found[0].removeprefix(_BEARER) if found else None
        request.owner = app.doors.tokens.owner(given)
        if not app.takes_requests:
            raise UnavailableError("the server ends or starts; try again", retry_after=RETRY_S)
        await app.service.view(request.names[0], request.owner, request.names[1])

    async def _read(self) -> None:
        """Read messages into the queue. It never waits for room there, as the next message may be a stop or the end."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._stop()
                self._waiting.put_nowait(None)
                return
            given = message.get("text")
            data = given if given is not None else message.get("bytes") or b""
            found: dict[str, Any] | ServingError
            try:
                found = orjson.loads(data)
                if type(found) is not dict:
                    raise InvalidError("", "expected an object")
            except orjson.JSONDecodeError:
                found = JsonError("a message that is no JSON")
            except ServingError as error:
                found = error
            if isinstance(found, dict) and found.get("stop") is True:
                self._stop()
                continue
            number = found.pop("request", None) if isinstance(found, dict) else None
            size, waiting = len(data), self._waiting.qsize()
            if waiting and (waiting >= MOST_WAITING or self._size + size > self.request.limit):
                try:
                    await self._tell(error_body(_FULL), number)
                except DisconnectedError:
                    continue  # the disconnect is the next message
            else:
                self._count += 1
                self._size += size
                self._waiting.put_nowait(_Message(self._count, size, number, found))

    def _stop(self) -> None:
        self._stopped = self._count
        if self._writing is not None:
            self._writing.cancel()

    async def _answer(self) -> None:
        while (message := await self._waiting.get()) is not None:
            self._size -= message.size
            number = message.number
            start, status = time.perf_counter(), 200
            try:
                if isinstance(message.body, ServingError):
                    raise message.body
                if not self.app.takes_requests:
                    await self._tell({"error": error_body(_ENDS)["error"]}, number)
                    await self._send({"type": "websocket.close", "code": LATER, "reason": "the server ends"})
                    return
                await self._do(message.body, number, message.order)
            except ServingError as error:
                status = error.status
                await self._tell(error_body(error), number)
            except DisconnectedError:
                return
            except Exception:
                status = 500
                self.app.log.failed(self.request)
                await self._tell(error_body(internal()), number)
            self.app.metrics.answered(PATH, status, time.perf_counter() - start)

    async def _do(self, message: dict[str, Any], number: Any, order: int) -> None:
        app, (model, id), owner = self.app, self.request.names, self.request.owner
        key = message.pop("key", None)
        if key is not None and (type(key) is not str or not 1 <= len(key) <= 255):
            raise InvalidError("key", "expected from 1 to 255 characters")
        if "generate" not in message:
            _STEPS(message, "")
            await self._tell(await app.service.steps(model, owner, id, message, key), number)
            return
        if len(message) > 1:
            raise BadRequestError("expected generate alone, or what steps read")
        _GENERATE(message["generate"], "generate")
        how = message["generate"]
        if order <= self._stopped:
            await self._told_stopped(await app.service.view(model, owner, id), number)
            return
        pieces = app.service.write(model, owner, id, generating(how), key, how.get("prompt", ""))
        self._writing = asyncio.create_task(self._write(pieces, number))
        try:
            await asyncio.wait((self._writing,))
            if self._writing.cancelled():
                await self._told_stopped(await self._behind(), number)
            else:
                self._writing.result()
        finally:
            self._writing.cancel()
            self._writing = None

    async def _behind(self) -> dict[str, Any]:
        """Return the view of the session after a text that was stopped."""
        app, (model, id), owner = self.app, self.request.names, self.request.owner
        try:
            return await app.service.steps(model, owner, id, {"text": "", "top": 1})
        except BadRequestError:  # nothing was read or written
            return await app.service.view(model, owner, id)

    async def _told_stopped(self, now: dict[str, Any], number: Any) -> None:
        await self._tell({"finish_reason": "stopped", "step": now["step"], "saved": now["saved"]}, number)

    async def _write(self, pieces: Any, number: Any) -> None:
        async with aclosing(pieces):
            async for piece in pieces:
                if piece.token is not None or piece.text:
                    await self._tell(piece_data(piece), number)
                if piece.finish is not None:
                    await self._tell(finish_data(piece), number)

    async def _tell(self, value: dict[str, Any], number: Any) -> None:
        if number is not None:
            value = {"request": number, **value}
        text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
        try:
            await self._send({"type": "websocket.send", "text": text})
        except OSError:  # the connection is closed
            raise DisconnectedError from None


_ENDS = UnavailableError("the server ends; try again", retry_after=RETRY_S)
_FULL = BusyError(
    f"expected at most {MOST_WAITING} messages that wait, and --max-body bytes; wait for answers", retry_after=RETRY_S
)
