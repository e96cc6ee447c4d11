"""Record recurrent layers while they run: each step runs in plain PyTorch, and its inputs and results are kept."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product
from ostinato.cells.spec import Cell
from ostinato.errors import OstinatoError
from ostinato.insight.trajectory import Trajectory
from ostinato.kernels.dispatch import backend
from ostinato.kernels.packed import lengths_of
from ostinato.locks import lock
from ostinato.nn import layers
from ostinato.nn.conversion.convert import convert_known
from ostinato.nn.lengths import as_tensor
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.step import Step
from ostinato.types import Tensor

# (model, batch) -> a scalar, or a tuple that begins with it
Loss: TypeAlias = Callable[[Any, Any], Any]

_TORCH = (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell)


class InsightError(OstinatoError):
    """A model, a batch or a loss that cannot be examined."""


def trajectories(model: nn.Module, batch: Any, loss: Loss | None = None) -> list[Trajectory]:
    """Record every step of every recurrent layer in one pass over a batch, without gradient.

    The layers run as usual (in training mode with their masks), but on the reference backend, and the model is left as it was.

    Args:
        model: a model with recurrent layers or single-step cells, ours or torch.nn's, or one of these itself.
        batch: whatever `loss` takes; without a loss, the argument of the model's call.
        loss: as in `gradient_flow`; or any function of `(model, batch)` that runs the model. None calls `model(batch)`.

    Returns:
        One trajectory for each direction of each layer, in the order in which they ran.

    Raises:
        InsightError: there is no recurrent layer in the model, or none ran.
    """
    with torch.no_grad(), watched(model) as recorder:
        if loss is None:
            model(batch)
        else:
            loss(model, batch)
        return recorder.trajectories()


def scalar_loss(model: nn.Module, batch: Any, loss: Loss | None) -> Tensor:
    """The loss of a batch: `loss(model, batch)`, or `model.loss(batch)` if `loss` is None; of a tuple, its first entry.

    Raises:
        InsightError: the loss is not a scalar, or the model has no `loss`.
    """
    if loss is None and not callable(getattr(model, "loss", None)):
        raise InsightError(
            f"loss expected a function (model, batch) -> scalar, as {type(model).__name__} has no method loss(batch); give one"
        )
    value = getattr(model, "loss")(batch) if loss is None else loss(model, batch)  # noqa: B009
    if isinstance(value, tuple) and value:
        value = value[0]
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise InsightError(
            f"loss expected a scalar tensor, or a tuple that begins with one, got {shape}; take its mean"
        )
    return value.reshape(())


@dataclass(frozen=True, eq=False)
class _Moment:
    """The arguments and the results of one step."""

    inputs: Gates | Tensor
    before: State
    after: State
    handed: State
    product: Product | None
    named: dict[str, Any]


class Recorder:
    """Collects the steps of a model's layers while the model is watched."""

    def __init__(self) -> None:
        self._made: dict[str, Trajectory] = {}

    def trajectories(self) -> list[Trajectory]:
        """The trajectories recorded so far.

        Raises:
            InsightError: nothing was recorded.
        """
        if not self._made:
            raise InsightError(
                "expected at least one step of a recurrent layer, got none: the layers of the model did not run; "
                "let the loss call the model"
            )
        return list(self._made.values())

    def add(self, module: nn.Module, name: str, cell: Cell, tape: list[_Moment], lengths: Tensor | None) -> None:
        """Add the steps of one call of a layer, direction after direction, or of a single-step cell."""
        if not tape or (lengths is not None and not bool(lengths.any())):  # a call without any valid step
            return
        if isinstance(module, Recurrent):
            dot = f"{name}." if name else ""
            labels = [(layer, bool(d), f"{dot}{suffix[1:]}") for layer, d, suffix in module._places()]
        else:
            labels = [(0, False, name or type(module).__name__)]
        T = len(tape) // len(labels)
        for place, (layer, is_reverse, label) in enumerate(labels):
            part = tape[place * T : (place + 1) * T]
            if is_reverse:
                part = part[::-1]
            rows, device = len(next(iter(part[0].after))), next(iter(part[0].after)).device
            ends = torch.full((rows,), T, device=device) if lengths is None else lengths.to(device)
            self._append(
                Trajectory(
                    label,
                    layer,
                    is_reverse,
                    cell,
                    tuple(step.inputs for step in part),
                    tuple(step.before for step in part),
                    tuple(step.after for step in part),
                    tuple(step.handed for step in part),
                    tuple(step.product for step in part),
                    tuple(step.named for step in part),
                    torch.arange(T, device=device)[:, None] < ends,
                )
            )

    def _append(self, new: Trajectory) -> None:
        """Add a trajectory; if the layer was called before, extend its trajectory: texts are read in pieces, cells run by steps."""
        old = self._made.get(new.name)
        if old is None:
            self._made[new.name] = new
            return
        if old.rows != new.rows:
            raise InsightError(
                f"expected as many rows in every call of {new.name}, got {old.rows} and then {new.rows}; "
                "give a batch that the model runs through in calls of one size"
            )
        self._made[new.name] = replace(
            old,
            inputs=old.inputs + new.inputs,
            before=old.before + new.before,
            after=old.after + new.after,
            handed=old.handed + new.handed,
            products=old.products + new.products,
            named=old.named + new.named,
            valid=torch.cat([old.valid, new.valid]),
        )


