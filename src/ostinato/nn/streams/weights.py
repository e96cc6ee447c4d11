"""The weights that a stream has packed, and the check whether the layer still computes with the same ones."""

# A stream reads private attributes of its layer and of torch.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping
from itertools import chain
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from ostinato.errors import ConfigError, told_kind
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.reading.current import current
from ostinato.kernels.storage import missing
from ostinato.nn.recurrent import Recurrent
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.cpu.stream.kernel import StreamKernel
    from ostinato.kernels.cpu.stream.packed import LayerTensors, PackedStack

_version, _address, _stride = attrgetter("_version"), Tensor.data_ptr, Tensor.stride


class StreamWeights:
    """The packed weights that copies of a stream share, and the tensors that they were packed from.

    Args:
        layer: the layer whose weights are packed.
        streaming_dtype: as in `Stream`.
        output: as in `Stream`.

    Attributes:
        packed: the weights as the machine code reads them.
        behind: the packed weights of the output layer, or None.
        error: the error report of `streaming_dtype`; None until it is measured.
    """

    def __init__(self, layer: Recurrent, streaming_dtype: torch.dtype | None, output: nn.Linear | None) -> None:
        self.layer, self.streaming_dtype, self.output, self.dtype = layer, streaming_dtype, output, dtype_of(layer)
        from ostinato.kernels.cpu.stream.linear import packed_linear

        kernel = self._kernel()
        with in_evaluation(layer, output):
            self._seen = _Seen(layer, output)
            self.packed = self._packed(kernel)
            self.behind = None if output is None else packed_linear(output.weight, output.bias, streaming_dtype)
        self.error: Any = None

    def _kernel(self) -> StreamKernel:
        """The code for what the step computes now; a user's step may read values that change."""
        watch = current(self.layer._cells[False]).watch
        kernel = kernel_of(self.layer, self.streaming_dtype)
        # Only now: what was packed for other values stays stale if there is no code for these.
        self._watch = watch if len(watch) else None  # the steps of this package read no such values
        return kernel

    def _packed(self, kernel: StreamKernel) -> PackedStack:
        from ostinato.kernels.cpu.stream.packed import PackedStack

        return PackedStack(kernel, tensors_of(self.layer), self.layer.options.connection == "residual")

    def is_stale(self) -> bool:
        """Whether the tensors behind the weights, or the values that the step reads, have changed since packing."""
        return self._seen.is_other() or (self._watch is not None and not self._watch.holds())

    def refresh(self) -> None:
        """Pack the weights anew."""
        # Reading a computed weight computes it, which in training mode may change its source (spectral norm).
        with in_evaluation(self.layer, self.output):
            check(self.layer, self.streaming_dtype, self.output)
            kernel = self._kernel()
            if (dtype := dtype_of(self.layer)) is not self.dtype:
                raise ConfigError(
                    f"the layer expected {self.dtype}, as when the stream was made, got {dtype}; make a new stream"
                )
            seen = _Seen(self.layer, self.output)
            if kernel is self.packed.kernel:
                self.packed.pack(tensors_of(self.layer))
            else:
                self.packed = self._packed(kernel)
            if self.behind is not None and self.output is not None:
                self._pack_behind(self.behind, self.output)
        self._seen = seen  # only now, so that weights that could not be packed stay stale
        self.error = None

    @staticmethod
    def _pack_behind(behind: PackedStack, output: nn.Linear) -> None:
        from ostinato.kernels.cpu.stream.linear import linear_tensors

        made = linear_tensors(output.weight, output.bias)
        if behind.widths[0]["H"] != len(output.weight) or ("parameter_bias_ih" in behind.records[0]) != bool(
            made.vectors
        ):
            raise ConfigError(
                "output expected as many units, and a bias or none, as when the stream was made; make a new stream"
            )
        behind.pack([made])


