"""Cells compiled from their step for this machine's CPU, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch._C._functorch import maybe_current_level

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request, Result, Weights
from ostinato.kernels.vendor import Vendor
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.cpu.recurrence import Recurrence

_COMPUTED_IN = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
}


class Compiled:
    """Machine code made from the step: traced, differentiated by PyTorch, emitted as vectors around packed matrix products."""

    name = "compiled"

    @staticmethod
    def is_faster(input: Tensor) -> bool:
        """Whether it is faster than torch's kernels, where both run a cell: as measured by `make bench`."""
        # In bfloat16, oneDNN multiplies with the processor's matrix unit where it has one.
        wide = input.dtype in (torch.float32, torch.float64)
        return input.device.type == "cpu" and wide and not torch.is_autocast_enabled("cpu")

    def refusal(self, request: Request) -> str | None:
        """Why it cannot run this request, or None."""
        tensors = _tensors(request)
        if not _on_cpu(tensors):
            return f"it compiles for the CPU, and the input is on {request.input.device.type}"
        if request.input.dtype not in _COMPUTED_IN:
            return f"it computes in float32 and float64, not in {request.input.dtype}"
        autocast = torch.is_autocast_enabled("cpu")
        if not autocast and len({v.dtype for v in tensors}) > 1:
            return "input, states and parameters have several dtypes"
        if special := [type(v).__name__ for v in tensors if type(v) not in (torch.Tensor, torch.nn.Parameter)]:
            return f"the input or a parameter is a {special[0]}"
        if request.input.shape[0] == 0 or request.input.shape[1] == 0:
            return "there is nothing to compute"
        if not self.is_faster(request.input) and Vendor().refusal(request) is None:
            return "torch's kernel multiplies in the smaller dtype, which was measured to be faster"
        if torch.compiler.is_compiling() or maybe_current_level() is not None:
            return "inside torch.compile and torch.func it is not ready yet"
        return reason(request.cell, request.weights.bias_ih is not None, request.input.dtype is torch.float64)

    def acceptance(self, request: Request) -> str:
        """What it will run."""
        from ostinato.kernels.cpu.kernel import shape

        lanes = shape(request.input.dtype is torch.float64).lanes
        return f"the step of {request.cell.name!r} compiled for this CPU, {lanes} numbers at a time"

    def run(self, request: Request) -> Result:
        """Run it; see `Request` and `Result` for the shapes."""
        from ostinato.kernels.cpu.recurrence import Recurrence

        given = request.input.dtype
        cell = request.cell
        what = Recurrence(
            cell,
            request.weights.bias_ih is not None,
            "P" in cell.states.values(),
            request.reverse,
            request.every_state,
            request.segment,
        )
        dtype = _COMPUTED_IN[request.weights.ih.dtype]
        names, tensors = zip(*_named(request).items(), strict=True)
        tensors = [v if v.dtype is dtype else v.to(dtype) for v in tensors]
        masks = {name: mask if mask.dtype is dtype else mask.to(dtype) for name, mask in request.masks.items()}
        call = _Call(what, names, masks, request.lengths)
        if torch.is_grad_enabled() and any(v.requires_grad for v in tensors):
            found = _Autograd.apply(call, *tensors)
        else:
            found = call.outputs(call.forward(tensors, save=False))
        if not torch.is_autocast_enabled("cpu"):
            found = [v if v.dtype is given else v.to(given) for v in found]
        shown = dict(zip(what.shown, found, strict=False))
        last = State(**dict(zip(cell.states, found[len(shown) :], strict=True)))
        return Result(shown[cell.output], last, State(**shown) if request.every_state else None)


def _on_cpu(tensors: list[Tensor]) -> bool:
    return all(v.device.type == "cpu" for v in tensors)


def reason(cell: Cell, bias: bool, double: bool) -> str | None:
    """Why the compiler does not take a cell, or None; compiles it if it does."""
    try:
        from ostinato.kernels.cpu.kernel import Kernel, kernel
    except ImportError as error:
        return f"llvmlite cannot be imported ({error})"
    found = kernel(cell, bias, "P" in cell.states.values(), double)
    return None if isinstance(found, Kernel) else str(found)


def _named(request: Request) -> dict[str, Tensor]:
    """Every tensor that may have a gradient, in a fixed order."""
    weights = request.weights
    found = {"input": request.input, "weight_ih": weights.ih, "weight_hh": weights.hh}
    found |= {"bias_ih": weights.bias_ih, "bias_hh": weights.bias_hh, **weights.own}
    found |= {f"first {name}": getattr(request.first, name) for name in request.cell.states}
    return {name: v for name, v in found.items() if v is not None}


