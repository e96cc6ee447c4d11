"""Make a cell from a short pure function (the step) and a small description of it.

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

A step may have *seams*: further arguments with the default `identity`, called on the values at which an option acts (`candidate` on
the value that is about to be written, `memory` on the cell state where it enters the output). The cell's own parameters are further
keyword arguments, described by `parameters={"decay": "H"}`.

If the input reaches some of the gates only, `inputs` names them, and `x` has only those; a cell with `recurrent=False` has no
recurrent product at all, and its step gets None for `U`.

A step that takes an argument `W` gets the input itself as `x`, `(B, I)`, and its product as a function: `W(v)` is `W_ih v + b_ih`,
one `(B, H)` tensor a gate. *Extras* are further inputs, which are not multiplied unless the step does it: with `extras="dt mask:I"`
the layer takes them by name, and the step gets `(B, 1)` and `(B, I)`. Letters for widths are in `ostinato.cells.widths`.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping
from typing import Any

from ostinato.cells.named import Named, State
from ostinato.cells.recurrence import WEIGHTS, Cell, MaskSpec, Parameter, identity, living, numbered
from ostinato.cells.start import start
from ostinato.cells.widths import LETTERS, letters, named_widths
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["Cell", "MaskSpec", "Parameter", "cell", "identity", "living", "numbered"]


def _names(what: str, text: str) -> tuple[str, ...]:
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CellError(f'{what} expected names in one text with spaces between, like "i f g o", got {text!r}')
    names = tuple(each.partition(":")[0] for each in text.split())
    # A gate named like an attribute of `Named`, such as `with_`, could not be read as `x.with_`.
    bad = [n for n in names if not n.isidentifier() or keyword.iskeyword(n) or n.startswith("_") or hasattr(Named, n)]
    if not names or bad or len(set(names)) != len(names):
        raise CellError(f'{what} expected distinct names with spaces between, like "i f g o", got {text!r}')
    return names


def _parameters(
    described: Mapping[str, str], starts: Mapping[str, object], own: Mapping[str, int]
) -> tuple[Parameter, ...]:
    found: list[Parameter] = []
    for name, text in described.items():
        if name in WEIGHTS:
            raise CellError(f"parameters expected other names than the weights' {', '.join(WEIGHTS)}, got {name!r}")
        shape = letters(f"the parameter {name!r}", text, own, ("G", "G_ih"))
        if len(shape) > 2 or any(letter in ("G", "G_ih") for letter in shape[1:]):
            raise CellError(
                f"the parameter {name!r} expected one letter for a vector or two for a matrix, its rows first; got {text!r}"
            )
        # Without a start a vector is zero, and a matrix is initialised like the layer's weights.
        default = 0.0 if len(shape) == 1 else None
        found.append(Parameter(name, shape, start(name, starts[name], len(shape)) if name in starts else default))
    return tuple(found)


def _own_widths(given: Mapping[str, object]) -> dict[str, int]:
    found: dict[str, int] = {}
    for letter, size in given.items():
        if not letter.isidentifier() or letter in (*LETTERS, "G", "G_ih", "B", "T"):
            raise CellError(
                f"widths expected letters that have no meaning yet, got {letter!r}, which has; choose another"
            )
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise CellError(f"widths expected a number of at least 1 for {letter!r}, got {size!r}")
        found[letter] = size
    return found


def cell(
    *,
    gates: str,
    states: str,
    source: str = "",
    inputs: str | None = None,
    recurrent: bool = True,
    extras: str = "",
    parameters: Mapping[str, str] | None = None,
    widths: Mapping[str, int] | None = None,
    starts: Mapping[str, float | str | Callable[..., Any]] | None = None,
    fixed: str = "",
    derived: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    keep: str | None = None,
    write: str | None = None,
    forget_bias: float | Callable[..., Any] | None = None,
    vendor: str | None = None,
) -> Callable[[Callable[..., State]], Cell]:
    """Make a cell from a step function.

    Widths are letters: `H`, `P` (units of the output), `I` (features of the input), `N` (heads), `d` (units of a head), `1` (one
    number a row), and those of `widths`.

    Args:
        gates: names of the gates with spaces between; their order is the order of the rows of every weight.
        states: names of the states; the first is the output. A width other than `H` follows a colon: "h memory:M"; a state with
            several dimensions has several letters: "h C:N,d,d".
        source: the paper that the equations are from.
        inputs: names of the gates that get `W_ih x + b_ih`, which have rows in `weight_ih` and `bias_ih`; None for all.
        recurrent: whether there is a recurrent product; if not, `U` is None, and there are no `weight_hh` and `bias_hh`.
        extras: names of further inputs, which the layer takes by name: `(T, B)` each, or `(T, B, width)` with the width behind a
            colon, "dt mask:I". The step gets them by name too, `(B, 1)` or `(B, width)`.
        parameters: by name the shape of each parameter besides the two weights and biases: one letter for a vector, `H` (one number
            a unit), `1` (one for all), `G` (one a unit and gate); or two for a matrix, its rows first, "H I", which the step
            multiplies with `torch.nn.functional.linear`.
        widths: the cell's own letters, each with its number.
        starts: by name the initial value of parameters, weights or biases: a number, "uniform(0.9, 0.999)" or another of
            `ostinato.cells.start.NAMES`, or a function that fills a tensor in place; it gets the layer's `num_heads` if it has an
            argument of that name. Without an entry here, the cell's own vectors start at zero, and all else as the layer's `init`
            says. An `init` other than "torch" or "chrono" replaces the entries for weights and biases.
        fixed: names of parameters, weights or biases that are not learned.
        derived: by the name of a weight or matrix, a function that computes the matrix to multiply with from the learned one, once
            a call.
        keep: the gate that keeps the memory when it is open, or several; `forget_bias` and chrono initialisation act there.
        write: the gate that overwrites the memory when it is open, or several.
        forget_bias: the default of a layer's `forget_bias`: a number, or a function as in `starts` for the `(H,)` biases of each
            gate that keeps or writes.
        vendor: the mode of torch's own kernels that computes exactly this step.

    Raises:
        CellError: names are malformed, or the step's signature does not fit the description.
    """
    for role, some in (("parameters", parameters), ("widths", widths), ("starts", starts), ("derived", derived)):
        if not isinstance(some, Mapping | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CellError(f"{role} expected a mapping from names, got {some!r}")
    if wrong := [name for name, function in (derived or {}).items() if not callable(function)]:
        raise CellError(f"derived expected a function for {wrong[0]!r}, got {(derived or {})[wrong[0]]!r}")
    gate_names, own_widths = _names("gates", gates), _own_widths(widths or {})
    _names("states", states)
    described = {n: " ".join(at) for n, at in named_widths("the state", states, "H", own_widths).items()}
    if described[first := next(iter(described))] != "H":
        raise CellError(
            f"states expected the first one, which is the output, to have H units, got {first}:{described[first]}; put it second, "
            "behind an output that is made of it"
        )
    if extras.strip():
        _names("extras", extras)
    if taken := {"input", "hx", "lengths", "return_states", "self", "x"} & {
        each.partition(":")[0] for each in extras.split()
    }:
        raise CellError(f"extras expected other names than the layer's own arguments, got {min(taken)!r}; rename it")
    further = {n: " ".join(at) for n, at in named_widths("the extra", extras, "1", own_widths).items()}
    if several := [name for name, at in further.items() if " " in at]:
        raise CellError(f"extras expected one letter for the width of {several[0]!r}, got {further[several[0]]!r}")
    input_names = gate_names if inputs is None else _names("inputs", inputs)
    for role, some in (("inputs", input_names), ("keep", (keep or "").split()), ("write", (write or "").split())):
        if unknown := [name for name in some if name not in gate_names]:
            raise CellError(f"{role} expected some of the gates {gates!r}, got {unknown[0]!r}")
    if vendor is not None and not (recurrent and set(input_names) == set(gate_names)):
        raise CellError(
            "vendor expected None, as all of torch's kernels give every gate an input and a recurrent product"
        )
    first_values = dict(starts or {})
    own = _parameters(parameters or {}, first_values, own_widths)
    if both := [p.name for p in own if p.name in further]:
        raise CellError(f"extras and parameters expected different names, got {both[0]!r} in both; rename one")
    known = (*WEIGHTS, *(p.name for p in own))
    for role, some in (("starts", first_values), ("fixed", fixed.split()), ("derived", derived or {})):
        if unknown := [name for name in some if name not in known]:
            raise CellError(f"{role} expected some of {', '.join(known)}, got {unknown[0]!r}")

    def decorate(step: Callable[..., State]) -> Cell:
        signature = list(inspect.signature(step).parameters.values())
        seams = {p.name for p in signature[3:] if p.default is identity}
        offered = {"W", "num_heads"}  # arguments that a step may take although the description does not name them
        wanted = {*further, *(p.name for p in own)}
        taken = {p.name for p in signature[3:] if p.kind is not p.VAR_KEYWORD} - seams
        if any(p.kind is p.VAR_KEYWORD for p in signature[3:]):  # `**own` takes all parameters of the description
            taken |= wanted
        first_three = {p.name for p in signature[:3]}
        if len(signature) < 3 or first_three & offered or taken - offered != wanted:
            raise CellError(
                f"the step {step.__name__!r} must take (x, s, U), then its {'extras and ' if further else ''}parameters "
                f"({', '.join([*further, *(p.name for p in own)]) or 'none described'}), then seams with the default identity; "
                f"it takes ({', '.join(p.name for p in signature)})"
            )
        made = Cell(
            name=step.__name__,
            step=step,
            gates=gate_names,
            states=described,
            parameters=own,
            seams=frozenset(seams),
            keep=keep,
            write=write,
            forget_bias=start("forget_bias", forget_bias) if callable(forget_bias) else forget_bias,
            input_gates=tuple(gate for gate in gate_names if gate in input_names),
            recurrent=recurrent,
            vendor=vendor,
            source=source,
            module=step.__module__,
            raw="W" in taken,
            extras=further,
            widths=own_widths,
            counts_heads="num_heads" in taken,
            starts={
                name: start(name, value, 1 if name.startswith("bias") else 2)
                for name, value in first_values.items()
                if name in WEIGHTS
            },
            fixed=frozenset(fixed.split()),
            derived=dict(derived or {}),
        )
        object.__setattr__(made, "__doc__", step.__doc__)
        return made

    return decorate