def recurrent_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The recurrent layers and single-step cells of a model that can be recorded, by name.

    Raises:
        InsightError: there is none.
    """
    found = {
        name.replace("_orig_mod.", ""): m  # leave out the wrapper that torch.compile puts around a module
        for name, m in model.named_modules()
        if isinstance(m, Recurrent | Step) or type(m) in _TORCH
    }
    if not found:
        others = [type(m).__name__ for m in model.modules() if isinstance(m, nn.RNNBase | nn.RNNCellBase)]
        *names, last = layers.__all__
        got = f"only {others[0]}, a subclass of torch.nn's" if others else "none"
        raise InsightError(
            f"expected a model with a recurrent layer of ostinato or torch.nn, got {got} in {type(model).__name__}; "
            f"build it with ostinato.{', '.join(names)} or {last}"
        )
    return found


def convert_alone(module: nn.Module) -> nn.Module:
    """A layer of ours that shares the parameters of a layer of torch.nn, which is not changed; a layer of ours itself."""
    return convert_known(module, {}) if type(module) in _TORCH else module


@contextmanager
def watched(model: nn.Module, *, independent: bool = False) -> Iterator[Recorder]:
    """Inside, every step of the model's recurrent layers is recorded; afterwards the model is as it was.

    Outputs and gradients are those of the reference backend, bit for bit. Attributes, buffers and random generators are restored;
    no `.grad` is changed. Another thread that wants to watch the same layers waits until then.

    Args:
        model: the model to watch.
        independent: whether the states that a step passes on are separate nodes of the graph, see `Trajectory.handed`. Gradients
            may then be summed in another order.

    Raises:
        InsightError: there is no recurrent layer in the model.
    """
    layers, recorder = recurrent_modules(model), Recorder()
    with _alone(list(layers.values())), _as_before(model), _eager:
        for name, module in layers.items():
            twin = convert_alone(module)
            # An attribute of the object hides the method of its class; restoring the attributes removes it.
            module.__dict__["forward"] = _Tapped(recorder, name, module, twin, independent)
        yield recorder


class _Tapped:
    """A replacement for the `forward` of a layer, which records the steps."""

    def __init__(self, recorder: Recorder, name: str, module: nn.Module, twin: Any, independent: bool) -> None:
        self.recorder, self.name, self.module, self.twin = recorder, name, module, twin
        self.independent = independent

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        twin = self.twin
        twin.training = self.module.training
        tape: list[_Moment] = []
        cell, before = twin.cell, dict(twin.__dict__)
        twin.__dict__["_cells"] = {twin.training: _tapped(cell, tape, self.independent)}
        if isinstance(twin, Recurrent):
            twin.__dict__["options"] = replace(twin.options, checkpoint_segments=None)
        try:
            with backend("reference"):
                result = type(twin).forward(twin, *args, **kwargs)
        finally:
            twin.__dict__["_cells"], twin.__dict__["options"] = before["_cells"], before["options"]
        self.recorder.add(twin, self.name, cell, tape, _lengths(args, kwargs))
        return result


def _tapped(cell: Cell, tape: list[_Moment], independent: bool) -> Cell:
    def step(x: Gates, s: State, U: Any, **named: Any) -> State:
        after = cell.step(x, s, U, **named)
        if torch.is_grad_enabled():  # the states need gradients even if every parameter is frozen
            after = State(**{n: _with_gradient(getattr(after, n)) for n in cell.states})
        handed = (
            State(**{n: getattr(after, n).view_as(getattr(after, n)) for n in cell.states}) if independent else after
        )
        tape.append(_Moment(x, s, after, handed, U, named))
        return handed

    return replace(cell, step=step, vendor=None)


def _with_gradient(v: Tensor) -> Tensor:
    return v if v.requires_grad else v.detach().requires_grad_()


def _lengths(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    input = args[0] if args else kwargs.get("input")
    if isinstance(input, PackedSequence):
        return lengths_of(input.batch_sizes)
    given = kwargs.get("lengths")
    return None if given is None else as_tensor(given).reshape(-1)


@contextmanager
def _as_before(model: nn.Module) -> Iterator[None]:
    """Afterwards the attributes and buffers of all modules, and the random generators, are as they were."""
    attributes = [(module, dict(module.__dict__)) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            for module, kept in attributes:
                module.__dict__.clear()
                module.__dict__.update(kept)
            with torch.no_grad():
                for buffer, kept in buffers:
                    if not torch.equal(buffer, kept):
                        buffer.copy_(kept)


_watching: weakref.WeakKeyDictionary[nn.Module, Any] = weakref.WeakKeyDictionary()
_choosing = lock()


@contextmanager
def _alone(layers: list[nn.Module]) -> Iterator[None]:
    """Inside, no other thread watches these layers: it would restore the recording `forward` as the layer's own, for ever."""
    with _choosing:
        locks = [_watching.get(each) or _watching.setdefault(each, lock()) for each in sorted(layers, key=id)]
    with ExitStack() as stack:
        for each in locks:
            stack.enter_context(each)
        yield


class _Eager:
    """Inside, nothing is compiled: a compiled graph would not run the recording steps.

    torch has one compilation stance for all threads, and leaving a changed stance restores the one found before. If two threads
    overlapped, the second would leave compilation off for ever. So the first thread to enter changes it, and the last to leave
    restores it.
    """

    def __init__(self) -> None:
        self._lock = lock()
        self._inside = 0
        self._stance: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            # Do not import dynamo for this: it takes seconds, and if it is not loaded, nothing is compiled.
            if self._stance is None and "torch._dynamo" in sys.modules:
                self._stance = torch.compiler.set_stance("force_eager")

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._stance is not None:
                self._stance.__exit__(None, None, None)
                self._stance = None


_eager = _Eager()
