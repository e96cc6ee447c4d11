"""The file of results: what is measured, how, and the constants that are fitted to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe
from benchmarks.scaling.workers import Job, measured, slowest
from benchmarks.scaling.workloads import KINDS
from ostinato.errors import ConfigError
from ostinato.insight.scaling import Link, Workload, all_reduce_bytes

MANY = 4  # processes that are compared with the prediction besides two


def measure(rounds: int, say: Any) -> dict[str, Any]:
    """All that the page needs.

    Args:
        rounds: so many times all steps are timed in turn.
        say: is told what is measured next.
    """
    every = {name: kind.rows for name, kind in KINDS.items()}
    some = {name: kind.rows[1:3] for name, kind in KINDS.items()}
    few = {name: kind.rows[1:2] for name, kind in KINDS.items()}
    last = {name: kind.rows[-1:] for name, kind in KINDS.items()}
    jobs = {
        "one": ("one process, one thread", Job(1, True, ("ddp",), every, rounds, alone=True)),
        "threads": ("one process, two threads", Job(1, True, ("ddp",), last, rounds, threads=2)),
        "apart": ("two processes that are not joined", Job(2, False, ("ddp",), some, rounds)),
        "two": ("two processes", Job(2, True, ("ddp", "fsdp"), some, rounds, exchanges=True)),
        "many": (f"{MANY} processes", Job(MANY, True, ("ddp",), few, rounds, exchanges=True)),
    }
    found: dict[str, Any] = {"day": time.strftime("%Y-%m-%d"), "machine": describe(), "rounds": rounds}
    for name, (told, job) in jobs.items():
        say(f"measuring {told}")
        found[name] = measured(job)
    return found


def write(path: Path, found: Mapping[str, Any]) -> None:
    """A new file takes the place of the old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def read(path: Path) -> dict[str, Any]:
    """The file as it is.

    Raises:
        ConfigError: it is none of this command.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not {"one", "two", "many", "apart", "threads"} <= found.keys():
            raise ValueError("another JSON")
        return found
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: expected results of `python -m benchmarks.scaling`, got {error}") from error


def fitted_line(rows: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """a and b of a + b rows, of which the relative errors are least (in the sense of their squares); neither is below 0."""
    x, y = np.asarray(rows, float), np.asarray(seconds, float)
    a, b = np.linalg.lstsq(np.stack([1 / y, x / y], 1), np.ones(len(x)), rcond=None)[0]
    if a < 0:
        return 0.0, float(1 / np.mean(x / y))
    return float(a), float(b)


def fitted_link(exchanges: Mapping[str, float], processes: int, name: str = "") -> Link:
    """Latency and bandwidth of a ring over gloo, as of `fitted_line`.

    Args:
        exchanges: bytes to seconds of an all-reduce.
        processes: of how many.
        name: what to call it.
    """
    rounds = 2 * (processes - 1)
    sent = [all_reduce_bytes(int(size), processes) / rounds for size in exchanges]
    alpha, per_byte = fitted_line(sent, [seconds / rounds for seconds in exchanges.values()])
    return Link(alpha, 1 / per_byte, reduces_scatter=False, name=name, source="measured")


def workload(found: Mapping[str, Any], name: str) -> Workload:
    """The constants of a workload, of one process and one thread."""
    steps, alone = found["one"][0]["steps"]["ddp"][name], found["one"][0]["alone"][name]
    fixed_s, row_s = fitted_line([int(rows) for rows in steps], [each["median_s"] for each in steps.values()])
    return Workload(
        parameters=alone["parameters"],
        # What is read is part of a step that is measured.
        fixed_s=max(fixed_s, alone["update_s"]),
        row_s=row_s,
        update_s=alone["update_s"],
        items=alone["items"],
        tensors=alone["tensors"],
        checkpoint_s_per_byte=alone["checkpoint_s"] / alone["checkpoint_bytes"],
        validation_s=alone["validation_s"],
        name=KINDS[name].title,
    )


def link(found: Mapping[str, Any], world: str) -> Link:
    """Between the processes of a world, "two" or "many"."""
    processes = found[world]
    sizes = processes[0]["exchanges"]
    worst = {size: max(each["exchanges"][size] for each in processes) for size in sizes}
    return fitted_link(worst, len(processes), "this machine")


@dataclass(frozen=True)
class Compared:
    """A step that was predicted and measured.

    Attributes:
        name: of the workload.
        strategy: "ddp" or "fsdp".
        processes: how many.
        rows: of each.
        alone_s: what one takes for them while nothing else runs.
        slowdown: how many times as long two processes take that have nothing to do with each other, for as many rows.
        exchange_s: what the processes wait for each other, as predicted.
        from_one_s: predicted of one process and the exchange.
        predicted_s: predicted, the memory and the cores being shared.
        measured_s: of a run.
    """

    name: str
    strategy: str
    processes: int
    rows: int
    alone_s: float
    slowdown: float
    exchange_s: float
    from_one_s: float
    predicted_s: float
    measured_s: float

    @property
    def ratio(self) -> float:
        """Of the measured time, what was predicted."""
        return self.predicted_s / self.measured_s


def comparisons(found: Mapping[str, Any]) -> Iterator[Compared]:
    """Every step that was measured with several processes."""
    from ostinato.insight.scaling import predicted_step

    cores = found["machine"]["cores"]
    for world in ("two", "many"):
        joined, count = link(found, world), len(found[world])
        for strategy, of_name in found[world][0]["steps"].items():
            for name, of_rows in of_name.items():
                for rows in map(int, of_rows):
                    alone_s = found["one"][0]["steps"]["ddp"][name][str(rows)]["median_s"]
                    beside_s = slowest(found["apart"], "ddp", name, rows)
                    # Two at a time have the cores; the others wait for their turn.
                    slowdown = beside_s / alone_s * max(1.0, count / min(2, cores))
                    base = workload(found, name)
                    # The step of exactly these rows is known; the line through all is for others.
                    exact = Workload(
                        **{**vars(base), "fixed_s": base.update_s, "row_s": (alone_s - base.update_s) / rows}
                    )
                    one = predicted_step(exact, joined, count, rows, strategy, slowdown=max(1.0, count / cores))
                    shared = predicted_step(exact, joined, count, rows, strategy, slowdown=slowdown)
                    yield Compared(
                        name,
                        strategy,
                        count,
                        rows,
                        alone_s,
                        slowdown,
                        one.exchange_s + one.numbers_s,
                        one.total_s,
                        shared.total_s,
                        slowest(found[world], strategy, name, rows),
                    )
