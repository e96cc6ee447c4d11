"""`to_torch`: back to torch.nn's own classes, the same bits, and what then works."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import ostinato
from ostinato import cells
from ostinato.errors import ConfigError
from tests.models.support import small
from tests.nn.conversion.test_convert import PARAMETRIZATIONS
from tests.support import LAYERS, STEPS, assert_same, tensors

quantising = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor:UserWarning", "ignore:.*torch.ao.quantization"
)
Quantise = Callable[..., nn.Module]
quantize_dynamic: Quantise = torch.ao.quantization.quantize_dynamic


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize(("name", "own"), [*LAYERS.values(), *STEPS.values()])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_inverse_of_convert(name: str, own: dict[str, Any], bias: bool) -> None:
    is_layer = not name.endswith("Cell")
    sizes = {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.3} if is_layer else {}
    old = getattr(nn, name)(3, 5, bias=bias, **sizes, **own).eval()
    x = torch.randn(4, 6, 3) if is_layer else torch.randn(4, 3)
    expected = tensors(old(x))
    back = ostinato.to_torch(ostinato.convert(old))
    assert type(back) is getattr(nn, name)
    assert repr(back) == repr(old)
    assert back.__dict__.keys() == old.__dict__.keys()
    assert all(a is b for a, b in zip(back.parameters(), old.parameters(), strict=True))
    assert_same(tensors(back(x)), expected, atol=0.0)
    assert not back.training


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.encoder = nn.ModuleList([ostinato.LSTM(4, 6, proj_size=3), nn.Sequential(ostinato.GRU(3, 5))])
        self.shared = self.encoder[0]
        self.step = ostinato.LSTMCell(5, 5)
        self.output = nn.Linear(5, 10)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, _ = self.encoder[0](self.embedding(tokens))
        x, _ = self.encoder[1](x)
        return self.output(self.step(x[-1])[0])


def test_a_model_is_converted_in_place() -> None:
    model = Model().eval()
    calls = []
    model.encoder[0].register_forward_hook(lambda *_: calls.append("called"))
    model.step.weight_hh.requires_grad_(False)
    untyped: Any = model.step
    untyped.note = "mine"
    names, tokens = list(model.state_dict()), torch.randint(10, (7, 3))
    with ostinato.backend("vendor"):
        expected = model(tokens)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    assert ostinato.to_torch(model) is model
    assert {type(m).__module__.partition(".")[0] for m in model.modules() if m is not model} == {"torch"}
    assert list(model.state_dict()) == names
    assert model.shared is model.encoder[0]
    assert untyped is not model.step
    assert (model.step.note, model.step.weight_hh.requires_grad, model.step.training) == ("mine", False, False)
    calls.clear()
    assert torch.equal(model(tokens), expected)
    assert calls == ["called"]
    model.train()(tokens).sum().backward()
    optimiser.step()
    assert not torch.allclose(model.eval()(tokens), expected)
    assert ostinato.to_torch(model) is model, "what is torch's already stays"


def test_a_layer_of_a_cell_of_torchs_has_a_counterpart_whatever_its_class() -> None:
    layer = ostinato.Recurrent(cells.lstm, 3, [4, 4], forget_bias=1.0, init="orthogonal", backend="reference")
    back = ostinato.to_torch(layer)
    assert type(back) is nn.LSTM
    assert_same(tensors(back(x := torch.randn(5, 2, 3))), tensors(layer(x)), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtypes_and_devices_stay(dtype: torch.dtype) -> None:
    assert {p.dtype for p in ostinato.to_torch(ostinato.GRU(3, 4, dtype=dtype)).parameters()} == {dtype}
    assert {p.device.type for p in ostinato.to_torch(ostinato.GRU(3, 4, device="meta")).parameters()} == {"meta"}


@pytest.mark.parametrize("how", PARAMETRIZATIONS)
def test_parametrizations_go_both_ways(how: str) -> None:
    layer = PARAMETRIZATIONS[how](ostinato.LSTM(3, 4), "weight_hh_l0")
    state = {name: v.clone() for name, v in layer.state_dict().items()}
    back = ostinato.to_torch(layer)
    assert parametrize.type_before_parametrizations(back) is nn.LSTM
    assert_same(back.state_dict(), state, atol=0.0)
    copied = copy.deepcopy(back).eval()
    again = ostinato.convert(back)
    assert list(again.state_dict()) == list(state)
    x = torch.randn(5, 2, 3)
    layer.eval(), back.eval(), again.eval()
    with ostinato.backend("vendor"):
        assert_same(tensors(back(x)), tensors(layer(x)), atol=0.0)
        assert_same(tensors(again(x)), tensors(layer(x)), atol=0.0)
        assert_same(tensors(copied(x)), tensors(layer(x)), atol=0.0)


def test_a_weight_of_two_parametrizations_and_two_weights_of_one() -> None:
    layer: Any = ostinato.GRUCell(3, 4)
    for name in ("weight_ih", "weight_hh"):
        parametrizations.weight_norm(layer, name)
        PARAMETRIZATIONS["one's own"](layer, name)
    x = torch.randn(5, 3)
    expected = layer(x)
    assert_same(tensors(ostinato.to_torch(layer)(x)), tensors(expected), atol=1e-6)


def test_weights_that_share_memory_go_on_sharing() -> None:
    layer = ostinato.LSTM(4, 4)
    layer.weight_hh_l0 = layer.weight_ih_l0
    back = ostinato.to_torch(layer)
    assert back.weight_hh_l0 is back.weight_ih_l0


def test_pruned_weights_stay_pruned() -> None:
    layer = prune.random_unstructured(ostinato.LSTM(3, 4), "weight_hh_l0", amount=0.5)
    x = torch.randn(5, 2, 3)
    with ostinato.backend("vendor"):
        expected = tensors(layer(x))
    back = ostinato.to_torch(layer)
    assert_same(tensors(back(x)), expected, atol=0.0)
    assert list(back.state_dict()) == list(layer.state_dict())
    prune.remove(back, "weight_hh_l0")
    assert "weight_hh_l0" in dict(back.named_parameters())


def test_hooks_that_know_their_module_know_the_new_one() -> None:
    layer, seen = ostinato.GRU(3, 4), []
    layer.register_load_state_dict_pre_hook(lambda module, *_: seen.append(module))
    back = ostinato.to_torch(layer)
    back.load_state_dict(layer.state_dict())
    assert seen == [back]


class Mine(ostinato.LSTM):
    pass


LACKING: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "another cell": (lambda: ostinato.RHN(3, 4), r"RHN: the cell 'rhn_4'"),
    "a form of a cell": (lambda: ostinato.GRU(3, 4, reset_after=False), "GRU: the cell 'gru_reset_before'"),
    "sigmoid": (lambda: ostinato.RNN(3, 4, nonlinearity="sigmoid"), "RNN: the cell 'rnn_sigmoid'"),
    "options": (
        lambda: ostinato.LSTM(3, 4, zoneout=0.1, layer_norm=True),
        r"LSTM: zoneout=\{'h': 0.1, 'c': 0.1\}, layer_norm=True",
    ),
    "in training": (
        lambda: ostinato.LSTM(3, 4, weight_dropout=0.3),
        "weight_dropout=0.3, which acts in training.* inference=True drops",
    ),
    "first states": (lambda: ostinato.GRU(3, 4, initial_state="learned"), "initial_state=FirstState"),
    "widths": (lambda: ostinato.GRU(3, [4, 5]), r"layers of different widths, \[4, 5\]"),
    "around": (lambda: ostinato.GRU(3, 4, 2, connection="residual"), "connection='residual'"),
    "a subclass": (lambda: Mine(3, 4), "Mine: a subclass, whose changes are not known here"),
    "a step": (lambda: ostinato.LSTMCell(3, 4, peephole=True), "LSTMCell: peephole=True"),
}


@pytest.mark.parametrize("name", LACKING)
def test_what_torch_lacks_is_told_layer_by_layer_and_nothing_is_changed(name: str) -> None:
    make, said = LACKING[name]
    model = nn.ModuleDict({"plain": ostinato.LSTM(3, 4), "inner": nn.Sequential(make())})
    before = [id(m) for m in model.modules()]
    with pytest.raises(ConfigError, match=rf"torch.nn has no counterpart of inner.0 \(.*{said}") as caught:
        ostinato.to_torch(model)
    assert "leave=True" in str(caught.value)
    assert [id(m) for m in model.modules()] == before
    with pytest.warns(UserWarning, match=r"left as they are: inner.0 \("):
        ostinato.to_torch(model, leave=True)
    assert type(model["plain"]) is nn.LSTM
    assert [id(model[name]) for name in ("inner",)] == [id(dict(model.named_modules())["inner"])]
    assert type(model.get_submodule("inner.0")).__module__.partition(".")[0] != "torch"


def test_what_acts_in_training_only_is_dropped_for_inference() -> None:
    torch.manual_seed(0)
    layer = ostinato.LSTM(
        3, 4, variational_dropout=0.2, recurrent_dropout=0.1, initial_state=ostinato.noisy(0.1)
    ).eval()
    x = torch.randn(5, 2, 3)
    assert_same(tensors(ostinato.to_torch(layer, inference=True)(x)), tensors(layer(x)), atol=1e-6)


def test_no_module_is_told() -> None:
    untyped: Any = ostinato.to_torch
    with pytest.raises(ConfigError, match=r"expected a torch\.nn\.Module, got int"):
        untyped(3)


# what then works


@quantising
def test_torch_quantises_what_came_back() -> None:
    model = Model().eval()
    model.encoder[0] = model.shared = ostinato.LSTM(4, 3)  # of projections torch has no quantized form
    model = ostinato.to_torch(model)
    tokens = torch.randint(10, (7, 3))
    expected = model(tokens)
    quantised = quantize_dynamic(model, {nn.LSTM, nn.GRU, nn.LSTMCell, nn.Linear})
    kinds = [type(m).__module__ for m in quantised.modules()]
    assert sum("quantized" in kind for kind in kinds) >= 4
    torch.testing.assert_close(quantised(tokens), expected, atol=0.05, rtol=0.05)


@quantising
def test_torch_quantises_a_language_model() -> None:
    model = small(hidden_size=8, num_layers=2).float().eval()
    tokens = torch.randint(6, (7, 3))
    with torch.no_grad():
        expected, _ = model(tokens)
        found, state = quantize_dynamic(ostinato.to_torch(model), {nn.LSTM})(tokens)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)
    assert len(state) == 2


def test_torchscript_takes_what_came_back() -> None:
    model = ostinato.to_torch(Model().eval())
    tokens = torch.randint(10, (7, 3))

    class Encoder(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(Encoder(model.encoder[0]))
    x = model.embedding(tokens)
    assert torch.equal(scripted(x), model.encoder[0](x)[0])


# what is owed to those who did not


@quantising
@pytest.mark.parametrize("asked", [{nn.LSTM}, None, {nn.GRU, nn.Linear}])
def test_a_warning_where_torch_passes_ours_by(asked: Any) -> None:
    model = nn.ModuleDict({"rnn": ostinato.LSTM(3, 4), "out": nn.Linear(4, 2)}).eval()
    with pytest.warns(
        UserWarning, match=r"leaves ostinato\.LSTM in float: .* Use ostinato\.to_torch\(model\) first"
    ) as told:
        quantised = quantize_dynamic(model, asked)
    assert len([w for w in told if "ostinato" in str(w.message)]) == 1
    assert type(quantised.get_submodule("rnn")) is ostinato.LSTM
    assert not hasattr(quantised.get_submodule("rnn"), "qconfig"), "torch cleans up behind itself"


@quantising
def test_no_warning_where_nobody_asked_for_recurrent_layers() -> None:
    model = nn.ModuleDict({"rnn": ostinato.LSTM(3, 4), "out": nn.Linear(4, 2)}).eval()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        quantised = quantize_dynamic(model, {nn.Linear})
    assert not [w for w in told if "ostinato" in str(w.message)]
    assert "quantized" in type(quantised.get_submodule("out")).__module__
