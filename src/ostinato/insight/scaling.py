"""Predict how training scales: the time and the bytes of a step of data-parallel training, from measured constants.

A message of n bytes takes α + n / β, with a latency α and a bandwidth β. An all-reduce by a ring is 2 (P - 1) such messages of n /
P bytes, one after the other (Patarasuk & Yuan 2009, *Bandwidth optimal all-reduce algorithms for clusters of workstations*). By
recursive halving and doubling it sends as many bytes in 2 log2 P messages (Thakur, Rabenseifner & Gropp 2005, *Optimization of
collective communication operations in MPICH*). `python -m benchmarks.scaling` measures the constants of a machine, and compares
predictions with measurements.

Only Python: neither torch nor a process is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

Algorithm: TypeAlias = Literal["ring", "halving"]
Sharing: TypeAlias = Literal["ddp", "fsdp"]

_NUMBER_BYTES = 8  # numbers other than gradients are sent as float64
_AGREED = 3  # the number of agreed values: the clock, whether to show progress, whether to stop


@dataclass(frozen=True)
class Link:
    """The link between processes.

    Args:
        latency_s: α, the latency of one message, in seconds; at least 0.
        bytes_per_s: β, the bandwidth from one process to another, in one direction; above 0.
        algorithm: the algorithm of an all-reduce: a ring, or recursive halving and doubling.
        reduces_scatter: whether a reduce-scatter is a real one; gloo does an all-reduce instead, and discards most of the result.
        name: the name of the link.
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
        """Seconds until all processes have the sum over their tensors of `size` bytes."""
        rounds = 2 * (processes - 1) if self.algorithm == "ring" else 2 * math.ceil(math.log2(processes))
        return rounds * self.latency_s + all_reduce_bytes(size, processes) / self.bytes_per_s

    def all_gather_s(self, size: float, processes: int) -> float:
        """Seconds until all processes have a whole tensor of `size` bytes, of which each had a share; half an all-reduce."""
        return self.all_reduce_s(size, processes) / 2

    def reduce_scatter_s(self, size: float, processes: int) -> float:
        """Seconds until each process has its share of the sum."""
        return self.all_reduce_s(size, processes) / (2 if self.reduces_scatter else 1)


def all_reduce_bytes(size: float, processes: int) -> float:
    """The bytes that each process sends, and receives, in an all-reduce of `size` bytes: 2 (P - 1) / P of them, the minimum."""
    return 2 * (processes - 1) / processes * size


@dataclass(frozen=True)
class Workload:
    """A model and its data, with the times that one process takes.

    Args:
        parameters: N, the number of parameters.
        fixed_s: seconds of a step that do not depend on its rows, `update_s` included; at least 0.
        row_s: seconds of a step for each row; above 0.
        update_s: seconds for clipping and the optimiser; from 0 to `fixed_s`.
        items: the number of tokens or steps in a row, at least 1.
        tensors: the number of tensors that hold the parameters; FSDP sends a norm for each.
        gradient_bytes: bytes of a parameter's gradient: 4, or 2 if gradients are sent in bfloat16.
        checkpoint_s_per_byte: seconds to write a byte of a checkpoint, by one process.
        reading_s: seconds to read a row's input; 0 if training does not wait for it.
        validation_s: seconds for an item's loss, without gradients.
        name: a name for it.

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
        """The bytes of all gradients."""
        return self.gradient_bytes * self.parameters

    @property
    def checkpoint_bytes(self) -> int:
        """The bytes of a checkpoint: weights and the two moments of Adam, float32."""
        return 3 * 4 * self.parameters

    @property
    def checkpoint_s(self) -> float:
        """Seconds that one process takes to write a checkpoint, while all others wait."""
        return self.checkpoint_s_per_byte * self.checkpoint_bytes


@dataclass(frozen=True)
class PredictedStep:
    """The prediction for a step of P processes.

    Attributes:
        compute_s: seconds for forward and backward of the rows of one process, `accumulate` times.
        update_s: seconds for clipping and the optimiser.
        exchange_s: seconds to exchange gradients, and with FSDP weights.
        numbers_s: seconds for the other messages, of a few numbers each.
        sent_bytes: bytes that each process sends in all these messages; it receives as many.
        items: the tokens or steps of all processes.
        alone_s: seconds that a single process takes for as many rows as each process has here.
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
        """Seconds of the whole step, if nothing overlaps."""
        return self.compute_s + self.update_s + self.exchange_s + self.numbers_s

    @property
    def items_per_s(self) -> float:
        """Items per second of all processes together."""
        return self.items / self.total_s

    @property
    def efficiency(self) -> float:
        """The speed as a share of P times that of a single process with as many rows, in (0, 1]."""
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
    """Predict the time of a step.

    DDP averages gradients by one all-reduce. FSDP gathers the weights before the forward pass, keeps them until the backward pass
    is over, and gives each process its share of the gradient; each process updates its share of the weights.

    Args:
        workload: the model and its data.
        link: the link between the processes.
        processes: P, at least 1.
        rows: the rows of each process in a batch, above 0.
        strategy: "ddp" or "fsdp", as in `make_fabric`.
        accumulate: the number of batches to an update.
        slowdown: the factor by which a process computes longer when the others run too: those on one machine share its memory, and
            its cores if there are fewer cores than processes.

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
    """The messages of a step on the CPU: for each the collective, its bytes, and whether it is only a few numbers.

    FSDP makes shares of equal size, which have slightly more bytes than the weights; these bytes are not counted here. With
    `accumulate` gradients are exchanged only after the last batch, when they are the sums over all batches.
    """
    told = ("all_reduce", _NUMBER_BYTES * (_AGREED + accumulate), True)
    if strategy == "ddp":
        return [("all_reduce", workload.sent, False), told]
    # Weights are gathered for every batch, as the gathered ones are freed after the backward pass.
    weights = [("all_gather", 4 * workload.parameters, False)] * accumulate
    return [*weights, ("reduce_scatter", workload.sent, False), ("all_reduce", 4 * workload.tensors, True), told]


def amdahl(serial: float, processes: int) -> float:
    """The speed-up by P processes, if a share of the work is done by one process while the others wait (Amdahl 1967).

    Args:
        serial: that share of the time of a single process, from 0 to 1.
        processes: P.
    """
    return 1.0 / (serial + (1.0 - serial) / processes)


def fastest_processes(workload: Workload, link: Link, rows: int, strategy: Sharing = "ddp", *, most: int = 4096) -> int:
    """The number of processes with the shortest step for `rows` rows: with more, waiting grows by more than computing shrinks.

    Args:
        workload: the model and its data.
        link: the link between the processes.
        rows: the rows of the whole batch; each process has at least one.
        strategy: "ddp" or "fsdp".
        most: the greatest number of processes to consider.
    """
    counts = range(1, min(most, rows) + 1)
    return min(counts, key=lambda p: predicted_step(workload, link, p, rows / p, strategy).total_s)


def critical_steps(batch: float, critical_batch: float) -> float:
    """The number of updates with a batch, relative to an infinite batch: 1 + B_crit / B (McCandlish et al. 2018, section 2).

    Args:
        batch: B, rows or items of an update.
        critical_batch: B_crit, in the same unit: with it training takes twice the least time and twice the least data.
    """
    return 1.0 + critical_batch / batch
