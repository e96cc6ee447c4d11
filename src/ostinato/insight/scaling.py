"""How training scales, on paper: what a step of data-parallel training takes and sends, of constants that were measured.

A message of n bytes takes α + n / β: a latency, and a bandwidth. An all-reduce by a ring is 2 (P - 1) such messages of n / P bytes,
one behind the other (Patarasuk & Yuan 2009, *Bandwidth optimal all-reduce algorithms for clusters of workstations*). By recursive
halving and doubling it has as many bytes in 2 log2 P messages (Thakur, Rabenseifner & Gropp 2005, *Optimization of collective
communication operations in MPICH*). `python -m benchmarks.scaling` measures the constants of a machine, and compares what is
predicted with what is.

Only Python: neither torch nor a process is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

Algorithm: TypeAlias = Literal["ring", "halving"]
Sharing: TypeAlias = Literal["ddp", "fsdp"]

_NUMBER_BYTES = 8  # what processes tell each other beside gradients is float64
_AGREED = 3  # the clock, and whether to show something and to stop


@dataclass(frozen=True)
class Link:
    """What joins processes.

    Args:
        latency_s: α, of one message, in seconds; at least 0.
        bytes_per_s: β, of one process to another, in one direction; above 0.
        algorithm: how an all-reduce goes: by a ring, or by recursive halving and doubling.
        reduces_scatter: whether a reduce-scatter is one; gloo makes an all-reduce of it, and throws most of that away.
        name: of the link.
        source: where the constants are from.

    Raises:
        ValueError: a constant is out of its range.
    """

    latency_s: float
    bytes_per_s: float
    algorithm: Algorithm = "ring"
    reduces_scatter: bool = True
    name: str = ""
    source: str = ""

    def __post_init__(self):
        if not (self.latency_s >= 0 and self.bytes_per_s > 0):
            raise ValueError(
                f"expected a latency of at least 0 and a bandwidth above 0, got {self.latency_s} and {self.bytes_per_s}"
            )

    def all_reduce_s(self, size: float, processes: int) -> float:
        """Seconds until all of `processes` have the sum of what each has, of `size` bytes."""
        rounds = 2 * (processes - 1) if self.algorithm == "ring" else 2 * math.ceil(math.log2(processes))
        return rounds * self.latency_s + all_reduce_bytes(size, processes) / self.bytes_per_s

    def all_gather_s(self, size: float, processes: int) -> float:
        """Seconds until all have the whole, of `size` bytes, of which each has a share; half an all-reduce."""
        return self.all_reduce_s(size, processes) / 2

    def reduce_scatter_s(self, size: float, processes: int) -> float:
        """Seconds until each has its share of the sum."""
        return self.all_reduce_s(size, processes) / (2 if self.reduces_scatter else 1)


def all_reduce_bytes(size: float, processes: int) -> float:
    """What each process sends in an all-reduce of `size` bytes, and receives: 2 (P - 1) / P of them, the least there can be."""
    return 2 * (processes - 1) / processes * size


@dataclass(frozen=True)
class Workload:
    """What is trained, with what it takes one process.

    Args:
        parameters: N.
        fixed_s: of a step, whatever its rows, `update_s` among them; at least 0.
        row_s: of a step, for each row; above 0.
        update_s: clipping and the optimiser; from 0 to `fixed_s`.
        items: tokens or steps in a row, at least 1.
        tensors: in how many tensors the parameters come; FSDP sends a norm for each.
        gradient_bytes: of a parameter: 4, or 2 where they are sent in bfloat16.
        checkpoint_s_per_byte: of writing, by one process.
        reading_s: of a row's input; 0 where nobody waits for it.
        validation_s: of an item's loss, without gradients.
        name: what to call it.

    Raises:
        ValueError: a constant is out of its range.
    """

    parameters: int
    fixed_s: float
    row_s: float
    update_s: float = 0.0
    items: int = 1
    tensors: int = 1
    gradient_bytes: int = 4
    checkpoint_s_per_byte: float = 0.0
    reading_s: float = 0.0
    validation_s: float = 0.0
    name: str = ""

    def __post_init__(self):
        if not (self.parameters > 0 and self.row_s > 0 and 0 <= self.update_s <= self.fixed_s and self.items > 0):
            raise ValueError(
                "expected parameters, row_s and items above 0, and update_s from 0 to fixed_s, got "
                f"{self.parameters}, {self.row_s}, {self.items}, {self.update_s} and {self.fixed_s}"
            )

    @property
    def sent(self) -> int:
        """Bytes of a gradient."""
        return self.gradient_bytes * self.parameters

    @property
    def checkpoint_bytes(self) -> int:
        """Weights and the two moments of Adam, float32."""
        return 3 * 4 * self.parameters

    @property
    def checkpoint_s(self) -> float:
        """Seconds that one process writes, and all wait."""
        return self.checkpoint_s_per_byte * self.checkpoint_bytes


@dataclass(frozen=True)
class PredictedStep:
    """A step of P processes, on paper.

    Attributes:
        compute_s: forward and backward of the rows of one process, `accumulate` times.
        update_s: clipping and the optimiser.
        exchange_s: of gradients, and with FSDP of weights.
        numbers_s: of what else is told, a few numbers, but each a message.
        sent_bytes: by each process, of all this; as many are received.
        items: tokens or steps of all processes.
        alone_s: what one process takes for as many rows as each has here.
    """

    compute_s: float
    update_s: float
    exchange_s: float
    numbers_s: float
    sent_bytes: float
    items: int
    alone_s: float

    @property
    def total_s(self) -> float:
        """Nothing is hidden behind anything else."""
        return self.compute_s + self.update_s + self.exchange_s + self.numbers_s

    @property
    def items_per_s(self) -> float:
        """Of all processes."""
        return self.items / self.total_s

    @property
    def efficiency(self) -> float:
        """The share of P times the speed of one process that has as many rows, in (0, 1]."""
        return self.alone_s / self.total_s


def predicted_step(
    workload: Workload,
    link: Link,
    processes: int,
    rows: float,
    strategy: Sharing = "ddp",
    *,
    accumulate: int = 1,
    slowdown: float = 1.0,
) -> PredictedStep:
    """What a step takes.

    DDP averages gradients by one all-reduce. FSDP gathers the weights before the forward pass, which stay until the backward
    pass is over, and gives each process its share of the gradient; each updates its share of the weights.

    Args:
        workload: what is trained.
        link: what joins the processes.
        processes: P, at least 1.
        rows: of each process and batch, above 0.
        strategy: "ddp" or "fsdp", as of `make_fabric`.
        accumulate: batches to an update.
        slowdown: how many times as long as alone a process computes beside the others: those of one machine share its memory,
            and where there are more of them than cores, its cores.

    Raises:
        ValueError: a number is out of its range.
    """
    if processes < 1 or rows <= 0 or accumulate < 1:
        raise ValueError(
            f"expected processes and accumulate of at least 1 and rows above 0, got {processes}, {accumulate} and {rows}"
        )
    passes = accumulate * (workload.fixed_s - workload.update_s + rows * (workload.row_s + workload.reading_s))
    alone_s, items = passes + workload.update_s, round(processes * rows * workload.items * accumulate)
    if processes == 1:
        return PredictedStep(passes, workload.update_s, 0.0, 0.0, 0.0, items, alone_s)
    messages = messages_of(workload, strategy, accumulate)
    exchange_s = numbers_s = sent_bytes = 0.0
    for kind, size, is_number in messages:
        took = {
            "all_reduce": link.all_reduce_s,
            "all_gather": link.all_gather_s,
            "reduce_scatter": link.reduce_scatter_s,
        }
        seconds = took[kind](size, processes)
        whole = kind == "all_reduce" or (kind == "reduce_scatter" and not link.reduces_scatter)
        sent_bytes += all_reduce_bytes(size, processes) / (1 if whole else 2)
        if is_number:
            numbers_s += seconds
        else:
            exchange_s += seconds
    update_s = slowdown * workload.update_s / (processes if strategy == "fsdp" else 1)
    return PredictedStep(slowdown * passes, update_s, exchange_s, numbers_s, sent_bytes, items, alone_s)


def messages_of(workload: Workload, strategy: Sharing = "ddp", accumulate: int = 1) -> list[tuple[str, int, bool]]:
    """What processes send each other in a step on the CPU: the collective, its bytes, and whether it is a few numbers only.

    FSDP has shares of equal size, and so some bytes more than there are weights, which are not counted here. With `accumulate` the
    gradients of the last batch alone are exchanged, which are the sums.
    """
    told = ("all_reduce", _NUMBER_BYTES * (_AGREED + accumulate), True)
    if strategy == "ddp":
        return [("all_reduce", workload.sent, False), told]
    # Each time the weights are needed, as gathered ones are given up after the backward pass.
    weights = [("all_gather", 4 * workload.parameters, False)] * accumulate
    return [*weights, ("reduce_scatter", workload.sent, False), ("all_reduce", 4 * workload.tensors, True), told]


def amdahl(serial: float, processes: int) -> float:
    """How many times as fast P processes are, of whose work a share is done by one while the others wait (Amdahl 1967).

    Args:
        serial: that share of the time of one process, from 0 to 1.
        processes: P.
    """
    return 1.0 / (serial + (1.0 - serial) / processes)


def fastest_processes(workload: Workload, link: Link, rows: int, strategy: Sharing = "ddp", *, most: int = 4096) -> int:
    """How many processes share `rows` rows in the shortest step: with more, waiting grows by more than computing shrinks.

    Args:
        workload: what is trained.
        link: what joins the processes.
        rows: of the whole batch; each process has at least one.
        strategy: "ddp" or "fsdp".
        most: look no further.
    """
    counts = range(1, min(most, rows) + 1)
    return min(counts, key=lambda p: predicted_step(workload, link, p, rows / p, strategy).total_s)


def critical_steps(batch: float, critical_batch: float) -> float:
    """How many times as many updates a batch needs as an endless one: 1 + B_crit / B (McCandlish et al. 2018, section 2).

    Args:
        batch: B, rows or items of an update.
        critical_batch: B_crit, in the same unit: there, time and data are each twice the least.
    """
    return 1.0 + critical_batch / batch
