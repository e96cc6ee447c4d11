"""A call as a flat list of tensors and a few constants, which autograd, graphs and machine code need, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from ostinato.cells.named import State
from ostinato.cells.spec import Cell
from ostinato.kernels.packed import run_padded
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request, Result, Weights
from ostinato.types import Tensor

FIRST = "first "  # before the name of a state, as a parameter may have the same name


def named(request: Request) -> dict[str, Tensor]:
    """Every tensor that may have a gradient, in the order of `operand_names`."""
    weights = request.weights
    found = {"input": request.input, "weight_ih": weights.ih, "weight_hh": weights.hh}
    found |= {"bias_ih": weights.bias_ih, "bias_hh": weights.bias_hh, **weights.own}
    found |= {FIRST + name: getattr(request.first, name) for name in request.cell.states}
    return {name: v for name, v in found.items() if v is not None}


def operand_names(cell: Cell, bias: bool) -> tuple[str, ...]:
    """The names of the tensors that may have a gradient: input, weights, biases, the cell's own parameters, first states."""
    # Stored on the cell: a global table of cells would keep every cell alive.
    known: dict[bool, tuple[str, ...]] = vars(cell).setdefault("_operand_names", {})
    if bias not in known:
        known[bias] = ("input", *_parameter_names(cell, bias), *(FIRST + name for name in cell.states))
    return known[bias]


def _parameter_names(cell: Cell, bias: bool) -> tuple[str, ...]:
    ends = ("ih", "hh") if cell.recurrent else ("ih",)
    weights = [f"weight_{end}" for end in ends] + [f"bias_{end}" for end in ends if bias]
    return (*weights, *(p.name for p in cell.parameters))


def shown_names(cell: Cell, every_state: bool) -> tuple[str, ...]:
    """The names of the states that are given for all steps."""
    return tuple(cell.states) if every_state else (cell.output,)


