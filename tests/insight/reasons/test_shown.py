"""What people see of reasons: on a terminal, as a page, as a picture."""

import io

import numpy as np
import pytest
from rich.console import Console

from ostinato.insight.html.pages import document
from ostinato.insight.plots import png, svg
from ostinato.insight.reasons.pages import page
from ostinato.insight.reasons.pictures import picture_of
from ostinato.insight.reasons.question import Reasons
from ostinato.insight.reasons.words import AGAINST, FOR, shade, shown
from tests.insight.pages import Page


def of(values, steps, channels=(), **changes):
    values = np.asarray(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    given = {
        "method": "gates",
        "about": "class <b>",
        "unit": "nats",
        "answer": 2.0,
        "baseline": 2.0 - values.sum(),
        **changes,
    }
    return Reasons(values=values, steps=tuple(steps), channels=tuple(channels), **given)


TEXT = of([1.0, -0.5, 0.001], ["good", "\x1b[31m\n", "<i>"], joiner=" ", name="a", said="<b> (0.9)")
SERIES = of(np.arange(12.0).reshape(6, 2) - 4, map(str, range(6)), ("acc", "p"), read=np.full((6, 2), np.nan))
TIMES = of(np.arange(12.0).reshape(6, 2) - 4, [f"2024-01-0{n + 1}" for n in range(6)], ("v", "w"), read=np.ones((6, 2)))
IMAGE = of(np.eye(3), ["row 0", "row 1", "row 2"], ["column 0", "column 1", "column 2"], read=np.eye(3))
LINE = of(np.eye(3), map(str, range(3)), ["row 0", "row 1", "row 2"], read=np.eye(3), said="so")
ALL = {
    "text": TEXT,
    "series": SERIES,
    "times": TIMES,
    "image": IMAGE,
    "line": LINE,
    "nothing": of([0.0], ["x"], joiner=""),
}


def printed(found, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(shown(found))
    return console.file.getvalue()


@pytest.mark.parametrize("found", ALL.values(), ids=ALL)
def test_a_terminal_of_80_columns_without_colours_is_enough(found):
    text = printed(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert found.about in text


def test_signs_are_told_without_colours():
    lines = printed(TEXT).splitlines()
    assert any(line.endswith("+" * 24) and "good" in line for line in lines)
    assert any(line.endswith("-" * 12) for line in lines)
    assert printed(SERIES).splitlines()[2].startswith("channel")


def test_shades_go_from_blue_over_white_to_red():
    assert (shade(1.0), shade(-1.0), shade(0.0)) == (FOR, AGAINST, (255, 255, 255))


@pytest.mark.parametrize("found", ALL.values(), ids=ALL)
def test_every_kind_has_a_picture_and_a_page(found):
    drawn = picture_of(found)
    assert png(drawn).startswith(b"\x89PNG")
    assert "\x1b" not in svg(drawn)
    whole = page([found, found], title="A <title>")
    Page(whole).check()
    assert "\x1b" not in whole
    assert "<b>" not in whole.replace("&lt;b&gt;", "")
    assert whole.startswith(document("A <title>", "")[:15])


def test_an_image_whose_steps_are_columns_is_drawn_upright():
    values, read = np.arange(6.0).reshape(3, 2), np.ones((3, 2))
    drawn = picture_of(of(values, map(str, range(3)), ["row 0", "row 1"], read=read))
    upper, lower, _ = drawn.axes  # and the scale
    assert upper.images[0].get_array().shape == (2, 3)
    np.testing.assert_array_equal(lower.images[0].get_array(), values.T)


def test_large_numbers_keep_their_places_before_the_point():
    found = of([[1234567.0, 0.125], [-98765.4, 12.5]], ["0", "1"], ("pressure", "acc"), answer=101325.2, baseline=-1e12)
    text = printed(found)
    assert "+101,325 nats; nothing there: -1e+12" in text
    assert "+1,135,802" in text
    assert "+12.62" in text
    assert max(map(len, text.splitlines())) <= 80
