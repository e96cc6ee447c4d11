"""The backend "compiled": machine code for this machine's CPU, forward and backward, made from a cell's step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ostinato.cells.spec import Cell, numbered
from ostinato.kernels.backend import Bound
from ostinato.kernels.call import CallSpec, named, result_of, shown_names, spec_of
from ostinato.kernels.compiler.fits import reason_at_sizes, too_few, too_few_of_request, unknown_sizes
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.graphs import ops
from ostinato.kernels.graphs.operator_key import spell
from ostinato.kernels.request import Request, Result
from ostinato.kernels.storage import check_storage
from ostinato.kernels.vendor import ELMAN, Vendor
from ostinato.recorded import is_differentiated_forward, is_for_onnx, is_recorded, is_traced_for_onnx
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.cpu.code.kernel import Kernel

_COMPUTED_IN = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
}


def has_fast_bf16() -> bool:
    """Whether this processor multiplies matrices of bfloat16 in hardware: with tile instructions (AMX), or Arm's bf16 products.

    AVX-512 BF16 does not count: the conversions around the product cost what the product gains.
    """
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("sve_bf16"))


class Compiled:
    """Machine code made from the step: traced, differentiated by PyTorch, emitted as vectors around packed matrix products."""

    name = "compiled"
    devices = None
    takes_packed = takes_segments = True

    @staticmethod
    def is_faster(cell: Cell, input: Tensor) -> bool:
        """Whether it is faster than torch's kernels on a cell that both can run, as measured by `make bench`."""
        if input.device.type != "cpu":
            return False
        if _is_elmans_step(cell, input):
            return False  # nearly all of its time is the work around the kernel
        if torch.is_autocast_enabled("cpu"):
            if Vendor.library(cell, input) != "oneDNN":
                return True
            # In float16 oneDNN has no forward pass for training.
            is_bf16 = torch.get_autocast_dtype("cpu") is torch.bfloat16
            return _has_tiles() if is_bf16 else torch.is_grad_enabled()
        # In bfloat16 oneDNN multiplies with the processor's matrix unit if there is one. ATen's loops lose more around each step
        # than the unit gains them.
        return input.dtype in (torch.float32, torch.float64) or Vendor.library(cell, input) != "oneDNN"

    def refusal(self, request: Request) -> str | None:
        """Why it cannot run this request; None if it can."""
        tensors = _tensors(request)
        if not _on_cpu(tensors):
            return f"it compiles for the CPU, and the input is on {request.input.device.type}"
        if request.input.dtype not in _COMPUTED_IN:
            return f"it computes in float32 and float64, not in {request.input.dtype}"
        autocast = torch.is_autocast_enabled("cpu")
        if not autocast and len({v.dtype for v in tensors}) > 1:
            return "input, states and parameters have several dtypes"
        special = [type(v).__name__ for v in tensors if type(v) not in (torch.Tensor, torch.nn.Parameter)]
        if special and not is_recorded():  # while recording, tensors are of torch's own special classes
            return f"the input or a parameter is a {special[0]}"
        if request.input.shape[0] == 0 or (request.input.shape[1] == 0 and not request.packed):
            return "there is nothing to compute"
        if is_traced_for_onnx():
            return "torch's older exporter to ONNX does not know its operators"
        if is_differentiated_forward():
            return "its gradients are taken backward, not forward (torch.func.jvp)"
        number, bias, double = (
            request.cell.number,
            request.weights.bias_ih is not None,
            request.input.dtype is torch.float64,
        )
        if torch.compiler.is_compiling():
            if (why := reason(number, bias, double)) is not None:
                return why
            if is_for_onnx():  # an export fixes all sizes but that of the batch
                return reason_for_any_rows(number, bias, double, *_widths(request))
            return reason_in_graphs(number, bias, double)
        found = _kernel(request.cell, bias, double)
        if isinstance(found, str):
            return found
        if (why := too_few_of_request(found.description.least, request)) is not None:
            return why
        return None if found.observed is None else reason_at_sizes(found.observed, request)

    def reluctance(self, request: Request) -> str | None:
        """Why "auto" should ask the next backend, although this one can run the request; None if it should not."""
        # With torch's kernels, a recording would hold all of their operations, step by step.
        if is_recorded() or self.is_faster(request.cell, request.input) or Vendor().refusal(request) is not None:
            return None
        if _is_elmans_step(request.cell, request.input):
            # With lengths, torch's kernel would be called several times.
            return None if request.lengths is not None else "torch's kernel was measured to be faster for a single step"
        return "torch's kernel multiplies in the smaller dtype, which was measured to be faster"

    def acceptance(self, request: Request) -> str:
        """Say what it will run."""
        from ostinato.kernels.cpu.code.kernel import shape

        lanes = shape(request.input.dtype is torch.float64).lanes
        products = (
            ", matrices in bfloat16" if not is_recorded() and _in_bf16(_COMPUTED_IN[request.weights.ih.dtype]) else ""
        )
        return f"the step of {request.cell.name!r} compiled for this CPU, {lanes} numbers at a time{products}"

    @staticmethod
    def binds(input: Tensor) -> bool:
        """Whether it may be able to bind a call with such an input."""
        return input.is_cpu and input.dtype in (torch.float32, torch.float64)

    def bind(self, spec: CallSpec, given: Sequence[Tensor], is_one_step: bool) -> Bound | None:
        """Bind a stack of layers whose tensors are all plain, of one dtype, with their numbers in memory; see `Backend`."""
        kinds = {type(v) for v in given}
        if not kinds <= {torch.Tensor, torch.nn.Parameter} or not _on_cpu(list(given)) or not given[0].numel():
            return None
        dtype = given[0].dtype
        if (
            dtype not in (torch.float32, torch.float64)
            or any(v.dtype is not dtype for v in given)
            or is_traced_for_onnx()
        ):
            return None
        found = _kernel(spec.cell, spec.bias, dtype is torch.float64)
        if isinstance(found, str) or (found.observed is not None and found.observed.where is not None):
            return None
        from ostinato.kernels.cpu.run.bound import BoundCall
        from ostinato.kernels.cpu.run.sizes import sizes_of

        check_storage(zip(spec.names, given, strict=True))
        from ostinato.kernels.graphs.autograd import BoundNode

        try:
            call = BoundCall(spec, found, *sizes_of(spec, given), is_own=True)
        except Unsupported:  # the compiler does not take the cell at these sizes
            return None
        call.check_parameters(given)
        return BoundNode(call) if call.look(given) is not None else None

    def run(self, request: Request) -> Result:
        """Run the request; see `Request` and `Result` for the shapes."""
        cell, every_state = request.cell, request.every_state
        bias = request.weights.bias_ih is not None
        dtype = _COMPUTED_IN[request.weights.ih.dtype]
        recorded = is_recorded()
        if not recorded:
            check_storage([*named(request).items(), *request.masks.items()])
        given = [v if v.dtype is dtype else v.to(dtype) for v in named(request).values()]
        if not recorded:
            given = list(map(_in_memory, given))
        masks = [request.masks[noise.name] for noise in cell.noise]
        masks = [v if v.dtype is dtype else v.to(dtype) for v in masks]
        if recorded:
            what = spelled(cell.number, bias, request.reverse, every_state, request.segment)
            found = ops.recurrence(what, given, masks or given[:1], request.lengths)
        else:
            from ostinato.kernels.cpu.run.bound import bound
            from ostinato.kernels.graphs.autograd import run_bound

            call = bound(spec_of(request, cell.has_whole_products and _in_bf16(dtype)), given)
            call.check_parameters(given)
            found = run_bound(call, given, None, masks, request.lengths, request.idle)
        names, dtypes = (*shown_names(cell, every_state), *cell.states), _shown_dtypes(request, dtype)
        found = [v if v.dtype is dtypes[n] else v.to(dtypes[n]) for n, v in zip(names, found, strict=True)]
        return result_of(request, found)