def _tensors(request: Request) -> list[Tensor]:
    return [*_named(request).values(), *request.masks.values()]


@dataclass(frozen=True)
class _Call:
    """A request taken apart: what autograd may see, and the rest."""

    what: Recurrence
    names: tuple[str, ...]
    masks: Mapping[str, Tensor]
    lengths: Tensor | None

    def tensors(self, given: Any) -> Any:
        """As the compiled functions want them."""
        from ostinato.kernels.cpu.recurrence import Tensors

        by_name = dict(zip(self.names, given, strict=True))
        rest = {n: v for n, v in by_name.items() if n not in ("input", "weight_ih") and not n.startswith("first ")}
        return Tensors(
            by_name["input"],
            by_name["weight_ih"],
            {name: v for name, v in rest.items() if v.dim() == 2},
            {name: v for name, v in rest.items() if v.dim() == 1},
            {name.removeprefix("first "): v for name, v in by_name.items() if name.startswith("first ")},
            self.masks,
            self.lengths,
        )

    def forward(self, given: Any, *, save: bool) -> Any:
        """Run it."""
        from ostinato.kernels.cpu.recurrence import forward

        return forward(self.what, self.tensors(given), save)

    def outputs(self, outcome: Any) -> list[Tensor]:
        """What was shown, then the last states."""
        return [*(outcome.shown[n] for n in self.what.shown), *(outcome.last[n] for n in self.what.cell.states)]

    def request(self, given: Any) -> Request:
        """Put together again."""
        tensors = self.tensors(given)
        own = {p.name: {**tensors.matrices, **tensors.vectors}[p.name] for p in self.what.cell.parameters}
        weights = Weights(
            tensors.weight_ih,
            tensors.matrices.get("weight_hh"),
            tensors.vectors.get("bias_ih"),
            tensors.vectors.get("bias_hh"),
            own,
        )
        first = State(**tensors.first)
        what = self.what
        return Request(
            what.cell, tensors.input, weights, first, self.lengths, what.reverse, self.masks, what.every_state
        )


class _Autograd(torch.autograd.Function):
    """The compiled passes under autograd. A gradient that is itself to be differentiated comes from the reference."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *given: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        outcome = call.forward(given, save=True)
        ctx.call, ctx.kept = call, outcome.kept
        ctx.set_materialize_grads(False)
        found = call.outputs(outcome)
        # Also the outputs, which the backward pass reads: autograd then notices a change of them in place.
        ctx.save_for_backward(*given, *found[: len(call.what.shown)])
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        from ostinato.kernels.cpu.recurrence import backward

        call: _Call = ctx.call
        given = ctx.saved_tensors[: len(call.names)]
        needed = dict(zip(call.names, ctx.needs_input_grad[1:], strict=True))
        if torch.is_grad_enabled():
            return None, *_differentiable(call, given, gradients, needed)
        what = call.what
        shown = dict(zip(what.shown, gradients, strict=False))
        last = dict(zip(what.cell.states, gradients[len(shown) :], strict=True))
        tensors = call.tensors(given)
        weights = {name: needed[name] for name in ("weight_ih", *tensors.matrices)}
        found = backward(what, tensors, ctx.kept, shown, last, input=needed["input"], weights=weights)
        by_name = {
            "input": found.x,
            **found.weights,
            **found.vectors,
            **{f"first {n}": v for n, v in found.first.items()},
        }
        return None, *(by_name.get(name) if needed[name] else None for name in call.names)


def _differentiable(
    call: _Call, given: Any, gradients: tuple[Tensor | None, ...], needed: Mapping[str, bool]
) -> list[Tensor | None]:
    """The gradients as functions that autograd can follow: those of the reference."""
    with torch.enable_grad():
        # Views, so that a gradient with respect to them is not one with respect to what they were computed from.
        inside = [v.view_as(v) if v.requires_grad else v for v in given]
        result = Reference().run(call.request(inside))
        shown = [getattr(result.states, n) for n in call.what.shown] if result.states is not None else [result.output]
        outputs = [*shown, *(getattr(result.last, n) for n in call.what.cell.states)]
        pairs = [(o, g) for o, g in zip(outputs, gradients, strict=True) if g is not None and o.requires_grad]
        wanted = [v for v, name in zip(inside, call.names, strict=True) if needed[name]]
        found = torch.autograd.grad(
            [o for o, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True
        )
    by_name = iter(found)
    return [next(by_name) if needed[name] else None for name in call.names]
