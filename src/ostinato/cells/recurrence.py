"""A recurrence: its step and its description. `ostinato.cells.spec` makes one from a step function."""

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
    """Return `v` unchanged; the default of every seam."""
    return v


@dataclass(frozen=True)
class Parameter:
    """A parameter of a cell besides the two weights and biases.

    Attributes:
        name: its name in the step and, with the layer's suffix, in the `state_dict`.
        shape: letters of `ostinato.cells.widths`: `("H",)`, `("P", "H")`; the first may also be `G` for `G H` rows, or `G_ih` for
            the rows of `weight_ih`, which are fewer if the input reaches some of the gates only.
        fill: its initial value; None for the layer's own initialisation.
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
        every_step: whether every time step has its own mask; else one mask serves the whole sequence.
        scaled: whether kept units are `1 / (1 - rate)` in the mask, as in dropout; else they are 1.
    """

    name: str
    rate: float
    state: str
    every_step: bool
    scaled: bool

    def draw(self, steps: int, like: Tensor, training: bool) -> Tensor:
        """Draw the mask: `(T, B, H)` if `every_step`, else `(B, H)`; in evaluation its mean. `like` is a state, `(B, H)`."""
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
        name: the name of the cell; for a cell of a module, its name there.
        step: `step(x, s, U, **seams and parameters) -> State`.
        gates: names of the gates, in the order of the rows of the weights.
        states: by the name of each state the letter of its width, or several letters with spaces between if it has several
            dimensions, such as "N d d". The first state is the output.
        parameters: the step's parameters besides `weight_ih, weight_hh, bias_ih, bias_hh`.
        noise: the random masks that the step takes.
        seams: names of the step's arguments at which options may act.
        keep: the gate that keeps the memory when it is open (LSTM's f), or several with spaces between; None if there is none.
        write: the gate that overwrites the memory when it is open (LSTM's i), or several with spaces between; None if there is
            none.
        number: a number that is unique to this object in the process, for `numbered`.
        forget_bias: the default of a layer's `forget_bias`; None leaves the biases to the initialisation.
        input_gates: names of the gates that get `W_ih x`, in the order of `gates`; by default all of them.
        recurrent: whether there is a recurrent product. Else there are no `weight_hh` and `bias_hh`, and `U` is None.
        enter: functions applied to `W_ih x` of all time steps before its bias is added; none if `raw`.
        raw: whether the step gets the input itself, and its product as the function `W`.
        extras: further inputs by name, each with the letter of its width, in the order of their columns behind the input.
        widths: the cell's own letters, each with its number.
        heads: `N`, the number of blocks on the diagonal of `weight_hh`; the rest of the matrix is zero and not stored.
        counts_heads: whether the step takes `num_heads`.
        starts: initial values of weights and biases, in place of those of the layer's initialisation.
        fixed: names of parameters that are not learned.
        derived: by the name of a weight, the function that computes it, once a call, from the parameter of that name.
        vendor: the mode of torch's own kernels that computes exactly this step, or None.
        options: names of the options that made this cell from the one in the source.
        source: the paper that the equations are from.
        module: the name of the module that defines the cell.
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
        """Run one step."""
        return self.step(x, s, U, **named)

    @property
    def output(self) -> str:
        """The name of the state that is the output."""
        return next(iter(self.states))

    @property
    def has_whole_products(self) -> bool:
        """Whether every product is of the whole input, or of a state of H or P units, with a matrix that is stored whole."""
        return not (self.raw or self.extras or self.widths or self.heads > 1)

    def changed(self, option: str, **changes: Any) -> Cell:
        """The cell that `option` makes from this one; torch's kernels cannot run it.

        Raises:
            CellError: the option adds a parameter or a mask with a name that the cell has already.
        """
        made = replace(self, options=(*self.options, option), vendor=None, **changes)
        names = [each.name for each in (*made.parameters, *made.noise)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise CellError(f"{option} adds {twice[0]!r}, which cell {self.name!r} has already; rename it in the cell")
        return made

    def widths_at(self, input_size: int, hidden_size: int, proj_size: int = 0) -> Widths:
        """The numbers that the letters stand for, in a layer of these sizes."""
        return Widths(input_size, hidden_size, proj_size, self.heads, self.widths)

    def state_sizes(self, hidden_size: int, proj_size: int, input_size: int) -> dict[str, int]:
        """How many numbers each state has in a row."""
        widths = self.widths_at(input_size, hidden_size, proj_size)
        return {name: widths.count(described.split()) for name, described in self.states.items()}

    def state_shapes(self, hidden_size: int, proj_size: int, input_size: int) -> dict[str, tuple[int, ...]]:
        """The shape of each state in a row."""
        widths = self.widths_at(input_size, hidden_size, proj_size)
        return {name: widths.shape(described.split()) for name, described in self.states.items()}

    def extra_sizes(self, input_size: int, hidden_size: int, proj_size: int = 0) -> dict[str, int]:
        """How many numbers each extra has in a row and step."""
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
        # A cell is code: like a function, it is pickled by its module and its name there.
        if self.options:
            raise TypeError(f"the transformed cell {self.name!r} cannot be pickled; pickle the layer that holds it")
        if _find(self.module, self.name) is not self:  # fail now, not later when the pickle is read
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
    """The cell of this process with this `number`; it must still be referenced somewhere."""
    return _by_number[number]


def living() -> list[Cell]:
    """Every cell of this process that is still referenced: those of modules, and those of layers with their options."""
    return list(_living)


def _find(module: str, name: str) -> Cell:
    import importlib

    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, Cell):
        raise CellError(f"expected the module {module} to hold a cell named {name!r}; define it there at top level")
    return found