def _in_memory(v: Tensor) -> Tensor:
    """The tensor with its true numbers in memory: those of a negative view, and the zeros of torch's ZeroTensor, are not there."""
    if v._is_zerotensor():
        return v + torch.zeros(v.shape, dtype=v.dtype, device="cpu")
    return v.resolve_neg() if v.is_neg() else v


def _is_elmans_step(cell: Cell, input: Tensor) -> bool:
    """Whether it is a single step of Elman's network, in `(1, B, I)`."""
    return cell.vendor in ELMAN and not cell.options and input.dim() == 3 and input.shape[0] == 1


def _shown_dtypes(request: Request, computed: torch.dtype) -> dict[str, torch.dtype]:
    """The dtype of each state that is given: that of the input.

    Under autocast it is the dtype that torch's kernel gives or, if torch has none for the cell, the dtype computed in.
    """
    if not torch.is_autocast_enabled("cpu"):
        return dict.fromkeys(request.cell.states, request.input.dtype)
    if computed is torch.float32 and Vendor().refusal(request) is None:
        return Vendor.autocast_dtypes(request)
    return dict.fromkeys(request.cell.states, computed)


def _has_tiles() -> bool:
    try:
        from ostinato.kernels.cpu.code import tiles
    except ImportError:  # without llvmlite nothing is compiled
        return False
    return tiles.has_tiles()


