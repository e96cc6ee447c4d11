"""The file of results: what is measured, how, and the constants that are fitted to it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe
from benchmarks.scaling.workers import Job, measured, slowest
from benchmarks.scaling.workloads import KINDS
from ostinato.errors import ConfigError
from ostinato.insight.scaling import Link, Sharing, Workload, all_reduce_bytes, predicted_step

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
    jobs = {
        "one": ("one process", Job(1, ("alone",), every, rounds)),
        "two": ("two processes", Job(2, ("alone", "apart", "ddp", "fsdp"), some, rounds)),
        "many": (f"{MANY} processes", Job(MANY, ("alone", "apart", "ddp"), few, rounds)),
    }
    found: dict[str, Any] = {
        "day": time.strftime("%Y-%m-%d"),
        "machine": describe(),
        "load": os.getloadavg()[0],  # of the minute before
        "rounds": rounds,
    }
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
        if not {"one", "two", "many"} <= found.keys():
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
    steps, alone = found["one"][0]["steps"]["alone"][name], found["one"][0]["alone"][name]
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
        alone_s: what one takes for them while the others wait.
        slowdown: how many times as long as that all of them take at once, each by itself.
        exchange_s: what the processes wait for each other, as predicted.
        from_one_s: predicted of one process, the cores and the exchange.
        predicted_s: predicted of one process, `slowdown` and the exchange.
        measured_s: of a run.
    """

    name: str
    strategy: Sharing
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
        """Predicted by measured."""
        return self.predicted_s / self.measured_s


def comparisons(found: Mapping[str, Any]) -> Iterator[Compared]:
    """Every step that was measured with several processes."""
    cores = found["machine"]["cores"]
    for world in ("two", "many"):
        processes = found[world]
        joined, count = link(found, world), len(processes)
        strategies: tuple[Sharing, ...] = ("ddp", "fsdp")
        for strategy in strategies:
            for name, of_rows in processes[0]["steps"].get(strategy, {}).items():
                for rows in map(int, of_rows):
                    alone_s = processes[0]["steps"]["alone"][name][str(rows)]["median_s"]
                    slowdown = slowest(processes, "apart", name, rows) / alone_s
                    # The step of exactly these rows is known; the line through all is for others.
                    of = workload(found, name)
                    update_s = min(of.update_s, alone_s / 2)
                    exact = replace(of, fixed_s=update_s, update_s=update_s, row_s=(alone_s - update_s) / rows)
                    one, shared = (
                        predicted_step(exact, joined, count, rows, strategy, slowdown=times)
                        for times in (max(1.0, count / cores), slowdown)
                    )
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
                        slowest(processes, strategy, name, rows),
                    )
