"""AntisymmetricRNN: steps of an equation whose eigenvalues are imaginary, so that its states neither grow nor fade."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.family import Family, member, number
from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["antisymmetric", "antisymmetric_gated"]

SOURCE = "Chang et al. 2019, arXiv 1902.09689"


def _by_width(v: Tensor) -> Tensor:
    """Fill with normal numbers of variance 1 / columns."""
    return torch.nn.init.normal_(v, 0.0, 1 / math.sqrt(max(1, v.shape[1])))


def _skew(w: Tensor) -> Tensor:
    """Turn every block on the diagonal, w, into w - w^T; the blocks, one for each head, are stored one below the other."""
    blocks = w.view(-1, w.shape[1], w.shape[1])
    return (blocks - blocks.transpose(1, 2)).reshape(w.shape)


def _check(epsilon: float, gamma: float) -> None:
    number("epsilon", epsilon, above=0.0)
    number("gamma", gamma, least=0.0)


@Family
def antisymmetric(epsilon: float = 0.01, gamma: float = 0.01) -> Cell:
    """h' = h + epsilon tanh((W - W^T - gamma I) h + V x + b)."""
    _check(epsilon, gamma)

    def step(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
        return State(h=s.h + epsilon * candidate(tanh(U(s.h).h - gamma * s.h + x.h)))

    return cell(
        gates="h",
        states="h",
        derived={"weight_hh": _skew},
        starts={"weight_ih": _by_width, "weight_hh": _by_width, "bias_ih": 0.0, "bias_hh": 0.0},
        source=f"{SOURCE}, (12)",
    )(step)


@Family
def antisymmetric_gated(epsilon: float = 0.01, gamma: float = 0.01) -> Cell:
    """h' = h + epsilon z tanh(a + V_h x + b_h), with z = sigmoid(a + V_z x + b_z) and one a = (W - W^T - gamma I) h for both."""
    _check(epsilon, gamma)

    def step(x: Gates, s: State, U: None, weight: Tensor, candidate: Wrap = identity) -> State:
        a = F.linear(s.h, weight) - gamma * s.h
        return State(h=s.h + epsilon * sigmoid(a + x.z) * candidate(tanh(a + x.h)))

    return cell(
        gates="z h",
        states="h",
        recurrent=False,  # the two gates share one matrix
        parameters={"weight": "H H"},
        derived={"weight": _skew},
        starts={"weight_ih": _by_width, "weight": _by_width, "bias_ih": 0.0},
        write="z",
        source=f"{SOURCE}, (13)",
    )(step)


@named("AntisymmetricRNN", variants=[{}, {"gated": True, "epsilon": 0.1}])
def named_antisymmetric(*, gated: bool = False, epsilon: float = 0.01, gamma: float = 0.01) -> Cell:
    """Antisymmetric network: h' = h + epsilon tanh((W - W^T - gamma I) h + V x + b).

    W and V start normal, of variance one over their columns; biases at 0. `weight_hh` (`weight` if `gated`) is the full W, though
    the half above its diagonal would suffice.

    Source: Chang et al. 2019, arXiv 1902.09689, (12), or (13) if `gated`; (10) is (12) with `gamma=0.0`. The paper chooses epsilon,
    gamma and the variance of W by validation.

    Args:
        gated: h' = h + epsilon z tanh(...), with a gate z that shares the matrix W and has its own V and b.
        epsilon: the length of a step, above 0.
        gamma: the strength of the diffusion, at least 0; it keeps Euler's method stable.
    """
    return antisymmetric_gated(epsilon, gamma) if gated else antisymmetric(epsilon, gamma)


def __getattr__(name: str) -> Cell:
    return member(__name__, name, antisymmetric, antisymmetric_gated)
