"""Judging a model's answers; and sharing the judging of validation data between several processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from ostinato.data.batches.batches import Batch, InOrder
from ostinato.errors import ConfigError
from ostinato.models.parts.reading import reading
from ostinato.training.distributed.joining import adds_nothing, joined
from ostinato.training.distributed.processes import Processes
from ostinato.training.distributed.sending import from_bytes, to_bytes
from ostinato.training.update.tree import map_tensors

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Judge(ABC):
    """Looks at a model's answers to one set of examples, batch by batch.

    Attributes:
        memory: the names of the attributes that keep what was seen: lists, sets and dicts that grow, and sums that begin with
            0 or None. With them, several processes can share the batches, see `remembered` and `join`; empty if they cannot.
            A class with its own `see` must name them itself, as it may keep more than its base class does.
    """

    memory: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model on a batch, on its device, without gradients, and remembers what is needed.

        Returns:
            The mean loss of the batch, a scalar.
        """

    @property
    def can_be_joined(self) -> bool:
        """Whether `memory` names all that `see` keeps."""
        if not self.memory:
            return False
        kinds = [vars(self), *map(vars, type(self).__mro__)]
        told = next(at for at, kind in enumerate(kinds) if "memory" in kind or "remembered" in kind)
        return told <= next(at for at, kind in enumerate(kinds) if "see" in kind)

    def check_memory(self) -> None:
        """Check that `memory` is empty before the first batch: every process would count what is in it already.

        Raises:
            ConfigError: `memory` names something that is not there, or that is not empty.
        """
        if type(self).join is not Judge.join:
            return
        for name in self.memory:
            if not hasattr(self, name):
                raise self._wrong(f"expected names of attributes that are there from the beginning, got {name!r}")
            if not adds_nothing(getattr(self, name)):
                got = " ".join(repr(getattr(self, name)).split())
                raise self._wrong(
                    f"expected {name} to begin with None, 0 or nothing in it, so that what several have seen can be added up, got "
                    f"{got if len(got) <= 60 else got[:57] + '...'}"
                )

    def remembered(self) -> Any:
        """What was seen, for `join` of another judge of the same examples, in this process or in another.

        What is sent to others is pickled, and its tensors arrive on the CPU.
        """
        return {name: getattr(self, name) for name in self.memory}

    def join(self, remembered: Any) -> None:
        """Adds what another judge of the same examples has seen in other batches; judges join in batch order.

        Raises:
            ConfigError: what is in `memory` cannot be added up.
        """
        for name, theirs in remembered.items():
            mine = getattr(self, name)
            try:
                both = joined(mine, theirs)
            except TypeError as error:
                raise self._wrong(f"{name} of several processes cannot be joined ({error})") from error
            if both is not mine:
                setattr(self, name, both)

    def sent(self, *besides: Any) -> bytes:
        """What is `remembered`, and `besides`, as bytes; another process reads them with `from_bytes`.

        Raises:
            ConfigError: it cannot be pickled.
        """
        try:
            return to_bytes((self.remembered(), *besides))
        except TypeError as error:
            raise self._wrong(f"what is in it cannot be sent to other processes ({error})") from error

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(
            f"memory of {type(self).__name__}: {what}; write `remembered` and `join`, or leave `memory` out"
        )

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """What was found, as numbers by name; the figure that the task is judged by is among them."""

    def chosen_by(self, figure: str | None) -> str | None:
        """The figure that chooses the weights if the task names `figure`; None for the loss."""
        return figure

    def details(self) -> dict[str, Any]:
        """What else was found, as JSON can hold it."""
        return {}

    def pictures(self) -> dict[str, Figure]:
        """Pictures of what was found, by name."""
        return {}

    def warnings(self) -> list[str]:
        """What a user should know about the data, a line each."""
        return []


def on_device_of(model: nn.Module, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches, each on the model's device when it is asked for."""
    device = next(model.parameters()).device
    return (map_tensors(lambda tensor: tensor.to(device), batch) for batch in batches)


def see_between(
    processes: Processes,
    judge: Judge,
    known: Judge,
    batches: InOrder,
    model: nn.Module,
    *,
    should_stop: Callable[[], bool],
    on_batch: Callable[[int, int], None],
) -> tuple[list[float], list[int]] | None:
    """Shares the batches between the processes, and gives every process the results of all.

    Args:
        processes: the processes that share the batches; all of them call this.
        judge: a judge that has seen nothing, and can be joined; it sees the batches of this process.
        known: another one; it joins what the judges of all processes remember, and so becomes, in every process, what a
            single judge would be that saw all batches in the same order.
        batches: all batches.
        model: the model whose answers are judged.
        should_stop: asked equally often in every process, when all have done about the same share of their work; if it is
            True in all, evaluation is given up.
        on_batch: as in `Task.judged`; it is called as if all processes had come equally far.

    Returns:
        The losses of all batches, in nats, and how many terms each loss is the mean of. None if evaluation was given up.

    Raises:
        ConfigError: the judge's memory is not empty, or cannot be sent or joined.
    """
    known.check_memory()
    shares = batches.shares(processes.world)
    first, stop = shares[processes.rank]
    mine, size = on_device_of(model, batches.between(first, stop)), len(batches.examples.lengths)
    losses: list[torch.Tensor] = []
    counts: list[int] = []
    with reading(model):
        for until in batches.turns(first, stop, max(stop - first for first, stop in shares)):
            if should_stop():
                return None
            for batch in islice(mine, until - len(counts)):
                losses.append(judge.see(batch))
                counts.append(batch.count)
                on_batch(size * len(counts) // (stop - first), size)
    means = torch.stack(losses).tolist() if losses else []
    all_means, all_counts = list[float](), list[int]()
    for told in processes.gather_bytes(judge.sent(means, counts)):
        remembered, theirs, terms = from_bytes(told)
        known.join(remembered)
        all_means += theirs
        all_counts += terms
    return all_means, all_counts