class _Seen:
    """A record of the tensors behind the weights at one moment: which objects, in which version, at which address."""

    def __init__(self, layer: Recurrent, output: nn.Linear | None) -> None:
        self._layer = layer
        parts: list[nn.Module] = [layer] if output is None else [layer, output]
        modules = [m for part in parts for m in part.modules()]
        tables = [table for m in modules for table in (m._parameters, m._buffers, m._modules)]
        self._tables = [(table, list(table.values())) for table in tables if table]
        self._empty = [table for table in tables if not table]
        self._tensors = [v for part in parts for v in (*part.parameters(), *part.buffers())]
        self._addresses = list(map(_address, self._tensors))
        # A square matrix may be transposed in place, which changes its strides only.
        self._square = [v for v in self._tensors if v.dim() == 2 and v.shape[0] == v.shape[1]]
        self._strides = list(map(_stride, self._square))
        # Keeps the memory alive, so that a tensor assigned through `.data` cannot get the same address.
        self._held = [v.detach() for v in self._tensors]
        self._versioned = [v for v in self._tensors if not v.is_inference()]
        self._versions = sum(map(_version, self._versioned))
        # Inference tensors have no version, and weights from a user's hooks cannot be traced to parameters: compare numbers.
        self._others = [v for v in self._tensors if v.is_inference()]
        self._names = _made_by_hooks_of_ones_own(layer)
        self._copies = [v.clone() for v in (*self._others, *self._weights())]

    def is_other(self) -> bool:
        """Whether the tensors differ from the record now."""
        # Versions only grow, and the objects are held here: equal sums mean equal versions.
        if (
            sum(map(_version, self._versioned)) != self._versions
            or list(map(_address, self._tensors)) != self._addresses
        ):
            return True
        for table, objects in self._tables:
            if len(table) != len(objects) or not all(map(is_, table.values(), objects)):
                return True
        return (
            any(self._empty)
            or (bool(self._square) and list(map(_stride, self._square)) != self._strides)
            or (bool(self._copies) and self._has_other_numbers())
        )

    def _has_other_numbers(self) -> bool:
        if self._names:
            with in_evaluation(self._layer):
                weights = self._weights()
        else:
            weights = []
        return not all(map(torch.equal, (*self._others, *weights), self._copies))

    def _weights(self) -> list[Tensor]:
        return [getattr(self._layer, name).detach() for name in self._names]


@contextlib.contextmanager
def in_evaluation(layer: Recurrent, output: nn.Linear | None = None) -> Generator[None]:
    """Put the layer into evaluation, without gradient, and let hooks make the weights that they make before each call.

    `torch.nn.utils.prune`, and the older `weight_norm` and `spectral_norm` without parametrizations, replace a parameter by a plain
    tensor and renew it in a forward pre-hook. Hooks are called as for an input of zeros, `(1, I)`.
    """
    every = chain(layer.modules(), () if output is None else output.modules())
    modes = [(m, m.training) for m in every]
    try:
        for module, _ in modes:
            module.training = False
        with torch.no_grad():
            if any(isinstance(v, Tensor) for v in vars(layer).values()):
                _call_hooks(layer)
            yield
    finally:
        for module, training in modes:
            module.training = training


def _hooks(layer: Recurrent) -> Mapping[int, Callable[..., Any]]:
    return layer._forward_pre_hooks  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _call_hooks(layer: Recurrent) -> None:
    weight: Tensor = layer.all_weights[0][0]
    step = weight.new_zeros(1, layer.input_size)
    for number, hook in list(_hooks(layer).items()):
        more: Any = ({},) if number in layer._forward_pre_hooks_with_kwargs else ()
        hook(layer, (step,), *more)


def _made_by_hooks_of_ones_own(layer: Recurrent) -> list[str]:
    """The names of the weights that are plain tensors made by a user's hooks, not by torch's own hooks."""
    by_torch = [h for h in _hooks(layer).values() if _is_of_torch(h)]
    known = {getattr(hook, attribute, None) for hook in by_torch for attribute in ("_tensor_name", "name")}
    return [name for name in layer._flat_weights_names if name in vars(layer) and name not in known]


def _is_of_torch(hook: Any) -> bool:
    return any(kind.__module__.startswith("torch.nn.utils.") for kind in type(hook).__mro__)


def check(layer: Any, streaming_dtype: Any, output: Any = None) -> None:
    """Raise `ConfigError` if the layer or an argument cannot be streamed."""
    if not isinstance(layer, Recurrent):
        raise ConfigError(
            f"Stream expected a recurrent layer of ostinato, got {told_kind(layer)}; "
            "ostinato.convert(module) replaces torch.nn's"
        )

    if layer.bidirectional:
        raise ConfigError(
            "Stream expected a layer of one direction, got a bidirectional one, which needs steps to come"
        )
    if layer.options.connection == "highway":
        raise ConfigError(
            "Stream expected connection None or 'residual', got 'highway'; call the layer itself step by step"
        )
    tensors = [*layer.parameters(), *layer.buffers()]
    found = sorted({f"{v.dtype} on {v.device.type}" for v in tensors if v.is_floating_point()})
    if found not in (["torch.float32 on cpu"], ["torch.float64 on cpu"]):
        raise ConfigError(
            f"Stream expected parameters of torch.float32 or torch.float64 on the CPU, got {', '.join(found)}"
        )
    if output is not None:
        _check_output(layer, output)
    held: Iterable[tuple[str, object]] = chain(layer.named_parameters(), layer.named_buffers(), vars(layer).items())
    for name, v in held:
        if isinstance(v, Tensor) and (wrong := missing(v)) is not None:
            raise ConfigError(f"{name} {wrong}")
    if streaming_dtype not in (None, torch.bfloat16, torch.int8):
        raise ConfigError(f"streaming_dtype expected None, torch.bfloat16 or torch.int8, got {streaming_dtype!r}")
    if streaming_dtype is not None and dtype_of(layer) is not torch.float32:
        raise ConfigError(
            f"streaming_dtype={streaming_dtype} expected a layer of torch.float32, got torch.float64; use layer.float()"
        )


