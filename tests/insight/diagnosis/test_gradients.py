import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import ostinato
from ostinato.insight import doctor

from .patients import KINDS, B, Classifier, H, I, row_loss, rows

both = pytest.mark.parametrize("layers", KINDS.values(), ids=KINDS)


def last_step(layer: nn.Module, x: torch.Tensor, distance: int) -> float:
    """|d h_T / d h_{T - distance}| over |d h_T / d h_{T - 1}| of an RNN of tanh, by autograd through a loop by hand."""
    W, h, states = layer.weight_hh_l0, torch.zeros(x.shape[1], H, requires_grad=True), []
    for step in x:
        h = torch.tanh(step @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ W.T + layer.bias_hh_l0)
        states.append(h)
    norms = []
    for back in (1, distance):
        squares = 0.0
        for unit in range(H):
            squares += float(
                torch.autograd.grad(states[-1][:, unit].sum(), states[-1 - back], retain_graph=True)[0].square().sum()
            )
        norms.append(math.sqrt(squares))
    return norms[1] / norms[0]


@both
def test_a_gradient_that_vanishes(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.RNN(I, H))
    batch = rows(steps=41)
    found = doctor(model, batch, row_loss)
    assert found.names == ["vanishing gradient"]
    assert found[0].numbers["distance"].value == 40
    assert found[0].numbers["left"].value == pytest.approx(last_step(model.layer, batch[0], 40), rel=0.01)
    assert "init='chrono(41)'" in found[0].remedy
    tried = [number.value for name, number in found[0].numbers.items() if "chrono" in name]
    assert tried[0] > 1e-3 > 1e3 * found[0].numbers["left"].value


@both
def test_what_was_prescribed_helps(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(ostinato.LSTM(I, H, init="chrono(41)"))
    assert doctor(model, rows(steps=41), row_loss).names == []
    assert doctor(Classifier(layers.RNN(I, H)), rows(steps=12), row_loss).names == []


@both
def test_an_lstm_that_forgets_half_of_it_at_every_step(layers) -> None:
    torch.manual_seed(0)
    found = doctor(Classifier(layers.LSTM(I, H)), rows(steps=60), row_loss)
    assert found.names == ["vanishing gradient", "forget bias near 0"]
    numbers = found[1].numbers
    assert abs(numbers["bias"].value) < 0.2
    assert numbers["left with forget_bias=1"].value > 1e3 * numbers["left"].value
    assert "forget_bias=1.0" in found[1].remedy


def test_a_forget_bias_of_one_is_left_alone() -> None:
    torch.manual_seed(0)
    assert doctor(Classifier(ostinato.LSTM(I, H, forget_bias=1.0)), rows(steps=60), row_loss).names == []


@both
def test_a_gradient_that_explodes(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.RNN(I, H))
    with torch.no_grad():
        model.layer.weight_hh_l0.copy_(1.5 * torch.eye(H))
        model.layer.weight_ih_l0.mul_(1e-3)
        model.layer.bias_ih_l0.zero_()
        model.layer.bias_hh_l0.zero_()
    batch = rows()
    batch[0].mul_(1e-2)
    batch[0][0] = 1.0
    found = doctor(model, batch, row_loss)
    assert "exploding gradient" in found.names
    finding = found[found.names.index("exploding gradient")]
    # With the states near zero, tanh is the identity: each step multiplies by the weights.
    assert finding.numbers["factor"].value == pytest.approx(1.5, abs=0.05)
    assert "clip_norm=1" in finding.remedy


@both
def test_a_state_that_nobody_asks_for(layers) -> None:
    class Deaf(Classifier):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h, _ = self.layer(x)
            return self.output(h[-1].detach()) + 0 * h.sum()

    found = doctor(Deaf(layers.GRU(I, H)), rows(), row_loss)
    assert found.names == ["output ignores the recurrent state", "parameters without gradient"]
    assert found[0].numbers["gradient"].value == 0
    assert found[0].where == "layer (GRU)"


@both
def test_an_output_layer_that_starts_at_zero(layers) -> None:
    model = Classifier(layers.GRU(I, H))
    nn.init.zeros_(model.output.weight)
    found = doctor(model, rows(), row_loss)
    # The first update changes it: the layers behind it have no fault of their own.
    assert [(each.name, each.severity) for each in found] == [("output ignores the recurrent state", "warning")]
    assert found[0].evidence.startswith("output.weight: all 0, as they may begin")
    assert "train longer" in found[0].remedy


@both
def test_a_module_that_is_left_out(layers) -> None:
    model = Classifier(layers.LSTM(I, H))
    model.other = nn.Linear(2, 2)
    found = doctor(model, rows(), row_loss)
    assert found.names == ["parameters without gradient"]
    assert found[0].numbers["unused"].value == 2
    assert "other.weight, other.bias" in found[0].evidence


@both
def test_sequences_of_one_step(layers) -> None:
    found = doctor(Classifier(layers.LSTM(I, H)), rows(steps=3), lambda m, b: row_loss(m, (b[0][-1:], b[1])))
    assert found.names == ["parameters without gradient"]
    assert "one step" in found[0].evidence


def test_a_learned_first_state_that_this_batch_does_not_use() -> None:
    class Resumed(Classifier):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.layer(x, x.new_ones(1, B, H))[0][-1])

    assert doctor(Resumed(ostinato.GRU(I, H, initial_state="learned")), rows(), row_loss).names == []


def test_a_single_step_cell_in_a_loop() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.output = nn.RNNCell(I, H), nn.Linear(H, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = x.new_zeros(x.shape[1], H)
            for step in x:
                h = self.cell(step, h)
            return self.output(h)

    torch.manual_seed(0)
    assert doctor(Loop(), rows(steps=12), row_loss).names == []
    assert doctor(Loop(), rows(steps=41), row_loss).names == ["vanishing gradient"]


def test_layers_of_every_form_can_be_examined() -> None:
    torch.manual_seed(0)
    x, y = rows(steps=12)
    for layer, width in (
        (ostinato.LSTM(I, H, 2, bidirectional=True), 2 * H),
        (nn.LSTM(I, H, proj_size=5), 5),
        (ostinato.GRU(I, (6, 9)), 9),
        (ostinato.RHN(I, H, depth=2), H),
        (ostinato.MinLSTM(I, H), H),
        (nn.GRU(I, H, 2, bidirectional=True), 2 * H),
    ):
        found = doctor(Classifier(layer, width=width, mean=True), (x, y), row_loss)
        assert found.names == [], layer
        assert set(found.unchecked.values()) == {
            "give next_batch=",
            "give optimizer=",
            "give history=, clip_norm=",
            "give history=",
            "give figures=, baselines=",
        }


@both
def test_the_last_output_of_a_reverse_direction(layers) -> None:
    torch.manual_seed(0)
    layer = layers.LSTM(I, H, bidirectional=True)
    found = doctor(Classifier(layer, width=2 * H), rows(steps=12), row_loss)
    assert found.names == ["parameters without gradient"]
    assert "step 0" in found[0].remedy
    assert doctor(Classifier(layer, width=2 * H, mean=True), rows(steps=12), row_loss).names == []


def test_packed_sequences() -> None:
    torch.manual_seed(0)
    model = nn.LSTM(I, H)
    packed = nn.utils.rnn.pack_padded_sequence(rows()[0], [24, 20, 20, 9, 8, 7, 6, 5, 4, 3])
    found = doctor(model, packed, lambda m, b: F.mse_loss(m(b)[0].data, torch.ones(b.data.shape[0], H)))
    assert found.names == []
