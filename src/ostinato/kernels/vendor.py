"""The backend "vendor": torch's own kernels (oneDNN, cuDNN, and ATen's loops) for plain cells, where they are fastest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import _VF
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.kernels.request import Request, Result
from ostinato.recorded import is_differentiated_forward, is_mapped
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.call import CallSpec

ELMAN = ("RNN_TANH", "RNN_RELU")
# By the mode that a cell's description names. torch offers these through its private `_VF` only, as torch.nn itself calls them.
_KERNELS: dict[str, Callable[..., Any]] = {
    "LSTM": _VF.lstm,
    "GRU": _VF.gru,
    "RNN_TANH": _VF.rnn_tanh,
    "RNN_RELU": _VF.rnn_relu,
}
_STEPS: dict[str | None, Callable[..., Any]] = {
    "LSTM": _VF.lstm_cell,
    "GRU": _VF.gru_cell,
    "RNN_TANH": _VF.rnn_tanh_cell,
    "RNN_RELU": _VF.rnn_relu_cell,
}


class Vendor:
    """torch's kernels, called once for a layer and direction; with lengths on CPU, for each run of steps with the same rows."""

    name = "vendor"
    devices = None
    takes_packed = takes_segments = False

    def is_faster(self, cell: Any, input: Any) -> bool:
        """False: the other backends are compared with it."""
        return False

    def binds(self, input: Any) -> bool:
        """False: whoever asks for this backend by name wants the calls that torch.nn makes."""
        return False

    def refusal(self, request: Request) -> str | None:
        """Why torch's kernels cannot run this request; None if they can."""
        cell = request.cell
        if unknown := [option for option in cell.options if option != "projection"]:
            return f"torch's kernels do not know {', '.join(unknown)}"
        if cell.vendor is None:
            return f"torch has no kernel for the cell {cell.name!r}"
        if cell.vendor not in _KERNELS:
            return f"torch has no kernel {cell.vendor!r}, which the cell {cell.name!r} names"
        if request.every_state and len(cell.states) > 1:
            return "torch's kernels give only the output at every step, and all states were asked for"
        if request.lengths is not None and request.lengths.is_meta:
            return "the lengths decide how torch's kernels are called, and a meta tensor has no values"
        if request.lengths is not None and torch.compiler.is_compiling():
            return "the lengths decide how torch's kernels are called, and in a graph they have no values"
        # In a graph it is not yet known which library torch will use.
        if is_differentiated_forward() and (
            torch.compiler.is_compiling() or self.library(cell, request.input) != "ATen"
        ):
            return "oneDNN and cuDNN take gradients backward, not forward (torch.func.jvp)"
        if is_mapped():
            return "torch.vmap does not map torch's kernels"
        return None

    def reluctance(self, request: Request) -> str | None:
        """None: it never leaves a request that it can run to another backend."""
        return None

    def acceptance(self, request: Request) -> str:
        """Say what it will run."""
        return f"torch's {request.cell.vendor} kernel ({self.library(request.cell, request.input)})"

    @staticmethod
    def library(cell: Cell, input: Tensor) -> str:
        """Which library torch uses for such an input: cuDNN, oneDNN (on CPU, for the plain LSTM alone), or its own loop in ATen."""
        if input.is_cuda and torch.backends.cudnn.is_acceptable(input):
            return "cuDNN"
        on_cpu = input.device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
        known = cell.vendor == "LSTM" and "projection" not in cell.options and input.dtype is not torch.float64
        return "oneDNN" if on_cpu and known else "ATen"

    @staticmethod
    def autocast_dtypes(request: Request) -> dict[str, torch.dtype]:
        """The dtype of each state under autocast on CPU."""
        cell, low = request.cell, torch.get_autocast_dtype("cpu")
        first = {name: getattr(request.first, name).dtype for name in cell.states}
        if cell.vendor == "GRU":
            return first  # a new state is a sum with the old one
        is_projected = "projection" in cell.options
        if cell.vendor == "LSTM" and (request.packed or is_projected):  # not oneDNN, but ATen's own loop
            # c is such a sum, too, and h has the dtype of c unless it is projected: then it comes from a product.
            return {**first, cell.output: low} if is_projected else first
        return dict.fromkeys(first, low)

    def bind(self, spec: CallSpec, given: Sequence[Tensor], is_one_step: bool) -> _Step | None:
        """Bind a single step of one layer of Elman's network, for which torch's function is the quickest; None for all else."""
        if not is_one_step or spec.packed or spec.places > 1 or spec.every_state or spec.cell.options:
            return None
        return _Step(spec) if spec.cell.vendor in ELMAN else None

    def run(self, request: Request) -> Result:
        """Run the request; see `Request` and `Result` for the shapes."""
        if request.lengths is not None:
            on_gpu = request.input.is_cuda
            return (self._run_packed if on_gpu else self._run_lengths)(request, request.lengths)
        input = request.input.flip(0) if request.reverse else request.input
        output, last = self._call(request, input, request.first)
        return self._result(request, output.flip(0) if request.reverse else output, last)

    def _run_packed(self, request: Request, lengths: Tensor) -> Result:
        """Make one call for all lengths. torch wants the lengths on the CPU, so it waits once for the device to send them."""
        if request.input.shape[1] == 0:
            return self.run(replace(request, lengths=None))
        steps, known = request.input.shape[0], request.known_lengths
        ends = (lengths if known is None else known).cpu()
        past = (torch.arange(steps, device=lengths.device)[:, None] >= lengths)[:, :, None]
        input = request.input.masked_fill(past, 0)
        if request.reverse:
            input = _reverse_rows(input, lengths)
        # torch takes no rows without steps: such a row gets one step of zeros, whose results are dropped.
        packed = pack_padded_sequence(input, ends.clamp(min=1), enforce_sorted=False)
        order, back = packed.sorted_indices, packed.unsorted_indices
        names = request.cell.states
        first = State(**{n: getattr(request.first, n).index_select(0, order) for n in names})
        data, last = self._call(request, packed.data, first, packed.batch_sizes)
        output, _ = pad_packed_sequence(packed._replace(data=data), total_length=steps)
        output = output.masked_fill(past, 0)
        nothing = (lengths == 0)[:, None]
        states = {n: getattr(last, n).index_select(0, back) for n in names}
        states = {n: torch.where(nothing, getattr(request.first, n).to(v.dtype), v) for n, v in states.items()}
        return self._result(request, _reverse_rows(output, lengths) if request.reverse else output, State(**states))

    def _call(
        self, request: Request, input: Tensor, first: State, batch_sizes: Tensor | None = None
    ) -> tuple[Tensor, State]:
        cell, weights = request.cell, request.weights
        parts = (weights.ih, weights.hh, weights.bias_ih, weights.bias_hh, *weights.own.values())
        flat = [v for v in parts if v is not None]
        hx = [s.unsqueeze(0) for s in first]
        training = torch.is_grad_enabled()  # only keeps what the backward pass needs: dropout is 0 here
        kernel = _KERNELS[cell.vendor or ""]
        before = hx if len(hx) > 1 else hx[0]
        bias = weights.bias_ih is not None
        if batch_sizes is None:
            output, *last = kernel(input, before, flat, bias, 1, 0.0, training, False, False)
        else:
            output, *last = kernel(input, batch_sizes, before, flat, bias, 1, 0.0, training, False)
        return output, State(**{name: v.squeeze(0) for name, v in zip(cell.states, last, strict=True)})

    @staticmethod
    def _result(request: Request, output: Tensor, last: State) -> Result:
        return Result(output, last, State(**{request.cell.output: output}) if request.every_state else None)

    def _run_lengths(self, request: Request, lengths: Tensor) -> Result:
        steps, rows = request.input.shape[:2]
        if rows == 0:
            return self.run(replace(request, lengths=None))
        if (
            not lengths.any()
        ):  # the zeros must still depend on the parameters, so that the gradients of these are zero and not missing
            nothing = request.input.masked_fill(torch.ones((), dtype=torch.bool, device=lengths.device), 0)
            output = 0 * self.run(replace(request, input=nothing, lengths=None)).output
            return self._result(request, output, State(**{n: getattr(request.first, n) for n in request.cell.states}))
        order = torch.argsort(lengths, descending=True, stable=True)
        back = torch.argsort(order)
        sorted_lengths = lengths[order]
        input = request.input[:, order]
        if request.reverse:
            input = _reverse_rows(input, sorted_lengths)
        state = State(**{n: getattr(request.first, n)[order] for n in request.cell.states})
        ends: list[int] = sorted_lengths.tolist()
        # All steps between two ends have the same rows, the first `active` ones: shorter rows are last in the sorted batch.
        outputs: list[Tensor] = []
        finished: list[State] = []
        start, active = 0, rows
        for end in sorted(set(ends)):
            if end > start:
                output, state = self._call(request, input[start:end, :active], state)
                outputs.append(F.pad(output, (0, 0, 0, rows - active)))
                start = end
            staying = sum(length > end for length in ends)
            finished.insert(0, State(**{n: getattr(state, n)[staying:] for n in request.cell.states}))
            state = State(**{n: getattr(state, n)[:staying] for n in request.cell.states})
            active = staying
        width = getattr(request.first, request.cell.output).shape[-1]
        if start < steps:
            outputs.append((outputs[0] if outputs else input).new_zeros(steps - start, rows, width))
        output = torch.cat(outputs)
        if request.reverse:
            output = _reverse_rows(output, sorted_lengths)
        # Under autocast the states that a row of length 0 was given may have another dtype than the kernel's.
        last = {n: torch.cat([getattr(s, n).to(output.dtype) for s in finished])[back] for n in request.cell.states}
        return self._result(request, output[:, back], State(**last))