def _in_bf16(computed: torch.dtype) -> bool:
    """Whether autocast allows bfloat16, and the processor multiplies it much faster than float32."""
    if not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") is not torch.bfloat16:
        return False
    return computed is torch.float32 and has_fast_bf16()


def _on_cpu(tensors: list[Tensor]) -> bool:
    return all(v.device.type == "cpu" for v in tensors)


def _kernel(cell: Cell, bias: bool, double: bool) -> Kernel | str:
    """The compiled cell, or why the compiler does not take it."""
    try:
        from ostinato.kernels.cpu.code.kernel import Kernel, kernel
    except ImportError as error:
        return f"llvmlite cannot be imported ({error})"
    found = kernel(cell, bias, "P" in cell.states.values(), double)
    return found if isinstance(found, Kernel) else str(found)


def _widths(request: Request) -> tuple[int, int, int]:
    """I, H and P."""
    cell, weight = request.cell, request.weights.ih
    return weight.shape[1], weight.shape[0] // len(cell.input_gates), getattr(request.first, cell.output).shape[1]


def reason(number: int, bias: bool, double: bool) -> str | None:
    """Why the compiler does not take a cell; None if it does, and then the cell is compiled."""
    found = _kernel(numbered(number), bias, double)
    return found if isinstance(found, str) else None


def reason_in_graphs(number: int, bias: bool, double: bool) -> str | None:
    """Why no graph of torch.compile may hold the cell; None if one may, or if the compiler does not take the cell."""
    found = _kernel(numbered(number), bias, double)
    if isinstance(found, str) or found.observed is None or found.observed.where is None:
        return None
    return unknown_sizes(found.observed.where)


def reason_for_any_rows(number: int, bias: bool, double: bool, inputs: int, hidden: int, projected: int) -> str | None:
    """Why a graph in which the number of rows is open may not hold a cell of these sizes; None if it may."""
    cell = numbered(number)
    found = _kernel(cell, bias, double)
    if isinstance(found, str):
        return found
    widths = cell.widths_at(inputs, hidden, projected if "P" in cell.states.values() else 0)
    if found.description.least and (why := too_few(found.description.least, widths.every())) is not None:
        return why
    if found.observed is None or found.observed.where is None:
        return None
    reasons = (found.observed.differs(rows, inputs, hidden, projected) for rows in (1, 2, 5))
    return next((reason for reason in reasons if reason is not None), None)


def spelled(number: int, bias: bool, reverse: bool, every_state: bool, segment: int) -> str:
    """The text that tells an operator which recurrence it runs; see `spell`."""
    return spell(numbered(number), bias, reverse, every_state, segment)


# torch.compile may call these once and keep the result for good, as they depend on the cell and on constants alone. The cell is
# passed as its number: torch 2.11 and 2.12 take no objects here. torch.compiler.assume_constant_result would set the same mark,
# but imports the whole of torch.compile.
for _constant in (reason, reason_in_graphs, reason_for_any_rows, spelled):
    _constant._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def _tensors(request: Request) -> list[Tensor]:
    return [*named(request).values(), *request.masks.values()]
