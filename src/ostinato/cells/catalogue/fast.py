"""FastRNN and FastGRNN: a residual connection with two learned numbers, and a gate that shares its matrices with the candidate."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.family import Family, member, whole
from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["fastgrnn", "fastgrnn_lowrank", "fastrnn", "fastrnn_lowrank"]

SOURCE = "Kusupati et al. 2018, arXiv 1901.02358"

# All initial values are as in the authors' code, those of the scalars before their sigmoid.
_WEIGHTS = {"weight_ih": "normal(0, 0.1)", "bias_ih": 1.0, "bias_hh": 0.0}
_FULL = _WEIGHTS | {"weight_hh": "normal(0, 0.1)"}
_LOW = _WEIGHTS | {"U1": "normal(0, 0.1)", "U2": "normal(0, 0.1)"}
_FACTORS = {"U1": "H R", "U2": "R H"}
_FASTRNN, _FASTRNN_STARTS = {"alpha": "1", "beta": "1"}, {"alpha": -3.0, "beta": 3.0}
_FASTGRNN, _FASTGRNN_STARTS = {"bias_z": "H", "zeta": "1", "nu": "1"}, {"zeta": 1.0, "nu": -4.0}


@cell(gates="h", states="h", parameters=_FASTRNN, starts=_FULL | _FASTRNN_STARTS, source=f"{SOURCE}, (2)")
def fastrnn(x: Gates, s: State, U: Any, alpha: Tensor, beta: Tensor, candidate: Wrap = identity) -> State:
    """h' = alpha tanh(W x + U h + b) + beta h, with alpha and beta the sigmoids of two learned numbers."""
    return State(h=sigmoid(alpha) * candidate(tanh(x.h + U(s.h).h)) + sigmoid(beta) * s.h)


@Family
def fastrnn_lowrank(rank: int) -> Cell:
    """`fastrnn` with U = U1 U2, `(H, rank)` by `(rank, H)`."""
    whole("rank", rank)

    def step(
        x: Gates, s: State, U: None, U1: Tensor, U2: Tensor, alpha: Tensor, beta: Tensor, candidate: Wrap = identity
    ) -> State:
        u = F.linear(F.linear(s.h, U2), U1)
        return State(h=sigmoid(alpha) * candidate(tanh(x.h + u)) + sigmoid(beta) * s.h)

    return cell(
        gates="h",
        states="h",
        recurrent=False,
        parameters=_FACTORS | _FASTRNN,
        widths={"R": rank},
        starts={n: v for n, v in (_LOW | _FASTRNN_STARTS).items() if n != "bias_hh"},
        source=f"{SOURCE}, (2)",
    )(step)


def _gated(v: Tensor, h: Tensor, bias_z: Tensor, zeta: Tensor, nu: Tensor, candidate: Wrap) -> State:
    z = sigmoid(v + bias_z)
    return State(h=(sigmoid(zeta) * (1 - z) + sigmoid(nu)) * candidate(tanh(v)) + z * h)


@cell(gates="h", states="h", parameters=_FASTGRNN, starts=_FULL | _FASTGRNN_STARTS, source=f"{SOURCE}, (6)")
def fastgrnn(x: Gates, s: State, U: Any, bias_z: Tensor, zeta: Tensor, nu: Tensor, candidate: Wrap = identity) -> State:
    """h' = (zeta (1 - z) + nu) tanh(v + b_h) + z h, with z = sigmoid(v + b_z) and one v = W x + U h for both."""
    return _gated(x.h + U(s.h).h, s.h, bias_z, zeta, nu, candidate)


@Family
def fastgrnn_lowrank(rank: int) -> Cell:
    """`fastgrnn` with U = U1 U2, `(H, rank)` by `(rank, H)`."""
    whole("rank", rank)

    def step(
        x: Gates,
        s: State,
        U: None,
        U1: Tensor,
        U2: Tensor,
        bias_z: Tensor,
        zeta: Tensor,
        nu: Tensor,
        candidate: Wrap = identity,
    ) -> State:
        return _gated(x.h + F.linear(F.linear(s.h, U2), U1), s.h, bias_z, zeta, nu, candidate)

    return cell(
        gates="h",
        states="h",
        recurrent=False,
        parameters=_FACTORS | _FASTGRNN,
        widths={"R": rank},
        starts={n: v for n, v in (_LOW | _FASTGRNN_STARTS).items() if n != "bias_hh"},
        source=f"{SOURCE}, (6) and (7)",
    )(step)


@named("FastRNN", variants=[{}, {"rank": 2}])
def named_fastrnn(*, rank: int | None = None) -> Cell:
    """A network with a weighted residual connection: h' = alpha tanh(W x + U h + b) + beta h.

    alpha and beta are the sigmoids of two learned numbers a layer, which start at -3 and 3, as in the authors' code.

    Source: Kusupati et al. 2018, arXiv 1901.02358, (2).

    Args:
        rank: the rank of U = U1 U2, at least 1; None for a full matrix. For a W of low rank put a
            `torch.nn.Linear(I, rank, bias=False)` before the layer, whose `input_size` is then that rank.
    """
    return fastrnn if rank is None else fastrnn_lowrank(rank)


@named("FastGRNN", variants=[{}, {"rank": 2}])
def named_fastgrnn(*, rank: int | None = None) -> Cell:
    """A gated network with the matrices of an ungated one: h' = (zeta (1 - z) + nu) tanh(v + b_h) + z h, z = sigmoid(v + b_z).

    v = W x + U h is used in both places. b_h is `bias_ih` + `bias_hh`, and b_z is b_h + `bias_z`. zeta and nu are the sigmoids of
    two learned numbers a layer, which start at 1 and -4; b_h and b_z start at 1. All are as in the authors' code.

    Source: Kusupati et al. 2018, arXiv 1901.02358, (6); a low rank, (7).

    Args:
        rank: the rank of U = U1 U2, at least 1; None for a full matrix. For a W of low rank put a
            `torch.nn.Linear(I, rank, bias=False)` before the layer, whose `input_size` is then that rank.
    """
    return fastgrnn if rank is None else fastgrnn_lowrank(rank)


def __getattr__(name: str) -> Cell:
    return member(__name__, name, fastrnn_lowrank, fastgrnn_lowrank)
