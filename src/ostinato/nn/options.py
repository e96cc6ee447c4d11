"""The options of a recurrent layer beyond torch.nn's, checked, and applied to its cell."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypedDict, TypeGuard, cast

from ostinato.cells import options as transform
from ostinato.cells.spec import Cell
from ostinato.kernels import dispatch
from ostinato.nn.first_state import FirstState, first_state
from ostinato.nn.initialisation import Initialisation, initialisation


class StepOptions(TypedDict, total=False):
    """Keyword-only options that layers and single steps (`LSTMCell` and its kin) share.

    Attributes:
        zoneout: probability in [0, 1] that a unit keeps its value: a number for all states, one for each, or a dict by name.
        recurrent_dropout: rate in [0, 1] of dropout of what is written into the memory (Semeniuta et al. 2016).
        layer_norm: normalise the products and the cell state (Ba et al. 2016).
        peephole: the gates see the cell state (Gers et al. 2002).
        coupled_gates: i = 1 - f (Greff et al. 2017).
        num_heads: `N`, at least 1, a divisor of `H`: the recurrent matrix is block-diagonal, and each head of `H / N` units
            reads only its own units of the step before (Beck et al. 2024). `weight_hh` is `(G H, H / N)`.
        forget_bias: the initial sum of both biases of the gate that keeps the memory (Jozefowicz et al. 2015: 1); a gate that
            writes it gets the negative. None for the cell's own value, if it has one.
        init: "torch", "xavier", "he", "orthogonal", "chrono(T_max)", or an `Initialisation`.
        backend: "auto" for the fastest that can run the call, or one by name: "compiled" (machine code made from the step, on
            CPU), "triton" (kernels made from the step, on CUDA), "vendor" (torch's own kernels, plain cells only) or
            "reference" (the step in a loop, in plain PyTorch).
    """

    zoneout: float | Sequence[float] | Mapping[str, float]
    recurrent_dropout: float
    layer_norm: bool
    peephole: bool
    coupled_gates: bool
    num_heads: int
    forget_bias: float | None
    init: str | Initialisation
    backend: Literal["auto", "compiled", "triton", "vendor", "reference"]


class LayerOptions(StepOptions, total=False):
    """Keyword-only options of a layer.

    Attributes:
        variational_dropout: rates in [0, 1] of dropout of the input of each layer, of each recurrent product, and of the output
            of the last layer; one mask for all time steps (Gal & Ghahramani 2016). One number for all three, or three.
        weight_dropout: rate in [0, 1] of dropped recurrent weights, one mask a call (DropConnect: Merity et al. 2018).
        connection: None, "residual" or "highway", around every layer but the first.
        initial_state: "zeros", "learned", "noisy(std)", or a `FirstState`.
        checkpoint_segments: for long sequences: the number of steps, at least 1, from one kept state to the next in training;
            the backward pass computes the others again (Gruslys et al. 2016). With sqrt(T) the memory beside input and output
            grows with sqrt(T), for about a third more time. None keeps everything.
    """

    variational_dropout: float | Sequence[float]
    weight_dropout: float
    connection: Literal["residual", "highway"] | None
    initial_state: str | FirstState
    checkpoint_segments: int | None


class Rates(NamedTuple):
    """Rates of variational dropout, each in [0, 1]."""

    input: float = 0.0
    recurrent: float = 0.0
    output: float = 0.0


@dataclass(frozen=True)
class Options:
    """`LayerOptions`, checked and complete. Made by `parse`."""

    variational_dropout: Rates = dataclasses.field(default_factory=Rates)
    zoneout: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    recurrent_dropout: float = 0.0
    weight_dropout: float = 0.0
    layer_norm: bool = False
    peephole: bool = False
    coupled_gates: bool = False
    num_heads: int = 1
    connection: str | None = None
    forget_bias: float | None = None
    init: Initialisation = dataclasses.field(default_factory=lambda: initialisation("torch"))
    initial_state: FirstState = dataclasses.field(default_factory=lambda: first_state("zeros"))
    checkpoint_segments: int | None = None
    backend: str = "auto"

    def cell(self, base: Cell, *, projected: bool, training: bool = True) -> Cell:
        """Apply these options to `base`; in evaluation those that act in training only are left out, so that it runs faster."""
        steps: list[tuple[bool, Callable[[Cell], Cell]]] = [
            (self.num_heads > 1, lambda c: transform.num_heads(c, self.num_heads)),
            (self.coupled_gates, transform.coupled_gates),
            (self.peephole, transform.peephole),
            (self.layer_norm, transform.layer_norm),
            (training and self.recurrent_dropout > 0, lambda c: transform.recurrent_dropout(c, self.recurrent_dropout)),
            (
                training and self.variational_dropout.recurrent > 0,
                lambda c: transform.variational_dropout(c, self.variational_dropout.recurrent),
            ),
            (projected, transform.projection),
            (bool(self.zoneout), lambda c: transform.zoneout(c, self.zoneout)),
        ]
        for wanted, apply in steps:
            if wanted:
                base = apply(base)
        return base

    def changed(self) -> dict[str, Any]:
        """The options that are not at their default, for `repr`."""
        default = Options()
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value != getattr(default, name)}


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise `TypeError` for a keyword in `given` that is not in `known`."""
    names = sorted(known)
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            raise TypeError(
                f"unexpected keyword argument {name!r}"
                + (f"; did you mean {close[0]!r}?" if close else ".")
                + f" Beside torch.nn's arguments there are: {', '.join(names)}"
            )


def parse(given: Mapping[str, Any], base: Cell, allowed: type) -> Options:
    """Check options and complete them.

    Args:
        given: the options by name, as the user wrote them.
        base: the cell that they are for.
        allowed: the TypedDict that has all allowed options.

    Raises:
        TypeError: a name is unknown, or a value has a wrong type.
        ValueError: a value is out of its range.
        CellError: `base` cannot take an option.
    """
    check_names(given, allowed.__annotations__)
    values = dict(given)
    for name in ("recurrent_dropout", "weight_dropout"):
        if name in values:
            values[name] = _rate(name, values[name])
    for name in ("layer_norm", "peephole", "coupled_gates"):
        if not isinstance(values.get(name, False), bool):
            raise TypeError(f"{name} should be of type bool, got: {type(values[name]).__name__}")
    heads = values.get("num_heads", 1)
    if isinstance(heads, bool) or not isinstance(heads, int):
        raise TypeError(f"num_heads expected a number of heads, at least 1, got: {type(heads).__name__}")
    if heads < 1:
        raise ValueError(f"num_heads expected a number of heads, at least 1, got {heads}")
    if "variational_dropout" in values:
        values["variational_dropout"] = _rates(values["variational_dropout"])
    if "zoneout" in values:
        values["zoneout"] = {n: r for n, r in _zoneout(values["zoneout"], list(base.states)).items() if r > 0}
    if values.get("connection") not in (None, "residual", "highway"):
        raise ValueError(f"connection expected None, 'residual' or 'highway', got {values['connection']!r}")
    bias = values.get("forget_bias")
    if bias is not None and (isinstance(bias, bool) or not isinstance(bias, int | float)):
        raise TypeError(f"forget_bias expected a number or None, got: {type(bias).__name__}")
    segment = values.get("checkpoint_segments")
    if segment is not None and (isinstance(segment, bool) or not isinstance(segment, int)):
        raise TypeError(f"checkpoint_segments expected a number of steps or None, got: {type(segment).__name__}")
    if segment is not None and segment < 1:
        raise ValueError(f"checkpoint_segments expected at least 1 step, got {segment}; None keeps every state")
    if "init" in values:
        values["init"] = initialisation(values["init"])
    if values.get("weight_dropout"):
        transform.require_product(base, "weight_dropout", "Leave weight_dropout out")
    if "initial_state" in values:
        values["initial_state"] = first_state(values["initial_state"])
    if "backend" in values:
        dispatch.check_name(values["backend"])
    return Options(**values)


def _rate(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} expected a probability in [0, 1], got: {type(value).__name__}")
    if not 0 <= value <= 1:
        raise ValueError(f"{name} expected a probability in [0, 1], got {value}")
    return float(value)


def is_several(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether the value of an option is a sequence of values (a text is not)."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def _rates(value: object) -> Rates:
    if not is_several(value):
        rate = _rate("variational_dropout", value)
        return Rates(rate, rate, rate)
    if len(value) != 3:
        raise ValueError(f"variational_dropout expected one rate or three (input, recurrent, output), got {len(value)}")
    return Rates(*(_rate(f"variational_dropout ({name})", v) for name, v in zip(Rates._fields, value, strict=True)))


def _zoneout(value: object, states: list[str]) -> dict[str, float]:
    if isinstance(value, Mapping):
        rates = cast("Mapping[str, object]", value)
        if unknown := [name for name in rates if name not in states]:
            raise ValueError(f"zoneout expected rates for some of the states {', '.join(states)}, got {unknown[0]!r}")
        return {name: _rate(f"zoneout of {name}", rate) for name, rate in rates.items()}
    if is_several(value):
        if len(value) != len(states):
            raise ValueError(
                f"zoneout expected one rate, or one for each of the states {', '.join(states)}, got {len(value)}"
            )
        return {name: _rate(f"zoneout of {name}", rate) for name, rate in zip(states, value, strict=True)}
    rate = _rate("zoneout", value)
    return dict.fromkeys(states, rate)
