"""The light GRU: no reset gate, and rectified units."""

from __future__ import annotations

from typing import Any

import torch
from torch import relu, sigmoid

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.cells.start import start
from ostinato.types import Tensor

__all__ = ["li_gru"]


def _orthogonal_by_gate(weight: Tensor) -> None:
    for block in torch.split(weight, weight.shape[1]):
        start("weight_hh", "orthogonal").fill(block)


@cell(
    gates="z h",
    states="h",
    keep="z",
    starts={"weight_hh": _orthogonal_by_gate},
    source="Ravanelli et al. 2018, arXiv 1803.10225",
)
def li_gru(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
    """h' = z h + (1 - z) relu(W_h x + U_h h + b_h), with z = sigmoid(W_z x + U_z h + b_z)."""
    u = U(s.h)
    z = sigmoid(x.z + u.z)
    return State(h=z * s.h + (1 - z) * candidate(relu(x.h + u.h)))


@named("LiGRU")
def named_li_gru() -> Cell:
    """The light GRU: h' = z h + (1 - z) relu(W_h x + U_h h + b_h), z = sigmoid(W_z x + U_z h + b_z).

    The paper normalises W_z x and W_h x over the batch, which keeps its rectified units stable. Here `layer_norm=True` does that:
    it needs no batch and normalises U h too. U_z and U_h start orthogonal, as in the paper.

    Source: Ravanelli et al. 2018, arXiv 1803.10225, Light gated recurrent units for speech recognition.
    """
    return li_gru