def _check_output(layer: Recurrent, output: Any) -> None:
    if not isinstance(output, nn.Linear) or type(output).forward is not nn.Linear.forward:
        raise ConfigError(f"output expected a torch.nn.Linear, whose forward is its own, got {type(output).__name__}")
    if output._forward_hooks or output._forward_pre_hooks:  # pyright: ignore[reportUnknownMemberType]
        raise ConfigError("output expected a layer without hooks, which a stream does not call; remove them")
    if "weight" in vars(output):  # a plain tensor that a hook makes before each call
        raise ConfigError("output expected a weight that is a parameter or has a parametrization, got a plain tensor")
    width, dtype = layer.proj_size or layer.hidden_sizes[-1], dtype_of(layer)
    weight, bias = output.weight, cast("Tensor | None", output.bias)
    if weight.dim() != 2 or weight.shape[1] != width or not len(weight):
        raise ConfigError(
            f"output expected in_features={width}, as wide as the layer's output, and a weight (O, {width}) with O at least 1; got "
            f"{tuple(weight.shape)}"
        )
    for name, v, shape in (("weight", weight, weight.shape), ("bias", bias, weight.shape[:1])):
        if v is None:
            continue
        if v.dtype is not dtype or not v.is_cpu or v.shape != shape:
            raise ConfigError(
                f"output.{name} expected {tuple(shape)}, {dtype} on the CPU, got {tuple(v.shape)}, {v.dtype} on {v.device}"
            )
        if (wrong := missing(v)) is not None:
            raise ConfigError(f"output.{name} {wrong}")


def dtype_of(layer: Recurrent) -> torch.dtype:
    """The dtype of the layer's weights."""
    return layer.all_weights[0][0].dtype


def kernel_of(layer: Recurrent, held: torch.dtype | None) -> StreamKernel:
    """The code of the layer's cell, with weights stored in `held` (None: as they are); raises `ConfigError` if there is none."""
    try:
        from ostinato.kernels.cpu.stream.kernel import stream_kernel
    except ImportError as error:
        raise ConfigError(f"Stream needs llvmlite, which cannot be imported ({error}); install it") from error
    found = stream_kernel(layer._cells[False], layer.bias, dtype_of(layer) is torch.float64, held)
    why = _refused(layer, found)
    if isinstance(found, Unsupported) or why is not None:
        raise ConfigError(f"this stream needs a cell that the compiler takes, and {why}; make a new stream")
    return found


def refusal(layer: Recurrent) -> str | None:
    """Why the compiler has no code for the layer's cell, or None."""
    try:
        from ostinato.kernels.cpu.stream.kernel import stream_kernel
    except ImportError:
        return None  # `kernel_of` raises, and says what to install
    return _refused(layer, stream_kernel(layer._cells[False], layer.bias, dtype_of(layer) is torch.float64, None))


def _refused(layer: Recurrent, found: StreamKernel | Unsupported) -> str | None:
    if isinstance(found, Unsupported):
        return str(found)
    for at, hidden in enumerate(layer.hidden_sizes):
        sizes = layer._input_size(at), hidden, layer.proj_size or hidden
        widths = layer._cells[False].widths_at(*sizes[:2], layer.proj_size)
        if (why := found.too_few(widths.every())) is not None:
            return why
        if found.observed is not None and (why := found.observed.differs(1, *sizes)) is not None:
            return why
    return None


def tensors_of(layer: Recurrent) -> list[LayerTensors]:
    """The parameters as they are now, layer by layer."""
    from ostinato.kernels.cpu.stream.packed import LayerTensors

    cell = layer._cells[False]
    made: list[LayerTensors] = []
    for at, hidden in enumerate(layer.hidden_sizes):
        weights = {name: v.detach() for name, v in layer._multiplied(at, 0).items()}
        inputs = layer._input_size(at)
        for name, shape in cell.parameter_sizes(inputs, hidden, layer.proj_size, layer.bias).items():
            if (got := tuple(weights[name].shape)) != shape:
                raise ConfigError(f"Stream expected {name}_l{at} of the shape {shape}, got {got}; make the layer anew")
        # In evaluation a mask is its mean, one number.
        like = weights["weight_ih"].new_zeros(1, 1)
        masks = {noise.name: float(noise.draw(1, like, False).flatten()[0]) for noise in cell.noise}
        rest = {name: v for name, v in weights.items() if name != "weight_ih"}
        matrices = {name: v for name, v in rest.items() if v.dim() == 2}
        vectors = {name: v for name, v in rest.items() if v.dim() == 1}
        widths = cell.widths_at(inputs, hidden, layer.proj_size).every()
        made.append(LayerTensors(weights["weight_ih"], matrices, vectors, widths, layer._extra_sizes, masks))
    return made
