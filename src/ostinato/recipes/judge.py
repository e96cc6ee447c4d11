"""Judging a model's answers; and sharing the judging of validation data between several processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from ostinato.data.batches.batches import Batch, InOrder
from ostinato.models.parts.reading import reading
from ostinato.training.distributed.processes import Processes
from ostinato.training.update.tree import map_tensors

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Judge(ABC):
    """Looks at a model's answers to one set of examples, batch by batch.

    Attributes:
        memory: the names of the attributes that keep what was seen: lists and dicts that grow, and sums. With them,
            several processes can share the batches, see `remembered` and `join`; empty if they cannot.
    """

    memory: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model on a batch, on its device, without gradients, and remembers what is needed.

        Returns:
            The mean loss of the batch, a scalar.
        """

    def remembered(self) -> Any:
        """What was seen, on the CPU, for `join` of another judge of the same examples."""
        return map_tensors(lambda tensor: tensor.cpu(), {name: getattr(self, name) for name in self.memory})

    def join(self, remembered: Any) -> None:
        """Adds what another judge of the same examples has seen in other batches; judges join in batch order."""
        for name, theirs in remembered.items():
            mine = getattr(self, name)
            if isinstance(mine, dict):
                mine.update(theirs)
            elif mine is not None:
                mine += theirs
                setattr(self, name, mine)

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
    make: Callable[[], Judge],
    batches: InOrder,
    model: nn.Module,
    *,
    should_stop: Callable[[], bool],
    on_batch: Callable[[int, int], None],
) -> tuple[Judge, list[float], list[int]] | None:
    """Shares the batches between the processes, and gives every process the results of all.

    Args:
        processes: the processes that share the batches; all of them call this.
        make: makes a judge that has seen nothing, and has a `memory`.
        batches: all batches.
        model: the model whose answers are judged.
        should_stop: asked equally often in every process; if it is True in all, evaluation is given up.
        on_batch: as in `Task.judged`; it is called as if all processes had come equally far.

    Returns:
        A judge who knows all batches, their losses, in nats, and how many terms each loss is the mean of: in every
        process the same as one process would have that saw all batches in the same order. None if evaluation was given
        up.
    """
    judge, shares = make(), batches.shares(processes.world)
    first, stop = shares[processes.rank]
    mine, size = on_device_of(model, batches.between(first, stop)), len(batches.examples.lengths)
    losses: list[torch.Tensor] = []
    counts: list[int] = []
    with reading(model):
        for turn in range(max(stop - first for first, stop in shares)):
            if should_stop():
                return None
            if turn < stop - first:
                batch = next(mine)
                losses.append(judge.see(batch))
                counts.append(batch.count)
                on_batch(size * (turn + 1) // (stop - first), size)
    means = torch.stack(losses).tolist() if losses else []
    known, all_means, all_counts = make(), list[float](), list[int]()
    for remembered, theirs, terms in processes.objects((judge.remembered(), means, counts)):
        known.join(remembered)
        all_means += theirs
        all_counts += terms
    return known, all_means, all_counts
