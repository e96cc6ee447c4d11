"""What a cell is: a short pure function (the step) and a small description of it.

A step reads like its equations:

```python
@cell(gates="f z", states="h", source="a note of mine")
def leaky(x, s, U):
    u = U(s.h)
    f = sigmoid(x.f + u.f)
    return State(h=f * s.h + (1 - f) * tanh(x.z + u.z))
```

`x` holds `W_ih x_t + b_ih`, one `(B, H)` tensor a gate; `s` the states before this step, one `(B, H)` tensor a state;
`U(v)` is the recurrent product `W_hh v + b_hh`, one `(B, H)` tensor a gate. The first state is the output of the cell.

A step may have *seams*: further arguments with the default `identity`, put around the values at which an option acts
(`candidate` around what is about to be written, `memory` around the cell state on its way out). Parameters of the cell's own are
further keyword arguments, described by `parameters={"decay": "H"}`.

Where the input reaches some of the gates only, `inputs` names them, and `x` has only those; a cell with `recurrent=False` has no
recurrent product at all, and its step gets None for `U`.
"""

from __future__ import annotations

import inspect
import itertools
import keyword
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from ostinato.cells.masks import kept_units
from ostinato.cells.named import Gates, Named, State
from ostinato.cells.product import Product
from ostinato.errors import CellError
from ostinato.types import Tensor


def identity(v: Tensor) -> Tensor:
    """The default of every seam: what goes in comes out."""
    return v


