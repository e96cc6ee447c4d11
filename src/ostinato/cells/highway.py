"""The recurrent highway network: several small layers within one time step, each of which may leave the state as it was."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from torch import sigmoid, tanh

from ostinato.cells.named import Gates, State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.errors import CellError

__all__ = ["rhn"]


def rhn(depth: int) -> Cell:
    """The cell with `depth` layers in a step; equal depths give the same object.

    For l = 1 .. depth, with s_0 the state before the step and s_depth the state after it:
    h_l = tanh([l = 1] W_h x + R_h_l s_{l-1} + b_h_l); t_l = sigmoid([l = 1] W_t x + R_t_l s_{l-1} + b_t_l);
    s_l = t_l h_l + (1 - t_l) s_{l-1}.

    Source: Zilly et al. 2017, arXiv 1607.03474, (6) to (9), with the carry gate coupled, c_l = 1 - t_l, as in their experiments.
    The biases of the transform gates start at -2, as in their word models (-4 in their character models: `forget_bias=4.0`).

    Args:
        depth: the recurrence depth, at least 1.

    Raises:
        CellError: if it is not a whole number of at least 1.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CellError(f"depth expected the number of layers in a step, an integer of at least 1, got {depth!r}")
    return _rhn(depth)


@cache
def _rhn(depth: int) -> Cell:
    layers = [(f"h{n}", f"t{n}") for n in range(1, depth + 1)]

    def step(x: Gates, s: State, U: Any, candidate: Wrap = identity) -> State:
        state = s.h
        for h, t in layers:
            u = U.only(f"{h} {t}")(state)
            proposed, transform = getattr(u, h), getattr(u, t)
            if h == "h1":
                proposed, transform = x.h1 + proposed, x.t1 + transform
            transform = sigmoid(transform)
            state = transform * candidate(tanh(proposed)) + (1 - transform) * state
        return State(h=state)

    step.__name__, step.__doc__ = f"rhn_{depth}", f"A recurrent highway network of depth {depth}; see `rhn`."
    return cell(
        gates=" ".join(f"{h} {t}" for h, t in layers),
        states="h",
        inputs="h1 t1",
        write=" ".join(t for _, t in layers),
        forget_bias=2.0,
        source="Zilly et al. 2017, arXiv 1607.03474, (6) to (9)",
    )(step)


@named("RHN", order=4, variants=[{"depth": 2}])
def named_rhn(*, depth: int = 4) -> Cell:
    """Recurrent highway network: `depth` small layers in every step, s_l = t_l h_l + (1 - t_l) s_{l-1}; see `ostinato.cells.rhn`.

    A layer's `num_layers` counts whole networks above each other, as everywhere. `forget_bias` is 2.0 by default, so that the bias
    of every transform gate starts at -2.

    Source: Zilly et al. 2017, arXiv 1607.03474, (6) to (9).

    Args:
        depth: layers in a step, at least 1. The input enters the first one only.
    """
    return rhn(depth)


def __getattr__(name: str) -> Cell:
    # A cell is pickled by its name in its module, so this module has a name for every depth.
    if found := re.fullmatch("rhn_([1-9][0-9]*)", name):
        return rhn(int(found[1]))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
