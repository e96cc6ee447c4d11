"""`python -m benchmarks.catalogue`: goes on where the file of results ends, then writes the page."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.catalogue.cost import cost
from benchmarks.catalogue.page import SEEDS, write_page
from benchmarks.catalogue.results import Results, read_or_new
from benchmarks.catalogue.tasks import TASKS
from benchmarks.catalogue.training import train
from benchmarks.names import check_names
from ostinato import catalogue
from ostinato.cli.parser import Parser
from ostinato.errors import OstinatoError

COST = "cost"
PARTS = (COST, *TASKS)

Job = tuple[str, str, int]


def parser() -> Parser:
    """The flags."""
    made = Parser("python -m benchmarks.catalogue", "Compare all named cells, and write docs/catalogue_compared.md.")
    made.add_argument("--only", nargs="*", default=list(PARTS), help=f"some of {' '.join(PARTS)}; none: the page alone")
    made.add_argument("--cells", nargs="+", default=catalogue.names(), help="names of cells; all")
    made.add_argument("--seeds", type=int, default=SEEDS, help="trainings of each cell and task")
    made.add_argument(
        "--budget_s", type=float | None, default=None, help="no training begins later; a next call goes on"
    )
    made.add_argument("--cost_budget_s", type=float, default=1.0, help="of timing, for each cell and kind of step")
    made.add_argument("--processes", type=int, default=2, help="trainings at a time, of one thread each")
    made.add_argument("--again", type=bool, default=False, help="do anew what the file has of these cells and parts")
    made.add_argument("--quick", type=bool, default=False, help="two updates: to see that it works")
    made.add_argument("--output", default="benchmarks/results/catalogue.json", help="the file of results")
    made.add_argument("--page", default="docs/catalogue_compared.md", help="the page; its picture lies beside it")
    return made


def run(words: Sequence[str]) -> None:
    """Measure what is missing, write after each, then write the page."""
    given = parser().read(words)
    check_names("--only", given.only, PARTS)
    check_names("--cells", given.cells, catalogue.names())
    began, output = time.monotonic(), Path(given.output)
    results = read_or_new(output, given.quick)
    results.describe()
    if given.again:
        forget(results, given.cells, given.only)
    results.write(output)
    if COST in given.only:
        measure_costs(results, given, output)
    jobs = [
        (cell, name, seed)
        # Seed by seed: where time runs out, all cells have been seen.
        for seed in range(given.seeds)
        for cell in given.cells
        for name in TASKS
        if name in given.only and not results.is_done(cell, name, seed)
    ]
    if jobs:
        results.note_place()
    for at, (job, found) in enumerate(trained(jobs, given, began), 1):
        results.add(*job, found)
        results.write(output)
        cell, name, seed = job
        say(f"{at} of {len(jobs)}: {cell}, {name}, seed {seed}: {told(found)}")
    write_page(results, Path(given.page))
    say(f"written: {output}, {given.page}; {(time.monotonic() - began) / 60:.1f} minutes")


def forget(results: Results, cells: Sequence[str], parts: Sequence[str]) -> None:
    """What the file has of these is not used."""
    for cell in cells:
        if COST in parts:
            results.costs.pop(cell, None)
        for name in parts:
            results.scores.get(cell, {}).pop(name, None)
    if not results.costs and not any(results.scores.values()):
        results.machines, results.days = [], []  # none of the figures is from there


def measure_costs(results: Results, given: Any, output: Path) -> None:
    """One cell after the other while nothing else runs, on one thread."""
    missing = [cell for cell in given.cells if not results.has_cost(cell)]
    if missing:
        results.note_place()
    with one_thread():
        for cell in missing:
            results.costs[cell] = cost(cell, given.cost_budget_s, 1 if given.quick else None)
            results.write(output)
            kinds = (f"{kind} {told(found)}" for kind, found in results.costs[cell].items())
            say(f"{cell}, cost against LSTM: {', '.join(kinds)}")


@contextmanager
def one_thread() -> Iterator[None]:
    """torch uses one thread, then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def trained(jobs: Sequence[Job], given: Any, began: float) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Every training as it ends. Only so many are handed out as run, so that none begins when the time is over."""
    context = multiprocessing.get_context("spawn")
    waiting = iter(jobs)
    with ProcessPoolExecutor(given.processes, context, torch.set_num_threads, (1,)) as pool:
        running: dict[Future[dict[str, Any]], Job] = {}
        while True:
            while len(running) < given.processes and not is_over(began, given.budget_s):
                job = next(waiting, None)
                if job is None:
                    break
                running[pool.submit(train, *job, given.quick)] = job
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()


def is_over(began: float, budget_s: float | None) -> bool:
    """Whether the time is spent."""
    return budget_s is not None and time.monotonic() - began > budget_s


def told(found: dict[str, Any]) -> str:
    """A result in a few words."""
    if "failed" in found:
        return found["failed"]
    if "relative" in found:
        return f"{found['relative']:.2f}"
    return f"diverged at {found['diverged']}" if "diverged" in found else f"{found['error']:.4g} ({found['cpu_s']} s)"


def say(line: str) -> None:
    """At once, also into a file."""
    print(line, flush=True)


def main() -> int:
    """The exit status: 2 for something the user can put right, 130 after an interrupt."""
    try:
        run(sys.argv[1:])
    except OstinatoError as error:
        print(f"benchmarks.catalogue: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbenchmarks.catalogue: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
