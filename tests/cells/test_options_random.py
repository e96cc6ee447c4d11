"""What is drawn, seen from outside: cells so simple that their output shows the masks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ostinato import LSTM, Recurrent, State, cell
from ostinato.cells import identity

STEPS, ROWS, UNITS = 40, 50, 32


@cell(gates="a b", states="h k")
def powers(x: Any, s: Any, U: Any) -> State:
    """With W_hh the identity: h and k after t steps are the mask of what enters the product, to the power t, times h."""
    u = U(s.h)
    return State(h=u.a, k=u.b)


@cell(gates="a", states="h")
def echo(x: Any, s: Any, U: Any, candidate: Any = identity) -> State:
    """With W_ih the identity: the output is the input."""
    return State(h=candidate(x.a))


@cell(gates="a", states="h")
def twice(x: Any, s: Any, U: Any) -> State:
    """Half of the old state, and the input: linear, so that the mean of zoneout is the zoneout of the mean."""
    return State(h=0.5 * s.h + x.a)


def made(base: Any, **options: Any) -> Recurrent:
    layer = Recurrent(base, UNITS, UNITS, bias=False, **options)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.eye(UNITS).repeat(len(base.gates), 1))
    return layer


def within_five_sigma(hits: torch.Tensor, rate: float) -> None:
    """`hits`: independent draws, True with probability `rate`."""
    sigma = math.sqrt(rate * (1 - rate) / hits.numel())
    assert abs(hits.double().mean().item() - rate) < 5 * sigma


def variational(layer: Recurrent) -> tuple[torch.Tensor, torch.Tensor]:
    """Both states of `powers` at every step, from ones: `(T, B, H)`."""
    ones = torch.ones(1, ROWS, UNITS)
    with torch.no_grad():
        _, _, states = layer(torch.zeros(5, ROWS, UNITS), (ones, ones), return_states=True)
    return states.h[0], states.k[0]


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_variational_dropout_has_one_mask_for_all_steps_and_gates(rate: float) -> None:
    torch.manual_seed(1)
    h, k = variational(made(powers, variational_dropout=(0, rate, 0)))
    assert torch.equal(h, k)
    mask = h[0]
    torch.testing.assert_close(mask.unique(), torch.tensor([0, 1 / (1 - rate)]))
    for t in range(5):
        torch.testing.assert_close(h[t], mask ** (t + 1))
    within_five_sigma(mask == 0, rate)
    assert (mask[0] != mask[1]).any()


def test_variational_dropout_draws_anew_for_each_call_and_direction() -> None:
    torch.manual_seed(1)
    layer = made(powers, variational_dropout=(0, 0.5, 0))
    assert not torch.equal(variational(layer)[0], variational(layer)[0])
    both = Recurrent(powers, UNITS, UNITS, bias=False, bidirectional=True, variational_dropout=(0, 0.5, 0))
    with torch.no_grad():
        for weight in both.parameters():
            weight.copy_(torch.eye(UNITS).repeat(2, 1))
    ones = torch.ones(2, ROWS, UNITS)
    forward, backward = both(torch.zeros(1, ROWS, UNITS), (ones, ones))[0].chunk(2, -1)
    assert not torch.equal(forward, backward)


def recurrent(layer: Recurrent) -> torch.Tensor:
    """The masks that a cell which echoes ones shows, `(T, B, H)`."""
    with torch.no_grad():
        return layer(torch.ones(STEPS, ROWS, UNITS))[0]


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_recurrent_dropout_draws_anew_at_every_step(rate: float) -> None:
    torch.manual_seed(2)
    layer = made(echo, recurrent_dropout=rate)
    mask = recurrent(layer)
    torch.testing.assert_close(mask.unique(), torch.tensor([0, 1 / (1 - rate)]))
    within_five_sigma(mask == 0, rate)
    # Two independent draws differ with probability 2 p (1 - p): neighbours in time, in the batch and in the layer are independent.
    for first, second in ((mask[::2], mask[1::2]), (mask[:, ::2], mask[:, 1::2]), (mask[..., ::2], mask[..., 1::2])):
        within_five_sigma(first != second, 2 * rate * (1 - rate))
    within_five_sigma(mask != recurrent(layer), 2 * rate * (1 - rate))


def test_dropout_keeps_the_mean() -> None:
    torch.manual_seed(3)
    mask = recurrent(made(echo, recurrent_dropout=0.4))
    assert abs(mask.mean().item() - 1) < 5 * math.sqrt(0.4 / 0.6 / mask.numel())


@pytest.mark.parametrize("rate", [0.15, 0.6])
def test_zoneout_keeps_each_unit_of_each_row_anew_at_every_step(rate: float) -> None:
    torch.manual_seed(4)
    layer = made(echo, zoneout=rate)
    x = torch.arange(1.0, STEPS + 1)[:, None, None].expand(STEPS, ROWS, UNITS)
    with torch.no_grad():
        seen = layer(x)[0]
    kept = seen != x  # the old value, which is another
    assert torch.equal(seen[1:][kept[1:]], seen[:-1][kept[1:]])
    assert (seen[0][kept[0]] == 0).all()
    within_five_sigma(kept, rate)
    for first, second in ((kept[::2], kept[1::2]), (kept[:, ::2], kept[:, 1::2]), (kept[..., ::2], kept[..., 1::2])):
        within_five_sigma(first != second, 2 * rate * (1 - rate))
    with torch.no_grad():
        assert not torch.equal(seen, layer(x)[0])


def test_zoneout_draws_for_each_state_by_itself() -> None:
    torch.manual_seed(5)
    h, k = variational(made(powers, zoneout={"h": 0.5, "k": 0.5}))
    assert torch.equal(h[0], torch.ones(ROWS, UNITS))
    layer = made(powers, zoneout=(0.5, 0.5))
    with torch.no_grad():
        for weight in layer.parameters():
            weight.mul_(2)
    h, k = variational(layer)
    within_five_sigma(h[0] == 1, 0.5)
    within_five_sigma(k[0] == 1, 0.5)
    within_five_sigma(h[0] != k[0], 0.5)


def test_zoneout_in_evaluation_is_the_mean_of_training() -> None:
    torch.manual_seed(6)
    rows = 4000
    layer = made(twice, zoneout=0.4)
    x = torch.randn(6, 1, UNITS).expand(6, rows, UNITS)
    with torch.no_grad():
        drawn = layer(x)[0]
        expected = layer.eval()(x[:, :1])[0]
    error = (drawn.mean(1, keepdim=True) - expected).abs()
    assert (error < 5 * drawn.std(1, keepdim=True) / math.sqrt(rows) + 1e-6).all()


# -- edges and evaluation -----------------------------------------------------------------------------------------------------

RANDOM: list[dict[str, Any]] = [
    {"zoneout": 0.5},
    {"zoneout": {"c": 0.5}},
    {"recurrent_dropout": 0.5},
    {"variational_dropout": 0.5},
    {"variational_dropout": (0.5, 0, 0)},
    {"variational_dropout": (0, 0.5, 0)},
    {"variational_dropout": (0, 0, 0.5)},
    {"weight_dropout": 0.5},
]


def _at(rate: float, options: dict[str, Any]) -> dict[str, Any]:
    """The same options at another rate."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: changed(v) for name, v in value.items()}
        if isinstance(value, tuple):
            return tuple(changed(v) for v in value)
        return rate if value else value

    return {name: changed(value) for name, value in options.items()}


