"""`python -m benchmarks.serving.plan`: bytes and microseconds of a session in its stores, and what a million of them take."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.serving.servers import UNITS, free_port
from ostinato.serving.stores.record import Body, Record
from ostinato.serving.stores.redis import RedisStore
from ostinato.serving.stores.sqlite import SqliteStore
from ostinato.serving.stores.store import Asked, Store

STATE_BYTES = 2 * UNITS * 4
MILLION = 1_000_000
SNAPSHOT, BATCH = 1000, 32  # sessions that are written together: at an interval, and of one batch of steps


def record(number: int, version: int = 0) -> Record:
    """A session with a state that cannot be compressed, as states cannot."""
    body = Body(bytes(16), os.urandom(STATE_BYTES), {}, None).to_bytes()
    now = time.time()
    return Record(f"s_{number:020d}", "ada", 100, now, now, None, version, body)


def each_us(count: int, size: int, work: Callable[[range], Any]) -> float:
    """Microseconds of one of so many that are done some at a time; the median of the groups."""
    times = []
    for first in range(0, count, size):
        group = range(first, min(count, first + size))
        start = time.perf_counter()
        work(group)
        times.append((time.perf_counter() - start) / len(group) * 1e6)
    return sorted(times)[len(times) // 2]


def measure(store: Store, sessions: int, size: Callable[[], int]) -> dict[str, float]:
    """What a store takes."""
    before = size()
    found = {
        "new, 1,000 at once (us)": each_us(sessions, SNAPSHOT, lambda g: store.put([("lm", record(n)) for n in g])),
        "bytes": 0.0,
    }
    found["bytes"] = (size() - before) / sessions
    few = min(sessions, 2000)

    def shared(group: range) -> None:
        leases = store.acquire([Asked("lm", f"s_{n:020d}", "me", 10.0, -1) for n in group])
        assert all(lease.held and lease.record is not None for lease in leases)
        kept = store.commit(
            [
                ("lm", "me", record(n, lease.record.version + 1))
                for n, lease in zip(group, leases, strict=True)
                if lease.record
            ]
        )
        assert all(kept)

    found["read (us)"] = each_us(few, BATCH, lambda g: store.get([("lm", f"s_{n:020d}") for n in g]))
    found["a shared step: lease, read, write, 32 at once (us)"] = each_us(few, BATCH, shared)
    found["the same, alone (us)"] = each_us(min(few, 300), 1, shared)
    return found


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """A Redis of its own, in memory alone."""
    port = free_port()
    words = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()


def main(words: list[str]) -> int:
    """Measures SQLite, and Redis where there is one."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving.plan", description="bytes and microseconds of a session")
    parser.add_argument("--sessions", type=int, default=20_000)
    given = parser.parse_args(words)
    console, machine = Console(), describe()
    console.print(
        f"{machine['processor']}, {machine['cores']} cores; a state of {STATE_BYTES:,} bytes (LSTM, {UNITS} units)"
    )
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, full in (("SQLite", False), ("SQLite, --durability step", True)):
            file = folder / f"{full}.sqlite"
            store = SqliteStore(str(file), full=full)
            found[title] = measure(
                store, given.sessions, lambda at=file: sum(f.stat().st_size for f in folder.glob(at.name + "*"))
            )
            store.close()
        if shutil.which("redis-server"):
            with redis_server(folder) as port:
                store = RedisStore(f"redis://127.0.0.1:{port}/0")
                _wait(store)
                found["Redis"] = measure(
                    store, given.sessions, lambda: int(store._client.info("memory")["used_memory"])
                )
                store.close()
    table = Table()
    table.add_column("")
    for title in found:
        table.add_column(title, justify="right")
    for row in next(iter(found.values())):
        table.add_row(row, *(f"{each[row]:,.0f}" for each in found.values()))
    table.add_row("a million, GB", *(f"{each['bytes'] * MILLION / 1e9:.1f}" for each in found.values()))
    console.print(table)
    return 0


def _wait(store: Store) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            return store.ping()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
