"""Run a layer one step at a time for a live service: the stream keeps the state, and adds as little time as possible to a step."""

# A stream reads private attributes of its layer.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from ostinato.cells.named import State
from ostinato.errors import ConfigError
from ostinato.kernels.storage import check_storage, missing
from ostinato.nn.extras import check_names
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.states import are_entries
from ostinato.nn.streams.report import ErrorReport
from ostinato.nn.streams.snapshot import shapes_of, state_from_bytes, state_to_bytes
from ostinato.nn.streams.weights import StreamWeights, check, in_evaluation, kernel_of, refusal, tensors_of
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.cpu.stream.runner import Runner

PROBE_STEPS = 100
STOCK = 15  # the number of outputs that are allocated in advance together with one that is needed


class Stream:
    """A layer, a stack of layers, or a model, one step at a time: `y = stream(x)`, with the state kept inside.

    It computes what the layer computes in evaluation, without gradient, for one row. The weights are copied in the order in which
    they are read, and a step is one call of machine code for the whole stack.

    At each call the stream checks whether the layer's parameters, buffers and parametrizations are still the same objects, at the
    same address and in the same version, and packs the weights anew if they are not. Before the check it renews weights that a
    forward pre-hook makes from these. Some changes leave no such trace: a write through `.data`, or a step of an optimiser with
    `fused=True`. Call `refresh()` after them.

    A cell's extras are given by name, `stream(x, dt=0.5)`: one number, or `(width,)`.

    A stream serves one caller at a time. `copy()` makes more of them on the same packed weights.

    If the compiler does not take the layer's cell, a stream is the layer's own step in plain PyTorch, with the same interface, but
    slower and without `streaming_dtype`. Its `repr` says so, with the reason.

    Args:
        layer: a layer in evaluation mode, float32 or float64, on CPU, of one direction. Or a model of `ostinato.models`, whose own
            `open_stream` this then calls.
        streaming_dtype: `torch.bfloat16` stores the weights of the products at half their size, `torch.int8` at a quarter, with a
            scale for each matrix row; see `error_report`. None leaves them as they are. Inputs, states and biases keep their dtype.
        rows: N: keep the states of N rows, of which any may step together, see `RowStream`. None for one row.
        output: a linear layer that is applied to every output, in the same call.
        check_weights: False skips the check of the parameters, which costs about 0.2 µs for each.

    Raises:
        ConfigError: the layer or an argument cannot be streamed; the message has the reason.
    """

    _kinds: ClassVar[dict[tuple[bool, bool], type[Stream]]] = {}
    _is_plain = False

    def __init_subclass__(cls, *, of_rows: bool, plain: bool) -> None:
        cls._is_plain = plain
        Stream._kinds[of_rows, plain] = cls

    def __new__(
        cls,
        layer: Any,
        streaming_dtype: torch.dtype | None = None,
        *,
        rows: int | None = None,
        output: nn.Linear | None = None,
        check_weights: bool = True,
    ) -> Any:
        """Choose the class: machine code, or plain PyTorch if there is none for the cell; one row, or many; or a model's stream."""
        if not isinstance(layer, Recurrent) and hasattr(layer, "open_stream"):
            if output is not None:
                raise ConfigError("output expected None beside a model, which has an output layer of its own")
            return layer.open_stream(streaming_dtype=streaming_dtype, rows=rows, check_weights=check_weights)
        check(layer, streaming_dtype, output)
        if layer.training:
            raise ConfigError(
                "Stream expected a layer in evaluation mode, got one in training mode; use Stream(layer.eval())"
            )
        _check_rows(rows)
        plain = (why := refusal(layer)) is not None
        if plain and streaming_dtype is not None:
            raise ConfigError(f"streaming_dtype expected None, as nothing is packed where {why}; got {streaming_dtype}")
        kind = Stream if rows is None and not plain else Stream._kinds[rows is not None, plain]
        return object.__new__(kind)

    def __init__(
        self,
        layer: Recurrent,
        streaming_dtype: torch.dtype | None = None,
        *,
        rows: int | None = None,
        output: nn.Linear | None = None,
        check_weights: bool = True,
    ) -> None:
        self._start(StreamWeights(layer, streaming_dtype, output), check_weights)
        self.reset()

    def _start(self, weights: StreamWeights, check_weights: bool) -> None:
        from ostinato.kernels.cpu.stream.runner import Runner

        layer = weights.layer
        self._take_over(weights, check_weights)
        self._sizes = ((layer.input_size,), (1, layer.input_size))
        self._numbers, self._itemsize = layer.input_size, self._dtype.itemsize
        self._stock: dict[int, list[Tensor]] = {1: [], 2: []}  # outputs for later calls, by their number of dimensions
        # Copies of the runner's attributes save look-ups in each call.
        self._runner = runner = Runner(weights.packed, behind=weights.behind)
        self._call, self._calls, self._fields, self._outputs = runner.call, runner.calls, runner.fields, runner.outputs
        self._x, self._y = runner.x, runner.y

    def _take_over(self, weights: StreamWeights, check_weights: bool) -> None:
        self.layer, self.streaming_dtype, self.check_weights = weights.layer, weights.streaming_dtype, check_weights
        self.output = weights.output
        self._weights, self._is_stale, self._packed = weights, weights.is_stale, weights.packed
        self._dtype, self._width = weights.dtype, output_width(weights.layer, weights.output)

    def __call__(self, x: Tensor, **extras: Any) -> Tensor:
        """Take one step.

        Args:
            x: `(I,)` or `(1, I)`, of the layer's dtype.
            **extras: the extras of the cell by name: a number, or a tensor `(width,)` or `(1, width)`.

        Returns:
            The output, `(H,)` or `(1, H)` like the input, a new tensor without gradient. Its width is `P` if the layer projects,
            and that of `output` if there is one.

        Raises:
            ConfigError: the input has another shape, dtype or device, or requires a gradient.
        """
        if self.check_weights and (self._is_stale() or self._packed is not self._weights.packed):
            self.refresh()
        try:
            usable = (
                x.shape in self._sizes
                and x.dtype is self._dtype
                and x.is_cpu
                and x.is_contiguous()
                and x.untyped_storage().nbytes() >= (x.storage_offset() + self._numbers) * self._itemsize
            )
        except AttributeError:  # x is not a tensor
            usable = False
        if not usable or x.requires_grad:
            x = self._usable(x)
        if extras or self._runner.extras:
            self._take(self._runner, extras)
        stock = self._stock[x.dim()]
        y = stock.pop() if stock else self._new_output(x.dim())
        runner = self._runner
        turn = runner.turn
        self._fields[turn][self._x] = x.data_ptr()
        self._outputs[turn][self._y] = y.data_ptr()
        self._call(self._calls[turn])
        runner.turn = 1 - turn
        return y

    def _new_output(self, dims: int) -> Tensor:
        """Allocate one output, and some more for the next calls.

        A step fills the processor's caches with weights, so that the first allocation after it has to wait for memory: 6 µs.
        Further allocations at the same time do not wait.
        """
        with torch.inference_mode(False):
            like = torch.empty(self._width if dims == 1 else (1, self._width), dtype=self._dtype, device="cpu")
            self._stock[dims] += [torch.empty_like(like) for _ in range(STOCK)]
        return like

    def _take(self, runner: Runner, extras: Mapping[str, Any]) -> None:
        """Copy the extras of the next step to where the machine code reads them."""
        check_names(self.layer.cell, extras, "Stream()")
        for name, width in self.layer._extra_sizes.items():
            runner.extras[name][:width] = self._checked_extra(name, extras[name], width).reshape(-1)

    @staticmethod
    def _checked_extra(name: str, given: Any, width: int) -> Tensor:
        v = torch.as_tensor(given, device="cpu").detach()
        if v.shape not in ((width,), (1, width)) and not (width == 1 and v.dim() == 0):
            raise ConfigError(
                f"{name} expected {'a number' if width == 1 else f'a tensor of shape ({width},)'}, got {tuple(v.shape)}"
            )
        return v

    def _usable(self, x: Any) -> Tensor:
        """Check the input and make it contiguous; raise `ConfigError` with the reason if it cannot be used."""
        wanted = f"x expected a tensor of shape {self._sizes[0]} or {self._sizes[1]}, {self._dtype}, on the CPU"
        if not isinstance(x, Tensor):
            raise ConfigError(f"{wanted}; got {type(x).__name__}")
        if x.shape not in self._sizes or x.dtype is not self._dtype or not x.is_cpu:
            raise ConfigError(f"{wanted}; got {tuple(x.shape)}, {x.dtype}, on {x.device}")
        if (wrong := missing(x)) is not None:
            raise ConfigError(f"x {wrong}")
        if x.requires_grad and torch.is_grad_enabled():
            raise ConfigError("x expected no gradient, as a stream gives none; use x.detach(), or the layer itself")
        return x.detach().contiguous()

    def refresh(self) -> None:
        """Pack the weights as they are now, for this stream and its copies; the states stay.

        Raises:
            ConfigError: the layer can no longer be streamed, or has another dtype.
        """
        self._weights.refresh()
        if self._packed is not self._weights.packed:  # other code, because something that the step reads changed
            state = self.state
            self._start(self._weights, self.check_weights)
            self.state = state

    @property
    def weight_bytes(self) -> int:
        """The size of the packed weights in bytes; every step reads all of them."""
        behind = self._weights.behind
        return self._weights.packed.weight_bytes + (0 if behind is None else behind.weight_bytes)

    @property
    def threads(self) -> int:
        """The number of threads that read the weights: chosen by their size when the stream is made, at most torch's number."""
        return self._runner.threads

    # the state

    @property
    def state(self) -> Any:
        """The state before the next step, a copy, in the layout of the layer's `hx` without a batch: `(L, H)` for each state."""
        return self.layer._layout.close([State(**states) for states in self._states()], batched=False)

    @state.setter
    def state(self, hx: Any) -> None:
        self._put(self._opened(hx))

    def _states(self) -> list[dict[str, Tensor]]:
        """Copies of the states before the next step, `(1, H)`, layer by layer."""
        runner, sizes = self._runner, self.layer._layout.sizes
        return [
            {name: pair[runner.turn][: sizes[name][at]].clone()[None] for name, pair in states.items()}
            for at, states in enumerate(runner.states)
        ]

    def _put(self, states: Sequence[State]) -> None:
        _put(self._runner, states)

    def _opened(self, hx: Any) -> list[State]:
        """Check a state that the caller gave, and split it by layer."""
        first = next(iter(tensors_in(hx)), None)
        batched = isinstance(first, Tensor) and first.dim() == 3
        return self.layer._layout.open(hx, 1, batched)

    def reset(self) -> None:
        """Go back to the layer's first state: zeros, or a learned one."""
        if self.layer.options.initial_state.learned:
            check_storage(self.layer.named_parameters())
        with in_evaluation(self.layer):
            first = first_states(self.layer)
        self._put(first)

    def state_bytes(self) -> bytes:
        """The state before the next step as bytes, with version and checksum; `from_bytes` continues from it, in any process."""
        return state_to_bytes(self.state_tensors(), described(self.layer))

    def from_bytes(self, data: bytes) -> None:
        """Continue from a state that `state_bytes` gave.

        Raises:
            StateError: it is damaged, or belongs to a layer with another cell, size or dtype. The stream is left as it is.
        """
        self.put_state_tensors(state_from_bytes(data, shapes_of(self.state_tensors()), described(self.layer)))

    def put_state_tensors(self, given: Mapping[str, Tensor]) -> None:
        """Continue from the tensors that `state_tensors` gave."""
        self._put(self._by_layer(given))

    def _by_layer(self, given: Mapping[str, Tensor]) -> list[State]:
        names = self.layer._layout.sizes
        return [State(**{n: given[f"{n}_l{at}"] for n in names}) for at in range(self.layer.num_layers)]

    def state_tensors(self) -> dict[str, Tensor]:
        """Copies of the state before the next step, `(1, H)` each, by state and layer, such as "h_l0"."""
        return {f"{n}_l{at}": v for at, states in enumerate(self._states()) for n, v in states.items()}

    def copy(self) -> Stream:
        """Another stream on the same packed weights; it starts from this one's state and is independent afterwards."""
        made = object.__new__(Stream)
        made._start(self._weights, self.check_weights)
        made.state = self.state
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        # The packed weights hold addresses, so a stream that is unpickled, or deep-copied, packs them anew.
        return rebuilt, (self.layer, self.streaming_dtype, None, self.output, self.check_weights, self.state)

    # the error

    @property
    def error_report(self) -> ErrorReport | None:
        """The error of `streaming_dtype` on 100 steps of standard normal numbers, measured at first access; None without it."""
        if self.streaming_dtype is None:
            return None
        if self.check_weights and self._is_stale():
            self.refresh()
        if self._weights.error is None:
            generator = torch.Generator().manual_seed(0)
            like = torch.empty(0, dtype=self._dtype, device="cpu")
            probe = like.new_empty(PROBE_STEPS, self.layer.input_size).normal_(generator=generator)
            extras = {name: like.new_ones(PROBE_STEPS, width) for name, width in self.layer._extra_sizes.items()}
            self._weights.error = self.measure_error(probe, **extras)
        return self._weights.error

    @torch.no_grad()
    def measure_error(self, inputs: Tensor, **extras: Tensor) -> ErrorReport:
        """The error of `streaming_dtype` on a sequence of your own, `(T, I)`, from the first state; the stream is left as it is.

        Extras are given by name, `(T,)` or `(T, width)`.

        Raises:
            ConfigError: the inputs have another shape, dtype or device.
        """
        from ostinato.kernels.cpu.stream.held import rounded
        from ostinato.kernels.cpu.stream.linear import packed_linear
        from ostinato.kernels.cpu.stream.packed import PackedStack
        from ostinato.kernels.cpu.stream.runner import Runner

        inputs = self._sequence(inputs)
        check(self.layer, self.streaming_dtype, self.output)
        with in_evaluation(self.layer, self.output):
            layers, packed = tensors_of(self.layer), self._weights.packed
            matrices = [m for layer in layers for m in (layer.weight_ih, *layer.matrices.values())]
            behind = None
            if self.output is not None:
                matrices.append(self.output.weight)
                behind = packed_linear(self.output.weight, self.output.bias, None)
        exact = Runner(PackedStack(kernel_of(self.layer, None), layers, packed.residual), behind=behind)
        held_so = Runner(packed, behind=self._weights.behind)
        want, got = (self._over(runner, inputs, extras) for runner in (exact, held_so))
        true, held = (
            torch.cat([m.flatten() for m in each])
            for each in (matrices, [rounded(m, self.streaming_dtype) for m in matrices])
        )
        return ErrorReport(
            float((held - true).norm() / true.norm()),  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            float((got - want).abs().max() / want.abs().max()),
            len(inputs),
        )

    def _sequence(self, inputs: Tensor) -> Tensor:
        """Check the steps of a sequence one by one; returns `(T, I)`."""
        is_tensor = isinstance(inputs, Tensor)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_tensor or inputs.dim() == 0 or not len(inputs):
            got = tuple(inputs.shape) if is_tensor else type(inputs).__name__
            raise ConfigError(
                f"inputs expected a tensor of shape (T, {self.layer.input_size}), T at least 1; got {got}"
            )
        return torch.stack([self._usable(x).view(-1) for x in inputs])

    def _over(self, runner: Runner, inputs: Tensor, extras: Mapping[str, Tensor]) -> Tensor:
        """Run over a sequence from the first state: from inputs `(T, I)` to outputs `(T, width)`."""
        layer = self.layer
        _put(runner, first_states(layer))
        outputs = inputs.new_empty(len(inputs), self._width)
        for t, (x, y) in enumerate(zip(inputs, outputs, strict=True)):
            if layer._extra_sizes:
                self._take(runner, {name: v[t] for name, v in extras.items()})
            runner.step(x, y)
        return outputs

    def __repr__(self) -> str:
        dtype = "" if self.streaming_dtype is None else f", streaming_dtype={self.streaming_dtype}"
        behind = "" if self.output is None else f", output={self.output!r}"
        return f"Stream({self.layer!r}{dtype}{behind}, weight_bytes={self.weight_bytes}, threads={self.threads})"


