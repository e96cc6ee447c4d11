"""A record of one direction of a recurrent layer in one pass: every step's input and states, so that a step can be run again."""

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
    """The steps of one direction of one layer, in the order of time, `t = 0 ... T - 1`, even if they ran in reverse.

    Attributes:
        name: the module's name in the model and the suffix of its parameters: "recurrent.l0", "recurrent.l0_reverse"; for a
            single-step cell only the module's name.
        layer: the number of the layer, from 0.
        is_reverse: whether the steps ran from the last to the first.
        cell: the recurrence, with the options that acted.
        inputs: `W_ih x_t + b_ih`, a `(B, H)` tensor a gate, for each step; or x_t itself, `(B, I)`, if the step gets that.
        before: the states that each step began with, `(B, H)` each.
        after: the states that each step ended with; nodes of the graph of the pass, if that was kept. A gradient with respect to
            one of them counts every path: for the memory of an LSTM also the path through the output of the same step.
        handed: the states of `after` as the step passed them on. If `watched` was entered with `independent`, each is a separate
            node of the graph, so that a gradient with respect to one counts only the paths that keep the step's other states fixed.
        products: `U` of each step, None for a cell without one.
        named: the other arguments of each step: the cell's own parameters, extras, masks, the number of heads, the input's product.
        valid: `(T, B)` bool, False at steps where a row has no data. Rows of a `PackedSequence` are in its order, longest first.
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
        """`T`, the number of steps."""
        return len(self.after)

    @property
    def rows(self) -> int:
        """`B`, the number of rows."""
        return self.valid.shape[1]

    @property
    def size(self) -> int:
        """`N`, the width of all states together."""
        return sum(v[0].numel() for v in self.after[0])

    def states(self, name: str) -> Tensor:
        """One state after every step, `(T, B, H)`, without a graph; numbers past a row's end have no meaning, see `valid`."""
        return torch.stack([getattr(state, name).detach() for state in self.after])

    def places(self) -> tuple[Tensor, Tensor]:
        """The steps and the rows of all valid places, `(K,)` each, in the order of time."""
        steps, rows = self.valid.nonzero(as_tuple=True)
        return steps, rows

    def take(self, steps: Tensor, rows: Tensor, dtype: torch.dtype | None = None) -> Taken:
        """Take the steps at K places of the trajectory as one step of K independent rows.

        Args:
            steps: `(K,)`, the numbers of the steps.
            rows: `(K,)`, the row of the batch at each of these steps.
            dtype: the dtype to compute in; None for that of the pass.
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
        """Run the step from these states, `(k, H)` each."""
        return self.cell.step(self.inputs, before, self.product, **self.named)


@dataclass(frozen=True, eq=False)
class Taken:
    """The steps at K places as one step; made by `Trajectory.take`.

    Attributes:
        parts: the rows, grouped by the recurrent product that they share.
        order: `(K,)`, the index of each place among the rows of all parts.
    """

    parts: tuple[TrajectoryPart, ...]
    order: Tensor

    @property
    def start(self) -> Tensor:
        """The states before the step, flattened and concatenated, `(K, N)`."""
        return torch.cat([torch.cat([v.flatten(1) for v in part.before], -1) for part in self.parts])[self.order]

    def __call__(self, state: Tensor) -> Tensor:
        """Run the step: from the states before it to those after it, both concatenated, `(K, N)`."""
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
    """Detach and convert an argument that is the same for all steps: a parameter, a product, a number."""
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
