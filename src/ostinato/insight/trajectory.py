"""What one direction of a recurrent layer did in one pass: every step's input and states, so that the step can be taken again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product
from ostinato.cells.spec import Cell
from ostinato.types import Tensor


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The steps of one direction of one layer, in the order of time, `t = 0 ... T - 1`, whichever way they were taken.

    Attributes:
        name: the module's name in the model and the suffix of its parameters: "recurrent.l0", "recurrent.l0_reverse"; for a
            single-step cell the module's name alone.
        layer: from 0.
        is_reverse: the steps were taken from the last to the first.
        cell: the recurrence, with the options that acted.
        inputs: `W_ih x_t + b_ih`, a `(B, H)` tensor a gate, for each step; or x_t itself, `(B, I)`, where the step gets that.
        before: the states that each step began with, `(B, H)` each.
        after: the states that it ended with; nodes of the graph of the pass, where that was kept. A gradient with respect to one
            of them counts every path, for the memory of an LSTM also that through the output of the same step.
        handed: the same as they left the step. Where the pass was asked to, each is a node of its own, so that a gradient with
            respect to one counts only the paths on which the others of the step stay as they are.
        products: `U` of each step, None for a cell without one.
        named: what else each step was given: parameters of its own, extras, masks, the number of heads, the input's product.
        valid: `(T, B)` bool, False where a row has no data. Rows of a `PackedSequence` are in its order, longest first.
    """

    name: str
    layer: int
    is_reverse: bool
    cell: Cell
    inputs: tuple[Gates | Tensor, ...]
    before: tuple[State, ...]
    after: tuple[State, ...]
    handed: tuple[State, ...]
    products: tuple[Product | None, ...]
    named: tuple[Mapping[str, Any], ...]
    valid: Tensor

    @property
    def steps(self) -> int:
        """`T`."""
        return len(self.after)

    @property
    def rows(self) -> int:
        """`B`."""
        return self.valid.shape[1]

    @property
    def size(self) -> int:
        """`N`, the width of all states together."""
        return sum(v[0].numel() for v in self.after[0])

    def states(self, name: str) -> Tensor:
        """One state after every step, `(T, B, H)`, without a graph; what is past a row's end means nothing, see `valid`."""
        return torch.stack([getattr(state, name).detach() for state in self.after])

    def places(self) -> tuple[Tensor, Tensor]:
        """The steps and the rows of all valid places, `(K,)` each, in the order of time."""
        steps, rows = self.valid.nonzero(as_tuple=True)
        return steps, rows

    def take(self, steps: Tensor, rows: Tensor, dtype: torch.dtype | None = None) -> Taken:
        """Steps at K places of the trajectory as if they were one step of K rows, which no row shares with another.

        Args:
            steps: `(K,)`.
            rows: `(K,)`, the row of the batch at each of these steps.
            dtype: to compute in; None for that of the pass.
        """
        groups: dict[int, list[int]] = {}
        for place, t in enumerate(steps.tolist()):
            groups.setdefault(id(self.products[t]), []).append(place)
        own = {noise.name for noise in self.cell.noise} | set(self.cell.extras)
        parts = []
        for members in groups.values():
            at, where = torch.unique(steps[members], return_inverse=True)
            at, of = at.tolist(), rows[members]

            def gather(each: list[Tensor], where: Tensor = where, of: Tensor = of) -> Tensor:
                return _cast(torch.stack(each).detach()[where, of], dtype)

            parts.append(
                TrajectoryPart(
                    self.cell,
                    _gathered([self.inputs[t] for t in at], gather),
                    State(**{n: gather([getattr(self.before[t], n) for t in at]) for n in self.cell.states}),
                    _product(self.products[at[0]], dtype),
                    {
                        n: gather([self.named[t][n] for t in at]) if n in own else _constant(v, dtype)
                        for n, v in self.named[at[0]].items()
                    },
                )
            )
        order = torch.tensor([place for members in groups.values() for place in members], device=rows.device)
        return Taken(tuple(parts), order.argsort())


@dataclass(frozen=True, eq=False)
class TrajectoryPart:
    """Rows that share a recurrent product."""

    cell: Cell
    inputs: Any  # as in `Trajectory`
    before: State
    product: Product | None
    named: Mapping[str, Any]

    def run(self, before: State) -> State:
        """The step from these states, `(k, H)` each."""
        return self.cell.step(self.inputs, before, self.product, **self.named)


@dataclass(frozen=True, eq=False)
class Taken:
    """Steps at K places; made by `Trajectory.take`.

    Attributes:
        parts: the rows, by the product that they share.
        order: `(K,)`, where each place is among the rows of all parts.
    """

    parts: tuple[TrajectoryPart, ...]
    order: Tensor

    @property
    def start(self) -> Tensor:
        """The states before, side by side and flat, `(K, N)`."""
        return torch.cat([torch.cat([v.flatten(1) for v in part.before], -1) for part in self.parts])[self.order]

    def __call__(self, state: Tensor) -> Tensor:
        """The states after the step, side by side, from those before it; `(K, N)` both."""
        inverse = self.order.argsort()
        shapes = [v.shape[1:] for v in self.parts[0].before]
        names, widths = self.parts[0].before.names, [shape.numel() for shape in shapes]
        rows = state[inverse].split([len(next(iter(part.before))) for part in self.parts])
        made = []
        for part, each in zip(self.parts, rows, strict=True):
            flat = zip(each.split(widths, -1), shapes, strict=True)
            after = part.run(State(**dict(zip(names, (v.unflatten(1, shape) for v, shape in flat), strict=True))))
            made.append(torch.cat([getattr(after, name).flatten(1) for name in names], -1))
        return torch.cat(made)[self.order]


def _gathered(inputs: Sequence[Gates | Tensor], gather: Callable[[list[Tensor]], Tensor]) -> Gates | Tensor:
    first = inputs[0]
    if isinstance(first, Tensor):
        return gather([v for v in inputs if isinstance(v, Tensor)])
    return Gates(**{name: gather([getattr(each, name) for each in inputs]) for name in first.names})


def _constant(v: Any, dtype: torch.dtype | None) -> Any:
    """What is the same for all steps: a parameter, a product, a number."""
    if isinstance(v, Product):
        return _product(v, dtype)
    return _cast(v.detach(), dtype) if isinstance(v, Tensor) else v


def _cast(v: Tensor, dtype: torch.dtype | None) -> Tensor:
    return v if dtype is None or not v.is_floating_point() else v.to(dtype)


def _product(product: Product | None, dtype: torch.dtype | None) -> Product | None:
    if product is None:
        return None
    bias = None if product.bias is None else _cast(product.bias.detach(), dtype)
    return replace(product, weight=_cast(product.weight.detach(), dtype), bias=bias)
