"""A picture of a recording, the probabilities at each of its frames, and the places of the text's characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ostinato.data.recordings.recording import Recording
from ostinato.models.transcribing.alignment import BLANK, align

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_STEPS = 600  # steps of a recording that are drawn
_MOST_CHANNELS = 6


@dataclass(frozen=True)
class Line:
    """A recording and the text that was found.

    Attributes:
        recording: a recording with T steps.
        log_probs: (F, V).
        units: the units of the text that was found.
        names: the texts of these units.
        wanted: the true text; empty if it is not known.
        stride: steps from one frame to the next.
        is_picture: whether the channels are the rows of a picture.
    """

    recording: Recording
    log_probs: np.ndarray
    units: Sequence[int]
    names: Sequence[str]
    wanted: str
    stride: int
    is_picture: bool


def plot_alignment(lines: Sequence[Line], channels: Sequence[str]) -> Figure:
    """Draws each recording, and below it the probability of each unit of its text and of the blank, by frames.

    Args:
        lines: at least one.
        channels: the names of the recordings' channels.
    """
    from ostinato.insight.plots import SEQUENTIAL, figure, name_axes

    longest = max(min(len(each.recording), _MOST_STEPS) for each in lines)
    made, axes = figure(max(5.0, min(12.0, longest / 25)), 3.4 * len(lines), rows=2 * len(lines))
    for at, line in enumerate(lines):
        above, below = axes[2 * at], axes[2 * at + 1]
        steps = min(len(line.recording), _MOST_STEPS)
        values = line.recording.values[:steps]
        if line.is_picture:
            above.imshow(values.T, cmap="gray_r", aspect="auto", interpolation="nearest", vmin=0.0, vmax=1.0)
            above.grid(False)
        else:
            spread = np.nanstd(values, axis=0)
            scaled = (values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, 1.0)
            for channel in range(min(values.shape[1], _MOST_CHANNELS)):
                above.plot(scaled[:, channel], label=channels[channel], linewidth=1.0)
            above.set_xlim(-0.5, steps - 0.5)
        found = "".join(line.names) if all(len(name) == 1 for name in line.names) else " ".join(line.names)
        title = _plain(f"{found!r}" + (f", wanted {line.wanted!r}" if line.wanted and line.wanted != found else ""))
        name_axes(above, "", "", title)
        frames = line.log_probs[: -(-steps // line.stride)]
        rows = [BLANK, *dict.fromkeys(line.units)]
        names = ["blank", *dict.fromkeys(line.names)]
        extent = (-0.5, len(frames) * line.stride - 0.5, len(rows) - 0.5, -0.5)
        below.imshow(
            np.exp(frames[:, rows]).T,
            cmap=SEQUENTIAL,
            aspect="auto",
            interpolation="nearest",
            extent=extent,
            vmin=0.0,
            vmax=1.0,
        )
        below.grid(False)
        below.set_yticks(range(len(rows)), [_plain("␣" if name == " " else name) for name in names], fontsize=7)
        for unit, place in zip(line.units, align(line.log_probs, line.units), strict=True):
            if place.first < len(frames):
                middle = (place.first + place.end) / 2 * line.stride - 0.5
                below.plot([middle], [rows.index(unit)], marker="o", markersize=3, color="#d55e00")
        name_axes(below, "step" if at == len(lines) - 1 else "", "unit", "")
    return made


def _plain(text: str) -> str:
    """Escapes what matplotlib takes for mathematics."""
    return text.replace("$", r"\$")
