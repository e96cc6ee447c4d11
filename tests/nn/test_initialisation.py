from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import ostinato
from ostinato import LSTMCell, Recurrent, State, cell, chrono
from ostinato.errors import CellError
from ostinato.nn import Initialisation
from ostinato.nn.initialisation import initialisation

# A type checker does not know the layers' parameters by name.
RNN: Any = ostinato.RNN
GRU: Any = ostinato.GRU
LSTM: Any = ostinato.LSTM
INPUT, HIDDEN = 30, 40


def blocks(parameter: torch.Tensor, gates: int = 4) -> list[torch.Tensor]:
    """One gate's rows each, in float64."""
    return list(parameter.detach().double().chunk(gates))


def is_uniform(v: torch.Tensor, bound: float) -> None:
    """In +-bound and filling it: the largest of n draws is above (1 - 10 / n) bound but once in e^10."""
    assert v.abs().max() <= bound * (1 + 1e-6)
    assert v.abs().max() > bound * (1 - 10 / v.numel())
    standard_error = bound * bound * math.sqrt(4 / 45 / v.numel())
    assert abs(v.square().mean().item() - bound * bound / 3) < 5 * standard_error


def test_torch_s_own_is_the_default_and_draws_what_torch_nn_draws() -> None:
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "proj_size": 5}
    torch.manual_seed(1)
    expected = torch.nn.LSTM(INPUT, HIDDEN, **options).state_dict()
    for given in ({}, {"init": "torch"}):
        torch.manual_seed(1)
        state = LSTM(INPUT, HIDDEN, **options, **given).state_dict()
        assert list(state) == list(expected)
        assert all(torch.equal(state[name], expected[name]) for name in expected)
    for parameter in expected.values():
        is_uniform(parameter.double(), 1 / math.sqrt(HIDDEN))


@pytest.mark.parametrize(
    ("init", "bounds"),
    [
        # Glorot & Bengio 2010, (16): sqrt(6 / (fan_in + fan_out)); He et al. 2015, (10): variance 2 / fan_in.
        ("xavier", (math.sqrt(6 / (INPUT + HIDDEN)), math.sqrt(6 / (HIDDEN + HIDDEN)))),
        ("he", (math.sqrt(6 / INPUT), math.sqrt(6 / HIDDEN))),
    ],
)
def test_a_gate_s_block_is_a_matrix_of_its_own(init: str, bounds: tuple[float, float]) -> None:
    torch.manual_seed(2)
    layer = LSTM(INPUT, HIDDEN, init=init)
    for block in blocks(layer.weight_ih_l0):
        is_uniform(block, bounds[0])
    for block in blocks(layer.weight_hh_l0):
        is_uniform(block, bounds[1])
    assert not layer.bias_ih_l0.any()
    assert not layer.bias_hh_l0.any()


@pytest.mark.parametrize("make", [RNN, GRU, LSTM])
def test_orthogonal_makes_each_gate_s_recurrence_a_rotation(make: Any) -> None:
    torch.manual_seed(3)
    layer = make(INPUT, HIDDEN, init="orthogonal", dtype=torch.float64)
    gates = layer.weight_hh_l0.shape[0] // HIDDEN
    for block in blocks(layer.weight_hh_l0, gates):
        torch.testing.assert_close(block @ block.T, torch.eye(HIDDEN, dtype=torch.float64), atol=1e-12, rtol=0)
    for block in blocks(layer.weight_ih_l0, gates):
        is_uniform(block, math.sqrt(6 / (INPUT + HIDDEN)))
    assert (layer.bias_ih_l0 == 0).all()


def test_orthogonal_with_a_projection_keeps_lengths_both_ways() -> None:
    layer = LSTM(INPUT, HIDDEN, proj_size=8, init="orthogonal", dtype=torch.float64)
    eye = torch.eye(8, dtype=torch.float64)
    for block in blocks(layer.weight_hh_l0):
        torch.testing.assert_close(block.T @ block, eye, atol=1e-12, rtol=0)
    projection = layer.weight_hr_l0.detach()
    torch.testing.assert_close(projection @ projection.T, eye, atol=1e-12, rtol=0)


@pytest.mark.parametrize("init", ["torch", "xavier", "he", "orthogonal"])
def test_what_a_cell_gives_a_first_value_keeps_it(init: str) -> None:
    layer = LSTM(INPUT, HIDDEN, layer_norm=True, peephole=True, init=init)
    for name, value in (("norm_ih", 1), ("norm_hh", 1), ("norm_c_weight", 1), ("norm_c_bias", 0)):
        assert (layer.get_parameter(f"{name}_l0") == value).all()
    for gate in "ifo":
        weight = layer.get_parameter(f"weight_c{gate}_l0")
        assert 0 < weight.abs().max() <= 1 / math.sqrt(HIDDEN)


