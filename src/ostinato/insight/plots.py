"""One style for every picture: colours that a colour-blind reader can tell apart, units on the axes, PNG and SVG.

Figures are made without pyplot, so that no window system is selected and no setting of the user's own plots changes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.errors import OstinatoError
from ostinato.extras import needed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, "Color Universal Design", ordered so that neighbours differ in lightness too; without yellow, too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"  # blue negative, red positive
GREY = "#6b6b6b"
_DOTS_PER_INCH = 150
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")  # matplotlib does not escape these characters


def figure(
    width: float = 6.4, height: float = 4.0, *, rows: int = 1, columns: int = 1, share_x: bool = False
) -> tuple[Figure, list[Axes]]:
    """Make an empty figure in the style of this module.

    Args:
        width: the width of the whole figure, in inches.
        height: the height of the whole figure, in inches.
        rows: the number of rows of axes, at least 1.
        columns: the number of columns of axes, at least 1.
        share_x: whether the axes of a column share one x axis.

    Returns:
        The figure and its axes, row by row.
    """
    with needed():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    found: list[Any] = list(made.subplots(rows, columns, squeeze=False, sharex="col" if share_x else False).flat)
    for axes in found:
        axes.set_prop_cycle(color=COLOURS)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9)
    return made, found


def name_axes(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Label both axes, each with its unit, and set the title.

    Args:
        axes: the axes to label.
        x: the label of the x axis, such as "distance (steps)".
        y: the label of the y axis.
        title: the title above, to the left; empty for none.
    """
    axes.set_xlabel(x, fontsize=10)
    axes.set_ylabel(y, fontsize=10)
    if title:
        axes.set_title(title, fontsize=11, loc="left")


def label_lines(axes: Axes, *, gap: float = 0.045, aligned: bool = False) -> None:
    """Write each line's label at its right end, in its colour, in place of a legend; labels that would touch are moved apart.

    Call it last, when the limits of the axes are final. Lines without a label, and those without a finite point, are left out.

    Args:
        axes: the axes with the lines to label.
        gap: the least distance between two labels, as a share of the height.
        aligned: put all labels at the right edge, for lines that end at different steps: a label at its line's end would cover
            other lines.
    """
    import numpy as np

    # transData does not have the limits until they have been computed once.
    axes.autoscale_view()
    transform, ends = axes.transData + axes.transAxes.inverted(), []
    for line in axes.get_lines():
        points = np.column_stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)])
        points = points[np.isfinite(points).all(1)]
        if axes.get_yscale() == "log":
            points = points[points[:, 1] > 0]
        label = str(line.get_label())
        if len(points) and not label.startswith("_"):
            x, y = transform.transform(points[-1])
            beside = 0.012 if line.get_marker() in ("None", "", None) else 0.025  # not on the last marker
            x = 1.0 if aligned else min(x, 1.0)
            ends.append((float(np.clip(y, 0.0, 1.0)), float(x) + beside, label, line.get_color()))
    ends.sort(key=lambda end: end[0])
    heights = _apart([end[0] for end in ends], gap)
    for height, (_, x, label, colour) in zip(heights, ends, strict=True):
        axes.text(x, height, label, color=colour, transform=axes.transAxes, fontsize=9, va="center", clip_on=False)


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """The places nearest to the ascending `heights` that lie from 0 to 1 and at least `gap` apart.

    After subtracting the gaps this is a monotone regression: neighbours that would touch are placed around their common mean.
    """
    groups: list[tuple[float, int]] = []  # the mean height of a group after subtracting the gaps, and its size
    for at, height in enumerate(heights):
        mean, size = height - at * gap, 1
        while groups and groups[-1][0] > mean:
            other, others = groups.pop()
            mean, size = (other * others + mean * size) / (others + size), others + size
        groups.append((mean, size))
    highest = 1.0 - gap * (len(heights) - 1)
    places = [min(max(mean, 0.0), highest) for mean, size in groups for _ in range(size)]
    return [place + at * gap for at, place in enumerate(places)]


def heat_map(
    axes: Axes,
    values: Any,
    *,
    unit: str,
    centred: bool = False,
    rows: Sequence[str] = (),
) -> None:
    """Draw a matrix as colours, with a scale beside it.

    Args:
        axes: the axes to draw in.
        values: `(rows, columns)`, first row on top.
        unit: the unit of the values, written along the scale.
        centred: use blue below zero, red above it, white at zero; else colours go from dark (low) to light (high).
        rows: a label for each row; empty for numbers.
    """
    import numpy as np

    matrix = np.asarray(values, dtype=float)
    finite = matrix[np.isfinite(matrix)]
    bound = float(np.abs(finite).max()) if centred and finite.size else None
    image = axes.imshow(
        matrix,
        aspect="auto",
        interpolation="nearest",
        cmap=DIVERGING if centred else SEQUENTIAL,
        vmin=None if bound is None else -bound,
        vmax=bound,
    )
    axes.grid(False)
    if rows:
        axes.set_yticks(range(len(rows)), list(rows), fontsize=9)
    whole: Any = axes.figure
    whole.colorbar(image, ax=axes, label=unit)


def png(figure: Figure) -> bytes:
    """The picture as PNG, 150 dots per inch."""
    content = io.BytesIO()
    with _boxes_without_a_word():
        figure.savefig(content, format="png", dpi=_DOTS_PER_INCH, bbox_inches="tight", metadata={"Software": None})
    return content.getvalue()


def svg(figure: Figure) -> str:
    """The picture as SVG, with text as text, not as outlines; the same figure gives the same characters."""
    with needed():
        from matplotlib import rc_context

    content = io.StringIO()
    with rc_context({"svg.hashsalt": "ostinato", "svg.fonttype": "none"}), _boxes_without_a_word():
        figure.savefig(content, format="svg", bbox_inches="tight", metadata={"Date": None})
    return _NOT_IN_XML.sub("\ufffd", content.getvalue())


@contextmanager
def _boxes_without_a_word() -> Iterator[None]:
    """Inside, no warning of characters that matplotlib's font lacks: a PNG shows boxes, and browsers have other fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def save(figure: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Write `stem.png` and `stem.svg`, and create the folder if it does not exist.

    Returns:
        The two paths.

    Raises:
        OstinatoError: they cannot be written.
    """
    stem = Path(stem)
    paths = stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".svg")
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        paths[0].write_bytes(png(figure))
        paths[1].write_text(svg(figure), encoding="utf-8")
    except OSError as error:
        raise OstinatoError(
            f"the picture cannot be written to {stem.parent}: {error.strerror}; choose another folder"
        ) from error
    return paths