class _Step:
    """A bound call of torch's function for one layer and one step; torch checks the tensors itself."""

    def __init__(self, spec: CallSpec) -> None:
        self._bias, self._kernel = spec.bias, _KERNELS[spec.cell.vendor or ""]

    def look(self, given: Sequence[Tensor]) -> bool:
        """See `Bound`."""
        return True

    def run(
        self,
        given: Sequence[Tensor],
        now: Any,
        masks: Sequence[Tensor],
        lengths: Tensor | None,
        idle: frozenset[str] = frozenset(),
    ) -> Sequence[Tensor]:
        """See `Bound`."""
        end = 5 if self._bias else 3
        x, weights, first = given[0], given[1:end], given[end:]
        before = first[0] if first else x.new_zeros(1, x.shape[1], weights[1].shape[1])
        return self._kernel(x, before, weights, self._bias, 1, 0.0, torch.is_grad_enabled(), False, False)


def step_function(cell: Cell) -> Callable[..., Any] | None:
    """torch's function for one step of a cell, `(input, hx, weight_ih, weight_hh, bias_ih, bias_hh)`; None if there is none."""
    return None if cell.options else _STEPS.get(cell.vendor)


def _reverse_rows(v: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first `lengths[b]` steps of each row and leave the rest as it is: `(T, B, F)`, `(B,)`."""
    t = torch.arange(v.shape[0], device=v.device)[:, None]
    at = torch.where(t < lengths, lengths - 1 - t, t)
    return v.gather(0, at[:, :, None].expand_as(v))