# -- memories that last -------------------------------------------------------------------------------------------------------


def _rows(layer: torch.nn.Module, at: int, gates: int, name: str = "bias_ih") -> torch.Tensor:
    return blocks(layer.get_parameter(f"{name}_l0"), gates)[at]


def test_chrono_spreads_memories_from_1_to_the_longest() -> None:
    torch.manual_seed(4)
    layer = LSTM(2, 5000, init="chrono(100)")
    i, f, g, o = blocks(layer.bias_ih_l0)
    assert torch.equal(i, -f)
    assert torch.cat([g, o, *blocks(layer.bias_hh_l0)]).abs().max() == 0
    assert f.min() >= 0
    assert f.max() <= math.log(99) * (1 + 1e-6)
    # exp(b_f) is uniform in [1, 99]: the largest gap between its distribution and the line (Kolmogorov, 0.1 %).
    quantiles = np.sort((f.exp().numpy() - 1) / 98)
    assert np.abs(quantiles - np.arange(0.5, 5000) / 5000).max() < 1.95 / math.sqrt(5000)
    is_uniform(layer.weight_hh_l0.detach()[:100].double(), 1 / math.sqrt(5000))


def test_chrono_of_a_gate_that_keeps_is_positive_and_of_one_that_writes_negative() -> None:
    keeps, writes = GRU(2, 500, init=chrono(100)), GRU(2, 500, init=chrono(100), reset_after=False)
    coupled = LSTM(2, 500, init=chrono(100), coupled_gates=True)
    assert _rows(keeps, 1, 3).min() >= 0
    assert _rows(keeps, 1, 3).max() > math.log(90)
    assert _rows(writes, 1, 3).max() <= 0
    assert _rows(writes, 1, 3).min() < -math.log(90)
    assert _rows(coupled, 0, 3).min() >= 0
    assert torch.cat([_rows(coupled, 1, 3), _rows(coupled, 2, 3)]).abs().max() == 0


def test_chrono_of_2_steps_remembers_1() -> None:
    assert LSTM(2, 5, init="chrono(2)").bias_ih_l0.abs().max() == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: LSTM(2, 3, **options),
        lambda **options: LSTM(2, 3, coupled_gates=True, **options),
        lambda **options: GRU(2, 3, **options),
        lambda **options: GRU(2, 3, reset_after=False, **options),
    ],
    ids=["lstm", "coupled", "gru", "gru_reset_before"],
)
@pytest.mark.parametrize(("bias", "kept"), [(50.0, 0.5), (-50.0, 0.0)])
def test_a_large_forget_bias_keeps_and_a_small_one_forgets(make: Any, bias: float, kept: float) -> None:
    layer = make(forget_bias=bias)
    candidate = slice(-6, -3) if isinstance(layer, ostinato.LSTM) else slice(-3, None)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            # No weights, and a candidate of tanh(0): what is left of the memory is what was kept of it.
            parameter[candidate if "bias" in name else slice(None)] = 0
    first = torch.full((1, 1, 3), 0.5)
    last = layer(torch.zeros(1, 1, 2), (first, first) if isinstance(layer, ostinato.LSTM) else first)[1]
    memory = last[1] if isinstance(layer, ostinato.LSTM) else last
    torch.testing.assert_close(memory, torch.full((1, 1, 3), kept))


@pytest.mark.parametrize(("options", "gates", "at"), [({}, 4, 1), ({"coupled_gates": True}, 3, 0)])
def test_forget_bias_of_the_lstm_is_the_sum_of_both_biases(options: dict[str, Any], gates: int, at: int) -> None:
    torch.manual_seed(5)
    plain = LSTM(3, 4, 2, bidirectional=True, **options)
    torch.manual_seed(5)
    layer = LSTM(3, 4, 2, bidirectional=True, forget_bias=1.5, **options)
    for (name, before), after in zip(plain.named_parameters(), layer.parameters(), strict=True):
        for n, (old, new) in enumerate(zip(before.chunk(gates), after.chunk(gates), strict=True)):
            if "bias" in name and n == at:
                assert (new == (1.5 if "bias_ih" in name else 0)).all()
            else:
                assert torch.equal(new, old)


