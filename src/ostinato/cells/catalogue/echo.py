"""Echo state networks: reservoirs of fixed random weights; only a layer behind the network is learned."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import tanh
from torch.nn import functional as F
from torch.nn import init

from ostinato.cells.family import Family, member, number
from ostinato.cells.named import Gates, State
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell
from ostinato.types import Tensor

__all__ = ["es2n", "esn"]

_FIXED = "weight_ih weight_hh bias_ih bias_hh"


def _reservoir(spectral_radius: float, input_scaling: float) -> dict[str, Any]:
    def scaled(v: Tensor) -> Tensor:
        """Fill every block with uniform numbers, scaled so that its largest eigenvalue has this magnitude."""
        init.uniform_(v, -1.0, 1.0)
        if not v.numel():
            return v
        blocks = v.view(-1, v.shape[1], v.shape[1])
        values = cast("Tensor", torch.linalg.eigvals(blocks.double()))  # pyright: ignore[reportUnknownMemberType]
        largest = values.abs().amax(-1).clamp_min(1e-12)
        return blocks.mul_((spectral_radius / largest).to(v.dtype)[:, None, None])

    def spread(v: Tensor) -> Tensor:
        return init.uniform_(v, -input_scaling, input_scaling)

    return {"weight_ih": spread, "bias_ih": spread, "weight_hh": scaled, "bias_hh": 0.0}


def _check(spectral_radius: float, input_scaling: float) -> None:
    number("spectral_radius", spectral_radius, least=0.0)
    number("input_scaling", input_scaling, least=0.0)


@Family
def esn(leak: float = 1.0, spectral_radius: float = 0.9, input_scaling: float = 1.0) -> Cell:
    """h' = (1 - leak) h + leak tanh(W x + U h + b), with fixed random W, U and b."""
    number("leak", leak, above=0.0, most=1.0)
    _check(spectral_radius, input_scaling)

    def step(x: Gates, s: State, U: Any) -> State:
        return State(h=(1 - leak) * s.h + leak * tanh(x.h + U(s.h).h))

    return cell(
        gates="h",
        states="h",
        starts=_reservoir(spectral_radius, input_scaling),
        fixed=_FIXED,
        source="Jaeger et al. 2007, Neural Networks 20, as Ceni & Gallicchio 2023, arXiv 2308.02902, (1), have it",
    )(step)


@Family
def es2n(beta: float = 0.1, spectral_radius: float = 0.9, input_scaling: float = 1.0) -> Cell:
    """h' = beta tanh(W x + U h + b) + (1 - beta) O h, with an orthogonal O, all fixed and random."""
    number("beta", beta, above=0.0, most=1.0)
    _check(spectral_radius, input_scaling)

    def step(x: Gates, s: State, U: Any, O: Tensor) -> State:  # noqa: E741
        return State(h=beta * tanh(x.h + U(s.h).h) + (1 - beta) * F.linear(s.h, O))

    return cell(
        gates="h",
        states="h",
        parameters={"O": "H H"},
        starts={**_reservoir(spectral_radius, input_scaling), "O": "orthogonal"},
        fixed=f"{_FIXED} O",
        source="Ceni & Gallicchio 2023, arXiv 2308.02902, (5)",
    )(step)


@named("ESN", variants=[{}, {"leak": 0.3}])
def named_esn(*, leak: float = 1.0, spectral_radius: float = 0.9, input_scaling: float = 1.0) -> Cell:
    """Echo state network of leaky units: h' = (1 - leak) h + leak tanh(W x + U h + b). Nothing of it is learned.

    W and b start uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; put a learned layer
    behind this one. An `init` other than "torch" does not use these scales.

    Source: Jaeger, Lukosevicius, Popovici & Siewert 2007, Optimization and applications of echo state networks with
    leaky-integrator neurons, Neural Networks 20; Jaeger 2001. The equation is (1) of Ceni & Gallicchio 2023, arXiv 2308.02902, who
    have no b (`bias=False` here).

    Args:
        leak: the share of the state that is new in a step, in (0, 1].
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0; that of (1 - leak) I + leak U is near it.
        input_scaling: the largest magnitude of input weights and biases, at least 0.
    """
    return esn(leak, spectral_radius, input_scaling)


@named("ES2N", variants=[{}, {"beta": 0.4}])
def named_es2n(*, beta: float = 0.1, spectral_radius: float = 0.9, input_scaling: float = 1.0) -> Cell:
    """Echo state network at the edge of stability: h' = beta tanh(W x + U h + b) + (1 - beta) O h. Nothing of it is learned.

    O starts orthogonal, W and b uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; put a
    learned layer behind this one. An `init` other than "torch" does not use these scales.

    Source: Ceni & Gallicchio 2023, arXiv 2308.02902, Edge of stability echo state networks, (5). The paper has no b (`bias=False`
    here). Its U is normal, of variance one over its columns, times a number that is close to the spectral radius of the result.

    Args:
        beta: the share of the tanh, in (0, 1]; the rest of the state is rotated by O and kept.
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0.
        input_scaling: the largest magnitude of input weights and biases, at least 0.
    """
    return es2n(beta, spectral_radius, input_scaling)


def __getattr__(name: str) -> Cell:
    return member(__name__, name, esn, es2n)
