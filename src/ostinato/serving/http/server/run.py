"""The server: it listens, answers, and shuts down in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import uvicorn

from ostinato.errors import ConfigError, OstinatoError
from ostinato.serving.http.app import App
from ostinato.serving.http.auth import Tokens
from ostinato.serving.http.context import Doors
from ostinato.serving.http.metrics import Metrics
from ostinato.serving.http.server.connection import SWEEP_S, Bounds, Connection
from ostinato.serving.http.server.logs import Log, json_logs
from ostinato.serving.http.server.settings import Settings
from ostinato.serving.http.server.upgraded import Upgraded
from ostinato.serving.service import Service

BACKLOG = 2048
SWITCH_S = 0.0005  # Python's default is 5 ms; so long a request may wait for the stepping thread to release the GIL
LOOPBACK = ("127.0.0.1", "::1", "localhost")
DRAINED_S = 0.2  # how long new clients get the answer to try another server, before it stops listening


class Server(uvicorn.Server):
    """A server of uvicorn that drains at SIGTERM and SIGINT, and reads runs and tokens again at SIGHUP.

    Args:
        config: the configuration of uvicorn.
        app: the application.
        drain_seconds: how long accepted requests may take after such a signal.
    """

    def __init__(self, config: uvicorn.Config, app: App, drain_seconds: float):
        super().__init__(config)
        self.served, self._drain_s = app, drain_seconds
        self._reloading: asyncio.Task[None] | None = None
        self._ticks = 0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """In the `with` block, handle signals here instead of in uvicorn, so that the process ends with status 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        handled = {signal.SIGTERM: self.end, signal.SIGINT: self.end}
        if hasattr(signal, "SIGHUP"):
            handled[signal.SIGHUP] = self.reload
        for number, handler in handled.items():
            try:
                loop.add_signal_handler(number, handler)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_, call=handler: loop.call_soon_threadsafe(call))
        yield

    def end(self) -> None:
        """Begin to shut down; a second call ends at once."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True

    def reload(self) -> None:
        """Read runs and tokens again; errors are logged, and the old ones then stay."""
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        log, service = self.served.log, self.served.service
        try:
            self.served.doors.tokens.reload()
        except OstinatoError as error:
            log.tell("reload_failed", "error", what="tokens", message=str(error))
        for name in list(service.models):
            try:
                log.tell("reloaded", model=name, **await service.reload(name))
            except OstinatoError as error:
                log.tell("reload_failed", "error", model=name, message=str(error))
            except Exception as error:
                log.tell("reload_failed", "error", model=name, message=type(error).__name__)

    async def on_tick(self, counter: int) -> bool:
        """Check connections and record metrics about every second; uvicorn calls this ten times a second."""
        now = asyncio.get_running_loop().time()
        if counter % round(SWEEP_S * 10) == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.late(now)
            if self.served.metrics.is_shared:
                self.served.metrics.note(self.served.service.stats(), self.served.connections())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer accepted requests, tell new ones to try again, and end."""
        self.served.draining = True
        self.served.log.tell("draining")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await self.served.service.drain(self._drain_s)
        # Clients that connect meanwhile, or were connected, are told to try another server before this one stops
        # listening.
        await asyncio.sleep(max(0.0, DRAINED_S - (loop.time() - begun)))
        self.config.timeout_graceful_shutdown = 5
        await super().shutdown(sockets)
        self.served.log.tell("ended")
        self.served.log.flush()


def bind(host: str, port: int) -> socket.socket:
    """Open a socket at an address, which does not listen yet.

    Raises:
        ConfigError: the address is not available.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
        except OSError:
            found.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"--host {host} --port {port}: cannot listen there ({reason}); choose another") from None
    return found


def address(listening: socket.socket) -> str:
    """Return the address of the page for a user on this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"


def run(settings: Settings, listening: socket.socket, on_ready: Callable[[App], None] = lambda app: None) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: the settings of the server.
        listening: the socket; see `bind`.
        on_ready: called when requests are answered.

    Raises:
        OstinatoError: a run cannot be read, or the store cannot be opened.
    """
    sys.setswitchinterval(SWITCH_S)
    if sys.platform == "win32":
        asyncio.run(_serve(settings, listening, on_ready))
        return
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listening, on_ready))


async def _serve(settings: Settings, listening: socket.socket, on_ready: Callable[[App], None]) -> None:
    tokens, metrics = Tokens(settings.tokens), Metrics()
    service = Service(
        settings.runs, settings.limits, store=settings.sessions, shared=settings.shared, on_batch=metrics.batch
    )
    await service.start()
    app, server = make_server(settings, service, tokens, metrics)
    # Loaded objects stay, so they are excluded from garbage collection, which takes a tenth of a second for a million
    # objects and stops all answers meanwhile.
    gc.collect()
    gc.freeze()
    asyncio.get_running_loop().call_soon(on_ready, app)
    with json_logs(app.log):
        await server.serve(sockets=[listening])


def make_server(settings: Settings, service: Service, tokens: Tokens, metrics: Metrics) -> tuple[App, Server]:
    """Make the application and the server for a service that has been started."""
    doors = Doors(
        tokens,
        frozenset(settings.cors),
        settings.max_body,
        local=settings.host in LOOPBACK and settings.tokens is None,
    )
    log = Log(requests=settings.log == "requests", text=settings.log_text)
    app = App(service, doors, log, metrics, page_routes())
    bounds = Bounds(settings.header_seconds, settings.body_seconds, settings.send_seconds, settings.max_connections)
    config = uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType]
        http=type("BoundConnection", (Connection,), {"bounds": bounds}),
        ws=Upgraded,
        ws_max_size=settings.max_body,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",  # lower levels report mistakes of clients
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, round(settings.idle_connection_seconds)),
        backlog=BACKLOG,
    )
    server = Server(config, app, settings.drain_seconds)
    app.connections = lambda: len(server.server_state.connections)
    return app, server


def page_routes() -> list[object]:
    """Return Starlette's routes of the page; none if the page is not installed."""
    try:
        from ostinato.serving.page import routes
    except ImportError:
        return []
    return list(routes())
