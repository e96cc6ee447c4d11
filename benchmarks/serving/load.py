"""Load by HTTP/1.1 with arrival times that are fixed ahead: what waits longer does not make others come later.

A latency is counted from the planned arrival to the last byte of the answer. Connections stay open, and requests are bytes that
were made before, so that the load costs the machine little beside what is measured.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

TICK_S = 0.001
PATIENCE_S = 10.0  # after the last arrival


@dataclass
class Outcome:
    """What came of a load.

    Attributes:
        latencies: seconds, of the answers with status 200.
        statuses: how many answers had each.
        planned: requests.
        lost: requests without an answer.
        seconds: from the first arrival to the last answer.
    """

    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    planned: int = 0
    lost: int = 0
    seconds: float = 0.0

    def percentile(self, share: float) -> float:
        """Seconds; infinite where requests failed, as theirs is."""
        ordered = sorted(self.latencies)
        place = int(share * self.planned)
        return ordered[place] if place < len(ordered) else float("inf")

    @property
    def failed(self) -> int:
        return self.planned - len(self.latencies)


class _Client(asyncio.Protocol):
    """A connection, on which answers come in the order of the requests."""

    def __init__(self, outcome: Outcome):
        self.outcome, self.waiting = outcome, deque[float]()
        self.transport: Any = None
        self._data = b""
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def send(self, request: bytes, planned: float) -> None:
        self.waiting.append(planned)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        data = self._data + data if self._data else data
        outcome = self.outcome
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            place = data.find(b"content-length: ", 0, end)
            whole = end + 4 + int(data[place + 16 : data.index(b"\r", place)])
            if len(data) < whole:
                break
            status = int(data[9:12])
            outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
            planned = self.waiting.popleft()
            if status == 200:
                outcome.latencies.append(now - planned)
            data = data[whole:]
        self._data = data


def arrivals_every(sessions: int, period_s: float, seconds: float, seed: int = 0) -> list[tuple[float, int]]:
    """Each session comes once a period, at a time of its own: (seconds, session)."""
    draw = random.Random(seed)
    phases = [draw.uniform(0, period_s) for _ in range(sessions)]
    turns = range(int(seconds / period_s))
    return sorted((phase + turn * period_s, session) for session, phase in enumerate(phases) for turn in turns)


def arrivals_at(rate: float, sessions: int, seconds: float, seed: int = 0) -> list[tuple[float, int]]:
    """So many a second, at random times, by sessions in turn."""
    draw = random.Random(seed)
    times, now = [], 0.0
    while (now := now + draw.expovariate(rate)) < seconds:
        times.append(now)
    order = list(range(sessions))
    draw.shuffle(order)
    return [(at, order[number % sessions]) for number, at in enumerate(times)]


async def load(
    port: int, requests: Sequence[bytes], arrivals: Sequence[tuple[float, int]], connections: int | None = None
) -> Outcome:
    """Sends requests at their times.

    Args:
        port: of the server, on this machine.
        requests: of each session, whole.
        arrivals: when, and of which session, in order.
        connections: that are shared by the sessions; None for one each.
    """
    loop, outcome = asyncio.get_running_loop(), Outcome(planned=len(arrivals))
    count = connections or len(requests)
    clients: list[_Client] = []
    for first in range(0, count, 50):  # not all at once: a queue of connections is no part of what is measured
        made = await asyncio.gather(
            *(
                loop.create_connection(lambda: _Client(outcome), "127.0.0.1", port)
                for _ in range(first, min(count, first + 50))
            )
        )
        clients += [protocol for _, protocol in made]
    start = time.perf_counter() + 0.1
    number = 0
    while number < len(arrivals):
        now = time.perf_counter() - start
        while number < len(arrivals) and arrivals[number][0] <= now:
            at, session = arrivals[number]
            clients[session % count].send(requests[session], start + at)
            number += 1
        await asyncio.sleep(TICK_S)
    end = time.perf_counter() + PATIENCE_S
    while any(each.waiting and not each.closed for each in clients) and time.perf_counter() < end:
        await asyncio.sleep(0.005)
    outcome.seconds = time.perf_counter() - start
    outcome.lost = sum(len(each.waiting) for each in clients)
    for each in clients:
        if each.transport is not None:
            each.transport.abort()
    return outcome


def post(path: str, body: bytes) -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body