def test_forget_bias_has_its_sign_from_what_an_open_gate_does() -> None:
    assert (_rows(GRU(3, 4, forget_bias=1.5), 1, 3) == 1.5).all()
    assert (_rows(GRU(3, 4, forget_bias=1.5, reset_after=False), 1, 3) == -1.5).all()
    assert (LSTMCell(3, 4, forget_bias=2).get_parameter("bias_ih").chunk(4)[1] == 2).all()
    assert (_rows(LSTM(3, 4, init="chrono(10)", forget_bias=0), 1, 4) == 0).all()


def test_parameters_are_filled_anew() -> None:
    layer = LSTM(3, 4, init="orthogonal", forget_bias=1.0, peephole=True)
    before = {name: v.clone() for name, v in layer.state_dict().items()}
    layer.reset_parameters()
    for name, v in layer.state_dict().items():
        assert torch.equal(v, before[name]) == name.startswith("bias")


# -- dtypes, devices, names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("init", ["torch", "xavier", "he", "orthogonal", "chrono(30)"])
def test_every_dtype_is_filled(init: str, dtype: torch.dtype) -> None:
    layer = LSTM(16, 16, init=init, dtype=dtype, forget_bias=1.0)
    assert {p.dtype for p in layer.parameters()} == {dtype}
    assert all(p.isfinite().all() for p in layer.parameters())
    if init == "orthogonal":
        for block in blocks(layer.weight_hh_l0):
            product, eye = block @ block.T, torch.eye(16, dtype=torch.float64)
            torch.testing.assert_close(product, eye, atol=8 * torch.finfo(dtype).eps, rtol=0)


@pytest.mark.parametrize("init", ["torch", "xavier", "he", "orthogonal", "chrono(30)"])
def test_a_layer_on_the_meta_device_has_nothing_to_fill(init: str) -> None:
    layer = LSTM(3, 4, init=init, device="meta", forget_bias=1.0)
    assert all(p.is_meta for p in layer.parameters())


def test_names_are_short_for_initialisations() -> None:
    for name in ("torch", "xavier", "he", "orthogonal"):
        assert initialisation(name) == Initialisation(name)
    assert initialisation("chrono(784)") == chrono(784) == Initialisation("chrono", 784)
    assert initialisation(chrono(5)) == chrono(5)


@pytest.mark.parametrize(
    "given", ["", "Torch", "chrono", "chrono()", "chrono(-5)", "chrono(1.5)", "chrono(T_max)", None, 3]
)
def test_a_name_that_there_is_not(given: Any) -> None:
    said = r"init expected one of torch, xavier, he, orthogonal, chrono\(T_max\) or an Initialisation, got "
    with pytest.raises(ValueError, match=said):
        LSTM(3, 4, init=given)


@pytest.mark.parametrize("arguments", [("glorot",), ("chrono",), ("he", 5)])
def test_an_initialisation_that_is_none(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"init expected one of torch, .*, got Initialisation\(name="):
        Initialisation(*arguments)


@pytest.mark.parametrize("longest", [1, 0, -3, 2.0, True, "9", None])
def test_chrono_wants_a_number_of_steps(longest: Any) -> None:
    with pytest.raises(ValueError, match=r"chrono expected the longest dependency in steps, an integer of at least 2"):
        chrono(longest)


def test_chrono_and_forget_bias_set_biases() -> None:
    with pytest.raises(ValueError, match="chrono initialisation sets biases, but bias=False; use bias=True"):
        LSTM(3, 4, bias=False, init="chrono(9)")
    with pytest.raises(ValueError, match="forget_bias sets a bias, but bias=False; use bias=True"):
        LSTM(3, 4, bias=False, forget_bias=1)


@pytest.mark.parametrize("option", [{"init": "chrono(9)"}, {"forget_bias": 1.0}])
def test_chrono_and_forget_bias_need_a_gate_of_memory(option: Any) -> None:
    with pytest.raises(CellError, match=r"(chrono|forget_bias) .*needs a cell with a gate .*; 'rnn_tanh' has none"):
        RNN(3, 4, **option)


def test_a_parameter_of_the_user_s_cell_starts_at_zero() -> None:
    @cell(gates="a", states="h", parameters={"decay": "H", "gain": "G"})
    def own(x: Any, s: Any, U: Any, decay: Any, gain: Any) -> State:
        return State(h=decay * s.h + gain * (x.a + U(s.h).a))

    layer = Recurrent(own, 3, 4, init="xavier")
    assert (layer.get_parameter("decay_l0") == 0).all()
    assert (layer.get_parameter("gain_l0") == 0).all()
