import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ostinato.models.text import output_loss
from ostinato.models.text.output_loss import NO_WORD, output_cross_entropy


@pytest.fixture(autouse=True, scope="module")
def few_words_are_many():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_loss, "_FEW_WORDS", 0)
        yield


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


@pytest.mark.parametrize("words", [12, 2000])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_rows_without_a_word_count_nothing_whatever_they_hold(words, smoothing):
    torch.manual_seed(0)
    layer, target = nn.Linear(3, words).double(), torch.randint(words, (20,))
    x = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    gaps = torch.arange(20) % 3 == 1
    # Of a leaf each, as a graph goes with its backward pass.
    holed = torch.where(gaps[:, None], torch.nan, x.detach()).requires_grad_()
    losses = (
        output_cross_entropy(layer, x[~gaps], target[~gaps], label_smoothing=smoothing),
        output_cross_entropy(layer, holed, target.masked_fill(gaps, NO_WORD), label_smoothing=smoothing, has_gaps=True),
    )
    found = [
        [loss.detach(), *torch.autograd.grad(loss, [v, *layer.parameters()])]
        for loss, v in zip(losses, (x, holed), strict=True)
    ]
    torch.testing.assert_close(found[1], found[0])
    nothing = output_cross_entropy(layer, holed, torch.full((20,), NO_WORD), has_gaps=True)
    assert nothing.item() == 0
    assert not torch.autograd.grad(nothing, holed)[0].any()


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("limits", [(1, 1), (3300, 1), (3300, 2000), (10**6, 2000), (10**6, 10**6)])
def test_pieces_of_rows_give_what_all_rows_give(monkeypatch, limits, autocast):
    torch.manual_seed(0)
    layer, x, target = nn.Linear(3, 100), torch.randn(80, 3, requires_grad=True), torch.randint(100, (80,))
    found = []
    for limit in (limits, (10**9, 10**9)):
        monkeypatch.setitem(output_loss._LOGITS, "cpu", limit)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = output_cross_entropy(layer, x, target, label_smoothing=0.1)
        found.append((loss.detach(), *torch.autograd.grad(loss, (x, *layer.parameters()))))
    # A sum in pieces is rounded elsewhere; of products in bfloat16 each piece's sum is.
    tolerance = 1e-2 if autocast else 1e-5
    torch.testing.assert_close(found[0], found[1], rtol=tolerance, atol=tolerance / 100)


def test_as_many_logits_are_in_memory_as_are_meant_to_be(monkeypatch):
    monkeypatch.setitem(output_loss._LOGITS, "cpu", (2000, 1))
    sizes = []
    mm = torch.mm
    monkeypatch.setattr(torch, "mm", lambda x, w, out: (sizes.append(tuple(out.shape)), mm(x, w, out=out))[1])
    layer = nn.Linear(3, 100, bias=False)
    output_cross_entropy(layer, torch.randn(50, 3), torch.zeros(50, dtype=torch.int64))
    assert sizes == [(20, 100), (20, 100), (10, 100)]


@pytest.mark.parametrize("few_words", [0, 101])
def test_without_rows_it_is_0_and_every_parameter_has_a_gradient(monkeypatch, few_words):
    monkeypatch.setattr(output_loss, "_FEW_WORDS", few_words)
    layer, x = nn.Linear(3, 100), torch.zeros(0, 3, requires_grad=True)
    loss = output_cross_entropy(layer, x, torch.zeros(0, dtype=torch.int64))
    assert loss == 0.0
    gradients = torch.autograd.grad(loss, (x, *layer.parameters()))
    assert not any(gradient.any() for gradient in gradients)


def test_with_few_words_it_is_the_usual_function(monkeypatch):
    monkeypatch.setattr(output_loss, "_FEW_WORDS", 101)
    layer, x, target = nn.Linear(3, 100), torch.randn(40, 3, requires_grad=True), torch.randint(100, (40,))
    calls = []
    layer.register_forward_hook(lambda *given: calls.append(given))
    loss = output_cross_entropy(layer, x, target)
    assert torch.equal(loss, F.cross_entropy(layer(x), target))
    assert len(calls) == 2
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    assert slope.requires_grad


def test_those_who_listen_to_torch_hear_of_the_loss():
    class Ear(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is F.cross_entropy:
                heard.append(args[0].shape)
            return func(*args, **(kwargs or {}))

    heard = []
    layer, x, target = nn.Linear(3, 100), torch.randn(40, 3), torch.randint(100, (40,))
    expected = output_cross_entropy(layer, x, target, label_smoothing=0.1)
    with Ear():
        loss = output_cross_entropy(layer, x, target, label_smoothing=0.1)
    torch.testing.assert_close(loss, expected)
    assert heard == [(40, 100)]


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
