"""One update of the weights: forward, backward, clip, step; and not at all where a number in it is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ostinato.data.batches.batches import Batch
from ostinato.training.distributed.processes import Processes
from ostinato.training.distributed.sharding import is_sharded, shared_by_name, shared_optimizer_state, whole
from ostinato.training.run.settings import UpdateSettings
from ostinato.training.update.averaging import make_averaging
from ostinato.training.update.clipping import clip
from ostinato.training.update.generators import Generators, read_generators, set_generators
from ostinato.training.update.optimizers import make_optimizer
from ostinato.training.update.tree import map_tensors
from ostinato.training.update.truncated_bptt import BPTTWindow, Chunks


class _Loss(nn.Module):
    """The loss of a window as a forward pass, so that Fabric can act on it."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, window: BPTTWindow) -> torch.Tensor:
        loss = window.loss(self.module)  # pyright: ignore[reportArgumentType]
        return loss if window.weight == 1.0 else loss * window.weight


@dataclass
class Attempt:
    """An update whose numbers have not been looked at yet, and what it takes to be before it again.

    Args:
        mark: whatever the caller wants to have back.
        place: in the data, with the hidden state, before it.
        generators: the random generators before it.
        windows: its data.
        losses: of each window, nats a token.
        tokens: in each window, those of all processes together.
        norm: of all gradients together, before clipping.
    """

    mark: Any
    place: dict[str, Any]
    generators: Generators
    windows: list[BPTTWindow] = field(default_factory=list)
    losses: list[torch.Tensor] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    norm: torch.Tensor | None = None


@dataclass(frozen=True)
class Measured:
    """What an update gave.

    Args:
        nats: of all its tokens.
        tokens: in all its windows.
        norm: of all gradients together, before clipping.
    """

    nats: float
    tokens: int
    norm: float


class NotFiniteError(Exception):
    """An update was not made, because its loss or the norm of its gradients is no finite number.

    Args:
        attempt: the first of those.
        loss: its mean loss, nats a token.
        norm: of its gradients.
        measured: the numbers of those before it.
    """

    def __init__(self, attempt: Attempt, loss: float, norm: float, measured: list[Measured]):
        super().__init__(loss, norm)
        self.attempt, self.loss, self.norm, self.measured = attempt, loss, norm, measured


