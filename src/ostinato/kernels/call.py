"""A request as a flat list of tensors and a few constants, and put together again: how autograd and graphs want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.kernels.packed import run_padded
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request, Weights
from ostinato.kernels.storage import check_storage
from ostinato.types import Tensor

if TYPE_CHECKING:
    from ostinato.kernels.cpu.recurrence import Outcome, Recurrence, Tensors

_FIRST = "first "  # before the name of a state, as a parameter may have the same name


def named(request: Request) -> dict[str, Tensor]:
    """Every tensor that may have a gradient, in the order of `operand_names`."""
    weights = request.weights
    found = {"input": request.input, "weight_ih": weights.ih, "weight_hh": weights.hh}
    found |= {"bias_ih": weights.bias_ih, "bias_hh": weights.bias_hh, **weights.own}
    found |= {_FIRST + name: getattr(request.first, name) for name in request.cell.states}
    return {name: v for name, v in found.items() if v is not None}


def operand_names(cell: Cell, bias: bool) -> tuple[str, ...]:
    """The names of the tensors that may have a gradient: input, weights, biases, the cell's own parameters, first states."""
    # Kept with the cell: a table of cells would keep them for good.
    known: dict[bool, tuple[str, ...]] = vars(cell).setdefault("_operand_names", {})
    if bias not in known:
        known[bias] = _operand_names(cell, bias)
    return known[bias]


def _operand_names(cell: Cell, bias: bool) -> tuple[str, ...]:
    ends = ("ih", "hh") if cell.recurrent else ("ih",)
    weights = [f"weight_{end}" for end in ends] + [f"bias_{end}" for end in ends if bias]
    return ("input", *weights, *(p.name for p in cell.parameters), *(_FIRST + name for name in cell.states))


def shown_names(cell: Cell, every_state: bool) -> tuple[str, ...]:
    """The states that are given for all steps."""
    return tuple(cell.states) if every_state else (cell.output,)


@dataclass(frozen=True)
class Call:
    """A request taken apart; the tensors that may have a gradient come as a list beside it.

    Attributes:
        what: the constants.
        masks: the cell's noise, in the cell's order.
        lengths: as in `Request`.
    """

    what: Recurrence
    masks: Sequence[Tensor]
    lengths: Tensor | None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tensors that may have a gradient."""
        return operand_names(self.what.cell, self.what.bias)

    @property
    def _masks(self) -> dict[str, Tensor]:
        return {noise.name: mask for noise, mask in zip(self.what.cell.noise, self.masks, strict=True)}

    def tensors(self, given: Sequence[Tensor]) -> Tensors:
        """As the compiled functions want them."""
        from ostinato.kernels.cpu.recurrence import Tensors

        by_name = dict(zip(self.names, given, strict=True))
        first = {name: by_name.pop(_FIRST + name) for name in self.what.cell.states}
        input, weight_ih = by_name.pop("input"), by_name.pop("weight_ih")
        matrices = {name: v for name, v in by_name.items() if v.dim() == 2}
        vectors = {name: v for name, v in by_name.items() if v.dim() == 1}
        return Tensors(input, weight_ih, matrices, vectors, first, self._masks, self.lengths)

    def request(self, given: Sequence[Tensor]) -> Request:
        """Put together again."""
        by_name = dict(zip(self.names, given, strict=True))
        what = self.what
        weights = Weights(
            by_name["weight_ih"],
            by_name.get("weight_hh"),
            by_name.get("bias_ih"),
            by_name.get("bias_hh"),
            {p.name: by_name[p.name] for p in what.cell.parameters},
        )
        first = State(**{name: by_name[_FIRST + name] for name in what.cell.states})
        return Request(
            *(what.cell, by_name["input"], weights, first, self.lengths, what.reverse, self._masks, what.every_state),
            packed=what.packed,
        )

    def check_storage(self, given: Sequence[Tensor]) -> None:
        """Raise `RuntimeError` where numbers of `given`, of the masks or of the lengths are not in memory."""
        check_storage(zip(self.names, given, strict=True))
        check_storage(self._masks.items())
        check_storage([] if self.lengths is None else [("lengths", self.lengths)])

    def forward(self, given: Sequence[Tensor], *, save: bool) -> Outcome:
        """The compiled pass."""
        from ostinato.kernels.cpu.recurrence import forward

        return forward(self.what, self.tensors(given), save)

    def outputs(self, outcome: Outcome) -> list[Tensor]:
        """What was shown, then the last states."""
        return [*(outcome.shown[n] for n in self.what.shown), *(outcome.last[n] for n in self.what.cell.states)]

    def backward(
        self,
        given: Sequence[Tensor],
        kept: Any,
        gradients: Sequence[Tensor | None],
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """The compiled backward pass.

        Args:
            given: as in `forward`.
            kept: what it kept; written over.
            gradients: of `outputs`, None for zeros.
            wanted: for each of `given` whether its gradient is.

        Returns:
            For each of `given` the gradient, or None where it is not wanted.

        Raises:
            RuntimeError: for a tensor whose memory has been taken away since the forward pass.
        """
        from ostinato.kernels.cpu.recurrence import backward

        self.check_storage(given)
        check_storage(kept.states.items())
        check_storage([("the gradient of what the layer gave", g) for g in gradients if g is not None])
        what, tensors = self.what, self.tensors(given)
        is_wanted = dict(zip(self.names, wanted, strict=True))
        shown = dict(zip(what.shown, gradients, strict=False))
        last = dict(zip(what.cell.states, gradients[len(shown) :], strict=True))
        weights = {name: is_wanted[name] for name in ("weight_ih", *tensors.matrices)}
        found = backward(what, tensors, kept, shown, last, input=is_wanted["input"], weights=weights)
        by_name: Mapping[str, Tensor | None] = {
            # A step need not use its matrix.
            **{
                name: torch.zeros_like(v)
                for name, v in tensors.matrices.items()
                if is_wanted[name] and name not in found.weights
            },
            "input": found.x,
            **found.weights,
            **found.vectors,
            **{_FIRST + name: v for name, v in found.first.items()},
        }
        return [by_name[name] if is_wanted[name] else None for name in self.names]

    def reference(self, given: Sequence[Tensor]) -> list[Tensor]:
        """`outputs` in plain PyTorch."""
        request = self.request(given)
        result = run_padded(request, Reference().run) if request.packed else Reference().run(request)
        shown = [getattr(result.states, n) for n in self.what.shown] if result.states is not None else [result.output]
        return [*shown, *(getattr(result.last, n) for n in self.what.cell.states)]
