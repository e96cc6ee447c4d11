"""`convert`: whole models at once, weights, mode, hooks and sharing kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import ostinato
from ostinato.nn import negate_update_gate
from tests.support import LAYERS, STEPS, assert_same, tensors

untyped: Any = ostinato.convert


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_every_layer_computes_what_it_did(kind: str) -> None:
    name, own = LAYERS[kind]
    old = getattr(nn, name)(3, 5, 2, bidirectional=True, batch_first=True, dropout=0.3, bias=False, **own).double()
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    new = ostinato.convert(old)
    assert type(new) is getattr(ostinato, name)
    assert repr(new) == repr(old)
    assert all(a is b for a, b in zip(new.parameters(), old.parameters(), strict=True))
    for training in (True, False):
        torch.manual_seed(1)
        expected = old.train(training)(x)
        for backend, atol in (("auto", 1e-12), ("vendor", 0.0)):
            torch.manual_seed(1)
            with ostinato.backend(backend):
                assert_same(tensors(new.train(training)(x)), tensors(expected), atol=atol)
        assert_same(tensors(new.eval()(x, lengths=[6] * 4)), tensors(old.eval()(x)), atol=1e-12)


@pytest.mark.parametrize("kind", sorted(STEPS))
def test_every_step_computes_what_it_did(kind: str) -> None:
    name, own = STEPS[kind]
    for bias in (True, False):
        old = getattr(nn, name)(3, 5, bias=bias, **own)
        new = ostinato.convert(old)
        assert type(new) is getattr(ostinato, name)
        assert repr(new) == repr(old)
        x = torch.randn(4, 3)
        assert_same(tensors(new(x)), tensors(old(x)), atol=0.0)
        with ostinato.backend("reference"):
            assert_same(tensors(new(x)), tensors(old(x)), atol=1e-6)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.encoder = nn.ModuleList([nn.LSTM(4, 6, bidirectional=True), nn.Sequential(nn.Identity(), nn.GRU(12, 5))])
        self.shared = self.encoder[0]
        self.step = nn.LSTMCell(5, 5)
        self.nothing: nn.Module | None = None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, _ = self.encoder[0](self.embedding(tokens))
        x, _ = self.encoder[1](x)
        return self.step(x[-1])[0]


def test_a_model_is_converted_in_place() -> None:
    model = Tagger().eval()
    tokens = torch.randint(10, (7, 3))
    expected = model(tokens)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    names = list(model.state_dict())
    assert ostinato.convert(model) is model
    assert list(model.state_dict()) == names
    assert {
        type(m).__module__.split(".")[0] for m in model.modules() if isinstance(m, nn.RNNBase | nn.RNNCellBase)
    } == {"ostinato"}
    assert model.shared is model.encoder[0]
    assert not model.shared.training
    with ostinato.backend("vendor"):
        assert torch.equal(model(tokens), expected)
    assert_same(tensors(model(tokens)), tensors(expected), atol=1e-6)
    model(tokens).sum().backward()
    optimizer.step()
    assert not torch.allclose(model(tokens), expected, atol=1e-3)
    again: Any = ostinato.convert(model)
    assert again.encoder[0] is model.shared, "what is ours already stays"


def test_hooks_modes_and_attributes_are_kept() -> None:
    old = nn.GRU(3, 5)
    calls = []
    old.register_forward_hook(lambda *_: calls.append("called"))
    old.weight_hh_l0.requires_grad_(False)
    untyped_old: Any = old
    untyped_old.note = "mine"
    new: Any = ostinato.convert(old)
    new(torch.randn(2, 1, 3))
    assert calls == ["called"]
    assert new.note == "mine"
    assert not new.weight_hh_l0.requires_grad


def test_subclasses_are_left_alone() -> None:
    class Mine(nn.LSTM):
        pass

    model = nn.Sequential(Mine(3, 4), nn.LSTM(4, 4), ostinato.LSTM(4, 4), nn.Linear(4, 4))
    with pytest.warns(UserWarning, match=r"left as they are: 0 \(Mine, a subclass") as told:
        assert ostinato.convert(model).get_submodule("0") is model[0]
    assert len(told) == 1
    assert type(model[0]) is Mine
    assert type(model[1]) is ostinato.LSTM


class Doubled(nn.Module):
    def forward(self, v: torch.Tensor) -> torch.Tensor:
        return 2 * v

    def right_inverse(self, v: torch.Tensor) -> torch.Tensor:
        return v / 2


PARAMETRIZATIONS: dict[str, Callable[[nn.Module, str], nn.Module]] = {
    "weight_norm": nn.utils.parametrizations.weight_norm,
    "spectral_norm": nn.utils.parametrizations.spectral_norm,
    "one's own": lambda m, name: nn.utils.parametrize.register_parametrization(m, name, Doubled()) or m,
}


@pytest.mark.parametrize("how", PARAMETRIZATIONS)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRUCell])
def test_parametrized_layers_are_converted_with_their_parametrizations(how: str, kind: Any) -> None:
    old = kind(3, 4)
    name = "weight_hh_l0" if kind is nn.LSTM else "weight_hh"
    old = PARAMETRIZATIONS[how](old, name)
    x = torch.randn(2, 5, 3) if kind is nn.LSTM else torch.randn(5, 3)
    before = {n: v.clone() for n, v in old.state_dict().items()}
    new = ostinato.convert(old)
    assert nn.utils.parametrize.type_before_parametrizations(new) is getattr(ostinato, kind.__name__)
    assert_same(new.state_dict(), before, atol=0.0)
    old.eval(), new.eval()
    with ostinato.backend("vendor"):
        assert_same(tensors(new(x)), tensors(old(x)), atol=0.0)
    assert_same(tensors(new(x)), tensors(old(x)), atol=1e-6)
    torch.stack([v.sum() for v in tensors(new(x)).values()]).sum().backward()
    assert all(p.grad is not None for p in new.parameters()), "the gradient reaches what the weight is made of"
    nn.utils.parametrize.remove_parametrizations(new, name)
    assert type(new) is getattr(ostinato, kind.__name__)
    assert_same(tensors(new(x)), tensors(old(x)), atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_what_torch_has_put_in_the_place_of_a_layer_is_told() -> None:
    quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(3, 4)), {nn.LSTM})
    for model, reason in (
        (quantized, "LSTM, quantized"),
        (torch.jit.script(nn.Sequential(nn.LSTM(3, 4))), "LSTM in TorchScript"),
    ):
        with pytest.warns(UserWarning, match=rf"0 \({reason}; convert the module that it was made of"):
            ostinato.convert(model)


@pytest.mark.filterwarnings("ignore:.*torch.nn.utils.weight_norm.*:FutureWarning")
@pytest.mark.parametrize("how", ["weight_norm", "prune"])
def test_weights_kept_under_other_names_are_kept(how: str) -> None:
    old = nn.LSTM(3, 4, 2)
    if how == "prune":
        prune.random_unstructured(old, "weight_hh_l1", amount=0.5)
    else:
        nn.utils.weight_norm(old, "weight_hh_l1")
    x = torch.randn(5, 2, 3)
    expected = tensors(old(x))
    new = ostinato.convert(old)
    with ostinato.backend("vendor"):
        assert_same(tensors(new(x)), expected, atol=0.0)
    assert_same(tensors(new(x)), expected, atol=1e-6)
    assert_same(tensors(new(x, lengths=[5, 5])), expected, atol=1e-6)
    assert list(new.state_dict()) == list(old.state_dict())


def test_options_that_keep_the_parameters_are_given_to_every_layer() -> None:
    model: Any = ostinato.convert(nn.ModuleList([nn.LSTM(3, 4), nn.GRU(3, 4), nn.LSTMCell(3, 4)]), zoneout=0.1)
    assert model[0].options.zoneout == {"h": 0.1, "c": 0.1}
    assert model[1].options.zoneout == {"h": 0.1}
    assert model[2].options.zoneout == {}
    x = torch.randn(2, 1, 3)
    assert not torch.equal(model[0](x)[0], model[0](x)[0]), "zoneout draws a mask each time"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer_norm": True}, ValueError, "must add no parameters, but these are new: norm_ih_l0, norm_hh_l0"),
        ({"initial_state": "learned"}, ValueError, "but these are new: initial_h_l0, initial_c_l0. Build the layer anew"),
        ({"coupled_gates": True}, ValueError, "the options ask for another shape of weight_ih_l0; build the layer anew"),
        ({"zonout": 0.1}, TypeError, "unexpected keyword argument 'zonout'; did you mean 'zoneout'?"),
    ],
)  # fmt: skip
def test_options_that_change_the_parameters_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        untyped(nn.Sequential(nn.Identity(), nn.LSTM(3, 4)), **options)
    assert message in str(caught.value)


def test_a_negated_update_gate_means_the_other_thing() -> None:
    # With W_hn = 0 and b_hn = 0 it does not matter where the reset gate acts, so the two forms compute the same.
    theirs = nn.GRU(3, 4, 2, bidirectional=True, dtype=torch.float64)
    for layer in theirs.all_weights:
        layer[1].data[8:] = 0
        layer[3].data[8:] = 0
    ours = ostinato.GRU(3, 4, 2, bidirectional=True, reset_after=False, dtype=torch.float64)
    ours.load_state_dict(negate_update_gate(theirs.state_dict()))
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    assert_same(tensors(ours(x)), tensors(theirs(x)))
    twice = negate_update_gate(negate_update_gate(theirs.state_dict()))
    assert all(torch.equal(twice[name], v) for name, v in theirs.state_dict().items())
