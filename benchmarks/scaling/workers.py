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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn

from benchmarks.scaling.alone import alone
from benchmarks.scaling.workloads import KINDS, Prepared
from ostinato.training import Processes, fit, make_fabric
from ostinato.training.loop.evaluation import Evaluation
from ostinato.training.loop.progress import Progress

# One process while nothing else runs; every process by itself, all at once; all of them as one run.
Phase: TypeAlias = Literal["alone", "apart", "ddp", "fsdp"]

WARM_STEPS = 3
SIZES = (32, 2**12, 2**16, 2**18, 2**20, 2**22, 2**24)


@dataclass(frozen=True)
class Job:
    """What some processes measure.

    Attributes:
        world: how many there are.
        phases: what they do in turns, so that what is compared is measured at about the same time: a machine's speed drifts.
        rows: name of a workload to the rows of each process.
        rounds: of all turns.
    """

    world: int
    phases: tuple[Phase, ...]
    rows: dict[str, tuple[int, ...]]
    rounds: int


def measured(job: Job) -> list[dict[str, Any]]:
    """What each process has found, by rank."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        spawn(_process, (job, port, folder), nprocs=job.world)
        return [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(job.world)]


def _process(rank: int, job: Job, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    own = Path(folder) / f"data-{rank}"
    own.mkdir()
    single = Processes(make_fabric("cpu", "32-true"))  # before this process knows of others
    processes = {"alone": single, "apart": single}
    if job.world > 1:
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
        for strategy in ("ddp", "fsdp"):
            processes[strategy] = Processes(make_fabric("cpu", "32-true", strategy=strategy))
    prepared = {name: KINDS[name].prepare(own) for name in job.rows}
    found: dict[str, Any] = {"steps": {}}
    if job.world > 1:
        found["exchanges"] = {str(size): exchange_s(size) for size in SIZES}
    else:
        found |= _by_itself(prepared, single, job.rounds, own)
    numbers = itertools.count()
    for _ in range(job.rounds):
        for name, each in prepared.items():
            for rows, phase in itertools.product(job.rows[name], job.phases):
                # FSDP is compared at one number of rows: a turn of it takes as long.
                if phase == "fsdp" and rows != job.rows[name][0]:
                    continue
                if job.world > 1:
                    dist.barrier()
                if phase == "alone" and rank > 0:
                    continue  # and waits at the barrier
                runs = Path(folder) if phase in ("ddp", "fsdp") else own
                took = steps_s(each, rows, processes[phase], KINDS[name].steps, runs / f"{phase}-{next(numbers)}")
                found["steps"].setdefault(phase, {}).setdefault(name, {}).setdefault(str(rows), []).extend(took)
    for of_phase in found["steps"].values():
        for of_name in of_phase.values():
            for rows, took in of_name.items():
                of_name[rows] = {"median_s": statistics.median(took), "steps": len(took)}
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))


def _by_itself(prepared: dict[str, Prepared], processes: Processes, rounds: int, folder: Path) -> dict[str, Any]:
    """What one process does alone, and its steps with as many threads as cores, in turns with those of one."""
    found: dict[str, Any] = {"alone": {}, "threads": {}}
    for name, each in prepared.items():
        rows = KINDS[name].rows[-1]
        found["alone"][name] = alone(each, rows, folder)
        took: dict[int, list[float]] = {1: [], 2: []}
        for turn, threads in itertools.product(range(rounds), took):
            torch.set_num_threads(threads)
            took[threads] += steps_s(
                each, rows, processes, KINDS[name].steps, folder / f"threads-{name}-{turn}-{threads}"
            )
        torch.set_num_threads(1)
        found["threads"][name] = {str(threads): statistics.median(each) for threads, each in took.items()}
    return found


class _EnoughError(Exception):
    """All steps that are timed are over."""


def steps_s(prepared: Prepared, rows: int, processes: Processes, steps: int, folder: Path) -> list[float]:
    """Seconds of steps of a run, as `fit` makes them, one after the other.

    Args:
        prepared: what to train; its model stays as it is.
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


def slowest(found: Sequence[dict[str, Any]], phase: Phase, name: str, rows: int) -> float:
    """Of all processes, the slowest's median step."""
    return max(each["steps"][phase][name][str(rows)]["median_s"] for each in found)
