"""The style of pictures: told apart by anyone, the same every time, and the user's own plots left alone."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ostinato.errors import OstinatoError
from ostinato.insight import plots


def lightness(colour: str) -> float:
    """Relative luminance, as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def deuteranope(colour: str) -> np.ndarray:
    """What somebody without green cones sees, linear RGB (Vienot, Brettel & Mollon 1999)."""
    rgb = np.array([(int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)])
    matrix = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    return (matrix @ rgb).clip(0, 1) ** (1 / 2.2)


def test_colours_are_told_apart_without_green_cones_and_stand_out_on_white() -> None:
    for a, b in itertools.combinations(plots.COLOURS, 2):
        assert np.abs(deuteranope(a) - deuteranope(b)).max() > 0.1
    for colour in plots.COLOURS:
        assert 1.05 / (lightness(colour) + 0.05) > 2.0


def drawn() -> Figure:
    figure, (axes,) = plots.figure(4.0, 3.0)
    axes.plot([0, 1, 2], [1, 2, 3], label="up")
    axes.plot([0, 1, 2], [1, 2, 2.99], label="nearly")
    axes.plot([0, 1], [np.nan, np.nan], label="nothing")
    plots.name_axes(axes, "time (steps)", "value (nats)", "a title")
    plots.label_lines(axes)
    return figure


def test_both_files_are_written_and_the_same_every_time(tmp_path: Path) -> None:
    png, svg = plots.save(drawn(), tmp_path / "new" / "picture.of")
    assert (png.name, svg.name) == ("picture.of.png", "picture.of.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    ElementTree.fromstring(svg.read_text(encoding="utf-8"))
    again = plots.save(drawn(), tmp_path / "again")
    assert (again[0].read_bytes(), again[1].read_bytes()) == (png.read_bytes(), svg.read_bytes())
    for words in ("time (steps)", "value (nats)", "a title", "nearly"):
        assert words in svg.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OstinatoError, match="choose another folder"):
        plots.save(drawn(), tmp_path / "file" / "picture")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9).map(sorted), st.sampled_from([0.02, 0.06, 0.1]))
def test_labels_are_moved_apart_as_little_as_can_be(heights: list[float], gap: float) -> None:
    places = np.array(plots._apart(heights, gap))
    assert (np.diff(places) > gap - 1e-9).all()
    assert places[0] >= -1e-9
    assert places[-1] <= 1 + 1e-9

    # Projections in turn onto "between 0 and 1" and "a gap apart", by Dykstra, end at the nearest places of all.
    count = len(heights)
    nearest, past = np.array(heights), np.zeros((count + 1, count))
    for _ in range(3000):
        for number in range(count + 1):
            shifted = nearest + past[number]
            nearest = shifted.copy()
            if number == count:
                nearest = nearest.clip(0, 1)
            elif number and (short := gap - (nearest[number] - nearest[number - 1])) > 0:
                nearest[number - 1] -= short / 2
                nearest[number] += short / 2
            past[number] = shifted - nearest
    np.testing.assert_allclose(places, nearest, atol=1e-3)


def test_labels_of_lines_that_end_early_can_be_aligned() -> None:
    for aligned in (False, True):
        _, (axes,) = plots.figure()
        axes.plot([0, 10], [1, 1], label="long")
        axes.plot([0, 5], [2, 2], label="short")
        plots.label_lines(axes, aligned=aligned)
        long, short = (text.get_position()[0] for text in axes.texts)
        assert (short == long) if aligned else (short < long - 0.3)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_labels_stand_at_the_ends_of_lines_without_touching(scale: str) -> None:
    figure, (axes,) = plots.figure()
    for at in range(8):
        axes.plot([0, 1, 2], [1, 2, 1000 + at], label=f"line {at}")
    axes.set_yscale(scale)
    plots.label_lines(axes, gap=0.05)
    heights = sorted(text.get_position()[1] for text in axes.texts)
    assert [text.get_text() for text in axes.texts] == [f"line {at}" for at in range(8)]
    assert np.diff(heights).min() > 0.0499
    assert heights[-1] <= 1.0
    assert len(figure.axes) == 1


def test_a_label_stands_at_its_line_whatever_was_drawn_last() -> None:
    _, (axes,) = plots.figure()
    axes.plot([0, 10], [1.0, 1.0], label="high")
    axes.set_yscale("log")
    axes.axhline(1e-4)
    plots.label_lines(axes)
    (label,) = axes.texts
    low, high = axes.get_ylim()
    assert label.get_position()[1] == pytest.approx(np.log(1.0 / low) / np.log(high / low))


def test_a_heat_map_has_a_scale_with_its_unit() -> None:
    figure, (axes,) = plots.figure()
    plots.heat_map(axes, [[-1.0, 0.5], [0.0, np.nan]], unit="activation", centred=True, rows=["a", "b"])
    image = axes.get_images()[0]
    assert image.get_clim() == (-1.0, 1.0)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert figure.axes[1].get_ylabel() == "activation"


def test_pyplot_and_its_settings_are_left_alone() -> None:
    program = """
import sys
import matplotlib
before = matplotlib.rcParams.copy()  # dict() would choose a backend
from ostinato.insight import plots
figure, (axes,) = plots.figure()
axes.plot([1, 2])
plots.svg(figure), plots.png(figure)
assert "matplotlib.pyplot" not in sys.modules
after = matplotlib.rcParams.copy()
assert all(dict.__getitem__(after, key) == dict.__getitem__(before, key) for key in before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_characters_that_a_font_lacks_are_drawn_without_a_word():
    """Labels and tokens are a user's; a warning would be an error here."""
    made, (axes,) = plots.figure()
    axes.set_title("素晴らしい \t\x01 🎉")
    assert plots.png(made).startswith(b"\x89PNG")
    text = plots.svg(made)
    ElementTree.fromstring(text)
    assert "素晴らしい" in text
