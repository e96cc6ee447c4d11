"""LRU, the linear recurrent unit: a diagonal of complex numbers inside the unit circle, without a nonlinearity."""

from __future__ import annotations

import math

import torch
from torch import cos, exp, sin
from torch.nn import functional as F
from torch.nn import init

from ostinato.cells.family import Family, member, number
from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["lru"]


@Family
def lru(r_min: float = 0.0, r_max: float = 1.0, max_phase: float = 2 * math.pi) -> Cell:
    """x' = lambda x + exp(gamma) B u; y' = Re(C x') + D u, with lambda = exp(-exp(nu) + i exp(theta)); x = re + i im."""
    number("r_min", r_min, least=0.0, most=1.0)
    number("r_max", r_max, least=0.0, most=1.0)
    number("max_phase", max_phase, above=0.0)
    if r_min >= r_max:
        raise CellError(f"r_min expected a number below r_max, got {r_min} and {r_max}")

    def on_a_ring(v: Tensor) -> Tensor:
        """Fill nu, theta and gamma, so that lambda is uniform on the ring and gamma = log sqrt(1 - |lambda|^2)."""
        inner, outer, tiny = r_min**2, r_max**2, torch.finfo(v.dtype).tiny
        nu, theta, gamma = v.view(3, -1).unbind()
        # Strictly inside the ring: the logarithms are infinite at magnitudes 0 and 1.
        squared = init.uniform_(torch.empty_like(nu, dtype=torch.float64), inner, outer).clamp(1e-9, 1 - 1e-9)
        nu.copy_((-0.5 * squared.log()).log())
        gamma.copy_(0.5 * (1 - squared).log())
        theta.copy_(init.uniform_(torch.empty_like(theta), 0.0, max_phase).clamp_min(tiny).log())
        return v

    def step(
        x: Gates, s: State, U: None, ring: Tensor, C_re: Tensor, C_im: Tensor, candidate: Wrap = identity
    ) -> State:
        nu, theta, gamma = ring.chunk(3)
        r, angle, scale = exp(-exp(nu)), exp(theta), exp(gamma)
        a, b = r * cos(angle), r * sin(angle)
        re = a * s.re - b * s.im + scale * candidate(x.re)
        im = a * s.im + b * s.re + scale * candidate(x.im)
        return State(y=F.linear(re, C_re) - F.linear(im, C_im) + x.d, re=re, im=im)

    return cell(
        gates="re im d",
        states="y re im",
        recurrent=False,
        parameters={"ring": "G", "C_re": "H H", "C_im": "H H"},
        starts={"ring": on_a_ring, "C_re": _glorot, "C_im": _glorot, "weight_ih": _glorot_input, "bias_ih": 0.0},
        source="Orvieto et al. 2023, arXiv 2303.06349, (7)",
    )(step)


def _glorot(v: Tensor) -> Tensor:
    return init.normal_(v, 0.0, 1 / math.sqrt(max(1, v.shape[1])))


def _glorot_input(v: Tensor) -> Tensor:
    """Fill B and D with normal numbers; the real and the imaginary part of B have half the variance each."""
    B, D = v[: len(v) // 3 * 2], v[len(v) // 3 * 2 :]
    init.normal_(B, 0.0, 1 / math.sqrt(2 * max(1, v.shape[1])))
    init.normal_(D, 0.0, 1 / math.sqrt(max(1, v.shape[1])))
    return v


@named("LRU", variants=[{}, {"r_min": 0.5, "r_max": 0.9, "max_phase": 0.3}])
def named_lru(*, r_min: float = 0.0, r_max: float = 1.0, max_phase: float = 2 * math.pi) -> Cell:
    """Linear recurrent unit: x' = lambda x + exp(gamma) B u; y' = Re(C x') + D u, of complex x, lambda, B and C.

    lambda = exp(-exp(nu) + i exp(theta)), one number a unit. `ring` holds nu, theta and gamma one after the other; `weight_ih` has
    the rows of B's real part, of B's imaginary part, and of D. lambda starts uniform on the ring between r_min and r_max, gamma at
    log sqrt(1 - |lambda|^2).

    The cell is the paper's LRU. The other parts of the paper's block are separate layers: the normalisation before the LRU, and the
    nonlinearity, gated linear unit and dropout after it; its skip connection is `connection="residual"`. D is a full matrix, so
    that I and H may differ, while the paper's is diagonal; B u has a bias, which starts at 0.

    Source: Orvieto et al. 2023, arXiv 2303.06349, (7), with lambda as in section 3.3; appendix A.

    Args:
        r_min: the least magnitude of lambda at the start, in [0, 1), below r_max.
        r_max: the largest magnitude at the start, in (0, 1]; near 1 for long memories.
        max_phase: the largest angle of lambda at the start, in radians, above 0; a tenth of a turn or less for long sequences.
    """
    return lru(r_min, r_max, max_phase)


def __getattr__(name: str) -> Cell:
    return member(__name__, name, lru)
