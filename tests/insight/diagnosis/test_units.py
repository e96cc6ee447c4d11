import pytest
import torch
from torch import nn

import ostinato
from ostinato.insight import doctor

from .patients import KINDS, Classifier, H, I, Reader, chunk, row_loss, rows

both = pytest.mark.parametrize("layers", KINDS.values(), ids=KINDS)


@both
def test_gates_that_are_at_their_ends(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.LSTM(I, H))
    with torch.no_grad():
        model.layer.bias_ih_l0[:H] = 12.0  # i
        model.layer.bias_ih_l0[3 * H :] = -12.0  # o
    found = doctor(model, rows(steps=8), row_loss)
    assert found.names == ["saturated gates", "stuck units"]  # shut, an output gate shows nothing
    assert set(found[0].numbers) == {"share of i", "share of o"}
    assert found[0].numbers["share of i"].value == 1.0
    assert doctor(Classifier(layers.LSTM(I, H)), rows(steps=8), row_loss).names == []


@both
def test_weights_that_are_too_large(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.RNN(I, H))
    with torch.no_grad():
        model.layer.weight_ih_l0.mul_(200)
    found = doctor(model, rows(steps=4), row_loss)
    assert found.names == ["saturated gates"]
    with ostinato.backend("reference"):
        h = model.layer(rows(steps=4)[0])[0]
    assert found[0].numbers["share of h"].value == pytest.approx(float((h.abs() > 0.9975).double().mean()))


def test_gates_that_are_meant_to_be_open() -> None:
    torch.manual_seed(0)
    for layer in (ostinato.LSTM(I, H, forget_bias=4.0), ostinato.LSTM(I, H, init="chrono(100)"), ostinato.RHN(I, H)):
        assert doctor(Classifier(layer), rows(steps=8), row_loss).names == []


@both
def test_units_whose_relu_is_never_on(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.RNN(I, H, nonlinearity="relu"))
    assert doctor(model, rows(steps=8), row_loss).names == []
    with torch.no_grad():
        model.layer.bias_ih_l0[: H // 2] = -30.0
    found = doctor(model, rows(steps=8), row_loss)
    assert found.names == ["dead ReLU units"]
    assert found[0].numbers["dead"].value == H // 2
    assert found[0].numbers["units"].value == H


@both
def test_units_that_do_not_move(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.RNN(I, H))
    with torch.no_grad():
        model.layer.bias_ih_l0[: H // 2] = 30.0
    found = doctor(model, rows(steps=8), row_loss)
    assert found.names == ["stuck units"]
    assert found[0].numbers["stuck"].value == H // 2


def test_every_layer_of_a_stack_is_looked_at() -> None:
    torch.manual_seed(0)
    model = Reader(nn.RNN(I, H, 2))
    with torch.no_grad():
        model.layer.bias_ih_l1[: H // 2] = 30.0
    found = doctor(model, tuple(each[:8] for each in chunk(0)))
    assert found.names == ["stuck units"]
    assert found[0].where == "layer (RNN), layer.l1"
