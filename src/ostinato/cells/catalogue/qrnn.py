"""QRNN, the quasi-recurrent network: a convolution over two time steps, then a pooling that is linear in its state."""

from __future__ import annotations

from typing import Any

from torch import sigmoid, tanh
from torch.nn import functional as F

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["qrnn_f", "qrnn_f_window", "qrnn_fo", "qrnn_fo_window", "qrnn_ifo", "qrnn_ifo_window"]

SOURCE = "Bradbury et al. 2017, arXiv 1611.01576"


@cell(gates="z f", states="h", recurrent=False, keep="f", source=f"{SOURCE}, (3)")
def qrnn_f(x: Gates, s: State, U: None, candidate: Wrap = identity) -> State:
    """h' = f h + (1 - f) tanh(z)."""
    f = sigmoid(x.f)
    return State(h=f * s.h + (1 - f) * candidate(tanh(x.z)))


@cell(gates="z f o", states="h c", recurrent=False, keep="f", source=f"{SOURCE}, (4)")
def qrnn_fo(x: Gates, s: State, U: None, candidate: Wrap = identity, memory: Wrap = identity) -> State:
    """c' = f c + (1 - f) tanh(z); h' = o c'."""
    f = sigmoid(x.f)
    c = f * s.c + (1 - f) * candidate(tanh(x.z))
    return State(h=sigmoid(x.o) * memory(c), c=c)


@cell(gates="z f o w", states="h c", recurrent=False, keep="f", write="w", source=f"{SOURCE}, (5)")
def qrnn_ifo(x: Gates, s: State, U: None, candidate: Wrap = identity, memory: Wrap = identity) -> State:
    """c' = f c + w tanh(z); h' = o c'."""
    c = sigmoid(x.f) * s.c + sigmoid(x.w) * candidate(tanh(x.z))
    return State(h=sigmoid(x.o) * memory(c), c=c)


# With a window of two steps, the product V x_t is kept as a state for the next step. It has no bias, so that a first state of zeros
# means an input of zeros before the first step, as in the paper.
_V = {"V": "G I"}


def _of_two(x: Tensor, W: Any, s: State) -> Gates:
    """W x_t + V x_{t-1} + b."""
    return Gates(**{name: v + getattr(s, f"{name}_before") for name, v in zip(W(x).names, W(x), strict=True)})


def _kept(new: State, x: Tensor, V: Tensor, names: str) -> State:
    """Add V x_t to the new states, for the next step."""
    parts = F.linear(x, V).chunk(len(names.split()), -1)
    return new.with_(**{f"{name}_before": v for name, v in zip(names.split(), parts, strict=True)})


@cell(gates="z f", states="h z_before f_before", recurrent=False, keep="f", parameters=_V, source=f"{SOURCE}, (2), (3)")
def qrnn_f_window(x: Tensor, s: State, U: None, W: Any, V: Tensor, candidate: Wrap = identity) -> State:
    """As `qrnn_f`, with z and f made from the inputs of two steps."""
    return _kept(qrnn_f.step(_of_two(x, W, s), s, U, candidate=candidate), x, V, "z f")


@cell(
    gates="z f o",
    states="h c z_before f_before o_before",
    recurrent=False,
    keep="f",
    parameters=_V,
    source=f"{SOURCE}, (2), (4)",
)
def qrnn_fo_window(
    x: Tensor, s: State, U: None, W: Any, V: Tensor, candidate: Wrap = identity, memory: Wrap = identity
) -> State:
    """As `qrnn_fo`, with z, f and o made from the inputs of two steps."""
    return _kept(qrnn_fo.step(_of_two(x, W, s), s, U, candidate=candidate, memory=memory), x, V, "z f o")


@cell(
    gates="z f o w",
    states="h c z_before f_before o_before w_before",
    recurrent=False,
    keep="f",
    write="w",
    parameters=_V,
    source=f"{SOURCE}, (2), (5)",
)
def qrnn_ifo_window(
    x: Tensor, s: State, U: None, W: Any, V: Tensor, candidate: Wrap = identity, memory: Wrap = identity
) -> State:
    """As `qrnn_ifo`, with all gates made from the inputs of two steps."""
    return _kept(qrnn_ifo.step(_of_two(x, W, s), s, U, candidate=candidate, memory=memory), x, V, "z f o w")


_FORMS = {
    ("f", 1): qrnn_f,
    ("fo", 1): qrnn_fo,
    ("ifo", 1): qrnn_ifo,
    ("f", 2): qrnn_f_window,
    ("fo", 2): qrnn_fo_window,
    ("ifo", 2): qrnn_ifo_window,
}


@named("QRNN", variants=[{}, {"pooling": "f", "window": 1}, {"pooling": "ifo"}])
def named_qrnn(*, pooling: str = "fo", window: int = 2) -> Cell:
    """Quasi-recurrent network: c' = f c + (1 - f) z; h' = o c', with z = tanh(W_z x_t + V_z x_{t-1} + b_z), f and o likewise.

    The gates depend on the input only: there is no `weight_hh`. The authors' code writes 1 - f for the paper's f, and masks it for
    zoneout. The states of a layer also have V x_{t-1} of every gate, so that a sequence can be continued in another call.

    Source: Bradbury et al. 2017, arXiv 1611.01576, (2) to (5).

    Args:
        pooling: "f", h' = f h + (1 - f) z; "fo"; or "ifo", c' = f c + w z (the paper's i).
        window: the number of time steps whose inputs the gates read, 1 or 2, as in the authors' code.
    """
    if pooling not in ("f", "fo", "ifo"):
        raise CellError(f"pooling expected one of f, fo, ifo, got {pooling!r}")
    if isinstance(window, bool) or window not in (1, 2):
        raise CellError(f"window expected 1 or 2 time steps, got {window!r}")
    return _FORMS[pooling, window]
