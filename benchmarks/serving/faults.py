"""`python -m benchmarks.serving.faults`: servers that are killed under load, and what became of their sessions.

Each session is judged by a stream of its own: after the last kill its state is that of a session that was never interrupted, to the
last bit, at the step that the server says.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from benchmarks.machine import describe
from benchmarks.serving.plan import redis_server
from benchmarks.serving.servers import ask, make_run, ostinato_server

SESSIONS, TOKENS = 40, 80


@dataclass
class Client:
    """A session, and all that was ever acknowledged of it.

    Attributes:
        id: of it.
        tokens: that were sent, in order; those behind `sure` may or may not have been read.
        sure: the step that an answer told last.
        saved: the step up to which an answer said the state is on the disk.
        wrong: what should not have been.
    """

    id: str
    tokens: list[int] = field(default_factory=list)
    sure: int = 0
    saved: int = 0
    wrong: list[str] = field(default_factory=list)
    steps: int = 0

    async def go_on(
        self, http: httpx.AsyncClient, ports: list[int], until: float, draw: random.Random, keyed: bool
    ) -> None:
        """Takes steps until a time, on any of the servers; asks again where there was no answer."""
        while time.monotonic() < until:
            if len(self.tokens) == self.sure:
                self.tokens.append(draw.randrange(2, TOKENS))
            token = self.tokens[self.sure]
            body = {"tokens": [token], "top": 1, "from": self.sure}
            headers = {"idempotency-key": f"{self.sure}-{token}"} if keyed else {}
            url = f"http://127.0.0.1:{draw.choice(ports)}/v1/lm/sessions/{self.id}/steps"
            try:
                found = await http.post(url, json=body, headers=headers)
            except httpx.HTTPError:
                await asyncio.sleep(0.02)
                continue
            if not self._hear(found):
                await asyncio.sleep(0.02)
            await asyncio.sleep(draw.uniform(0, 0.01))

    def _hear(self, found: httpx.Response) -> bool:
        """Whether an answer says that the step was taken."""
        told = found.json()
        if found.status_code == 200:
            if told["step"] != self.sure + 1:
                self.wrong.append(f"step {told['step']} after {self.sure}")
            self.sure, self.saved = told["step"], max(self.saved, told["saved"] or 0)
            self.steps += 1
            return True
        if found.status_code == 409 and told["error"].get("step") == self.sure + 1:
            self.sure += 1  # it was read, and the answer was lost
            return True
        if found.status_code not in (429, 503):
            self.wrong.append(f"{found.status_code}: {found.text[:200]}")
        return False

    def look(self, port: int, durable: bool) -> None:
        """After a restart: where the session is now."""
        view = ask(port, f"/v1/lm/sessions/{self.id}")
        least = self.sure if durable else self.saved
        if not least <= view["step"] <= len(self.tokens):
            self.wrong.append(f"at step {view['step']} after {least} was acknowledged")
        del self.tokens[view["step"] :]
        self.sure = view["step"]

    def judge(self, port: int, stream: Any) -> None:
        """Whether its state is that of one that was never interrupted."""
        with httpx.Client() as http:
            state = http.get(f"http://127.0.0.1:{port}/v1/lm/sessions/{self.id}/state").content
        stream.reset()
        for token in self.tokens[: self.sure]:
            stream(token)
        other = stream.copy()
        other.from_bytes(state)
        if stream.state_bytes() != other.state_bytes():
            self.wrong.append(f"another state at step {self.sure}")


def begin(port: int, count: int) -> list[Client]:
    """So many new sessions."""
    return [Client(ask(port, "/v1/lm/sessions", {})["id"]) for _ in range(count)]


async def all_go_on(clients: list[Client], ports: list[int], until: float, seed: int, keyed: bool) -> None:
    """All at once."""
    draws = [random.Random(f"{seed} {number}") for number in range(len(clients))]
    async with httpx.AsyncClient(timeout=5, verify=False, limits=httpx.Limits(max_connections=None)) as http:
        going = (client.go_on(http, ports, until, draw, keyed) for client, draw in zip(clients, draws, strict=True))
        await asyncio.gather(*going)


def judged(clients: list[Client], port: int, run: Path) -> None:
    """Judges all by one stream."""
    import ostinato

    stream = ostinato.Stream(ostinato.load(str(run)))
    for client in clients:
        client.judge(port, stream)


def kills(run: Path, rounds: int, durability: str) -> list[Client]:
    """kill -9 at random moments, and a restart after each."""
    draw, clients = random.Random(0), []
    store = run.parent / f"killed-{durability}.sqlite"
    flags = ("--sessions", str(store), "--durability", durability, "--snapshot-seconds", "0.5")
    for number in range(rounds + 1):
        with ostinato_server(run, *flags) as (port, process):
            if not clients:
                clients = begin(port, SESSIONS)
            for client in clients:
                client.look(port, durability == "step")
            if number == rounds:
                judged(clients, port, run)
                break
            seconds = draw.uniform(0.3, 1.5)
            asyncio.run(
                _killed_at(process, seconds, all_go_on(clients, [port], time.monotonic() + seconds + 0.3, number, True))
            )
    return clients


async def _killed_at(process: subprocess.Popen[str], seconds: float, load: Any) -> None:
    loading = asyncio.create_task(load)
    await asyncio.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    await loading


def ends(run: Path, rounds: int) -> list[Client]:
    """SIGTERM under load: nothing that was answered is lost, whatever the interval of snapshots."""
    clients: list[Client] = []
    store = run.parent / "ended.sqlite"
    for number in range(rounds + 1):
        with ostinato_server(run, "--sessions", str(store), "--snapshot-seconds", "1000") as (port, process):
            clients = clients or begin(port, SESSIONS)
            for client in clients:
                client.look(port, True)
            if number == rounds:
                judged(clients, port, run)
                break
            asyncio.run(_ended_under(process, all_go_on(clients, [port], time.monotonic() + 1.5, number, True)))
            if status := process.wait(60):
                clients[0].wrong.append(f"the server ended with status {status}")
    return clients


async def _ended_under(process: subprocess.Popen[str], load: Any) -> None:
    loading = asyncio.create_task(load)
    await asyncio.sleep(0.7)
    process.terminate()
    await loading


@contextmanager
def replicas(run: Path, store: str) -> Iterator[list[tuple[int, subprocess.Popen[str]]]]:
    """Two on one store."""
    with ExitStack() as stack:
        flags = ("--sessions", store, "--lease-seconds", "1")
        yield [stack.enter_context(ostinato_server(run, *flags)) for _ in range(2)]


def replica_killed(run: Path, seconds: float) -> list[Client]:
    """Two replicas on one Redis; one is killed, the other goes on."""
    with redis_server(run.parent) as redis:
        time.sleep(0.5)
        with replicas(run, f"redis://127.0.0.1:{redis}/0") as ((one, first), (two, _)):
            clients = begin(one, SESSIONS)
            load = all_go_on(clients, [one, two], time.monotonic() + seconds, 0, True)
            asyncio.run(_killed_at(first, seconds / 2, load))
            asyncio.run(all_go_on(clients, [two], time.monotonic() + 1.5, 1, True))
            for client in clients:
                client.look(two, True)
            judged(clients, two, run)
    return clients


def main(words: list[str]) -> int:
    """Pulls all plugs; 1 where a session was harmed."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving.faults", description="servers that are killed under load")
    parser.add_argument("--rounds", type=int, default=30, help="kills")
    given = parser.parse_args(words)
    console, machine, harmed = Console(), describe(), 0
    console.print(f"{machine['processor']}, {machine['cores']} cores; {SESSIONS} sessions that step without a pause")
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder))
        cases: dict[str, Any] = {
            f"kill -9, {given.rounds} times, snapshots each 0.5 s": lambda: kills(run, given.rounds, "interval"),
            f"kill -9, {given.rounds} times, --durability step": lambda: kills(run, given.rounds, "step"),
            "SIGTERM, 3 times, no snapshot in between": lambda: ends(run, 3),
        }
        if shutil.which("redis-server"):
            cases["two replicas on one Redis, one killed"] = lambda: replica_killed(run, 6.0)
        for name, work in cases.items():
            clients = work()
            wrong = [f"{client.id}: {each}" for client in clients for each in client.wrong]
            harmed += len(wrong)
            steps = sum(client.steps for client in clients)
            console.print(
                f"{name}: {len(clients)} sessions, {steps:,} steps acknowledged, {len(wrong)} wrong",
                *wrong[:5],
                sep="\n  ",
            )
    return int(harmed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
