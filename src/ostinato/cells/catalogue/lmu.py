"""LMU, the Legendre memory unit: a fixed linear memory of the last theta steps, as coefficients of Legendre polynomials."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import tanh
from torch.nn import functional as F
from torch.nn import init

from ostinato.cells.family import Family, member, number, whole
from ostinato.cells.named import State
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell
from ostinato.types import Tensor

__all__ = ["legendre", "lmu"]


def legendre(order: int, theta: float) -> tuple[Tensor, Tensor]:
    """The matrices A, `(order, order)`, and B, `(order,)`, of one step: the paper's (2) over a time of 1 by zero-order hold.

    Args:
        order: how many coefficients there are.
        theta: the length of the window, in steps.
    """
    # On the CPU whatever the default device is: the cell keeps the matrices and copies them into layers on any device.
    n = torch.arange(order, dtype=torch.float64, device="cpu")
    sign, i, j = (-1.0) ** n, n[:, None], n[None, :]
    scale = (2 * n + 1) / theta
    A = torch.where(i < j, -torch.ones_like(i * j), (-1.0) ** (i - j + 1)) * scale[:, None]
    both = torch.zeros(order + 1, order + 1, dtype=torch.float64, device="cpu")
    both[:order, :order], both[:order, order] = A, sign * scale
    held = torch.matrix_exp(both)
    return held[:order, :order], held[:order, order]


def _lecun(v: Tensor) -> Tensor:
    bound = math.sqrt(3 / max(1, len(v)))
    return init.uniform_(v, -bound, bound)


def _glorot(v: Tensor) -> Tensor:
    return init.xavier_normal_(v)


@Family
def lmu(order: int = 32, theta: float = 100.0) -> Cell:
    """u = e_x x + e_h h + e_m m, a number; m' = A m + B u; h' = tanh(W_x x + W_h h + W_m m' + b)."""
    whole("order", order)
    number("theta", theta, above=0.0)
    A_held, B_held = legendre(order, theta)

    def step(
        x: Tensor,
        s: State,
        U: Any,
        W: Any,
        e_x: Tensor,
        e_h: Tensor,
        e_m: Tensor,
        A: Tensor,
        B: Tensor,
        W_m: Tensor,
    ) -> State:
        u = (e_x * x).sum(-1, keepdim=True) + (e_h * s.h).sum(-1, keepdim=True) + (e_m * s.m).sum(-1, keepdim=True)
        m = F.linear(s.m, A) + B * u
        return State(h=tanh(W(x).h + U(s.h).h + F.linear(m, W_m)), m=m)

    def fill_a(v: Tensor) -> None:
        v.copy_(A_held)

    def fill_b(v: Tensor) -> None:
        v.copy_(B_held)

    return cell(
        gates="h",
        states="h m:M",
        widths={"M": order},
        parameters={"e_x": "I", "e_h": "H", "e_m": "M", "A": "M M", "B": "M", "W_m": "H M"},
        starts={
            "e_x": _lecun,
            "e_h": _lecun,
            "A": fill_a,
            "B": fill_b,
            "W_m": _glorot,
            "weight_ih": _glorot,
            "weight_hh": _glorot,
            "bias_ih": 0.0,
            "bias_hh": 0.0,
        },
        fixed="A B",
        source="Voelker et al. 2019, Legendre Memory Units, NeurIPS, (1) to (7)",
    )(step)


@named("LMU", variants=[{"order": 6, "theta": 12.0}])
def named_lmu(*, order: int = 32, theta: float = 100.0) -> Cell:
    """Legendre memory unit: u = e_x x + e_h h + e_m m; m' = A m + B u; h' = tanh(W_x x + W_h h + W_m m' + b).

    u is one number, and m has the Legendre coefficients of the last theta steps of u. A and B are not learned. As in the authors'
    code, e_x and e_h start as LeCun's uniform, e_m at 0, and the matrices as Glorot's normal. b, which the paper does not have,
    starts at 0.

    Source: Voelker et al. 2019, Legendre Memory Units, NeurIPS, (1) to (7).

    Args:
        order: how many coefficients m has, at least 1.
        theta: the length of the window, in steps, above 0.
    """
    return lmu(order, theta)


def __getattr__(name: str) -> Cell:
    return member(__name__, name, lmu)