def _named(options: dict[str, Any]) -> str:
    return "-".join(f"{name}={value}" for name, value in options.items()).replace(" ", "")


def _twin(**options: Any) -> LSTM:
    torch.manual_seed(8)
    return LSTM(3, 4, 2, **options)


@pytest.mark.parametrize("options", RANDOM, ids=_named)
def test_calls_differ_in_training_and_are_the_same_for_the_same_seed(options: dict[str, Any]) -> None:
    layer, x = _twin(**options), torch.randn(6, 5, 3)
    torch.manual_seed(0)
    one, two = layer(x)[0], layer(x)[0]
    torch.manual_seed(0)
    assert torch.equal(one, layer(x)[0])
    assert not torch.equal(one, two)


@pytest.mark.parametrize("options", RANDOM, ids=_named)
def test_evaluation_draws_nothing(options: dict[str, Any]) -> None:
    layer, x = _twin(**options).eval(), torch.randn(6, 5, 3)
    before = torch.get_rng_state()
    one = layer(x)[0]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, layer(x)[0])
    if "zoneout" not in options:  # zoneout's mean acts in evaluation, dropout's is 1
        assert torch.equal(one, _twin().eval()(x)[0])


@pytest.mark.parametrize("options", RANDOM, ids=_named)
@pytest.mark.parametrize("training", [True, False])
def test_rate_0_is_the_plain_layer_bit_for_bit(options: dict[str, Any], training: bool) -> None:
    x = torch.randn(6, 5, 3)
    plain, layer = _twin().train(training), _twin(**_at(0.0, options)).train(training)
    torch.manual_seed(0)
    expected, (h, c) = plain(x)
    drawn = torch.get_rng_state()
    torch.manual_seed(0)
    output, (h_0, c_0) = layer(x)
    assert torch.equal(output, expected)
    assert torch.equal(h_0, h)
    assert torch.equal(c_0, c)
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.parametrize("training", [True, False])
def test_zoneout_of_1_never_changes_the_state(training: bool) -> None:
    layer = _twin(zoneout=1.0).train(training)
    h, c = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    output, (h_n, c_n) = layer(torch.randn(6, 5, 3), (h, c))
    assert torch.equal(output, h[-1].expand(6, 5, 4))
    assert torch.equal(h_n, h)
    assert torch.equal(c_n, c)


def test_recurrent_dropout_of_1_writes_nothing() -> None:
    output, (_, c) = _twin(recurrent_dropout=1.0)(torch.randn(6, 5, 3))
    assert (output == 0).all()
    assert (c == 0).all()


def test_variational_dropout_of_1_lets_nothing_through() -> None:
    layer, x = _twin(variational_dropout=(0, 1.0, 0)), torch.randn(6, 5, 3)
    alone = _twin()
    with torch.no_grad():
        alone.get_parameter("weight_hh_l0").zero_()
        alone.get_parameter("weight_hh_l1").zero_()
    torch.testing.assert_close(layer(x)[0], alone(x)[0])
    assert (_twin(variational_dropout=1.0)(x)[0] == 0).all()
    torch.testing.assert_close(_twin(weight_dropout=1.0)(x)[0], alone(x)[0])
