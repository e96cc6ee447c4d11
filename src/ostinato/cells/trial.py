"""Run a step on a few zeros, to see whether it fits its description, and which state's shape a seam has."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Product
from ostinato.cells.recurrence import Cell
from ostinato.errors import CellError
from ostinato.types import Tensor

# The size of the batch and the units that a step is tried with.
_ROWS, _UNITS = 2, 3


def check(cell: Cell, sizes: tuple[int, int] | None = None) -> None:
    """Run the step of a cell once on two rows of three units, or of three for each head; a projected output has fewer.

    Args:
        cell: the cell whose step is run.
        sizes: I and H of the layer; the step is tried with them if it fails with few units. Only for a cell without a projection.

    Raises:
        CellError: step and description disagree, or the step changes its arguments in place.
    """
    with _as_it_is():
        try:
            _Trial(cell).check()
        except CellError as error:
            if sizes is None:
                raise
            try:
                _Trial(cell, sizes).check()
            except CellError:
                raise error from error.__cause__


def state_at(cell: Cell, seam: str) -> str:
    """The state that has the shape of the tensors at a seam; among several the last one, as memories come last.

    Raises:
        CellError: no state has that shape, or the step cannot be run.
    """
    with _as_it_is():
        return _Trial(cell).state_at(seam)


@contextmanager
def _as_it_is() -> Generator[None]:
    """Leave inference mode, whose tensors do not tell whether they were changed, and autocast, which changes dtypes."""
    with torch.inference_mode(False), torch.autocast("cpu", enabled=False):
        yield


class _Trial:
    """A cell with zeros for all arguments of its step."""

    def __init__(self, cell: Cell, sizes: tuple[int, int] | None = None) -> None:
        # Every letter gets another number, so that a mistaken letter shows.
        taken = set(cell.widths.values())
        count = next(n for n in itertools.count(_UNITS) if n * cell.heads not in taken)
        hidden = count * cell.heads
        others = (n for n in itertools.count(2) if n != count and not {n, n * cell.heads} & taken)
        projected = next(others) * cell.heads if "P" in cell.states.values() else 0
        features = next(n for n in others if n not in (hidden, projected))
        if sizes is not None:
            features, hidden = sizes
        shapes = cell.parameter_sizes(features, hidden, projected, bias=False)

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device="cpu")

        number = "three" if count == _UNITS else str(count)
        self.units = f"{number} units" if cell.heads == 1 else f"{cell.heads} heads of {number} units"
        self.cell = cell
        self.shapes = {name: (_ROWS, *shape) for name, shape in cell.state_shapes(hidden, projected, features).items()}
        self.s = State(**{name: zeros(*shape) for name, shape in self.shapes.items()})
        self.U = Product(cell.gates, zeros(*shapes["weight_hh"]), None, hidden, cell.heads) if cell.recurrent else None
        self.named = {p.name: zeros(*shapes[p.name]) for p in cell.parameters}
        self.named |= {name: zeros(_ROWS, size) for name, size in cell.extra_sizes(features, hidden, projected).items()}
        self.named |= {n.name: zeros(*self.shapes[n.state]) for n in cell.noise}
        self.offered: dict[str, Any] = {"num_heads": cell.heads} if cell.counts_heads else {}
        self.x: Any
        if cell.raw:
            self.x = zeros(_ROWS, features)
            self.offered["W"] = Product(cell.input_gates, zeros(*shapes["weight_ih"]), None, hidden)
        else:
            self.x = Gates(**{name: zeros(_ROWS, hidden) for name in cell.input_gates})

    def run(self, **seams: Callable[[Tensor], Tensor]) -> object:
        """Run the step, and return what it returns."""
        cell = self.cell
        try:
            return cell.step(self.x, self.s, self.U, **self.named, **self.offered, **seams)
        except CellError:
            raise
        except Exception as error:  # whatever a user's step may raise
            said = str(error).partition("\n")[0]
            raise CellError(
                f"the step of cell {cell.name!r} failed on two rows of {self.units}: {type(error).__name__}: "
                f"{said}{self._hint(error, said)}"
            ) from error

    def _hint(self, error: Exception, said: str) -> str:
        cell = self.cell
        hint = "" if cell.recurrent else " (U is None, as the cell is described with recurrent=False)"
        if isinstance(error, TypeError) and "'Gates'" in said:
            hint += f" (U(...){'' if cell.raw else ' and x'} hold a tensor for each gate: read one, such as U(s.h).{cell.gates[0]})"
        if own := _tensors_outside(cell.step):
            hint += (
                f" (the step reads the tensor {own[0]!r} outside of its arguments; a number for each unit belongs into "
                f'parameters={{"{own[0]}": "H"}}, and into the layer\'s parameter of that name; fixed="{own[0]}" '
                "where it is not to be learned)"
            )
        return hint

    def state_at(self, seam: str) -> str:
        """See `state_at`."""
        seen: list[tuple[int, ...]] = []

        def look(v: Tensor) -> Tensor:
            seen.append(tuple(v.shape))
            return v

        self.run(**{seam: look})
        if not seen:
            raise CellError(
                f"the step of cell {self.cell.name!r} takes {seam}, and never calls it; leave it out, or call it"
            )
        fitting = [name for name, shape in self.shapes.items() if {*seen} == {shape}]
        if not fitting:
            raise CellError(
                f"cell {self.cell.name!r} has {seam} at tensors of the shapes {', '.join(map(str, seen))} where its "
                f"states have {', '.join(f'{n} {shape}' for n, shape in self.shapes.items())}; what has the seam expected the "
                "shape of a state, always the same"
            )
        return fitting[-1]

    def check(self) -> None:
        """See `check`."""
        cell, s, x = self.cell, self.s, self.x
        after = self.run()
        given = {f"s.{n}": getattr(s, n) for n in s.names} | self.named
        given |= {"x": x} if cell.raw else {f"x.{n}": getattr(x, n) for n in x.names}
        if changed := [name for name, v in given.items() if v._version]:
            raise CellError(
                f"the step of cell {cell.name!r} changes {changed[0]} in place, which its caller has still in use (the first state "
                f"is the layer's hx); compute a new tensor, as in {changed[0]} * 0.5 instead of {changed[0]}.mul_(0.5)"
            )
        _check_states(cell, after, self.shapes, getattr(s, s.names[0]).dtype)


def _check_states(cell: Cell, after: object, shapes: dict[str, tuple[int, ...]], dtype: torch.dtype) -> None:
    if not isinstance(after, State):
        raise CellError(f"the step of cell {cell.name!r} must return a State, got {type(after).__name__}")
    if set(after.names) != set(cell.states):
        raise CellError(
            f"cell {cell.name!r} is described with the states {' '.join(cell.states)!r} "
            f"but its step returned {' '.join(after.names)!r}"
        )
    for name in after.names:
        if not isinstance(new := getattr(after, name), Tensor):
            raise CellError(f"the step of cell {cell.name!r} returned a {type(new).__name__} for {name}, not a tensor")
        if new.dtype != dtype:
            raise CellError(
                f"the step of cell {cell.name!r} was given {dtype} and returned {new.dtype} for {name}; compute it in the "
                f"type that comes in, as in {name}.to(s.{name}.dtype)"
            )
        if (got := tuple(new.shape)) != shapes[name]:
            described = ", ".join(["B", *cell.states[name].split()])
            raise CellError(
                f"the step of cell {cell.name!r} changed the shape of {name} from ({described}) = {shapes[name]} to {got}"
            )


def _tensors_outside(step: Callable[..., Any]) -> list[str]:
    """The names of tensors that a step reads from its closure or its module."""
    if not inspect.isfunction(step):
        return []
    try:
        found = inspect.getclosurevars(step)
    except ValueError:  # a variable of the closure is not set yet
        return []
    return [name for name, v in {**found.nonlocals, **found.globals}.items() if isinstance(v, Tensor)]
