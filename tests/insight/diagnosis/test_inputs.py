import pytest
import torch
from torch import nn

import ostinato
from ostinato.insight import doctor, saturation

from .patients import KINDS, B, Classifier, H, I, Reader, chunk, row_loss, rows

both = pytest.mark.parametrize("layers", KINDS.values(), ids=KINDS)


@both
@pytest.mark.parametrize(
    "change", [lambda x: 80 * x, lambda x: x + 280, lambda x: 1e-4 * x], ids=["large", "far", "small"]
)
def test_numbers_of_another_size(layers, change) -> None:
    torch.manual_seed(0)
    x, y = rows(steps=10)
    found = doctor(Classifier(layers.GRU(I, H)), (change(x), y), row_loss)
    assert "input not normalised" in found.names
    assert "standard deviation" in found[found.names.index("input not normalised")].remedy


@both
def test_what_standardising_does(layers) -> None:
    torch.manual_seed(0)
    x, y = rows(steps=10)
    x = (x - x.mean((0, 1))) / x.std((0, 1), correction=0)
    model = Classifier(layers.LSTM(I, H))
    found = doctor(model, (1000 * x, y), row_loss)
    finding = found[found.names.index("input not normalised")]
    assert finding.numbers["saturated"].value > 0.9
    # On standardised numbers nothing of it is left, as the plain model shows.
    gates = [
        gate.low + gate.high for gate in saturation(model, (x, y), row_loss, margin=0.0025).gates if gate.gate != "out"
    ]
    assert finding.numbers["saturated if standardised"].value == pytest.approx(sum(gates) / len(gates)) == 0


@both
def test_features_of_different_size(layers) -> None:
    torch.manual_seed(0)
    x, y = rows(steps=10)
    x = x * torch.tensor([1.0, 1.0, 1e-4, 1.0])
    found = doctor(Classifier(layers.GRU(I, H)), (x, y), row_loss)
    assert found.names == ["input not normalised"]


@both
def test_numbers_of_size_one(layers) -> None:
    torch.manual_seed(0)
    x, y = rows(steps=10)
    one_hot = torch.nn.functional.one_hot(x[..., 0].gt(0).long(), I).float()
    for fine in (x, x.sigmoid(), 3 * x, one_hot, torch.zeros_like(x)):
        assert "input not normalised" not in doctor(Classifier(layers.GRU(I, H)), (fine, y), row_loss).names


class Forgetful(Reader):
    def loss(self, batch, state=None):
        return super().loss(batch, None)[0], state


@both
def test_states_that_are_not_carried(layers) -> None:
    torch.manual_seed(0)
    good = Reader(layers.LSTM(I, H))
    assert doctor(good, chunk(0), next_batch=chunk(1)).names == []
    bad = Forgetful(layers.LSTM(I, H))
    bad.load_state_dict(good.state_dict())
    found = doctor(bad, chunk(0), next_batch=chunk(1))
    assert found.names == ["states not carried between chunks"]
    # The remedy that was tried, tried by hand.
    with ostinato.backend("reference"), torch.no_grad():
        _, state = good.loss(chunk(0))
        carried, fresh = good.loss(chunk(1), state)[0], good.loss(chunk(1))[0]
    assert found[0].numbers["carried"].value == pytest.approx(float(carried), rel=1e-5)
    assert found[0].numbers["fresh"].value == pytest.approx(float(fresh), rel=1e-5)


@both
def test_a_loss_that_is_given_no_state(layers) -> None:
    torch.manual_seed(0)
    model = Reader(layers.GRU(I, H))
    found = doctor(model, chunk(0), lambda m, b: m.loss(b)[0], next_batch=chunk(1))
    assert found.names == ["states not carried between chunks"]


@both
def test_a_model_that_keeps_its_states_itself(layers) -> None:
    class Keeping(Reader):
        kept: torch.Tensor | None = None

        def loss(self, batch, state=None):
            loss, state = super().loss(batch, self.kept)
            self.kept = state.detach()
            return loss, state

    torch.manual_seed(0)
    model = Keeping(layers.GRU(I, H))
    assert doctor(model, chunk(0), lambda m, b: m.loss(b)[0], next_batch=chunk(1)).names == []
    assert model.kept is None


def test_states_that_are_zero_all_the_time() -> None:
    class Zero(Reader):
        def loss(self, batch, state=None):
            return super().loss(batch, torch.zeros(1, B, H))

    torch.manual_seed(0)
    found = doctor(Zero(nn.GRU(I, H)), chunk(0), next_batch=chunk(1))
    assert found.names == ["states not carried between chunks"]
