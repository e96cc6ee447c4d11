"""Services as processes of their own, which can be killed: a line of JSON for each call, and for each answer.

They are forks of a process that has made all imports, `python -m tests.serving.replica`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PIECE = 0  # the number of what is no answer
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def nursery() -> Iterator[Nursery]:
    """Where replicas come from."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, "-m", "tests.serving.replica"]
    with (
        tempfile.TemporaryDirectory(prefix="replica-") as folder,
        subprocess.Popen(words, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}) as process,
    ):
        yield Nursery(process, folder)
        assert process.stdin is not None
        process.stdin.close()


class Nursery:
    """Starts replicas.

    Args:
        process: that is forked.
        folder: for sockets.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: str) -> None:
        self._process, self._folder, self._count = process, folder, 0

    async def __call__(self, run: Path, store: str, **limits: Any) -> Replica:
        """One that takes calls."""
        self._count += 1
        address = f"{self._folder}/{self._count}"
        come: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            come.set_result(Replica(int(await reader.readline()), reader, writer))

        server = await asyncio.start_unix_server(connected, address, limit=2**24)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([address, str(run), store, limits]).encode() + b"\n")
        self._process.stdin.flush()
        try:
            return await come
        finally:
            server.close()  # to wait until it is closed is, from Python 3.12 on, to wait for the replica's end


class Replica:
    """Calls of a service in another process.

    Attributes:
        told: the text of the pieces that came.
    """

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._pid, self._writer = pid, writer
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self.told = ""
        self._reading = asyncio.ensure_future(self._read(reader))

    async def __call__(self, name: str, *arguments: Any) -> Any:
        """The answer of a method of the service; ConnectionError where the process is gone, RuntimeError for one that it raises."""
        if self._reading.done():
            raise ConnectionError
        self._count += 1
        future = self._waiting[self._count] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps([self._count, name, arguments]).encode() + b"\n")
        return await future

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while (line := await reader.readline()).endswith(b"\n"):
                number, answer, error = json.loads(line)
                if number == _PIECE:
                    self.told += answer
                    continue
                future = self._waiting.pop(number)
                if error is None:
                    future.set_result(answer)
                else:
                    future.set_exception(RuntimeError(error))
        for future in self._waiting.values():
            future.set_exception(ConnectionError())
        self._waiting.clear()

    async def kill(self) -> None:
        """At once: it can do nothing more."""
        os.kill(self._pid, signal.SIGKILL)
        await self._reading
        self._writer.close()

    async def end(self) -> None:
        """As a service should."""
        self._writer.write_eof()
        await self._reading
        self._writer.close()


async def _serve(address: str, run: str, store: str, limits: dict[str, Any]) -> None:
    from ostinato.serving.generating import Generating
    from ostinato.serving.limits import Limits
    from ostinato.serving.service import Service

    shared = limits.pop("shared", False)
    service = Service({"m": run}, Limits(**limits), store=store, shared=shared)
    await service.start()
    reader, writer = await asyncio.open_unix_connection(address, limit=2**24)
    writer.write(f"{os.getpid()}\n".encode())

    async def answer(number: int, name: str, arguments: list[Any]) -> None:
        try:
            if name == "write":
                *who, how = arguments
                async for piece in service.write(*who, Generating(**how)):
                    writer.write(json.dumps([_PIECE, piece.text, None]).encode() + b"\n")
                return
            found, error = await getattr(service, name)(*arguments), None
            found = found.hex() if isinstance(found, bytes) else found
        except Exception as problem:
            found, error = None, f"{type(problem).__name__}: {problem}"
        writer.write(json.dumps([number, found, error]).encode() + b"\n")

    tasks = set()
    while line := await reader.readline():
        task = asyncio.ensure_future(answer(*json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await service.drain(10.0)
    writer.close()


def _fork_replicas() -> None:
    import ostinato.serving.service
    import ostinato.serving.stores.redis
    import ostinato.serving.stores.sqlite  # noqa: F401

    assert threading.active_count() == 1  # a fork would not have the others
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        if not os.fork():
            os.close(0)
            asyncio.run(_serve(*json.loads(line)))
            os._exit(0)


if __name__ == "__main__":
    _fork_replicas()
