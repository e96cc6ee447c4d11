import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from ostinato.models import output_loss
from ostinato.models.output_loss import output_cross_entropy


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 50),
    words=st.integers(1, 12),
    smoothing=st.sampled_from([0.0, 0.1, 0.7]),
    bias=st.booleans(),
    seed=st.integers(0, 5),
)
def test_loss_and_gradients_are_those_of_all_rows_at_once(rows, words, smoothing, bias, seed):
    torch.manual_seed(seed)
    layer = nn.Linear(3, words, bias=bias).double()
    x = torch.randn(rows, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randint(words, (rows,))
    whole = (x, *layer.parameters())
    losses = (
        F.cross_entropy(layer(x), target, label_smoothing=smoothing),
        output_cross_entropy(layer, x, target, label_smoothing=smoothing),
    )
    found = [(loss.detach(), *torch.autograd.grad(3.0 * loss, whole)) for loss in losses]
    torch.testing.assert_close(found[1], found[0])


def test_rows_are_taken_in_pieces(monkeypatch):
    monkeypatch.setitem(output_loss._LOGITS, "cpu", 1)
    sizes = []
    monkeypatch.setattr(output_loss.F, "linear", lambda x, *rest: (sizes.append(len(x)), x @ rest[0].T)[1])
    layer = nn.Linear(3, 100, bias=False)
    output_cross_entropy(layer, torch.randn(40, 3), torch.zeros(40, dtype=torch.int64))
    assert sizes == [16, 16, 8]


def test_half_precision_is_summed_in_float32():
    torch.manual_seed(0)
    layer, x, target = nn.Linear(8, 50), torch.randn(300, 8, requires_grad=True), torch.randint(50, (300,))
    with torch.autocast("cpu", torch.bfloat16):
        loss = output_cross_entropy(layer, x, target)
    gradients = torch.autograd.grad(loss, (x, *layer.parameters()))
    assert {each.dtype for each in (loss, *gradients)} == {torch.float32}
    expected = F.cross_entropy(layer(x), target)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-2)


def test_without_gradients_none_are_computed():
    layer, target = nn.Linear(3, 5), torch.tensor([1, 2])
    with torch.no_grad():
        loss = output_cross_entropy(layer, torch.randn(2, 3), target)
    assert not loss.requires_grad
