from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ostinato import LSTM, Recurrent, noisy
from ostinato.nn import FirstState
from ostinato.nn.first_state import first_state
from tests.contracts.menu import CELLS, layer


def last_states(made: Recurrent, *args: Any, **kwargs: Any) -> list[torch.Tensor]:
    """The last states. Where zoneout is 1 nothing ever changes: the first states themselves."""
    last = made(*args, **kwargs)[1]
    return list(last) if isinstance(last, tuple) else [last]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_learned_state_is_a_parameter_for_each_state_layer_and_direction(name: str, bidirectional: bool) -> None:
    made = layer(name, 3, 4, 2, bidirectional=bidirectional, initial_state="learned", dtype=torch.float64)
    suffixes = [f"_l{n}{end}" for n in range(2) for end in ("", "_reverse")[: 1 + bidirectional]]
    parameters: list[list[Any]] = [
        [made.get_parameter(f"initial_{s}{suffix}") for suffix in suffixes] for s in made.cell.states
    ]
    assert all((p == 0).all() and p.shape == (4,) for of_state in parameters for p in of_state)
    with torch.no_grad():
        for of_state in parameters:
            for p in of_state:
                p.normal_()
    x = torch.randn(5, 6, 3, dtype=torch.float64)
    given = tuple(torch.stack(of_state)[:, None].expand(-1, 6, -1) for of_state in parameters)
    output, _ = made(x)
    expected, _ = made(x, given[0] if len(given) == 1 else given)
    torch.testing.assert_close(output, expected, rtol=1e-13, atol=1e-13)
    output.square().sum().backward()
    assert all(p.grad is not None and (p.grad != 0).all() for of_state in parameters for p in of_state)


def test_states_that_are_given_are_taken() -> None:
    learned, noise, plain = LSTM(3, 4, initial_state="learned"), LSTM(3, 4, initial_state=noisy(1)), LSTM(3, 4)
    with torch.no_grad():
        learned.get_parameter("initial_h_l0").fill_(3)
    x, hx = torch.randn(5, 2, 3), (torch.randn(1, 2, 4), torch.randn(1, 2, 4))
    for made in (learned, noise):
        made.load_state_dict(plain.state_dict(), strict=False)
        assert torch.equal(made(x, hx)[0], plain(x, hx)[0])


def test_a_learned_state_has_the_width_of_its_state_in_its_layer() -> None:
    made = LSTM(3, [5, 6], proj_size=2, initial_state="learned", dtype=torch.float64)
    shapes = {name: tuple(p.shape) for name, p in made.named_parameters() if name.startswith("initial")}
    assert shapes == {"initial_h_l0": (2,), "initial_c_l0": (5,), "initial_h_l1": (2,), "initial_c_l1": (6,)}
    h, c = made(torch.randn(4, 2, 3, dtype=torch.float64))[1]
    assert h.shape == (2, 2, 2)
    assert [tuple(v.shape) for v in c] == [(1, 2, 5), (1, 2, 6)]


def test_a_row_of_no_steps_ends_where_it_began() -> None:
    made = LSTM(3, 4, initial_state="learned")
    with torch.no_grad():
        made.get_parameter("initial_h_l0").fill_(3)
        made.get_parameter("initial_c_l0").fill_(2)
    h, c = last_states(made, torch.randn(5, 2, 3), lengths=[0, 5])
    assert (h[0, 0] == 3).all()
    assert (c[0, 0] == 2).all()
    assert (h[0, 1] != 3).all()


def test_noise_is_gaussian_and_its_own_for_each_row_state_layer_and_call() -> None:
    torch.manual_seed(1)
    made = LSTM(3, 40, 2, bidirectional=True, initial_state=noisy(0.3), zoneout=1.0)
    x = torch.zeros(1, 200, 3)
    h, c = last_states(made, x)
    draws = torch.stack([h, c, *last_states(made, x)])
    n = draws.numel()
    assert abs(draws.mean().item()) < 5 * 0.3 / math.sqrt(n)
    assert abs(draws.std().item() - 0.3) < 5 * 0.3 / math.sqrt(2 * n)
    assert abs((draws / 0.3).pow(4).mean().item() - 3) < 5 * math.sqrt(96 / n)
    assert draws.unique().numel() > 0.99 * n


def test_noise_is_for_training_and_evaluation_is_plain() -> None:
    torch.manual_seed(2)
    made, plain = LSTM(3, 4, initial_state="noisy(0.5)"), LSTM(3, 4)
    plain.load_state_dict(made.state_dict())
    x = torch.randn(5, 2, 3)
    assert not torch.equal(made(x)[0], made(x)[0])
    before = torch.get_rng_state()
    assert torch.equal(made.eval()(x)[0], plain.eval()(x)[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_of_0_is_plain_zeros() -> None:
    assert noisy(0).is_zero
    made, plain = LSTM(3, 4, initial_state=noisy(0)), LSTM(3, 4)
    plain.load_state_dict(made.state_dict())
    x = torch.randn(5, 2, 3)
    assert torch.equal(made(x)[0], plain(x)[0])


def test_a_learned_state_can_be_noisy_too() -> None:
    torch.manual_seed(3)
    made = LSTM(3, 50, initial_state=FirstState(learned=True, std=0.1), zoneout=1.0, dtype=torch.float64)
    with torch.no_grad():
        made.get_parameter("initial_h_l0").fill_(3)
    h, c = last_states(made, torch.zeros(1, 100, 3, dtype=torch.float64))
    assert h.dtype == torch.float64
    for v, mean in ((h, 3), (c, 0)):
        assert abs(v.mean().item() - mean) < 5 * 0.1 / math.sqrt(5000)
        assert abs(v.std().item() - 0.1) < 5 * 0.1 / math.sqrt(10000)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("zeros", FirstState()),
        ("learned", FirstState(learned=True)),
        ("noisy(0.25)", FirstState(std=0.25)),
        ("noisy(1e-2)", FirstState(std=0.01)),
        (noisy(2), FirstState(std=2)),
    ],
)
def test_names_are_short_for_first_states(given: Any, expected: FirstState) -> None:
    assert first_state(given) == expected


@pytest.mark.parametrize(
    "given", ["", "zero", "noisy", "noisy()", "noisy(a)", "noisy(1e)", "noisy(-1)", "noisy(1e999)", None, 0]
)
def test_a_first_state_that_there_is_not(given: Any) -> None:
    with pytest.raises(
        ValueError, match=r"initial_state expected 'zeros', 'learned', 'noisy\(std\)' or a FirstState, got"
    ):
        LSTM(3, 4, initial_state=given)


@pytest.mark.parametrize("std", [-0.1, float("nan"), float("inf"), True, "0.1", None])
def test_noise_needs_a_standard_deviation(std: Any) -> None:
    for make in (noisy, lambda std: FirstState(std=std)):
        with pytest.raises(ValueError, match="noisy expected a standard deviation of at least 0, got"):
            make(std)
