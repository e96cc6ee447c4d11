"""One update of the weights: forward, backward, clip, step. It is not made if its loss or gradients are not finite."""

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
    """An update whose numbers have not been read yet, and all that is needed to go back to before it.

    Args:
        mark: a value of the caller's, who gets it back if the update is not made.
        place: the place in the data before the update, with the hidden state.
        generators: the random generators before the update.
        windows: its data.
        losses: the loss of each window, nats a token.
        tokens: the number of tokens in each window, those of all processes together.
        norm: the norm of all gradients together, before clipping.
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
    """The numbers of an update.

    Args:
        nats: the loss, summed over all its tokens.
        tokens: the number of tokens in all its windows.
        norm: the norm of all gradients together, before clipping.
    """

    nats: float
    tokens: int
    norm: float


class NotFiniteError(Exception):
    """An update was not made, because its loss or the norm of its gradients is not a finite number.

    Args:
        attempt: the first such update.
        loss: its mean loss, nats a token.
        norm: the norm of its gradients.
        measured: the numbers of the updates before it.
    """

    def __init__(self, attempt: Attempt, loss: float, norm: float, measured: list[Measured]):
        super().__init__(loss, norm)
        self.attempt, self.loss, self.norm, self.measured = attempt, loss, norm, measured


class Updater:
    """Update a module's weights: losses, gradients, clipping, the optimiser and averages.

    On the CPU the numbers of every update are checked before the weights change. On other devices that would make the processor
    wait for the device in each step. There the fused optimiser gets a flag, which once set cancels every further update, and the
    numbers are read from time to time, in `read`.

    Args:
        module: anything with `loss(chunk, state) -> (loss, state)`. If it has a tensor `penalty`, that is the part of the last loss
            that regularisation added, and it is left out of the reported loss.
        source: the source of the windows.
        settings: see `UpdateSettings`.
        processes: the processes that train together, with Fabric, which has the device and the precision.
        total: sums numbers over the processes; None for a separate message.

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
        # With an average numbers are read in every update: it must not include weights of updates that were not made.
        has_flag = fused and settings.optimizer != "rmsprop" and self.averaging is None
        self.reads_every_update = fabric.device.type == "cpu" or not has_flag
        self.unread: list[Attempt] = []
        self._attempt: Attempt | None = None
        self._flag = torch.zeros((), device=fabric.device)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last update."""
        return self.optimizer.param_groups[0]["lr"]

    def begin(self, mark: Any) -> None:
        """Begin an update; `mark` is given back in the error if the update is not made."""
        self._attempt = Attempt(mark, self.source.state_dict(), read_generators(self.fabric.device))

    def add(self, window: BPTTWindow) -> int:
        """Run one of the update's windows forward and backward; returns how many terms its loss has, over all processes."""
        attempt = self._attempt
        assert attempt is not None
        attempt.windows.append(window)
        is_last = len(attempt.windows) == self.settings.accumulate
        # With several processes, gradients are exchanged only once in an update.
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
        """Run a window; `share` is its number of terms relative to the update's first window, as the total is not known yet."""
        accumulate = self.settings.accumulate
        with context:
            loss = self.step_module(window)
            self.fabric.backward(loss if accumulate == 1 else loss * share / accumulate)
        return loss

    def _terms(self, window: BPTTWindow) -> int:
        """How many terms the mean loss of a window has, in all processes together: the same number in each of them."""
        if self.processes.world == 1:
            return window.count
        if isinstance(window.whole, Batch):
            return window.whole.total
        return window.target.numel() * self.processes.world

    def _take_mean(self, attempt: Attempt) -> None:
        """Scale the gradients to those of the mean over the terms of all windows, as if they were one window."""
        as_if, total = (attempt.tokens[0] or 1) * len(attempt.tokens), sum(attempt.tokens)
        if total not in (0, as_if):
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(as_if / total)

    def finish(self, learning_rate: float) -> list[Measured]:
        """Clip the gradients and make the step.

        Returns:
            The numbers of this and earlier updates, as far as they were read now; see `read`.

        Raises:
            NotFiniteError: as in `read`.
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
            # With several processes the flag must not depend on the loss, which differs: all have to change the weights alike.
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
        """Read the numbers of the updates since the last call, in order; this waits for the device.

        Raises:
            NotFiniteError: a number is not finite; that update and those after it were not made. In 16-mixed only the loss is
                checked: the scaler handles infinite gradients and skips such updates.
        """
        attempts, self.unread = self.unread, []
        measured = []
        for attempt in attempts:
            # Rows are shared evenly, or losses are weighted: so the mean over all rows is the mean of the processes' means.
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
        """Put data, hidden state and random generators back to where they were before an update that was not made.

        Updates after it are forgotten. Iterations over `source` must be left.
        """
        self.unread.clear()
        self._flag.zero_()
        self.wrapped_optimizer.zero_grad()
        self.source.load_state_dict(attempt.place)
        set_generators(attempt.generators, self.fabric.device)

    def repeat(self, attempt: Attempt) -> None:
        """Run an update that was not made forward and backward once more; `go_back` should follow."""
        self.go_back(attempt)
        for window in attempt.windows:
            # Without an exchange of gradients, as other processes may not be doing the same.
            self._forward_and_backward(window, self.fabric.no_backward_sync(self.step_module))

    def state_dict(self) -> dict[str, Any]:
        """All that later updates depend on; the tensors are those in use, not copies.

        All processes must call this at the same time; each gets everything, with the hidden state of all rows and the generators of
        all processes.
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
        """Continue from a `state_dict`, also from one of another number of processes; additional processes keep their generators.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: the state does not fit.
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
        """The number of rows of each process if there are several; else 0."""
        source = self.source.source
        while not hasattr(source, "rows") and hasattr(source, "source"):
            source = source.source
        return len(source.rows) if self.processes.world > 1 else 0


def _alone_in_memory(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in the layout that it has when read from a checkpoint: for another one a matrix product may round differently.

    The copy also frees memory: a state that is a view of all outputs would keep all of them.
    """
    if tensor.is_contiguous() and tensor.storage_offset() == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)
