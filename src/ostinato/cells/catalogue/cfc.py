"""The closed-form continuous-time network: an approximate solution of a liquid network's equation, without a solver."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from torch import exp, sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.named import Gates, State
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["cfc"]

HEADS = {"default": "f g a b", "no_gate": "f g a b", "pure": "f"}


def cfc(mode: str = "default", backbone: int = 1) -> Cell:
    """The cell with this mode and backbone; equal arguments give the same object; see `named_cfc`.

    Source: Hasani et al. 2022, arXiv 2106.13898v2, Closed-form Continuous-time Neural Networks, (10), and (9) for "pure".

    Raises:
        CellError: the mode is unknown, or the backbone is not a whole number of at least 0.
    """
    if mode not in HEADS:
        raise CellError(f"mode expected one of {', '.join(HEADS)}, got {mode!r}")
    if isinstance(backbone, bool) or not isinstance(backbone, int) or backbone < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CellError(f"backbone expected an integer of at least 0, got {backbone!r}")
    return _cfc(mode, backbone)


@cache
def _cfc(mode: str, backbone: int) -> Cell:
    heads = HEADS[mode].split()
    gates = " ".join(f"z{n}" for n in range(backbone)) or HEADS[mode]
    parameters: dict[str, str] = {}
    for head in heads if backbone else ():
        parameters |= {f"weight_{head}{n}": "H H" for n in range(backbone)} | {f"bias_{head}": "H"}
    if mode == "pure":
        parameters |= {"A": "H", "w_tau": "H"}

    def step(x: Gates, s: State, U: Any, dt: Tensor, **own: Tensor) -> State:
        u = U(s.h)
        sums = Gates(**{name: getattr(x, name) + getattr(u, name) for name in x.names})
        if backbone:
            units = [1.7159 * tanh(0.666 * v) for v in sums]
            sums = Gates(**{head: _head(head, units, own) for head in heads})
        if mode == "pure":
            return State(h=own["A"] - own["A"] * exp(-dt * (own["w_tau"].abs() + sums.f.abs())) * sums.f)
        f, g, t = tanh(sums.f), tanh(sums.g), sigmoid(sums.a * dt + sums.b)
        return State(h=f + t * g if mode == "no_gate" else f * (1 - t) + t * g)

    step.__name__ = f"cfc_{mode}_{backbone}"
    step.__doc__ = f"The closed-form continuous-time cell, mode {mode}; see `cfc`."
    return cell(
        gates=gates,
        states="h",
        extras="dt",
        parameters=parameters,
        starts={"A": 1.0, "w_tau": "uniform(0, 0.1)"} if mode == "pure" else None,
        source=f"Hasani et al. 2022, arXiv 2106.13898v2, {'(9)' if mode == 'pure' else '(10)'}",
    )(step)


def _head(name: str, units: list[Tensor], own: dict[str, Tensor]) -> Tensor:
    found = own[f"bias_{name}"]
    for n, v in enumerate(units):
        found = found + F.linear(v, own[f"weight_{name}{n}"])
    return found


@named("CfC", variants=[{}, {"mode": "pure"}, {"mode": "no_gate", "backbone": 2}, {"backbone": 0}])
def named_cfc(*, mode: str = "default", backbone: int = 1) -> Cell:
    """The closed-form continuous-time network: h' = (1 - t) f + t g, with the time gate t = sigmoid(a dt + b).

    f and g are tanh of a linear map, a and b are linear, all of a backbone z = 1.7159 tanh(0.666 (W x + U h + b)). The extra `dt`,
    `(T, B)`, is the time since the step before: ones if all steps are equally long. The authors initialise with `init="xavier"`,
    which is best here too.

    Source: Hasani et al. 2022, arXiv 2106.13898v2, (10). It follows the authors' code (raminmh/CfC, mlech26l/ncps), where
    sigmoid(a dt + b) is the share of g, while the paper writes sigmoid(-f t) as the share of the other term; a backbone of several
    layers is not supported. "pure" is (9) with -A for its B, and f(x) for its f(-x), as in their code. There w_tau starts at zero,
    where |w_tau| has no slope; here it starts in [0, 0.1].

    Args:
        mode: "default"; "no_gate" for h' = f + t g; "pure" for h' = A - A exp(-dt (|w_tau| + |f|)) f, the solution itself.
        backbone: the width of the backbone for each hidden unit, which has `backbone * hidden_size` units; 0 for none: f, g, a and
            b are then made directly from linear maps of x and h.
    """
    return cfc(mode, backbone)


def __getattr__(name: str) -> Cell:
    # A cell is pickled by its name in its module, so this module has a name for every mode and backbone.
    if (found := re.fullmatch("cfc_(.+)_([0-9]+)", name)) and found[1] in HEADS:
        return cfc(found[1], int(found[2]))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
