"""`python -m benchmarks.serving`: `ostinato serve` under load, beside the plain thing that people write.

Load comes at times that are fixed ahead and over loopback, bounded in count and time. `python -m benchmarks.serving.faults` pulls
plugs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.serving.load import Outcome, arrivals_at, arrivals_every, load, post
from benchmarks.serving.servers import UNITS, ask, make_run, ostinato_server, plain_server, resident

SESSIONS, PERIOD_S = 1000, 2.0
CONNECTIONS = 128  # for the highest rate: what stands behind a balancer
LIMIT_S = 0.05
FIRST_RATE, MOST_RATE = 100.0, 40_000.0
STEPS_OF_RATE = 1.15  # how fine the highest rate is found
TEXTS, TOKENS = 64, 100
STATE_BYTES = 2 * UNITS * 4
Found = dict[str, Any]


def run_load(
    port: int, requests: Sequence[bytes], arrivals: list[tuple[float, int]], connections: int | None
) -> Outcome:
    """A load in an event loop of its own, as fast a one as there is."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load(port, requests, arrivals, connections))


def our_requests(port: int, sessions: int, prefix: str = "") -> list[bytes]:
    """A step of each session, of new ones."""
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: ask(port, "/v1/lm/sessions", {})["id"], range(sessions)))
    return [
        post(f"/v1/lm/sessions/{id}/steps", b'{"tokens":[%d]}' % (7 + number % 80)) for number, id in enumerate(made)
    ]


def plain_requests(port: int, sessions: int) -> list[bytes]:
    """The same of the plain server."""
    made = [ask(port, "/sessions", {})["id"] for _ in range(sessions)]
    return [post(f"/sessions/{id}/steps", b'{"token":%d}' % (7 + number % 80)) for number, id in enumerate(made)]


def paced(run: Path, seconds: float) -> Found:
    """1,000 sessions, a step each every two seconds."""
    found: Found = {}
    arrivals = arrivals_every(SESSIONS, PERIOD_S, seconds)
    for name, server, requests in ((OURS, ours(run), our_requests), (PLAIN, plain_server, plain_requests)):
        with server() as (port, process):
            made = requests(port, SESSIONS)
            run_load(port, made, arrivals_at(200, SESSIONS, 2.0), 32)  # everything has been used once
            found[name] = told(run_load(port, made, arrivals, None)) | {"MB": resident(process.pid) / 1e6}
    return found


def highest_rate(run: Path, seconds: float) -> Found:
    """How many steps a second, at p99 below 50 ms and without an error; both servers live, and take turns."""
    found: Found = {}
    with ours(run)() as (our_port, _), plain_server() as (plain_port, _):
        made = {
            OURS: (our_port, our_requests(our_port, SESSIONS)),
            PLAIN: (plain_port, plain_requests(plain_port, SESSIONS)),
        }
        rates = dict.fromkeys(made, FIRST_RATE)
        best: dict[str, Found] = {}
        misses = dict.fromkeys(made, 0)
        while any(count < 2 for count in misses.values()):
            for name, (port, requests) in made.items():
                if misses[name] >= 2 or rates[name] > MOST_RATE:
                    misses[name] = 2
                    continue
                outcome = run_load(port, requests, arrivals_at(rates[name], SESSIONS, seconds), CONNECTIONS)
                if outcome.percentile(0.99) < LIMIT_S and not outcome.failed:
                    best[name] = {"rate": rates[name], **told(outcome)}
                    misses[name] = 0
                    rates[name] *= 1.6 if rates[name] < 0.5 * outcome_limit(best[name]) else STEPS_OF_RATE
                else:
                    misses[name] += 1  # once may be the machine's fault
                time.sleep(0.3)
        found |= best
    if OURS in found and PLAIN in found:
        found["times"] = found[OURS]["rate"] / found[PLAIN]["rate"]
    return found


def outcome_limit(found: Found) -> float:
    """About which rate a server may reach, of how long its answers took: far from the limit the steps are large."""
    return found["rate"] * (4 if found["p99_ms"] < 8 else 1)


def generations(run: Path, rounds: int) -> Found:
    """Tokens a second of 64 texts at once, and one after the other."""

    def write(seed: int) -> int:
        body = {"model": "lm", "prompt": "the ", "max_tokens": TOKENS, "seed": seed}
        return ask(port, "/v1/completions", body)["usage"]["completion_tokens"]

    def timed(work: Callable[[], list[int]]) -> float:
        start = time.perf_counter()
        return sum(work()) / (time.perf_counter() - start)

    with ours(run)() as (port, _), ThreadPoolExecutor(TEXTS) as pool:
        write(0)
        at_once, alone = [], []
        for _ in range(rounds):
            at_once.append(timed(lambda: list(pool.map(write, range(TEXTS)))))
            alone.append(timed(lambda: [write(seed) for seed in range(8)]))
    found: Found = {"at_once": statistics.median(at_once), "alone": statistics.median(alone)}
    return found | {"times": statistics.median(a / b for a, b in zip(at_once, alone, strict=True))}


