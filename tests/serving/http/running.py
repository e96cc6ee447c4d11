"""A server in this process, at a port of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from ostinato.serving.http.app import App
from ostinato.serving.http.auth import Tokens
from ostinato.serving.http.metrics import Metrics
from ostinato.serving.http.server.run import address, bind, make_server
from ostinato.serving.http.server.settings import Settings
from ostinato.serving.service import Service


@dataclass
class Running:
    """A server that runs."""

    url: str
    port: int
    app: App
    loop: asyncio.AbstractEventLoop

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)

    def stats(self, model: str = "lm") -> dict[str, Any]:
        return self.app.service.stats()[model]


@contextmanager
def running(runs: Mapping[str, str], **settings: Any) -> Iterator[Running]:
    """Serves until the block ends."""
    given = Settings(runs, port=0, drain_seconds=5, log="errors", **settings)
    listening = bind("127.0.0.1", 0)
    ready: Future[tuple[Any, ...]] = Future()

    async def serve() -> None:
        metrics = Metrics()
        service = Service(given.runs, given.limits, store=given.sessions, shared=given.shared, on_batch=metrics.batch)
        await service.start()
        app, server = make_server(given, service, Tokens(given.tokens), metrics)
        asyncio.get_running_loop().call_soon(ready.set_result, (app, server, asyncio.get_running_loop()))
        await server.serve(sockets=[listening])

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    url, port = address(listening), listening.getsockname()[1]
    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        app, server, loop = ready.result(60)
        try:
            yield Running(url, port, app, loop)
        finally:
            loop.call_soon_threadsafe(server.end)
    finally:
        thread.join(60)
    assert not thread.is_alive()