@dataclass(frozen=True)
class CallSpec:
    """The constants of a call, which runs one direction of one layer, or a stack of layers with nothing between them.

    A *place* is one direction of one layer. The tensors of a call come as two lists:

    - those that may have a gradient: the input; the parameters of each place, layer by layer, and in a layer direction by
      direction; for each state its first values, `(places, B, H)`, or `(B, H)` if there is one place;
    - the masks: for each place those of the cell, in the cell's order.

    A call gives one list: for each layer that is shown (the last one, or all with `every_state`) the states that are shown,
    `(T, B, D H)`; then the last states, in the shapes of the first ones.

    Attributes:
        cell: the recurrence.
        bias: whether there are `bias_ih` and `bias_hh`.
        directions: for each direction of a layer, whether it runs from the last step to the first.
        layers: the number of layers.
        every_state: give all states of all steps.
        segment: keep states only every `segment` steps and compute the others again in the backward pass; 0 keeps everything.
            For a call of one place only.
        packed: as in `Request`; without lengths each row has a single step.
        bf16: multiply float32 matrices in bfloat16, as autocast wants it: all of them if the processor has tiles, else only those
            that the backward pass multiplies once for all time steps.
    """

    cell: Cell
    bias: bool
    directions: tuple[bool, ...] = (False,)
    layers: int = 1
    every_state: bool = False
    segment: int = 0
    packed: bool = False
    bf16: bool = False

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The names of the states that are given for all steps."""
        return shown_names(self.cell, self.every_state)

    @cached_property
    def places(self) -> int:
        """The number of places: layers times directions."""
        return self.layers * len(self.directions)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of a place's parameters."""
        return _parameter_names(self.cell, self.bias)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors that may have a gradient, for messages."""
        if self.places == 1:
            return operand_names(self.cell, self.bias)
        ends = ("",) if len(self.directions) == 1 else ("", "_reverse")
        suffixes = [f"_l{layer}{end}" for layer in range(self.layers) for end in ends]
        parameters = [name + suffix for suffix in suffixes for name in self.parameters]
        return ("input", *parameters, *(FIRST + name for name in self.cell.states))

    def gradients(
        self,
        given: Sequence[Tensor],
        masks: Sequence[Tensor],
        lengths: Tensor | None,
        gradients: Sequence[Tensor | None],
        wanted: Sequence[bool],
        run: Callable[[Request], Result] | None = None,
    ) -> list[Tensor | None]:
        """The gradients of `given`, from a forward pass that is run once more in PyTorch: they can be differentiated again.

        Args:
            given: as in `place_by_place`.
            masks: as in `place_by_place`.
            lengths: as in `place_by_place`.
            gradients: the gradients of what the call gives, None for zeros.
            wanted: for each of `given`, whether its gradient is wanted.
            run: the function that runs requests; None for plain PyTorch.
        """
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            # Views, so that differentiation stops at them and does not go on to what they were computed from.
            inside = [v.view_as(v) if here else v for v, here in zip(given, wanted, strict=True)]
            operands = inside, masks, lengths
            outputs = self.reference(*operands) if run is None else self.place_by_place(*operands, run)
            # The outputs of a layer that is frozen, with all layers below it, have no gradient.
            pairs = [(v, g) for v, g in zip(outputs, gradients, strict=True) if g is not None and v.requires_grad]
            if not pairs:
                return [None] * len(given)
            leaves = [v for v, here in zip(inside, wanted, strict=True) if here]
            shown, values = zip(*pairs, strict=True)
            found = iter(torch.autograd.grad(shown, leaves, values, create_graph=again, allow_unused=True))
        return [next(found) if here else None for here in wanted]

    def frozen(self, wanted: Sequence[bool]) -> int:
        """The number of layers, from the first on, in and below which nothing wants a gradient; first states may be missing."""
        each = len(self.directions) * len(self.parameters)
        if wanted[0] or any(wanted[1 + self.layers * each :]):
            return 0
        layers = (any(wanted[1 + n * each : 1 + (n + 1) * each]) for n in range(self.layers))
        return next((n for n, has in enumerate(layers) if has), self.layers)

    @property
    def projected(self) -> bool:
        """Whether the output has `P` units."""
        return "P" in self.cell.states.values()

    def request(
        self, given: Sequence[Tensor], masks: Sequence[Tensor], lengths: Tensor | None, reverse: bool
    ) -> Request:
        """The request of one place, from the tensors of that place."""
        cell = self.cell
        by_name = dict(zip(operand_names(cell, self.bias), given, strict=True))
        weights = Weights(
            by_name["weight_ih"],
            by_name.get("weight_hh"),
            by_name.get("bias_ih"),
            by_name.get("bias_hh"),
            {p.name: by_name[p.name] for p in cell.parameters},
        )
        first = State(**{name: by_name[FIRST + name] for name in cell.states})
        by_mask = {noise.name: mask for noise, mask in zip(cell.noise, masks, strict=True)}
        return Request(
            *(cell, by_name["input"], weights, first, lengths, reverse, by_mask),
            *(self.every_state, self.segment, self.packed),
        )

    def place_by_place(
        self,
        given: Sequence[Tensor],
        masks: Sequence[Tensor],
        lengths: Tensor | None,
        run: Callable[[Request], Result],
    ) -> list[Tensor]:
        """Run the call as one request for each place, layer by layer, and give what the call gives."""
        x, states, each, noise = given[0], len(self.cell.states), len(self.parameters), len(self.cell.noise)
        if self.packed and lengths is None:
            lengths = torch.ones(x.shape[0], dtype=torch.int64, device=x.device)
        whole = [v if v.dim() == 3 else v[None] for v in given[len(given) - states :]]
        shown: list[Tensor] = []
        last: list[State] = []
        for layer in range(self.layers):
            results = []
            for direction, reverse in enumerate(self.directions):
                n = layer * len(self.directions) + direction
                of_place = [x, *given[1 + n * each : 1 + (n + 1) * each], *(v[n] for v in whole)]
                results.append(run(self.request(of_place, masks[n * noise : (n + 1) * noise], lengths, reverse)))
            last += [result.last for result in results]
            x = _beside([result.output for result in results])
            if self.every_state:
                shown += [_beside([getattr(result.states, name) for result in results]) for name in self.shown]
        shown = shown or [x]
        flat = given[-1].dim() == 2
        return shown + [
            getattr(last[0], name) if flat else torch.stack([getattr(at, name) for at in last])
            for name in self.cell.states
        ]

    def means(self, given: Sequence[Tensor]) -> list[Tensor]:
        """The expectation of every mask, as in evaluation."""
        cell, states = self.cell, dict(zip(self.cell.states, given[len(given) - len(self.cell.states) :], strict=True))
        rows = [
            states[noise.state][0] if states[noise.state].dim() == 3 else states[noise.state] for noise in cell.noise
        ]
        if self.packed:  # `draw` adds a dimension of the N valid steps: the shape of one row is enough
            rows = [v[0] if noise.every_step else v for noise, v in zip(cell.noise, rows, strict=True)]
        means = [noise.draw(given[0].shape[0], v, False) for noise, v in zip(cell.noise, rows, strict=True)]
        return means * self.places

    def reference(self, given: Sequence[Tensor], masks: Sequence[Tensor], lengths: Tensor | None) -> list[Tensor]:
        """Run the call in plain PyTorch and give what the call gives."""
        reference = Reference().run
        run: Callable[[Request], Result] = (lambda r: run_padded(r, reference)) if self.packed else reference
        return self.place_by_place(given, masks, lengths, run)


def _beside(directions: Sequence[Tensor]) -> Tensor:
    return directions[0] if len(directions) == 1 else torch.cat(list(directions), -1)


def spec_of(request: Request, bf16: bool = False) -> CallSpec:
    """The constants of a request."""
    bias = request.weights.bias_ih is not None
    return CallSpec(
        *(request.cell, bias, (request.reverse,)),
        every_state=request.every_state,
        segment=request.segment,
        packed=request.packed,
        bf16=bf16,
    )


def result_of(request: Request, found: Sequence[Tensor]) -> Result:
    """Make a result from the list of the states that are shown and the last states."""
    cell, names = request.cell, shown_names(request.cell, request.every_state)
    shown = dict(zip(names, found, strict=False))
    last = State(**dict(zip(cell.states, found[len(names) :], strict=True)))
    return Result(shown[cell.output], last, State(**shown) if request.every_state else None)
