"""What a process does: it times steps as `fit` makes them, exchanges, and what one process does alone."""

from __future__ import annotations

import copy
import itertools
import json
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn

from benchmarks.scaling.workloads import KINDS, Prepared
from ostinato.training import Processes, fit, make_fabric
from ostinato.training.distributed.device import StrategyName
from ostinato.training.loop.evaluation import Evaluation
from ostinato.training.loop.progress import Progress

WARM_STEPS = 3
SIZES = (32, 2**12, 2**16, 2**18, 2**20, 2**22, 2**24)


@dataclass(frozen=True)
class Job:
    """What the processes of a world measure.

    Attributes:
        world: how many there are.
        joined: whether they are one run; if not, each is one of its own.
        strategies: of the steps.
        rows: name of a workload to the rows of each process.
        exchanges: time all-reduces too.
        alone: time what one process does alone.
        rounds: so many times all are timed in turn: the machine's speed drifts.
        threads: of torch, in each process.
    """

    world: int
    joined: bool
    strategies: tuple[StrategyName, ...]
    rows: dict[str, tuple[int, ...]]
    rounds: int
    exchanges: bool = False
    alone: bool = False
    threads: int = 1


def measured(job: Job) -> list[dict[str, Any]]:
    """What each process has found, by rank."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        spawn(_process, (job, port, folder), nprocs=job.world)
        return [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(job.world)]


def _process(rank: int, job: Job, port: int, folder: str) -> None:
    torch.set_num_threads(job.threads)
    is_one_run = job.joined and job.world > 1
    if is_one_run:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(job.world),
            "LOCAL_WORLD_SIZE": str(job.world),
            "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_RUN_ID": "benchmark",  # as torchrun says that it has started this
        }
    found: dict[str, Any] = {"steps": {}}
    place = Path(folder) / f"data-{rank}"
    place.mkdir()
    runs = Path(folder) if is_one_run else place
    numbers = itertools.count()
    prepared = {name: KINDS[name].prepare(place) for name in job.rows}
    if job.alone:
        from benchmarks.scaling.alone import alone

        found["alone"] = {name: alone(each, KINDS[name].rows[-1], place) for name, each in prepared.items()}
    for strategy in job.strategies:
        processes = Processes(make_fabric("cpu", "32-true", strategy=strategy))
        if job.exchanges and "exchanges" not in found:
            found["exchanges"] = {str(size): exchange_s(size) for size in SIZES}
        for _ in range(job.rounds):
            for name, each in prepared.items():
                # FSDP is compared at one number of rows: a round of it takes as long.
                for rows in job.rows[name] if strategy == "ddp" else job.rows[name][:1]:
                    took = steps_s(each, rows, processes, KINDS[name].steps, runs / f"run-{next(numbers)}")
                    of_name = found["steps"].setdefault(strategy, {}).setdefault(name, {})
                    of_name.setdefault(str(rows), []).extend(took)
    for of_strategy in found["steps"].values():
        for of_name in of_strategy.values():
            for rows, took in of_name.items():
                of_name[rows] = {"median_s": statistics.median(took), "steps": len(took)}
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))


class _EnoughError(Exception):
    """All steps that are timed are over."""


def steps_s(prepared: Prepared, rows: int, processes: Processes, steps: int, folder: Path) -> list[float]:
    """Seconds of steps of a run, as `fit` makes them, one after the other.

    Args:
        prepared: what to train; its model goes on from where it is.
        rows: of each process.
        processes: those of the run.
        steps: so many, after those that warm up.
        folder: of the run, which is not there yet.
    """
    stamps: list[float] = []

    def stamped(step: int) -> dict[str, float]:
        stamps.append(time.perf_counter())
        if step == WARM_STEPS + steps:
            raise _EnoughError  # in all processes after the same step, before anything is evaluated and written
        return {}

    settings = replace(
        prepared.settings,
        batch_size=rows * processes.world,
        max_steps=10**6,
        max_time_s=None,
        evaluate_first=False,
        evaluate_every=10**9,
        schedule="constant",
    )
    with suppress(_EnoughError):
        fit(
            copy.deepcopy(prepared.model),
            prepared.batches(rows * processes.world, processes.rank, processes.world),
            run=folder,
            settings=settings,
            evaluator=lambda module, *, should_stop, total: Evaluation(1.0, 1),
            processes=processes,
            progress=Progress(quiet=True),
            on_step=stamped,
        )
    took = [after - before for before, after in itertools.pairwise(stamps)]
    return took[WARM_STEPS - 1 :]


def exchange_s(size: int, budget_s: float = 0.6) -> float:
    """Seconds of an all-reduce of so many bytes: the median of many, each begun by all processes at once."""
    tensor = torch.zeros(max(1, size // 4))
    start = torch.zeros(1)
    took: list[float] = []
    for number in range(2000):
        dist.all_reduce(start)
        began = time.perf_counter()
        dist.all_reduce(tensor)
        took.append(time.perf_counter() - began)
        # All stop after the same one.
        if number % 16 == 15:
            spent = torch.tensor([sum(took)])
            dist.all_reduce(spent, dist.ReduceOp.MAX)
            if spent > budget_s:
                break
    return statistics.median(took[2:])


def median_s(call: Callable[[], object], budget_s: float = 0.4, least: int = 5) -> float:
    """Seconds of a call, the median."""
    call()
    took: list[float] = []
    while len(took) < least or sum(took) < budget_s:
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def slowest(found: Sequence[dict[str, Any]], strategy: str, name: str, rows: int) -> float:
    """Of all processes, the slowest's median step."""
    return max(each["steps"][strategy][name][str(rows)]["median_s"] for each in found)
