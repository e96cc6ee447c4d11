"""The decomposition through the gates: it sums, is right where the answer is known, and does not rest on its last correction."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import ostinato
from ostinato import catalogue
from ostinato.cells.named import State
from ostinato.insight import InsightError
from ostinato.insight.reasons import secants
from ostinato.insight.reasons.gradients import integrated_gradients
from ostinato.insight.reasons.secants import step_contributions
from ostinato.models.classifying.classifier import Classifier
from tests.insight.reasons.questions import of_numbers, question

SHAPES = {
    "one layer": {},
    "two, both ways": {"num_layers": 2, "bidirectional": True},
    "mean": {"pooling": "mean"},
    "max": {"pooling": "max"},
    "attention": {"pooling": "attention", "num_layers": 2},
}


def log_odds(model, x):
    logits = model._network(x, None)
    return logits[:, 1] - logits[:, [0, 2]].logsumexp(-1)


def asked(cell, seed=0, **shape):
    torch.manual_seed(seed)
    model = Classifier(3, input_size=4, hidden_size=6, cell=cell, **shape).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)  # far from linear
    return question(model, log_odds, 2 * torch.randn(12, 1, 4), channels=tuple("abcd"))


CASES = [(cell, shape) for cell in ("lstm", "gru", "rnn") for shape in SHAPES]
CASES += [(cell, "two, both ways") for cell in ("minlstm", "rhn", "indrnn", "slstm", "mogrifierlstm", "lem", "ligru")]


@pytest.mark.parametrize(("cell", "shape"), CASES)
def test_contributions_sum_to_the_answer(cell, shape):
    q = asked(cell, **SHAPES[shape])
    found = step_contributions(q)
    model = copy.deepcopy(q.model).double()
    with torch.no_grad():
        answer, nothing = (float(q.answer(model, v.double())) for v in (q.input, q.baseline))
    assert found.answer == pytest.approx(answer, abs=1e-9)
    assert found.baseline == pytest.approx(nothing, abs=1e-9)
    assert found.values.sum() == pytest.approx(answer - nothing, abs=1e-8)
    assert np.abs(found.values).max() > 1e-4


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_sums_hold_before_the_last_correction(cell, monkeypatch):
    """Smooth steps: more points of the integral change nothing, so that nothing was left to put right."""
    q = asked(cell, num_layers=2, bidirectional=True)
    few = step_contributions(q)
    monkeypatch.setattr(secants, "_POINTS", 40)
    np.testing.assert_allclose(few.values, step_contributions(q).values, atol=1e-5)


def test_of_a_linear_recurrence_it_is_the_closed_form():
    """s_t = f s_{t-1} + x_t: what step t wrote is kept T - t times."""

    @ostinato.cell(gates="z", states="h")
    def leaking(x, s, U):
        return State(h=0.8 * s.h + x.z + 0.0 * U(s.h).z)

    layer = ostinato.Recurrent(leaking, 2, 3, bias=False)
    x = torch.randn(9, 1, 2)
    found = step_contributions(question(layer, lambda m, v: m(v)[0][-1, :, 1], x, channels=("a", "b")))
    kept = 0.8 ** np.arange(8, -1, -1)
    np.testing.assert_allclose(
        found.values, kept[:, None] * (x[:, 0] * layer.weight_ih_l0[1]).detach().numpy(), atol=1e-6
    )


def test_where_gates_are_constant_it_is_murdoch_and_szlam():
    """c_T = sum of f^(T-t) i tanh(W x_t): (10) of arXiv 1702.02540."""

    @ostinato.cell(gates="f i z", states="h")
    def memory(x, s, U):
        return State(h=torch.sigmoid(x.f) * s.h + torch.sigmoid(x.i) * torch.tanh(x.z) + 0.0 * U(s.h).z)

    layer = ostinato.Recurrent(memory, 2, 3)
    with torch.no_grad():
        layer.weight_ih_l0[:6] = 0.0
        layer.bias_ih_l0[6:], layer.bias_hh_l0[6:] = 0.0, 0.0
    x = 2 * torch.randn(8, 1, 2)
    found = step_contributions(question(layer, lambda m, v: m(v)[0][-1, :, 0], x))
    with torch.no_grad():
        f, i = torch.sigmoid(layer.bias_ih_l0[[0, 3]]).tolist()
        z = torch.tanh(x[:, 0] @ layer.weight_ih_l0[6])
    np.testing.assert_allclose(found.by_step, f ** np.arange(7, -1, -1) * i * z.numpy(), atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_of_one_step_it_is_integrated_gradients(cell):
    torch.manual_seed(1)
    layer, x = catalogue.make(cell, 3, 5), 2 * torch.randn(1, 1, 3)
    q = question(layer, lambda m, v: m(v)[0][-1].sum(-1), x, channels=tuple("abc"))
    np.testing.assert_allclose(step_contributions(q).values, integrated_gradients(q, tolerance=1e-9).values, atol=1e-5)


def test_of_a_product_each_has_half_and_the_rest_is_as_it_is():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = ostinato.GRU(1, 2)

        def forward(self, x):
            kept = torch.zeros_like(x)
            kept[:] = x  # in place
            return kept[0, :, 0] * kept[1, :, 0] + 0.0 * self.layer(x)[0].sum((0, 2))

    found = step_contributions(question(Last(), lambda m, v: m(v), torch.tensor([[[2.0]], [[5.0]]])))
    np.testing.assert_allclose(found.by_step, [5.0, 5.0], atol=1e-9)


class Loop(nn.Module):
    """A single step of torch.nn called in a loop, behind a layer of torch.nn."""

    def __init__(self):
        super().__init__()
        self.below, self.cell = nn.LSTM(3, 4, bidirectional=True), nn.GRUCell(8, 5)

    def forward(self, x):
        h = None
        for step in self.below(x)[0]:
            h = self.cell(step, h)
        return h.square().sum(-1)


def test_layers_and_steps_of_torch_are_looked_into_too():
    torch.manual_seed(0)
    model, x = Loop(), torch.randn(6, 1, 3)
    before = {name: v.clone() for name, v in model.state_dict().items()}
    found = step_contributions(question(model, lambda m, v: m(v), x))
    with torch.no_grad():
        assert found.answer == pytest.approx(float(model(x)), abs=1e-5)
        assert found.values.sum() == pytest.approx(float(model(x) - model(torch.zeros_like(x))), abs=1e-5)
    assert "forward" not in vars(model.below)
    assert all(torch.equal(v, before[name]) for name, v in model.state_dict().items())
    assert model.training


def test_what_cannot_be_split_is_told():
    with pytest.raises(InsightError, match="expected a model with a recurrent layer"):
        step_contributions(of_numbers(lambda x: x.sum((0, 2)), [1.0]))
    layer = ostinato.GRU(1, 2)
    with pytest.raises(InsightError, match="expected an answer that depends on what was read"):
        step_contributions(
            question(layer, lambda m, v: m(torch.zeros(v.shape, dtype=v.dtype))[0][-1, :, 0], torch.ones(2, 1, 1))
        )

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v):
            return v**3

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    with pytest.raises(InsightError, match="cannot be followed operation by operation"):
        step_contributions(
            question(layer, lambda m, v: m(v)[0].sum((0, 2)) + Own.apply(v).sum((0, 2)), torch.full((2, 1, 1), 2.0))
        )
    shapes = question(layer, lambda m, v: m(v[v[:, 0, 0] > 0.5])[0].sum((0, 2)), torch.tensor([[[1.0]], [[2.0]]]))
    with pytest.raises((InsightError, RuntimeError)):
        step_contributions(shapes)