class Updater:
    """A module, its optimiser and what lies between them.

    On the CPU the numbers of every update are looked at before the weights change. On other devices that would make the processor
    wait for the device in each step: there the fused optimiser is given a flag, which once raised keeps every update from the
    weights, and the numbers are looked at now and then, in `read`.

    Args:
        module: anything with `loss(chunk, state) -> (loss, state)`. Where it has a tensor `penalty`, that is what regularisation
            added to the last loss, and is left out of the loss that is told.
        source: where the windows come from.
        settings: see there.
        processes: those that train together, and Fabric, which says where and in which precision.
        total: sums numbers over them; None for a message of their own.

    Raises:
        TypeError: the module has no `loss`.
    """

    def __init__(
        self,
        module: nn.Module,
        source: Chunks,
        settings: UpdateSettings,
        processes: Processes,
        total: Callable[[Sequence[float]], list[float]] | None = None,
    ):
        if not callable(getattr(module, "loss", None)):
            raise TypeError(f"expected a module with loss(chunk, state), got a {type(module).__name__} without it")
        self.module, self.source, self.settings = module, source, settings
        self.processes, self.fabric = processes, processes.fabric
        self._total = processes.total if total is None else total
        fabric = self.fabric
        self.step_module = fabric.setup_module(_Loss(module))
        self.parameters = list(module.parameters())
        self.scaled = fabric.strategy.precision.precision == "16-mixed"
        fused = not self.scaled and fabric.device.type in ("cpu", "cuda") and not is_sharded(module)
        self.optimizer = make_optimizer(
            settings.optimizer,
            self.parameters,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
            fused=fused,
        )
        # Fabric's wrapper scales steps in 16-mixed; the state and the learning rate are those of the optimiser inside.
        self.wrapped_optimizer: Any = fabric.setup_optimizers(self.optimizer)
        self.averaging = make_averaging(module, settings)
        # An average must not take in weights of updates that were not made, so it looks each time, too.
        has_flag = fused and settings.optimizer != "rmsprop" and self.averaging is None
        self.reads_every_update = fabric.device.type == "cpu" or not has_flag
        self.unread: list[Attempt] = []
        self._attempt: Attempt | None = None
        self._flag = torch.zeros((), device=fabric.device)

    @property
    def learning_rate(self) -> float:
        """Of the last update."""
        return self.optimizer.param_groups[0]["lr"]

    def begin(self, mark: Any) -> None:
        """Begins an update; `mark` comes back where it is not made."""
        self._attempt = Attempt(mark, self.source.state_dict(), read_generators(self.fabric.device))

    def add(self, window: BPTTWindow) -> int:
        """Forward and backward of one of the update's windows; returns how many terms its loss has, over all processes."""
        attempt = self._attempt
        assert attempt is not None
        attempt.windows.append(window)
        is_last = len(attempt.windows) == self.settings.accumulate
        # With several processes, gradients are exchanged once an update.
        alone = nullcontext() if is_last else self.fabric.no_backward_sync(self.step_module)
        terms = self._terms(window)
        attempt.tokens.append(terms)
        loss = self._forward_and_backward(window, alone, terms / (attempt.tokens[0] or 1))
        self.source.state = map_tensors(_alone_in_memory, self.source.state)
        penalty = getattr(self.module, "penalty", None)
        attempt.losses.append(loss.detach() if penalty is None else loss.detach() - penalty)
        return terms

    def _forward_and_backward(
        self, window: BPTTWindow, context: AbstractContextManager[Any], share: float = 1.0
    ) -> torch.Tensor:
        """`share`: its terms, in those of the update's first window; how many there will be in all is not known yet."""
        accumulate = self.settings.accumulate
        with context:
            loss = self.step_module(window)
            self.fabric.backward(loss if accumulate == 1 else loss * share / accumulate)
        return loss

    def _terms(self, window: BPTTWindow) -> int:
        """How many terms the loss of a window is the mean of, those of all processes together: the same number in each of them."""
        if self.processes.world == 1:
            return window.count
        if isinstance(window.whole, Batch):
            return window.whole.total
        return window.target.numel() * self.processes.world

    def _take_mean(self, attempt: Attempt) -> None:
        """Makes the gradients those of the mean over the terms of all windows, as if they had come at once."""
        as_if, total = (attempt.tokens[0] or 1) * len(attempt.tokens), sum(attempt.tokens)
        if total not in (0, as_if):
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(as_if / total)

    def finish(self, learning_rate: float) -> list[Measured]:
        """Clips and steps.

        Returns:
            The numbers of this and earlier updates that were looked at; see `read`.

        Raises:
            NotFiniteError: as `read` does.
        """
        attempt, settings = self._attempt, self.settings
        assert attempt is not None
        self._attempt = None
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if self.scaled:
            self.fabric.strategy.precision.unscale_gradients(self.optimizer)
        if settings.accumulate > 1:
            self._take_mean(attempt)
        attempt.norm = clip(self.parameters, norm=settings.clip_norm, value=settings.clip_value)
        self.unread.append(attempt)
        measured = []
        if self.reads_every_update:
            measured = self.read()
        else:
            # Of several processes each has a loss of its own, but all have to agree on what is done to the weights.
            numbers = attempt.norm + sum(attempt.losses) if self.processes.world == 1 else attempt.norm
            finite = torch.isfinite(numbers)
            self._flag = torch.maximum(self._flag, (~finite).to(self._flag.dtype))
            self.optimizer.found_inf = self._flag  # pyright: ignore[reportAttributeAccessIssue]
        self.wrapped_optimizer.step()
        self.wrapped_optimizer.zero_grad()
        if self.averaging is not None:
            self.averaging.update()
        return measured

    def read(self) -> list[Measured]:
        """The numbers of the updates since the last call, in order; this waits for the device.

        Raises:
            NotFiniteError: one is not finite; that update and those after it were not made. In 16-mixed infinite gradients are the
                business of the scaler, which leaves such updates out, and only the loss is looked at.
        """
        attempts, self.unread = self.unread, []
        measured = []
        for attempt in attempts:
            # Rows are shared evenly, or losses weighted: the mean over all rows is the mean of the processes' means.
            world = self.processes.world
            losses = [loss / world for loss in self._total([float(loss) for loss in attempt.losses])]
            norm = float(whole(attempt.norm)) if attempt.norm is not None else 0.0
            loss = sum(losses) / len(losses)
            if not math.isfinite(loss) or (not self.scaled and not math.isfinite(norm)):
                raise NotFiniteError(attempt, loss, norm, measured)
            nats = sum(each * tokens for each, tokens in zip(losses, attempt.tokens, strict=True))
            measured.append(Measured(nats, sum(attempt.tokens), norm))
        return measured

    def go_back(self, attempt: Attempt) -> None:
        """Puts data, hidden state and random generators where they were before an update that was not made.

        Updates after it are forgotten, and iterations over `source` must be left.
        """
        self.unread.clear()
        self._flag.zero_()
        self.wrapped_optimizer.zero_grad()
        self.source.load_state_dict(attempt.place)
        set_generators(attempt.generators, self.fabric.device)

    def repeat(self, attempt: Attempt) -> None:
        """Forward and backward of an update that was not made, once more; `go_back` should follow."""
        self.go_back(attempt)
        for window in attempt.windows:
            # No exchange: other processes may not be doing the same.
            self._forward_and_backward(window, self.fabric.no_backward_sync(self.step_module))

    def state_dict(self) -> dict[str, Any]:
        """All that later updates depend on; tensors are those at work, not copies.

        All processes must ask at once; each gets all of it, the hidden state of all rows and everybody's generators included.
        """
        data, join = self.source.state_dict(), self.processes.join_rows
        return {
            "model": whole(self.module.state_dict()),
            "optimizer": whole(self.optimizer.state_dict()),
            "scaler": self.fabric.strategy.precision.state_dict(),
            "averaging": None if self.averaging is None else whole(self.averaging.state_dict()),
            "data": {
                **data,
                "past": join(data["past"], 1, self._rows),
                "state": join(data["state"], self.source.batch_dim, self._rows),
            },
            "generators": self.processes.gather(read_generators(self.fabric.device)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict`, also one of another number of processes; those that are new keep their generators.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: it does not fit.
        """
        self.module.load_state_dict(shared_by_name(state["model"], self.module.state_dict()))
        self.optimizer.load_state_dict(shared_optimizer_state(state["optimizer"], self.optimizer))
        self.fabric.strategy.precision.load_state_dict(state["scaler"])
        if (self.averaging is None) != (state["averaging"] is None):
            raise ValueError("training.averaging is another")
        if self.averaging is not None:
            weights, names = state["averaging"]["weights"], dict(self.module.named_parameters())
            shared = None if weights is None else shared_by_name(weights, names)
            self.averaging.load_state_dict({**state["averaging"], "weights": shared})
        data, split = state["data"], self.processes.split_rows
        self.source.load_state_dict(
            {
                **data,
                "past": split(data["past"], 1, self._rows),
                "state": split(data["state"], self.source.batch_dim, self._rows),
            }
        )
        if self.processes.rank < len(state["generators"]):
            set_generators(state["generators"][self.processes.rank], self.fabric.device)

    @property
    def _rows(self) -> int:
        """Of each process, where there are several."""
        source = self.source.source
        while not hasattr(source, "rows") and hasattr(source, "source"):
            source = source.source
        return len(source.rows) if self.processes.world > 1 else 0


def _alone_in_memory(tensor: torch.Tensor) -> torch.Tensor:
    """As it would be read from a checkpoint: a product of matrices may round differently for another layout.

    A state that is a view of all outputs would also keep those.
    """
    if tensor.is_contiguous() and tensor.storage_offset() == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)
