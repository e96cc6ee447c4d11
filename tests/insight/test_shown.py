"""What a notebook shows of a measurement: all that its text says, and its picture, in colours for light and dark."""

import re
from xml.dom import minidom

import pytest
import torch
from torch import nn

import ostinato
from ostinato import notebook
from ostinato.insight import doctor, gradient_flow, jacobian_spectrum, parameters, saturation


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.recurrent, self.output = ostinato.LSTM(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.output(self.recurrent(x)[0][-1])


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


@pytest.fixture(scope="module")
def shown():
    model, x = Model(), torch.randn(9, 2, 3)
    batch = (x, torch.tensor([0, 1]))
    return {
        "flow": gradient_flow(model, batch, loss),
        "saturation": saturation(model, batch, loss),
        "jacobians": jacobian_spectrum(model.recurrent, x),
        "parameters": parameters(model),
        "doctor": doctor(model, (1000 * x, batch[1]), loss),
        "explained": ostinato.explain(model, x),
    }


NAMES = ["flow", "saturation", "jacobians", "parameters", "doctor", "explained"]


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


@pytest.mark.parametrize("name", NAMES)
def test_html_is_whole_and_has_the_colours_of_the_page(shown, name):
    html = shown[name]._repr_html_()
    minidom.parseString(html.replace("&nbsp;", " "))
    assert not re.search(r"(?:color|background|fill|stroke): ?(?:black|white|#000000|#ffffff)", html)
    assert "<script" not in html
    assert "http" not in html


@pytest.mark.parametrize("name", ["flow", "saturation", "jacobians"])
def test_pictures_are_in_the_page(shown, name):
    assert shown[name]._repr_html_().count("<svg") == 1


def test_all_rows_and_numbers_are_there(shown):
    found = text_of(shown["parameters"]._repr_html_())
    for name, _ in Model().named_parameters():
        assert name in found
    assert "recurrent.l0" in text_of(shown["flow"]._repr_html_())
    assert "compiled" in text_of(shown["explained"]._repr_html_())
    findings = shown["doctor"]
    assert len(findings) > 0
    for each in findings:
        for said in (each.name, each.where, each.evidence, each.remedy):
            assert re.sub(r"\s+", " ", said) in text_of(findings._repr_html_()).replace("&#x27;", "'").replace(
                "&gt;", ">"
            ).replace("&lt;", "<")


def test_without_matplotlib_there_are_tables(shown, monkeypatch):
    from ostinato.errors import MissingPackageError

    def missing(*_, **__):
        raise MissingPackageError("matplotlib")

    monkeypatch.setattr("ostinato.insight.plots.figure", missing)
    html = shown["flow"]._repr_html_()
    assert "<svg" not in html
    assert "recurrent.l0" in html


def test_pieces_of_html_escape_what_they_are_given():
    evil = '<script>"&'
    made = notebook.piece(
        notebook.heading(evil, evil),
        notebook.line(evil),
        notebook.pre(evil),
        notebook.table([evil, "b"], [[evil, 3.14159]], caption=evil),
        notebook.bars({evil: 0.5}),
        notebook.marked([(evil, evil), ("plain", "O")]),
        notebook.strip([(0, 2, evil)]),
        notebook.fan([1.0, 2.0], [([0.0, 1.0], [2.0, 3.0])], [evil, "b"]),
    )
    assert "<script" not in made
    minidom.parseString(made)
    assert "3.142" in made
    assert notebook.fan([float("nan")], [], []) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [(3, "3"), (12345, "12,345"), (0.123456, "0.1235"), (True, "True"), (None, "None"), ("x" * 200, "x" * 117 + "..."),
     ([1, 2, 3, 4, 5], "[1, 2, 3, 4, ... 5 in all]"), ({"a": 0.5}, "{a: 0.5}"), (notebook.Whole("x" * 200), "x" * 200)],
)  # fmt: skip
def test_values_are_short(value, said):
    assert notebook.short(value) == said
