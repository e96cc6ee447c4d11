"""What acts outside of the step: between layers, on the weights, on the input and the output. See also `tests/cells`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ostinato import GRU, LSTM, RNN, Recurrent, State, cell, cells, chrono, noisy
from ostinato.cells import identity
from ostinato.nn import LayerOptions, StepOptions
from ostinato.nn.options import Rates, parse
from tests.cells.equations import sigmoid

STEPS, ROWS, UNITS = 6, 60, 40


@cell(gates="a", states="h")
def echo(x: Any, s: Any, U: Any, candidate: Any = identity) -> State:
    """With W_ih the identity: the output is the input."""
    return State(h=candidate(x.a))


@cell(gates="a", states="h")
def power(x: Any, s: Any, U: Any) -> State:
    """From the first state 1: the output at t is W_hh to the power t + 1."""
    return State(h=U(s.h).a)


def echoing(layers: int, **options: Any) -> Recurrent:
    """An identity of several layers: what comes out is what the options have done to what went in."""
    made = Recurrent(echo, UNITS, UNITS, layers, bias=False, **options)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "weight_ih" in name:
                parameter.copy_(torch.eye(UNITS))
    return made


def shown(made: Recurrent) -> torch.Tensor:
    with torch.no_grad():
        return made(torch.ones(STEPS, ROWS, UNITS))[0]


def within_five_sigma(hits: torch.Tensor, rate: float) -> None:
    """`hits`: independent draws, True with probability `rate`."""
    sigma = math.sqrt(rate * (1 - rate) / hits.numel())
    assert abs(hits.double().mean().item() - rate) < 5 * sigma


def numbers(v: torch.Tensor) -> Any:
    return v.detach().double().numpy()


# -- dropout ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [(0.3, 0, 0), (0, 0, 0.3)])
def test_variational_dropout_of_input_or_output_has_one_mask_for_all_steps(rates: tuple[float, ...]) -> None:
    torch.manual_seed(1)
    made = echoing(1, variational_dropout=rates)
    masks = shown(made)
    assert all(torch.equal(mask, masks[0]) for mask in masks)
    torch.testing.assert_close(masks.unique(), torch.tensor([0, 1 / 0.7]))
    within_five_sigma(masks[0] == 0, 0.3)
    for one, two in (
        (masks[0][::2], masks[0][1::2]),
        (masks[0][:, ::2], masks[0][:, 1::2]),
        (masks[0], shown(made)[0]),
    ):
        within_five_sigma(one != two, 2 * 0.3 * 0.7)
    assert (shown(made.eval()) == 1).all()


def test_variational_dropout_drops_each_layer_s_input_and_the_last_one_s_output() -> None:
    torch.manual_seed(2)
    of_input = shown(echoing(3, variational_dropout=(0.2, 0, 0)))
    torch.testing.assert_close(of_input.unique(), torch.tensor([0, 0.8**-3]))
    within_five_sigma(of_input[0] != 0, 0.8**3)
    of_output = shown(echoing(3, variational_dropout=(0, 0, 0.2)))
    torch.testing.assert_close(of_output.unique(), torch.tensor([0, 1 / 0.8]))
    within_five_sigma(of_output[0] != 0, 0.8)


def test_dropout_acts_between_layers_only_and_anew_at_every_step() -> None:
    torch.manual_seed(3)
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last recurrent layer"):
        alone = echoing(1, dropout=0.2)
    assert (shown(alone) == 1).all()
    made = echoing(3, dropout=0.2)
    masks = shown(made)
    torch.testing.assert_close(masks.unique(), torch.tensor([0, 0.8**-2]))
    within_five_sigma(masks != 0, 0.8**2)
    within_five_sigma((masks[::2] != 0) != (masks[1::2] != 0), 2 * 0.64 * 0.36)
    assert (shown(made.eval()) == 1).all()


def test_weight_dropout_drops_recurrent_weights_once_for_all_steps_and_rows() -> None:
    torch.manual_seed(4)
    made = Recurrent(power, 2, UNITS, bias=False, bidirectional=True, weight_dropout=0.3, dtype=torch.float64)
    eye = torch.eye(UNITS, dtype=torch.float64)

    def powers() -> list[torch.Tensor]:
        """For each direction `(T, H, H)`, transposed: the powers of the weight, one unit vector a row of the batch."""
        with torch.no_grad():
            output = made(torch.zeros(3, UNITS, 2, dtype=torch.float64), eye.expand(2, -1, -1))[0]
        forward, backward = output.chunk(2, -1)
        return [forward, backward.flip(0)]

    dropped = powers()
    for seen, name in zip(dropped, ("weight_hh_l0", "weight_hh_l0_reverse"), strict=True):
        weight = seen[0].T
        torch.testing.assert_close(seen[1].T, weight @ weight)
        torch.testing.assert_close(seen[2].T, weight @ weight @ weight)
        kept = weight != 0
        torch.testing.assert_close(weight[kept], made.get_parameter(name).detach()[kept] / 0.7)
        within_five_sigma(~kept, 0.3)
    assert not torch.equal(dropped[0][0] == 0, dropped[1][0] == 0)
    assert not torch.equal(dropped[0], powers()[0])
    made.eval()
    torch.testing.assert_close(powers()[0][0].T, made.get_parameter("weight_hh_l0").detach())


def test_weight_dropout_s_gradient_reaches_the_weights_that_were_kept_only() -> None:
    torch.manual_seed(5)
    made = Recurrent(power, 2, 4, bias=False, weight_dropout=0.5, dtype=torch.float64)
    made(torch.zeros(1, 1, 2, dtype=torch.float64), torch.ones(1, 1, 4, dtype=torch.float64))[0].sum().backward()
    gradient = made.get_parameter("weight_hh_l0").grad
    assert gradient is not None
    assert set(gradient.unique().tolist()) == {0.0, 2.0}


# -- between layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("connection", ["residual", "highway"])
def test_a_connection_goes_around_every_layer_but_the_first(connection: Any, bidirectional: bool) -> None:
    width = 8 if bidirectional else 4
    made = GRU(3, 4, 3, connection=connection, bidirectional=bidirectional, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    below, lasts = x, []
    for n in range(3):
        layer = GRU(3 if n == 0 else width, 4, bidirectional=bidirectional, dtype=torch.float64)
        layer.load_state_dict({name: made.get_parameter(name.replace("_l0", f"_l{n}")) for name in layer.state_dict()})
        out, last = layer(below)
        lasts.append(last)
        if n == 0:
            below = out
        elif connection == "residual":
            below = below + out
        else:
            # Srivastava et al. 2015, (3): y = H(x) T(x) + x (1 - T(x))
            weight, bias = (numbers(made.get_parameter(f"highway_{kind}_l{n}")) for kind in ("weight", "bias"))
            transform = sigmoid(numbers(below) @ weight.T + bias)
            below = torch.from_numpy(numbers(out) * transform + numbers(below) * (1 - transform))
    output, last = made(x)
    np.testing.assert_allclose(numbers(output), numbers(below), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last, torch.cat(lasts))


def test_a_highway_carries_at_first() -> None:
    made = LSTM(3, 4, 3, connection="highway")
    names = [name for name, _ in made.named_parameters() if "highway" in name]
    assert names == ["highway_weight_l1", "highway_bias_l1", "highway_weight_l2", "highway_bias_l2"]
    assert (made.get_parameter("highway_bias_l1") == -2).all()
    assert 0 < made.get_parameter("highway_weight_l1").abs().max() <= math.sqrt(6 / 8)


def test_a_connection_around_one_layer_is_none() -> None:
    made, plain = LSTM(3, 4, connection="highway"), LSTM(3, 4)
    assert list(made.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(made.state_dict())
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(made(x)[0], plain(x)[0])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_of_different_widths_are_layers_one_above_the_other(bidirectional: bool) -> None:
    widths, sizes_in = [4, 6, 5], [3, 4, 6]
    made = LSTM(3, widths, bidirectional=bidirectional, dtype=torch.float64)
    directions = 2 if bidirectional else 1
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    h, c = ([torch.randn(directions, 2, w, dtype=torch.float64) for w in widths] for _ in range(2))
    output, (h_n, c_n), every = made(x, (h, c), return_states=True)
    for n, (size_in, width) in enumerate(zip(sizes_in, widths, strict=True)):
        single = LSTM(
            size_in if n == 0 else size_in * directions, width, bidirectional=bidirectional, dtype=torch.float64
        )
        single.load_state_dict(
            {name: made.get_parameter(name.replace("_l0", f"_l{n}")) for name in single.state_dict()}
        )
        x, (h_1, c_1) = single(x, (h[n], c[n]))
        torch.testing.assert_close((h_n[n], c_n[n], every.h[n]), (h_1, c_1, x), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(output, x, rtol=1e-13, atol=1e-13)


# -- which options there are --------------------------------------------------------------------------------------------------


def options(base: Any = cells.lstm, allowed: Any = LayerOptions, **given: Any) -> Any:
    return parse(given, base, allowed)


def test_options_are_completed() -> None:
    assert options() == options(
        zoneout={}, recurrent_dropout=0, variational_dropout=0, init="torch", initial_state="zeros", backend="auto"
    )
    assert options(variational_dropout=0.2).variational_dropout == Rates(0.2, 0.2, 0.2)
    assert options(variational_dropout=[0.1, 0.2, 0.3]).variational_dropout == Rates(
        input=0.1, recurrent=0.2, output=0.3
    )
    assert options(zoneout=0.1).zoneout == {"h": 0.1, "c": 0.1}
    assert options(zoneout=(0.1, 0.2)).zoneout == {"h": 0.1, "c": 0.2}
    assert options(zoneout={"c": 0.2}).zoneout == {"c": 0.2}
    assert options(cells.gru, zoneout=0.1).zoneout == {"h": 0.1}
    assert options(weight_dropout=np.float64(0.5), recurrent_dropout=1).weight_dropout == 0.5
    assert options(init="chrono(9)").init == chrono(9)
    assert options(initial_state="noisy(0.5)").initial_state == noisy(0.5)


@pytest.mark.parametrize("name", ["variational_dropout", "weight_dropout", "connection", "initial_state"])
def test_a_single_step_has_the_options_of_a_step_only(name: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        options(allowed=StepOptions, **{name: None})


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("name", ["zoneout", "recurrent_dropout", "variational_dropout", "weight_dropout"])
def test_a_rate_is_a_probability(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} expected a probability in \[0, 1\], got {value}"):
        options(**{name: value})
    with pytest.raises(TypeError, match=rf"{name} expected a probability in \[0, 1\], got: bool"):
        options(**{name: True})


def test_a_rate_of_several_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"variational_dropout \(recurrent\) expected a probability in \[0, 1\], got 2"
    ):
        options(variational_dropout=(0, 2, 0))
    with pytest.raises(ValueError, match=r"zoneout of c expected a probability in \[0, 1\], got 2"):
        options(zoneout=(0, 2))


def test_evaluation_has_only_what_acts_in_evaluation() -> None:
    given = options(
        zoneout=0.1, recurrent_dropout=0.1, variational_dropout=0.1, layer_norm=True, peephole=True, coupled_gates=True
    )
    kept = ("coupled_gates", "peephole", "layer_norm", "projection", "zoneout")
    assert given.cell(cells.lstm, projected=True, training=False).options == kept
    dropped = ("recurrent_dropout", "variational_dropout")
    assert given.cell(cells.lstm, projected=True, training=True).options == (*kept[:3], *dropped, *kept[3:])


def test_only_what_was_changed_is_shown() -> None:
    assert options().changed() == {}
    assert options(zoneout=0.0, recurrent_dropout=0.2).changed() == {"recurrent_dropout": 0.2}
    assert repr(RNN(3, 4, layer_norm=True, forget_bias=None)) == "RNN(3, 4, layer_norm=True)"
