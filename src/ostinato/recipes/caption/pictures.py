"""Pictures of images with the captions written for them, and of where the decoder looked at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.records.images import Images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 6
_MOST_STEPS = 12
_RIGHT, _WRONG = "#007a57", "#c04000"  # like plots.COLOURS, but dark enough for text


@dataclass(frozen=True)
class Shown:
    """An image and the caption written for it.

    Attributes:
        image: a single image.
        said: the written caption.
        is_right: whether it is one of the true captions.
        wanted: one of the true captions.
    """

    image: Images
    said: str
    is_right: bool
    wanted: str

    @property
    def colour(self) -> str:
        """The colour of the text about the image."""
        return _RIGHT if self.is_right else _WRONG


def plot_captions(shown: Sequence[Shown]) -> Figure:
    """Draws images with their captions; below a wrong caption, a true one.

    Args:
        shown: at least one image with its caption.
    """
    columns = min(_COLUMNS, len(shown))
    texts = [
        [*_lines(each.said, 25), *([] if each.is_right else _lines(f"wanted: {each.wanted}", 25))] for each in shown
    ]
    board = _Board(columns, -(-len(shown) // columns), side=1.7, lines=max(map(len, texts)))
    for n, (each, text) in enumerate(zip(shown, texts, strict=True)):
        board.draw(each.image, n % columns, n // columns)
        board.write(text, n % columns, n // columns, each.colour)
    return board.finish()


def plot_looks(steps: Sequence[tuple[Shown, Sequence[str], np.ndarray]]) -> Figure:
    """Draws a row for each image: itself, then for each token the places looked at (Xu et al. 2015, figure 5).

    Args:
        steps: for each image, the image, the written tokens, and the weights at each token, (tokens, rows, columns),
            which sum to 1; at least one image.
    """
    most = min(_MOST_STEPS, max(len(tokens) for _, tokens, _ in steps))
    board = _Board(1 + most, len(steps), side=1.1, lines=2)
    for row, (shown, tokens, weights) in enumerate(steps):
        board.draw(shown.image, 0, row)
        board.write(_lines(shown.said, 16), 0, row, shown.colour)
        for column, (token, weight) in enumerate(zip(tokens[:most], weights, strict=False), start=1):
            board.draw(shown.image, column, row)
            board.cover(weight, shown.image, column, row)
            board.write([token.replace("\n", "⏎").replace(" ", "␣")], column, row, "k")
    return board.finish("Where each step looks: bright is much")


class _Board:
    """A table of cells with an image and text above it, in one pair of axes: a pair for each cell would take minutes.

    Args:
        columns: the number of columns of cells.
        rows: the number of rows of cells.
        side: the side of an image, in inches.
        lines: the number of lines of text above an image.
    """

    def __init__(self, columns: int, rows: int, *, side: float, lines: int):
        from ostinato.insight.plots import figure

        self._columns, self._rows = columns, rows
        self._text = 0.14 * lines / side  # height of the text, in sides of an image
        self._height = 1.0 + self._text + 0.08
        self.figure, (self._axes,) = figure(side * 1.08 * columns, side * self._height * rows + 0.3)

    def draw(self, image: Images, column: int, row: int) -> None:
        """Draws the image of a cell."""
        pixels: Any = np.clip(image.pixels[0] / image.white, 0.0, 1.0)
        if pixels.ndim == 3 and pixels.shape[2] != 3:
            pixels = pixels.mean(2)
        self._put(pixels, image, column, row, cmap="gray", vmax=1.0)

    def cover(self, weights: np.ndarray, image: Images, column: int, row: int) -> None:
        """Draws weights over an image, scaled to their maximum: attention spread over many places has small weights."""
        self._put(weights, image, column, row, cmap="inferno", alpha=0.6, vmax=max(float(weights.max()), 1e-9))

    def _put(self, values: Any, image: Images, column: int, row: int, **how: Any) -> None:
        height, width = image.pixels.shape[1:3]
        high, wide = height / max(height, width), width / max(height, width)
        left, bottom = column * 1.08 + (1.0 - wide) / 2.0, self._top(row) + self._text + 1.0
        extent = (left, left + wide, bottom, bottom - high)
        self._axes.imshow(values, extent=extent, vmin=0.0, interpolation="nearest", **how)

    def write(self, lines: Sequence[str], column: int, row: int, colour: str) -> None:
        """Writes the text of a cell."""
        text = "\n".join(lines).replace("$", r"\$")
        place = self._top(row) + self._text - 0.03
        self._axes.text(column * 1.08 + 0.5, place, text, ha="center", va="bottom", fontsize=8, color=colour)

    def _top(self, row: int) -> float:
        return row * self._height

    def finish(self, title: str = "") -> Figure:
        """Finishes the axes and returns the figure."""
        self._axes.set_xlim(0.0, 1.08 * self._columns)
        self._axes.set_ylim(self._height * self._rows, 0.0)
        self._axes.axis("off")
        if title:
            self._axes.set_title(title, fontsize=11, loc="left")
        return self.figure


def _lines(text: str, letters: int) -> list[str]:
    """Wraps a text into two lines at most."""
    return wrap(text, letters, max_lines=2, placeholder=" …", break_long_words=True) or ["(nothing)"]
