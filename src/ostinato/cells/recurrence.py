"""A recurrence: its step, and what is to be known of it. `ostinato.cells.spec` makes one of a step function."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ostinato.cells.masks import kept_units
from ostinato.cells.named import Gates, State
from ostinato.cells.start import Start
from ostinato.cells.widths import Widths
from ostinato.errors import CellError
from ostinato.types import Tensor

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def identity(v: Tensor) -> Tensor:
    """The default of every seam: what goes in comes out."""
    return v


@dataclass(frozen=True)
class Parameter:
    """A parameter of a cell besides the two weights and biases.

    Attributes:
        name: its name in the step and, with the layer's suffix, in the `state_dict`.
        shape: letters of `ostinato.cells.widths`: `("H",)`, `("P", "H")`; first also `G` for `G H` rows, or `G_ih` for the rows of
            `weight_ih`, which are fewer where the input reaches some of the gates only.
        fill: how it starts; None asks for the layer's own initialisation.
    """

    name: str
    shape: tuple[str, ...]
    fill: float | Start | None = None

    def sizes(self, widths: Widths, gates: int, input_gates: int) -> tuple[int, ...]:
        """The shape in numbers."""
        rows = {"G": gates * widths.hidden, "G_ih": input_gates * widths.hidden}
        return tuple(rows[letter] if letter in rows else widths[letter] for letter in self.shape)


@dataclass(frozen=True)
class MaskSpec:
    """A random mask of *kept* units that a step asks for, drawn once a call for all time steps.

    Attributes:
        name: its name among the step's arguments.
        rate: probability that a unit is dropped, in [0, 1].
        state: the name of the state whose width the mask has.
        every_step: a mask of its own for every time step; else one mask for the whole sequence.
        scaled: kept units count `1 / (1 - rate)`, as dropout wants it; else 1.
    """

    name: str
    rate: float
    state: str
    every_step: bool
    scaled: bool

    def draw(self, steps: int, like: Tensor, training: bool) -> Tensor:
        """`like`: a state, `(B, H)`. Returns `(T, B, H)` for every step, else `(B, H)`; in evaluation its expectation."""
        shape = (steps, *like.shape) if self.every_step else tuple(like.shape)
        kept = 1.0 - self.rate
        if not training:
            return like.new_full((), 1.0 if self.scaled else kept).expand(shape)
        mask = kept_units(shape, kept, like)
        return mask.div_(kept) if self.scaled and kept > 0 else mask


InputHook = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True, eq=False, repr=False)
class Cell:
    """A recurrence: its step and its description. Made by the decorator `cell`; changed by `ostinato.cells.options`.

    Attributes:
        name: of the cell; for a cell of a module, the name it has there.
        step: `step(x, s, U, **seams and parameters) -> State`.
        gates: names of the gates, in the order of the rows of the weights.
        states: name of each state to the letter of its width, or to letters with spaces between where it has several dimensions,
            such as "N d d". The first one is the output.
        parameters: what the step has besides `weight_ih, weight_hh, bias_ih, bias_hh`.
        noise: the masks that the step asks for.
        seams: names at which options may act.
        keep: the gate whose opening keeps the memory (LSTM's f), or several with spaces between; None if there is none.
        write: the gate whose opening overwrites the memory (LSTM's i), or several with spaces between; None if there is none.
        number: of this object among those of the process, for `numbered`.
        forget_bias: what a layer's `forget_bias` is where it is not given; None leaves the biases to the initialisation.
        input_gates: names of the gates that get `W_ih x`, in the order of `gates`; all of them unless told otherwise.
        recurrent: whether there is a recurrent product. Else there are no `weight_hh` and `bias_hh`, and `U` is None.
        enter: what is done to `W_ih x` of all time steps before its bias; nothing where `raw`.
        raw: whether the step gets the input itself, and its product as the function `W`.
        extras: further inputs by name, each with the letter of its width, in the order in which they lie behind the input.
        widths: the cell's own letters, each with its number.
        heads: `N`, the blocks on the diagonal of `weight_hh`, of which the rest is zero and not stored.
        counts_heads: whether the step takes `num_heads`.
        starts: how weights and biases start that are not to start as the layer says.
        fixed: names of parameters that are not learned.
        derived: name of a weight to the function that makes it, once a call, of the parameter of that name.
        vendor: the mode of torch's own kernels that computes exactly this step, or None.
        options: names of the transformations that made this cell from the one in the source.
        source: the paper.
    """

    name: str
    step: Callable[..., State]
    gates: tuple[str, ...]
    states: Mapping[str, str]
    parameters: tuple[Parameter, ...] = ()
    noise: tuple[MaskSpec, ...] = ()
    seams: frozenset[str] = frozenset()
    keep: str | None = None
    write: str | None = None
    enter: tuple[InputHook, ...] = ()
    vendor: str | None = None
    options: tuple[str, ...] = ()
    source: str = ""
    module: str = ""
    input_gates: tuple[str, ...] = ()
    recurrent: bool = True
    forget_bias: float | Start | None = None
    raw: bool = False
    extras: Mapping[str, str] = field(default_factory=dict[str, str])
    widths: Mapping[str, int] = field(default_factory=dict[str, int])
    heads: int = 1
    counts_heads: bool = False
    starts: Mapping[str, Start] = field(default_factory=dict[str, Start])
    fixed: frozenset[str] = frozenset()
    derived: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict[str, Callable[[Tensor], Tensor]])
    number: int = field(init=False)

    def __post_init__(self) -> None:
        if not self.input_gates:
            object.__setattr__(self, "input_gates", self.gates)
        object.__setattr__(self, "number", next(_numbers))
        _by_number[self.number] = self
        _living.add(self)

    def __call__(self, x: Gates, s: State, U: Any, **named: Any) -> State:
        """One step."""
        return self.step(x, s, U, **named)

    @property
    def output(self) -> str:
        """The name of the state that is the output."""
        return next(iter(self.states))

    @property
    def has_whole_products(self) -> bool:
        """Whether all it multiplies is the whole input, or a state of H or P units, with a matrix that is stored whole."""
        return not (self.raw or self.extras or self.widths or self.heads > 1)

    def changed(self, option: str, **changes: Any) -> Cell:
        """The cell that `option` makes of this one. torch's kernels do not know it.

        Raises:
            CellError: if what the option adds has the name of something that the cell has.
        """
        made = replace(self, options=(*self.options, option), vendor=None, **changes)
        names = [each.name for each in (*made.parameters, *made.noise)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise CellError(f"{option} adds {twice[0]!r}, which cell {self.name!r} has already; rename it in the cell")
        return made

    def widths_at(self, input_size: int, hidden_size: int, proj_size: int = 0) -> Widths:
        """The number of each letter."""
        return Widths(input_size, hidden_size, proj_size, self.heads, self.widths)

    def state_sizes(self, hidden_size: int, proj_size: int = 0, input_size: int = 0) -> dict[str, int]:
        """How many numbers each state has."""
        widths = self.widths_at(input_size, hidden_size, proj_size)
        return {name: widths.count(described.split()) for name, described in self.states.items()}

    def state_shapes(self, hidden_size: int, proj_size: int = 0, input_size: int = 0) -> dict[str, tuple[int, ...]]:
        """The shape of each state of a row."""
        widths = self.widths_at(input_size, hidden_size, proj_size)
        return {name: widths.shape(described.split()) for name, described in self.states.items()}

    def extra_sizes(self, input_size: int, hidden_size: int, proj_size: int = 0) -> dict[str, int]:
        """How many numbers each further input has."""
        widths = self.widths_at(input_size, hidden_size, proj_size)
        return {name: widths[letter] for name, letter in self.extras.items()}

    def parameter_sizes(
        self, input_size: int, hidden_size: int, proj_size: int = 0, bias: bool = True
    ) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter of one direction of a layer by its name without suffix, in the order of the `state_dict`."""
        widths, gates, input_gates = (
            self.widths_at(input_size, hidden_size, proj_size),
            len(self.gates),
            len(self.input_gates),
        )
        rows = {"ih": input_gates * hidden_size} | ({"hh": gates * hidden_size} if self.recurrent else {})
        width = proj_size or hidden_size
        columns = {"ih": input_size, "hh": width if self.heads == 1 else width // self.heads}
        shapes: dict[str, tuple[int, ...]] = {f"weight_{at}": (size, columns[at]) for at, size in rows.items()}
        if bias:
            shapes |= {f"bias_{at}": (size,) for at, size in rows.items()}
        return shapes | {p.name: p.sizes(widths, gates, input_gates) for p in self.parameters}

    def __repr__(self) -> str:
        named = [("gates", self.gates), ("states", self.states), ("extras", self.extras), ("options", self.options)]
        told = "; ".join(f"{what} {' '.join(names)}" for what, names in named if names)
        return f"<cell {self.name}: {told}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        # A cell is code: pickled by the name under which its module holds it, like a function.
        if self.options:
            raise TypeError(f"the transformed cell {self.name!r} cannot be pickled; pickle the layer that holds it")
        if _find(self.module, self.name) is not self:  # now, and not when what was saved cannot be read
            raise CellError(
                f"the module {self.module} holds another cell named {self.name!r}; give this one a name of its own"
            )
        return _find, (self.module, self.name)

    def __deepcopy__(self, memo: object) -> Cell:
        return self


_living: weakref.WeakSet[Cell] = weakref.WeakSet()
_numbers = itertools.count()
_by_number: weakref.WeakValueDictionary[int, Cell] = weakref.WeakValueDictionary()


def numbered(number: int) -> Cell:
    """The cell of this process with this `number`; one that something holds."""
    return _by_number[number]


def living() -> list[Cell]:
    """Every cell of this process that something holds: those of modules, and those of layers with their options."""
    return list(_living)


def _find(module: str, name: str) -> Cell:
    import importlib

    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, Cell):
        raise CellError(f"expected the module {module} to hold a cell named {name!r}; define it there at top level")
    return found