def memory(run: Path, sessions: int) -> Found:
    """Bytes of a session that is in memory and has taken a step, beside its state."""
    with ours(run, "--sessions-in-memory", str(2 * sessions))() as (port, process):
        warm = our_requests(port, 500)
        run_load(port, warm, arrivals_at(500, 500, 1.0), 8)
        before = resident(process.pid)
        requests = our_requests(port, sessions)
        arrivals = [(number / 1500, number) for number in range(sessions)]
        outcome = run_load(port, requests, arrivals, 8)
        time.sleep(1)
        each = (resident(process.pid) - before) / sessions
    return {
        "sessions": sessions,
        "bytes": each,
        "state": STATE_BYTES,
        "beside": each - STATE_BYTES,
        "failed": outcome.failed,
    }


def leak(run: Path, requests: int) -> Found:
    """What a server holds after many requests more than after some."""
    with ours(run)() as (port, process):
        made = our_requests(port, 200)
        figures, failed = [], 0
        for number in range(4):
            count = requests // 4
            outcome = run_load(port, made, arrivals_at(1500, 200, count / 1500, seed=number), 16)
            figures.append(resident(process.pid) / 1e6)
            if failed := outcome.failed:
                break
    return {"requests": requests, "MB": [round(each, 1) for each in figures], "failed": failed}


OURS, PLAIN = "ostinato serve", "FastAPI, torch.nn, a lock"


def ours(run: Path, *flags: str) -> Callable[[], Any]:
    """How our server is begun: sessions on the disk every five seconds, as it comes."""
    return lambda: ostinato_server(
        run, "--sessions", str(run.parent / f"sessions-{time.monotonic_ns()}.sqlite"), *flags
    )


def told(outcome: Outcome) -> Found:
    """Of a load, for people and JSON."""
    return {
        "requests": outcome.planned,
        "failed": outcome.failed,
        "p50_ms": 1e3 * outcome.percentile(0.5),
        "p99_ms": 1e3 * outcome.percentile(0.99),
        "p999_ms": 1e3 * outcome.percentile(0.999),
    }


def show(console: Console, title: str, found: Found) -> None:
    """A table of one section."""
    rows = {name: value for name, value in found.items() if isinstance(value, dict)}
    rest = {name: value for name, value in found.items() if name not in rows}
    table = Table(title=title, title_justify="left")
    if rows:
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        for column in ("", *columns):
            table.add_column(column, justify="right" if column else "left")
        for name, row in rows.items():
            table.add_row(name, *(_figure(row.get(column, "")) for column in columns))
    if rest:
        if rows:
            console.print(table)
            table = Table()
        for column in rest:
            table.add_column(column, justify="right")
        table.add_row(*(_figure(value) for value in rest.values()))
    console.print(table)


def _figure(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def main(words: list[str]) -> int:
    """Measures all, or some."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description="`ostinato serve` under load")
    sections = ("paced", "rate", "generations", "memory", "leak")
    parser.add_argument("--only", nargs="+", choices=sections, default=sections)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the paced load")
    parser.add_argument("--rate-seconds", type=float, default=4.0, help="of the load at each rate")
    parser.add_argument("--rounds", type=int, default=3, help="of generations")
    parser.add_argument("--sessions", type=int, default=10_000, help="whose memory is measured")
    parser.add_argument("--requests", type=int, default=100_000, help="after which a leak is looked for")
    parser.add_argument("--output", type=Path, help="a JSON file for all that was found")
    given = parser.parse_args(words)
    console, machine = Console(), describe()
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, shared with the load; LSTM of {UNITS} units, float32"
    )
    found: Found = {"machine": machine}
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder))
        work: dict[str, tuple[str, Callable[[], Found]]] = {
            "paced": (f"{SESSIONS:,} sessions, a step each every {PERIOD_S:g} s", lambda: paced(run, given.seconds)),
            "rate": ("Highest rate with p99 under 50 ms", lambda: highest_rate(run, given.rate_seconds)),
            "generations": (f"Tokens a second, {TEXTS} texts", lambda: generations(run, given.rounds)),
            "memory": ("Memory of a session", lambda: memory(run, given.sessions)),
            "leak": ("Memory after many requests", lambda: leak(run, given.requests)),
        }
        for name in given.only:
            title, measure = work[name]
            found[name] = measure()
            show(console, title, found[name])
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=1, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
