import math

import pytest

from ostinato.insight import plots
from ostinato.insight.html.pages import asset, document, number, picture, table
from tests.insight.pages import Page, colours, contrast


def test_a_document_fetches_nothing_and_escapes():
    page = Page(document("<b> & co", "<p>body</p>", scripts=["1 < 2"]))
    page.check()
    assert "<b> & co" in page.text
    assert "body" in page.text


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_text_can_be_read_on_every_colour_behind_it(theme):
    c = colours(asset("style.css"))[theme]
    for behind in ("page", "card", "negative", "positive"):
        assert contrast(c["ink"], c[behind]) >= 4.5, behind
    for ink in ("soft", "accent", "fault", "warning", "note", "good"):
        assert min(contrast(c[ink], c["card"]), contrast(c[ink], c["page"])) >= 4.5, ink
    assert contrast(c["blue"], c["card"]) >= 3  # lines of pictures


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_negative_and_positive_differ_without_red_and_green(theme):
    """Who cannot tell red from green still sees blue: the two ends are far apart in it."""
    c = colours(asset("style.css"))[theme]
    blue = [int(c[name][5:7], 16) for name in ("negative", "positive")]
    assert blue[0] - blue[1] > 120


def test_a_table_has_its_cells_and_units():
    html = table([("layer", ""), ("half-life", "steps")], [("l0 <b>", 19.06), ("l1", math.inf)], caption="flow")
    page = Page(document("t", html))
    page.check()
    assert page.tables == [[["layer", "half-life (steps)"], ["l0 <b>", "19.1"], ["l1", "∞"]]]
    assert 'data-name="half-life (steps)"' in html


def test_a_number_without_a_unit_is_refused():
    with pytest.raises(ValueError, match=r"column 'count'.*no unit, got the number 3"):
        table([("count", "")], [(3,)])
    with pytest.raises(ValueError, match="zip"):
        table([("a", ""), ("b", "")], [("one",)])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1,234,567"),
        (0, "0"),
        (12345.6, "12,346"),
        (0.123456, "0.123"),
        (-0.5, "\N{MINUS SIGN}0.5"),
        (4.56e-9, "4.56e-09"),
        (math.inf, "∞"),
        (-math.inf, "\N{MINUS SIGN}∞"),
        (math.nan, "not a number"),
    ],
)
def test_numbers_as_people_write_them(value, shown):
    assert number(value) == shown


def test_pictures_are_of_the_page():
    made, (axes,) = plots.figure()
    axes.plot([1, 10], [1, 10], color=plots.COLOURS[0], label="a")
    axes.set_yscale("log")
    axes.axhline(2, color=plots.GREY)
    plots.name_axes(axes, "x (steps)", "y (nats)")
    both = picture(made, 'what "it" shows', "one") + picture(made, "again", "two")
    page = Page(document("t", both))
    page.check()
    assert "x (steps)" in page.text
    assert [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"] == ['what "it" shows', "again"]
    lowered = both.lower()
    # White paper and black ink would be wrong in the dark.
    for fixed in ("#ffffff", "#000000", "#0072b2", "http:", "https:", "<?xml", "<!doctype"):
        assert fixed not in lowered, fixed


def test_equal_pictures_in_one_figure_have_no_name_twice():
    figure, axes = plots.figure(rows=2)
    for each in axes:
        plots.heat_map(each, [[0.0, 1.0]], unit="share of 1")
    page = Page(document("t", picture(figure, "two", "p")))
    page.check()
    assert sum(address.startswith("data:image/png") for address in page.addresses) >= 4
