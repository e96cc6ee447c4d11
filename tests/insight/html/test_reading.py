import base64
import json
import re

import numpy as np

from ostinato.insight import Activations, reading_page
from ostinato.insight.html.reading import reading
from ostinato.insight.text_labels import Label
from ostinato.insight.unit_values import LayerValues
from ostinato.insight.units import MeaningfulUnit
from tests.insight.pages import Page

TEXT = 'say "a<b>&" \x07\n\tend'


def made(width=5):
    generator = np.random.default_rng(0)
    h, c, f = (generator.normal(size=(len(TEXT), width)).astype(np.float32) for _ in range(3))
    h[:, 1] = 0.0
    return Activations(list(TEXT), [LayerValues("layer 1", {"h": h, "c": 5 * c}, {"f": f})])


def unit(name="inside quotes", number=2, state="c"):
    return MeaningfulUnit(Label(name, name, np.zeros(0)), "layer 1", state, number, -0.81, -0.8, 100)


def data_of(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S)[1])


def values_of(group, row, steps):
    raw = np.frombuffer(base64.b64decode(group["values"]), dtype=np.int8).reshape(-1, steps)
    return raw[row] / 127 * group["scales"][row]


def test_the_page_stands_alone_and_shows_the_text():
    html = reading_page(made(), [unit(), unit("blank", 4, "h")], title="units <1>")
    page = Page(html)
    page.check()
    assert "units <1>" in page.text
    assert TEXT.replace("\x07", "�") in page.text
    assert "r = \N{MINUS SIGN}0.81" in page.text
    spans = [attrs for tag, attrs in page.tags if tag == "span" and "style" in attrs]
    assert len(spans) == len(TEXT)


def test_every_control_can_be_used_with_the_keyboard_and_has_a_name():
    page = Page(reading_page(made(), [unit()]))
    radios = [attrs for tag, attrs in page.tags if tag == "input" and attrs["type"] == "radio"]
    assert len(radios) == 1
    assert "checked" in radios[0]
    text = next(attrs for tag, attrs in page.tags if attrs.get("class") == "text")
    assert text["tabindex"] == "0"
    assert text["aria-label"]
    for tag, attrs in page.tags:
        assert "onclick" not in attrs
        if tag in ("input", "select"):
            assert re.search(rf"<label[^>]*>(?:(?!</label>).)*<{tag} [^>]*name=\"{attrs['name']}\"", page.html, re.S)


def test_the_values_in_the_page_are_those_of_the_units():
    read = made()
    html = reading(read, [unit()])
    data = data_of(html)
    assert [group["name"] for group in data["series"]] == ["layer 1, h", "layer 1, c", "layer 1, gate f"]
    for group, (_, _, values) in zip(data["series"], read.series(gates=True), strict=True):
        for row, number in enumerate(group["units"]):
            exact = values[:, number]
            np.testing.assert_allclose(values_of(group, row, len(TEXT)), exact, atol=np.abs(exact).max() / 250 + 1e-4)
    assert data["series"][0]["units"] == data["series"][1]["units"] == [0, 1, 2, 3, 4]
    assert data["series"][2]["units"] == [2]  # of gates the named units
    # Without a script, and on paper, the first unit is behind the text.
    spans = re.findall(r'<span(?: class="([ne ]+)")? style="--v:([\d.]+)">', html)
    shown = [(-1 if "n" in classes else 1) * float(v) for classes, v in spans]
    exact = read.unit("layer 1", "c", 2)
    np.testing.assert_allclose(shown, exact / np.abs(exact).max(), atol=0.01)


def test_labels_are_underlined_where_they_hold():
    truth = np.array([char == "a" for char in TEXT], dtype=np.float32)
    data = data_of(reading(made(), [unit(), unit("other", 3)], truths={"inside quotes": truth}))
    packed = np.frombuffer(base64.b64decode(data["labels"][0]), dtype=np.int8)
    assert np.array_equal(packed, truth)
    assert data["labels"][1] is None


def test_a_page_of_a_large_model_stays_small(monkeypatch):
    monkeypatch.setattr("ostinato.insight.html.reading._MOST_BYTES", 40 * len(TEXT))
    read = made(width=300)
    html = reading(read, [unit(number=250)])
    kept = data_of(html)["series"][1]["units"]
    assert 250 in kept
    assert kept[:-1] == list(range(19))
    assert "250" in html


def test_units_can_be_picked_where_none_has_a_meaning():
    page = Page(reading_page(made()))
    page.check()
    assert "Units that mean something" not in page.text
    assert "layer 1, h unit 0" in page.text
