"""The structurally constrained network: hidden units, and context units that change slowly."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from torch import sigmoid
from torch.nn import functional as F

from ostinato.cells.named import State
from ostinato.cells.product import Wrap
from ostinato.cells.registry import named
from ostinato.cells.spec import Cell, cell, identity
from ostinato.errors import CellError
from ostinato.types import Tensor

__all__ = ["scrn"]


def scrn(context: int = 40, alpha: float = 0.95) -> Cell:
    """The cell with this number of slow units; equal numbers give the same object.

    s' = (1 - alpha) B x + alpha s; h' = sigmoid(P s' + A x + R h).

    Source: Mikolov et al. 2014, arXiv 1412.7753, Learning longer memory in recurrent neural networks, section 3.

    Args:
        context: the number of slow units, at least 1.
        alpha: the share of their old value that they keep in a step, in [0, 1).

    Raises:
        CellError: a number is out of its range.
    """
    if isinstance(context, bool) or not isinstance(context, int) or context < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CellError(f"context expected the number of slow units, an integer of at least 1, got {context!r}")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CellError(f"alpha expected how much the slow units keep, a number in [0, 1), got {alpha!r}")
    return _scrn(context, float(alpha))


@cache
def _scrn(context: int, alpha: float) -> Cell:
    def step(
        x: Tensor, s: State, U: Any, W: Any, weight_b: Tensor, weight_p: Tensor, candidate: Wrap = identity
    ) -> State:
        slow = (1 - alpha) * candidate(F.linear(x, weight_b)) + alpha * s.slow
        return State(h=sigmoid(F.linear(slow, weight_p) + W(x).h + U(s.h).h), slow=slow)

    step.__name__ = f"scrn_{context}_{alpha}"
    step.__doc__ = f"A structurally constrained network of {context} slow units that keep {alpha}; see `scrn`."
    return cell(
        gates="h",
        states="h slow:M",
        widths={"M": context},
        parameters={"weight_b": "M I", "weight_p": "H M"},
        source="Mikolov et al. 2014, arXiv 1412.7753",
    )(step)


@named("SCRN", variants=[{"context": 3}])
def named_scrn(*, context: int = 40, alpha: float = 0.95) -> Cell:
    """The structurally constrained network: s' = (1 - alpha) B x + alpha s; h' = sigmoid(P s' + A x + R h).

    The output is h'. The paper's next layer also reads s', y = f(U h' + V s'): `return_states=True` gives both. The paper has no
    bias (`bias=False` here). In the authors' code (`facebookarchive/SCRNNs`) h' depends on the slow units before the step, P s.

    Source: Mikolov et al. 2014, arXiv 1412.7753, Learning longer memory in recurrent neural networks, section 3.

    Args:
        context: the number of slow units, at least 1.
        alpha: the share of their old value that slow units keep in a step, in [0, 1), the same for all.
    """
    return scrn(context, alpha)


def __getattr__(name: str) -> Cell:
    # A cell is pickled by its name in its module, so this module has a name for every pair of numbers.
    if found := re.fullmatch(r"scrn_([1-9][0-9]*)_([0-9.e-]+)", name):
        try:
            return scrn(int(found[1]), float(found[2]))
        except (ValueError, CellError):
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
