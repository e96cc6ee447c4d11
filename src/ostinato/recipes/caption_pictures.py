"""Images with what was said about them, and where the decoder looked at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.images import Images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 6
_MOST_STEPS = 14
_RIGHT, _WRONG = "#007a57", "#c04000"  # as in plots.COLOURS, dark enough for text


@dataclass(frozen=True)
class Shown:
    """An image and what was said about it.

    Attributes:
        image: of one.
        said: the caption that was written.
        is_right: whether it is one of those wanted.
        wanted: one of them.
    """

    image: Images
    said: str
    is_right: bool
    wanted: str


def plot_captions(shown: Sequence[Shown]) -> Figure:
    """Draws images with their captions; below a wrong one, what was wanted.

    Args:
        shown: at least one.
    """
    from ostinato.insight.plots import figure

    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    made, axes = figure(1.7 * columns, 2.0 * rows, rows=rows, columns=columns)
    for each, ax in zip(shown, axes, strict=False):
        _draw(ax, each.image)
        text = _short(each.said) if each.is_right else f"{_short(each.said)}\nwanted: {_short(each.wanted)}"
        ax.set_title(text, fontsize=9, color=_RIGHT if each.is_right else _WRONG, wrap=True)
    for ax in axes[len(shown) :]:
        ax.remove()
    return made


def plot_looks(steps: Sequence[tuple[Shown, Sequence[str], np.ndarray]]) -> Figure:
    """Draws a row for each image: itself, then for each token the places that were looked at (Xu et al. 2015, figure 5).

    Args:
        steps: of each image, itself, the tokens that were written, and the weights at each of them, (tokens, rows, columns), shares
            of 1; at least one image.
    """
    from ostinato.insight.plots import figure

    most = min(_MOST_STEPS, max(len(tokens) for _, tokens, _ in steps))
    made, axes = figure(1.15 * (1 + most), 1.4 * len(steps), rows=len(steps), columns=1 + most)
    for row, (shown, tokens, weights) in enumerate(steps):
        first, *others = axes[row * (1 + most) : (row + 1) * (1 + most)]
        _draw(first, shown.image)
        first.set_title(_short(shown.said, 14), fontsize=9, color=_RIGHT if shown.is_right else _WRONG)
        for ax, token, weight in zip(others, tokens, weights, strict=False):
            _draw(ax, shown.image)
            height, width = shown.image.pixels.shape[1:3]
            # The scale is that of the step: even attention over many places is little of each.
            ax.imshow(
                weight,
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                cmap="inferno",
                alpha=0.6,
                vmin=0.0,
                vmax=max(float(weight.max()), 1e-9),
                interpolation="nearest",
            )
            ax.set_title(_visible(token), fontsize=9)
        for ax in others[len(tokens) :]:
            ax.remove()
    made.suptitle("Where each step looks: bright is much", fontsize=11)
    return made


def _draw(axes: Axes, image: Images) -> None:
    pixels: Any = np.clip(image.pixels[0] / image.white, 0.0, 1.0)
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        pixels = pixels.mean(2)
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.axis("off")


def _short(text: str, most: int = 48) -> str:
    return shorten(text, most, placeholder="…").replace("$", r"\$") or "(nothing)"


def _visible(token: str) -> str:
    return token.replace("\n", "⏎").replace(" ", "␣").replace("$", r"\$")
