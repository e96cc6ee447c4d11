"""Several processes that train one model: the messages between them other than gradients.

Each process reads its own rows of a batch. DDP or FSDP averages the gradients. All other messages go through separate groups, over
gloo, on the CPU: they do not wait for a device, do not mix with its messages, and fail at once in a waiting process when another
process dies, whatever the devices use. Numbers, JSON and tensors are sent; only the data that evaluators collect are pickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist

from ostinato.errors import OstinatoError, PeerError, RunError
from ostinato.training.distributed.heartbeat import beating
from ostinato.training.update.tree import map_tensors

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Timeouts. A death is noticed at once, however long they are, and a machine that leaves the network by its silence: see
# `heartbeat`.
PATIENCE = timedelta(days=7)  # for work that the first process does alone, such as tokenising
STEP = timedelta(minutes=10)  # for connecting, a step, a checkpoint, a sample


class Processes:
    """The processes of a run, seen from one of them.

    Args:
        fabric: a launched Fabric, as `make_fabric` returns it.

    Attributes:
        fabric: the argument `fabric`.
        rank: the number of this process, from 0.
        world: the number of processes.
    """

    def __init__(self, fabric: Fabric):
        self.fabric = fabric
        self.rank, self.world = fabric.global_rank, fabric.world_size
        self._group: Any = None
        self._patient_group: Any = None
        self._is_beating = False
        if self.world > 1:
            with self._told_of_deaths():
                self._group = dist.new_group(backend="gloo", timeout=STEP)
                self._patient_group = dist.new_group(backend="gloo", timeout=PATIENCE)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Inside, a process that is silent for too long ends this one; see `heartbeat`. Entered again it does nothing."""
        if self._is_beating:
            yield
            return
        self._is_beating = True
        try:
            with beating(self.rank, self.world):
                yield
        finally:
            self._is_beating = False

    def first(self, function: Callable[[], Any]) -> Any:
        """Call `function` in the first process, while the others wait, and return its result in all.

        Args:
            function: a function whose result can be written as JSON.

        Raises:
            OstinatoError: in the first process what the function raised; in the others a `PeerError`.
        """
        if self.world == 1:
            return function()
        if not self.is_first:
            answer = json.loads(self._broadcast(b""))
            if "error" in answer:
                raise PeerError(f"process 0 has stopped: {answer['error']}")
            return answer["result"]
        try:
            result = function()
        except OstinatoError as error:
            self._broadcast(json.dumps({"error": str(error)}).encode())
            raise
        self._broadcast(json.dumps({"result": result}).encode())
        return result

    def total(self, values: Sequence[float]) -> list[float]:
        """The sum of each of `values` over all processes, in float64; the bits are the same in every process."""
        if self.world == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        with self._told_of_deaths():
            dist.all_reduce(sums, group=self._group)
        return sums.tolist()

    def gather(self, tree: Any) -> list[Any]:
        """The `tree` of every process, by rank, with its tensors on the CPU; all trees must have the same structure and shapes."""
        if self.world == 1:
            return [tree]
        gathered: list[list[torch.Tensor]] = []

        def exchange(tensor: torch.Tensor) -> None:
            mine = tensor.detach().cpu().contiguous()
            all_of_them = [torch.empty_like(mine) for _ in range(self.world)]
            dist.all_gather(all_of_them, mine, group=self._group)
            gathered.append(all_of_them)

        with self._told_of_deaths():
            map_tensors(exchange, tree)
        return [self._with(tree, [tensors[rank] for tensors in gathered]) for rank in range(self.world)]

    def gather_bytes(self, mine: bytes) -> list[bytes]:
        """The bytes of every process, by rank, of any length."""
        if self.world == 1:
            return [mine]
        theirs: list[Any] = [None] * self.world
        with self._told_of_deaths():
            dist.all_gather_object(theirs, mine, group=self._patient_group)
        return theirs

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Copy the first process's numbers into the tensors of all others, in place; shapes and dtypes are the same in all."""
        if self.world == 1:
            return
        with self._told_of_deaths(), torch.no_grad():
            for tensor in filter(torch.numel, tensors):
                numbers = tensor.detach().cpu().contiguous().reshape(-1)  # on the CPU: the tensor's own memory
                dist.broadcast(numbers.view(torch.uint8), 0, group=self._group)
                if not self.is_first:
                    tensor.copy_(numbers.view(tensor.shape))

    def texts(self, text: str) -> list[str]:
        """The text of every process, by rank; with several processes, up to 1,000 bytes of each."""
        if self.world == 1:
            return [text]
        mine = torch.frombuffer(bytearray(text.encode()[:1000].ljust(1000)), dtype=torch.uint8)
        return [bytes(each.tolist()).decode(errors="replace").rstrip() for each in self.gather(mine)]

    @staticmethod
    def _with(tree: Any, tensors: list[torch.Tensor]) -> Any:
        left = iter(tensors)
        return map_tensors(lambda _: next(left), tree)

    def join_rows(self, tree: Any, dim: int, rows: int) -> Any:
        """Join the trees of all processes into one tree that has all rows.

        Args:
            tree: tensors with `rows` rows in dimension `dim` are joined, in the order of the processes; other tensors stay.
            dim: the dimension of the rows.
            rows: the number of rows of each process.
        """
        if self.world == 1:
            return tree
        return map_tensors(
            lambda *parts: torch.cat(parts, dim) if _has(parts[0], dim, rows) else parts[0], *self.gather(tree)
        )

    def split_rows(self, tree: Any, dim: int, rows: int) -> Any:
        """The inverse of `join_rows`: take this process's rows from a tree with all rows, joined by any number of processes."""
        total, start = rows * self.world, rows * self.rank
        return map_tensors(lambda tensor: tensor.narrow(dim, start, rows) if _has(tensor, dim, total) else tensor, tree)

    def check_alike(self, what: str, value: float | None) -> None:
        """Check that all processes have found the same value.

        Raises:
            RunError: this process has another value than the first.
        """
        told = self.first(lambda: value)
        if told != value:
            raise RunError(
                f"process {self.rank} found {what} {value} where process 0 found {told}; "
                "put the run folder on a file system that all machines share"
            )

    def seed_apart(self) -> None:
        """Give every process another random seed, a function of the seed and of its rank; the first process keeps its own."""
        if self.rank > 0:
            # Multiplying by an odd number of 64 bits (Knuth's multiplicative hashing) keeps the seeds of neighbours far apart.
            torch.manual_seed((torch.initial_seed() + self.rank * 0x9E3779B97F4A7C15) % 2**63)

    def barrier(self) -> None:
        """Wait for all processes."""
        self.total([0.0])

    def _broadcast(self, content: bytes) -> bytes:
        with self._told_of_deaths():
            size = torch.tensor([len(content)])
            dist.broadcast(size, 0, group=self._patient_group)
            data = torch.zeros(int(size), dtype=torch.uint8)
            if self.is_first:
                data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            dist.broadcast(data, 0, group=self._patient_group)
        return bytes(data.tolist())

    @contextmanager
    def _told_of_deaths(self) -> Iterator[None]:
        with told_of_deaths(self.world):
            yield


@contextmanager
def told_of_deaths(world: int) -> Iterator[None]:
    """Turn the many errors with which torch reports that another process is gone into one.

    Raises:
        PeerError: another process is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if world > 1 and _is_of_a_peer(error):
            raise PeerError(
                "another process of this run is gone; training has stopped in all. Its last checkpoint is whole: "
                "start the same command again with --resume"
            ) from error
        raise


def _is_of_a_peer(error: RuntimeError) -> bool:
    text = str(error)
    return isinstance(error, dist.DistError) or any(
        sign in text
        for sign in ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "Broken pipe")
    )


def _has(tensor: torch.Tensor, dim: int, rows: int) -> bool:
    return tensor.dim() > dim and tensor.shape[dim] == rows
