import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.insight import doctor

from .patients import KINDS, B, Classifier, H, I, Reader, T, V, chunk, row_loss, rows, trained

both = pytest.mark.parametrize("layers", KINDS.values(), ids=KINDS)


@both
def test_weights_that_are_nan(layers) -> None:
    model = Classifier(layers.GRU(I, H))
    with torch.no_grad():
        model.output.bias[1] = math.nan
    found = doctor(model, rows(), row_loss)
    assert found.names == ["loss or gradient not finite"]
    assert "output.bias already" in found[0].evidence
    assert found.unchecked["vanishing gradient"] == "the numbers are not finite"


@both
def test_data_that_are_nan(layers) -> None:
    model = Classifier(layers.GRU(I, H))
    x, y = rows()
    x[3, 2, 1] = math.nan
    found = doctor(model, (x, y), row_loss)
    assert found.names == ["loss or gradient not finite"]
    assert "the output of layer (GRU) was the first" in found[0].evidence


@both
def test_a_loss_that_is_a_mean_over_nothing(layers) -> None:
    model = Classifier(layers.GRU(I, H))
    found = doctor(model, (rows()[0], torch.full((B,), -100)), row_loss)
    assert found.names == ["loss or gradient not finite"]
    assert "begins in the loss function" in found[0].evidence


@both
def test_a_gradient_that_is_infinite(layers) -> None:
    model = Classifier(layers.GRU(I, H))
    found = doctor(model, rows(), lambda m, b: (m(b[0]) * 0).abs().sum().sqrt() + m(b[0]).square().mean())
    assert found.names == ["loss or gradient not finite"]
    assert "the loss is finite, but the gradient of" in found[0].evidence


@both
def test_softmax_twice(layers) -> None:
    torch.manual_seed(0)
    model = Classifier(layers.GRU(I, H))
    found = doctor(model, rows(), lambda m, b: F.cross_entropy(m(b[0]).softmax(-1), b[1]))
    assert found.names == ["softmax twice"]
    # The best that it can do: probability 1 for the right one of three.
    best = F.cross_entropy(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0]))
    assert found[0].numbers["floor"].value == pytest.approx(float(best))
    for fine in (lambda m, b: F.nll_loss(m(b[0]).log_softmax(-1), b[1]), row_loss):
        assert doctor(model, rows(), fine).names == []


@both
def test_a_model_that_guesses(layers) -> None:
    """Targets that do not belong to the inputs: what is learnt is how often each comes."""
    torch.manual_seed(0)
    one = trained(layers.GRU(I, H), updates=210)
    generator = torch.Generator().manual_seed(0)
    ids, _ = chunk(0)
    shuffled = (ids, torch.randint(0, V, ids.shape, generator=generator))
    found = doctor(one.model, shuffled, history=one.history)
    assert "loss at the level of guessing" in found.names
    finding = found[found.names.index("loss at the level of guessing")]
    frequencies = torch.bincount(shuffled[1].flatten()) / ids.numel()
    assert finding.numbers["guessing"].value == pytest.approx(float(-(frequencies * frequencies.log()).sum()), rel=1e-5)
    assert doctor(one.model, chunk(0), history=one.history).names == []


@both
def test_a_model_that_has_not_learnt_yet_may_guess(layers) -> None:
    torch.manual_seed(0)
    assert doctor(Reader(layers.GRU(I, H)), chunk(0)).names == []
    assert doctor(Reader(layers.GRU(I, H)), chunk(0), history=[{"step": 50, "loss": 2.0}]).names == []


@both
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_a_forecaster_that_says_the_mean(layers, name) -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.output = layers.GRU(I, H), nn.Linear(H, I)
            nn.init.normal_(self.output.weight, std=1e-3)
            nn.init.zeros_(self.output.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.layer(x)[0])

    torch.manual_seed(0)
    x = rows()[0]
    batch, history = (x, torch.randn(T, B, I)), [{"step": 1000, "loss": 1.0}]

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return getattr(F, name)(model(batch[0]), batch[1])

    found = doctor(Constant(), batch, loss, history=history)
    assert found.names == ["loss at the level of guessing"]
    model = Constant()
    with torch.no_grad():
        batch = (x, 0.5 * torch.randn(T, B, 1) * torch.ones(I) + model(x))
    near = (x, model(x).detach() + 0.001 * batch[1])
    assert doctor(model, near, loss, history=history).names == []


@both
def test_logits_that_are_sure_of_wrong_answers(layers) -> None:
    torch.manual_seed(0)
    model = Reader(layers.GRU(I, H))
    assert doctor(model, chunk(0)).names == []
    with torch.no_grad():
        model.output.weight.mul_(100)
    found = doctor(model, chunk(0))
    assert "loss far above guessing" in found.names
    assert found[found.names.index("loss far above guessing")].numbers["guessing"].value == pytest.approx(math.log(V))