def rebuilt(
    layer: Recurrent,
    streaming_dtype: torch.dtype | None,
    rows: int | None,
    output: nn.Linear | None,
    check_weights: bool,
    state: Any,
) -> Stream:
    """Make a stream again that was pickled."""
    with in_evaluation(layer, output):
        stream = Stream(layer, streaming_dtype, rows=rows, output=output, check_weights=check_weights)
    stream.state = state
    return stream


def _check_rows(rows: Any) -> None:
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
        raise ConfigError(f"rows expected a number of at least 1, or None for a stream of one row, got {rows!r}")


def tensors_in(hx: Any) -> list[Any]:
    """All tensors of a state that the caller gave, flat in one list.

    Raises:
        ConfigError: one has no data, or is not on the CPU.
    """
    entries = hx if are_entries(hx) else (hx,)
    every = [v for e in entries for v in (e if are_entries(e) else [e])]
    for v in every:
        if isinstance(v, Tensor) and not v.is_cpu:
            raise ConfigError(f"hx expected tensors on the CPU, got one on {v.device}")
    check_storage(("hx", v) for v in every if isinstance(v, Tensor))
    return every


def output_width(layer: Recurrent, output: nn.Linear | None) -> int:
    """The width of a stream's output."""
    return (layer.proj_size or layer.hidden_sizes[-1]) if output is None else output.out_features


def described(layer: Recurrent) -> str:
    """Describe the layer that a state belongs to: its cell and the widths of its layers."""
    projected = f", projected to {layer.proj_size}" if layer.proj_size else ""
    return f"{layer.base_cell.name} {layer.input_size} to {list(layer.hidden_sizes)}{projected}"


@torch.no_grad()
def _put(runner: Runner, states: Sequence[State]) -> None:
    """Set the states before the next step to these, `(1, H)` for each layer."""
    for given, kept in zip(states, runner.states, strict=True):
        for name, pair in kept.items():
            new = getattr(given, name)[0]
            pair[runner.turn][: new.numel()] = new


def first_states(layer: Recurrent) -> list[State]:
    """The first states of the layer, `(1, H)` for each layer of its stack."""
    like, sizes, start = layer.all_weights[0][0].detach(), layer._layout.sizes, layer.options.initial_state

    def first(name: str, at: int) -> Tensor:
        return start.make(getattr(layer, f"initial_{name}_l{at}", None), like, 1, sizes[name][at], training=False)

    return [State(**{name: first(name, at) for name in sizes}) for at in range(layer.num_layers)]