@dataclass(frozen=True)
class Parameter:
    """A parameter of a cell besides the two weights and biases.

    Attributes:
        name: its name in the step and, with the layer's suffix, in the `state_dict`.
        shape: letters of the glossary: `("H",)`, `("G", )` for `G H` rows, `("P", "H")`; `("G_ih",)` for the rows of `weight_ih`,
            which are fewer where the input reaches some of the gates only.
        fill: its first value; None asks for the layer's own initialisation.
    """

    name: str
    shape: tuple[Literal["H", "G", "G_ih", "P"], ...]
    fill: float | None = None

    def sizes(self, gates: int, hidden_size: int, proj_size: int, input_gates: int | None = None) -> tuple[int, ...]:
        """The shape in numbers; `input_gates` None means as many as `gates`."""
        letters = {
            "H": hidden_size,
            "G": gates * hidden_size,
            "G_ih": (gates if input_gates is None else input_gates) * hidden_size,
            "P": proj_size or hidden_size,
        }
        return tuple(letters[letter] for letter in self.shape)


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


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrence: its step and its description. Made by the decorator `cell`; changed by `ostinato.cells.options`.

    Attributes:
        name: of the cell; for a cell of a module, the name it has there.
        step: `step(x, s, U, **seams and parameters) -> State`.
        gates: names of the gates, in the order of the rows of the weights.
        states: name of each state to the letter of its width, `H` or `P`. The first one is the output.
        parameters: what the step has besides `weight_ih, weight_hh, bias_ih, bias_hh`.
        noise: the masks that the step asks for.
        seams: names at which options may act.
        keep: the gate whose opening keeps the memory (LSTM's f), or several with spaces between; None if there is none.
        write: the gate whose opening overwrites the memory (LSTM's i), or several with spaces between; None if there is none.
        number: of this object among those of the process, for `numbered`.
        forget_bias: what a layer's `forget_bias` is where it is not given; None leaves the biases to the initialisation.
        input_gates: names of the gates that get `W_ih x`, in the order of `gates`; all of them unless told otherwise.
        recurrent: whether there is a recurrent product. Else there are no `weight_hh` and `bias_hh`, and `U` is None.
        enter: what is done to `W_ih x` of all time steps before its bias.
        vendor: the mode of torch's own kernels that computes exactly this step, or None.
        options: names of the transformations that made this cell from the one in the source.
        source: the paper.
    """

    name: str
    step: Callable[..., State]
    gates: tuple[str, ...]
    states: Mapping[str, Literal["H", "P"]]
    parameters: tuple[Parameter, ...] = ()
    noise: tuple[MaskSpec, ...] = ()
    seams: frozenset[str] = frozenset()
    keep: str | None = None
    write: str | None = None
    enter: tuple[InputHook, ...] = ()
    vendor: str | None = None
    options: tuple[str, ...] = ()
    source: str = ""
    module: str = field(default="", repr=False)
    input_gates: tuple[str, ...] = ()
    recurrent: bool = True
    forget_bias: float | None = None
    number: int = field(init=False, repr=False)

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

    def state_sizes(self, hidden_size: int, proj_size: int = 0) -> dict[str, int]:
        """The width of each state."""
        return {name: (proj_size or hidden_size) if at == "P" else hidden_size for name, at in self.states.items()}

    def parameter_sizes(
        self, input_size: int, hidden_size: int, proj_size: int = 0, bias: bool = True
    ) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter of one direction of a layer by its name without suffix, in the order of the `state_dict`."""
        gates, input_gates = len(self.gates), len(self.input_gates)
        rows = {"ih": input_gates * hidden_size} | ({"hh": gates * hidden_size} if self.recurrent else {})
        columns = {"ih": input_size, "hh": proj_size or hidden_size}
        shapes: dict[str, tuple[int, ...]] = {f"weight_{at}": (size, columns[at]) for at, size in rows.items()}
        if bias:
            shapes |= {f"bias_{at}": (size,) for at, size in rows.items()}
        return shapes | {p.name: p.sizes(gates, hidden_size, proj_size, input_gates) for p in self.parameters}

    @torch.inference_mode(False)  # whose tensors do not say whether they were changed
    def check(self) -> None:
        """Run the step once on two rows of three units.

        Raises:
            CellError: where step and description disagree, or the step changes what it is given.
        """
        x = Gates(**{name: torch.zeros(2, 3, device="cpu") for name in self.input_gates})
        s = State(**{name: torch.zeros(2, 3, device="cpu") for name in self.states})
        sizes = self.parameter_sizes(3, 3, bias=False)
        U = Product(self.gates, torch.zeros(sizes["weight_hh"], device="cpu"), None, 3) if self.recurrent else None
        named = {p.name: torch.zeros(sizes[p.name], device="cpu") for p in self.parameters}
        masks = {n.name: torch.zeros(2, 3, device="cpu") for n in self.noise}
        given = {f"x.{n}": getattr(x, n) for n in x.names} | {f"s.{n}": getattr(s, n) for n in s.names} | named | masks
        try:
            after = self.step(x, s, U, **named, **masks)
        except CellError:
            raise
        except Exception as error:  # whatever a user's step may raise
            said = str(error).partition("\n")[0]
            hint = "" if self.recurrent else " (U is None, as the cell is described with recurrent=False)"
            if own := _tensors_outside(self.step):
                hint += (
                    f" (the step reads the tensor {own[0]!r} outside of its arguments; a number for each unit belongs into "
                    f'parameters={{"{own[0]}": "H"}}, and into the layer\'s parameter of that name, with requires_grad_(False) '
                    "where it is not to be learned)"
                )
            raise CellError(
                f"the step of cell {self.name!r} failed on two rows of three units: {type(error).__name__}: {said}{hint}"
            ) from error
        if changed := [name for name, v in given.items() if v._version]:
            raise CellError(
                f"the step of cell {self.name!r} changes {changed[0]} in place, which its caller has still in use (the first state "
                f"is the layer's hx); compute a new tensor, as in {changed[0]} * 0.5 instead of {changed[0]}.mul_(0.5)"
            )
        if not isinstance(after, State):
            raise CellError(f"the step of cell {self.name!r} must return a State, got {type(after).__name__}")
        if set(after.names) != set(self.states):
            raise CellError(
                f"cell {self.name!r} is described with the states {' '.join(self.states)!r} "
                f"but its step returned {' '.join(after.names)!r}"
            )
        for name in after.names:
            if not isinstance(new := getattr(after, name), Tensor):
                raise CellError(
                    f"the step of cell {self.name!r} returned a {type(new).__name__} for {name}, not a tensor"
                )
            if (got := tuple(new.shape)) != (2, 3):
                raise CellError(
                    f"the step of cell {self.name!r} changed the shape of {name} from (B, H) = (2, 3) to {got}"
                )

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


def _tensors_outside(step: Callable[..., Any]) -> list[str]:
    """Names of tensors that a step closes over, or finds in its module."""
    if not inspect.isfunction(step):
        return []
    try:
        found = inspect.getclosurevars(step)
    except ValueError:  # a variable that is not set yet
        return []
    return [name for name, v in {**found.nonlocals, **found.globals}.items() if isinstance(v, Tensor)]


def _find(module: str, name: str) -> Cell:
    import importlib

    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, Cell):
        raise CellError(f"expected the module {module} to hold a cell named {name!r}; define it there at top level")
    return found


def _names(what: str, text: str) -> tuple[str, ...]:
    names = tuple(text.split())
    # A name that `Named` has itself, like `with_`, could not be read as `x.with_`.
    bad = [n for n in names if not n.isidentifier() or keyword.iskeyword(n) or n.startswith("_") or hasattr(Named, n)]
    if not names or bad or len(set(names)) != len(names):
        raise CellError(f'{what} expected distinct names with spaces between, like "i f g o", got {text!r}')
    return names


def _parameters(described: Mapping[str, Literal["H", "G", "P"]]) -> tuple[Parameter, ...]:
    for name, letter in described.items():
        if name in (weights := ("weight_ih", "weight_hh", "bias_ih", "bias_hh")):
            raise CellError(f"parameters expected other names than the weights' {', '.join(weights)}, got {name!r}")
        if letter not in ("H", "G", "P"):
            raise CellError(f"parameters expected the letter 'H', 'G' or 'P' for {name!r}, got {letter!r}")
    return tuple(Parameter(name, (letter,), 0.0) for name, letter in described.items())


def cell(
    *,
    gates: str,
    states: str,
    source: str = "",
    inputs: str | None = None,
    recurrent: bool = True,
    parameters: Mapping[str, Literal["H", "G", "P"]] | None = None,
    keep: str | None = None,
    write: str | None = None,
    forget_bias: float | None = None,
    vendor: str | None = None,
) -> Callable[[Callable[..., State]], Cell]:
    """Make a cell of a step function.

    Args:
        gates: names of the gates with spaces between; their order is the order of the rows of every weight.
        states: names of the states; the first is the output.
        source: the paper that the equations are from.
        inputs: names of the gates that get `W_ih x + b_ih`, which have rows in `weight_ih` and `bias_ih`; None for all.
        recurrent: whether there is a recurrent product; if not, `U` is None, and there are no `weight_hh` and `bias_hh`.
        parameters: name to letter of the vectors that the step takes besides the two weights and biases: `H` (one number a
            unit), `G` (one a unit and gate), `P` (one a unit of the output). They start at zero.
        keep: the gate that keeps the memory when it is open, or several; `forget_bias` and chrono initialisation act there.
        write: the gate that overwrites the memory when it is open, or several.
        forget_bias: what a layer's `forget_bias` is where it is not given.
        vendor: the mode of torch's own kernels that computes exactly this step.

    Raises:
        CellError: where names are malformed or the step's signature does not fit the description.
    """
    gate_names, state_names = _names("gates", gates), _names("states", states)
    input_names = gate_names if inputs is None else _names("inputs", inputs)
    for role, some in (("inputs", input_names), ("keep", (keep or "").split()), ("write", (write or "").split())):
        if unknown := [name for name in some if name not in gate_names]:
            raise CellError(f"{role} expected some of the gates {gates!r}, got {unknown[0]!r}")
    if vendor is not None and not (recurrent and set(input_names) == set(gate_names)):
        raise CellError(
            "vendor expected None, as all of torch's kernels give every gate an input and a recurrent product"
        )
    own = _parameters(parameters or {})

    def decorate(step: Callable[..., State]) -> Cell:
        signature = list(inspect.signature(step).parameters.values())
        seams = {p.name for p in signature[3:] if p.default is identity}
        taken = {p.name for p in signature[3:]} - seams
        if len(signature) < 3 or taken != {p.name for p in own}:
            raise CellError(
                f"the step {step.__name__!r} must take (x, s, U), then its parameters "
                f"({', '.join(p.name for p in own) or 'none described'}), then seams with the default identity; "
                f"it takes ({', '.join(p.name for p in signature)})"
            )
        made = Cell(
            name=step.__name__,
            step=step,
            gates=gate_names,
            states=dict.fromkeys(state_names, "H"),
            parameters=own,
            seams=frozenset(seams),
            keep=keep,
            write=write,
            forget_bias=forget_bias,
            input_gates=tuple(gate for gate in gate_names if gate in input_names),
            recurrent=recurrent,
            vendor=vendor,
            source=source,
            module=step.__module__,
        )
        object.__setattr__(made, "__doc__", step.__doc__)
        return made

    return decorate
