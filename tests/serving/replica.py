"""A service as a process of its own, which can be killed: a line of JSON for each call, and for each answer.

`python -m tests.serving.replica RUN STORE {"limit": value, ...}`
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Replica:
    """Its calls, from another process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self._reader = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls, run: Path, store: str, **limits: Any) -> Replica:
        """One that takes calls."""
        words = [sys.executable, "-m", "tests.serving.replica", str(run), store, json.dumps(limits)]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, env={**os.environ, "PYTHONPATH": path})
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return cls(process)

    async def __call__(self, name: str, *arguments: Any) -> Any:
        """The answer of a method of the service; ConnectionError where the process is gone, RuntimeError for one that it raises."""
        self._count += 1
        future = self._waiting[self._count] = asyncio.get_running_loop().create_future()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([self._count, name, arguments]).encode() + b"\n")
        return await future

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            if not line.endswith(b"\n"):
                break
            number, answer, error = json.loads(line)
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
        self.process.kill()
        await self.process.wait()
        await self._reader

    async def end(self) -> None:
        """As a service should."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert await self.process.wait() == 0
        await self._reader


async def _serve(run: str, store: str, limits: dict[str, Any]) -> None:
    from ostinato.serving.limits import Limits
    from ostinato.serving.service import Service

    shared = limits.pop("shared", False)
    service = Service({"m": run}, Limits(**limits), store=store, shared=shared)
    await service.start()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)

    async def answer(number: int, name: str, arguments: list[Any]) -> None:
        try:
            found, error = await getattr(service, name)(*arguments), None
            found = found.hex() if isinstance(found, bytes) else found
        except Exception as problem:
            found, error = None, f"{type(problem).__name__}: {problem}"
        os.write(1, json.dumps([number, found, error]).encode() + b"\n")

    tasks = set()
    while line := await reader.readline():
        task = asyncio.ensure_future(answer(*json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await service.drain(10.0)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
