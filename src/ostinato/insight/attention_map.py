"""Draw attention weights: a matrix of weights between two lists of tokens, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.insight.layers import InsightError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 60  # the most tokens on a side that can still be read


def plot_attention(weights: Any, source: Sequence[str], target: Sequence[str], *, title: str = "") -> Figure:
    """Draw the share of attention that each target token gives to each source token (Bahdanau, Cho & Bengio 2015, figure 3).

    Args:
        weights: (len(target), len(source)), shares in [0, 1]; every row sums to 1, rows of padding to 0.
        source: the tokens that were read.
        target: the tokens that were written.
        title: the title of the picture; empty for none.

    Raises:
        InsightError: the shape does not fit the tokens, there are no tokens or too many, or a weight is not in [0, 1].
    """
    from ostinato.insight.plots import SEQUENTIAL, figure, name_axes

    matrix = np.asarray(weights.detach().cpu() if hasattr(weights, "detach") else weights, dtype=float)
    expected = (len(target), len(source))
    if matrix.shape != expected:
        raise InsightError(
            f"weights: expected the shape (target, source) = {expected}, got {matrix.shape}; transpose them?"
        )
    if not matrix.size or max(expected) > _MOST:
        raise InsightError(f"expected 1 to {_MOST} tokens on each side, got {expected}; draw a part of the text")
    if not ((matrix >= -1e-6) & (matrix <= 1 + 1e-6)).all():  # this finds NaN too
        raise InsightError("weights: expected shares from 0 to 1, got others; apply the softmax first")
    made, (axes,) = figure(2.2 + 0.3 * len(source), 1.8 + 0.26 * len(target))
    image = axes.imshow(matrix, vmin=0.0, vmax=1.0, cmap=SEQUENTIAL, aspect="auto", interpolation="nearest")
    axes.grid(False)
    axes.set_xticks(range(len(source)), [_shown(token) for token in source], rotation=60, ha="right")
    axes.set_yticks(range(len(target)), [_shown(token) for token in target])
    made.colorbar(image, ax=axes, label="weight (share of 1)")
    name_axes(axes, "source token", "target token", title)
    return made


def _shown(token: str) -> str:
    """Make blanks visible, and escape dollar signs: matplotlib would typeset text between two of them as mathematics."""
    return token.replace("\n", "⏎").replace(" ", "␣").replace("\t", "⇥").replace("$", r"\$")
