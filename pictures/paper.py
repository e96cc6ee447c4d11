"""Writes each picture twice, for light and for dark pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.insight import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
PAPER, INK = "#ffffff", "#000000"
# What a colour of a light page becomes on a dark one: as far from the paper there as it was here.
DARK = {
    PAPER: "#14151a",
    INK: "#e8e8ea",
    "#e4e4e4": "#33353d",  # grid
    "#6b6b6b": "#a5a8b0",  # remarks
    "#cccccc": "#4a4d57",
    "#262626": "#dcdce0",
    "#b0b0b0": "#5b5e68",
    "#0072b2": "#4aa3df",
    "#d55e00": "#f0803c",
    "#009e73": "#2fbf94",
    "#cc79a7": "#e09ac1",
    "#56b4e9": "#8ccbf2",
    "#e69f00": "#f0b840",
    "#eef1f6": "#2b303a",  # fills of boxes, and letters on the paper
    "#cfe6f5": "#123d57",
    "#f9dcc8": "#59300f",
    "#ccebe0": "#0d4637",
    "#f3d9e8": "#512a42",
    "#005a8e": "#7cc8f4",
    "#a84800": "#ffb27c",
    "#00694c": "#63dcb6",
    "#8f3a6c": "#efb0d5",
}
_COLOUR = re.compile("#[0-9a-fA-F]{6}\\b")


def save(picture: Figure | str, name: str) -> list[Path]:
    """Writes `name.svg` and `name_dark.svg`.

    Args:
        picture: a figure of matplotlib, or SVG in the colours of a light page.
        name: without a suffix.

    Returns:
        The two files.
    """
    light = picture if isinstance(picture, str) else plots.svg(picture)
    light = re.sub(r"\s+(?=\n)", "", light)  # blanks that matplotlib leaves at ends of lines
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = [FOLDER / f"{name}.svg", FOLDER / f"{name}_dark.svg"]
    files[0].write_text(light, encoding="utf-8")
    files[1].write_text(dark(light), encoding="utf-8")
    return files


def dark(light: str) -> str:
    """The same SVG for a dark page."""
    coloured = _COLOUR.sub(lambda found: DARK.get(found[0].lower(), found[0]), light)
    # Text and paths without a fill are black.
    return coloured.replace("<svg ", f'<svg fill="{DARK[INK]}" ', 1)
