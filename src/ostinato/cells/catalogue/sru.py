"""SRU, the simple recurrent unit: matrix products of the input only, and gates that read the old state unit by unit."""

from __future__ import annotations

import math

from torch import sigmoid
from torch.nn import init

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.types import Tensor

__all__ = ["sru", "sru_plain"]

SOURCE = "Lei et al. 2018, arXiv 1709.02755"
_V = {"v_f": "H", "v_r": "H"}
_RANGE = math.sqrt(1.5)


def _scaled(scales: list[float], v: Tensor) -> Tensor:
    """Fill each gate's rows with uniform numbers of variance scale / columns."""
    init.uniform_(v, -1.0, 1.0)
    for scale, rows in zip(scales, v.chunk(len(scales)), strict=True):
        rows.mul_(math.sqrt(3 * scale / max(1, v.shape[1])))
    return v


def _with_skip(v: Tensor) -> Tensor:
    return _scaled([0.5, 0.5, 1.0, 3.0], v)


def _without_skip(v: Tensor) -> Tensor:
    return _scaled([0.5, 0.5, 1.0], v)


_STARTS = {"v_f": f"uniform({-_RANGE}, {_RANGE})", "v_r": f"uniform({-_RANGE}, {_RANGE})", "bias_ih": 0.0}


@cell(
    gates="f r z x",
    states="h c",
    recurrent=False,
    parameters=_V,
    starts={**_STARTS, "weight_ih": _with_skip},
    keep="f",
    source=f"{SOURCE}, (1) to (4)",
)
def sru(
    x: Gates, s: State, U: None, v_f: Tensor, v_r: Tensor, candidate: Wrap = identity, memory: Wrap = identity
) -> State:
    """c' = f c + (1 - f) z; h' = r c' + (1 - r) x, with f = sigmoid(W_f x + v_f c + b_f) and r likewise, both of the old c."""
    f, r = sigmoid(x.f + v_f * s.c), sigmoid(x.r + v_r * s.c)
    c = f * s.c + (1 - f) * candidate(x.z)
    return State(h=r * memory(c) + (1 - r) * x.x, c=c)


@cell(
    gates="f r z",
    states="h c",
    recurrent=False,
    parameters=_V,
    starts={**_STARTS, "weight_ih": _without_skip},
    keep="f",
    source=f"{SOURCE}, (1) to (3)",
)
def sru_plain(
    x: Gates, s: State, U: None, v_f: Tensor, v_r: Tensor, candidate: Wrap = identity, memory: Wrap = identity
) -> State:
    """c' as in `sru`; h' = r c'."""
    f, r = sigmoid(x.f + v_f * s.c), sigmoid(x.r + v_r * s.c)
    c = f * s.c + (1 - f) * candidate(x.z)
    return State(h=r * memory(c), c=c)


@named("SRU", variants=[{}, {"skip": False}])
def named_sru(*, skip: bool = True) -> Cell:
    """Simple recurrent unit: c' = f c + (1 - f) W_z x; h' = r c' + (1 - r) W_x x, gates f and r of x and, unit by unit, of c.

    There is no `weight_hh`. W_x is the fourth matrix that the authors' code has if I and H differ; if they are equal, their code
    and the paper use x itself, times sqrt(3). W_z x and W_x x have biases here; all biases start at 0. As in the authors' code,
    weights start with variance 1 / I, those of f and r with half of it, W_x with three times 1 / I, and v_f and v_r with variance
    1/2.

    Source: Lei et al. 2018, arXiv 1709.02755, (1) to (4).

    Args:
        skip: whether the input is added to h'; without it, h' = r c'.
    """
    return sru if skip else sru_plain
