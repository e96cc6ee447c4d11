"""Lyapunov exponents against systems whose exponents are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ostinato
from ostinato.insight import InsightError, lyapunov_exponents, trajectories

DOUBLE: dict[str, Any] = {"dtype": torch.float64}


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_linear_map_has_the_logarithms_of_its_eigenvalues(seed: int) -> None:
    """A = S diag(v) S^-1, far from normal, so that the frame has to turn first."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.tensor([1.7, -0.9, 0.4, 0.1], **DOUBLE)
    basis = torch.linalg.qr(torch.randn(4, 4, generator=generator, **DOUBLE)).Q + 0.3 * torch.eye(4, **DOUBLE)
    matrix = basis @ torch.diag(values) @ torch.linalg.inv(basis)
    found = lyapunov_exponents(lambda s: matrix @ s, torch.ones(4), 120, discard=80)
    torch.testing.assert_close(found, values.abs().log(), rtol=0, atol=1e-6)


def test_the_henon_map() -> None:
    """a = 1.4, b = 0.3: 0.41922 and -1.62319 (Sprott 2003); their sum is log 0.3 at every step."""

    def henon(s: torch.Tensor) -> torch.Tensor:
        return torch.stack([1 - 1.4 * s[0] ** 2 + s[1], 0.3 * s[0]])

    starts = 0.1 * torch.rand(800, 2, generator=torch.Generator().manual_seed(0))
    found = lyapunov_exponents(henon, starts, 600, discard=100)
    assert found.sum().item() == pytest.approx(math.log(0.3), abs=1e-9)
    assert found.tolist() == pytest.approx([0.41922, -1.62319], abs=2e-3)


def test_the_logistic_map_at_four_is_log_two() -> None:
    starts = 0.1 + 0.8 * torch.rand(500, 1, generator=torch.Generator().manual_seed(1))
    found = lyapunov_exponents(lambda s: 4 * s * (1 - s), starts, 220, discard=20)
    assert found.item() == pytest.approx(math.log(2), abs=2e-3)


def linear_rnn(matrix: torch.Tensor) -> torch.nn.RNN:
    layer = torch.nn.RNN(1, len(matrix), nonlinearity="relu", **DOUBLE)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(matrix)
        layer.weight_ih_l0.fill_(0.1)
        layer.bias_ih_l0.fill_(5.0)
    return layer


@pytest.mark.parametrize("count", [1, 3])
def test_a_linear_layer_has_the_exponents_of_its_matrix(count: int) -> None:
    matrix = torch.tensor([[0.9, 0.3, 0.1], [0.0, 0.5, 0.2], [0.0, 0.0, 0.2]], **DOUBLE)
    (run,) = trajectories(linear_rnn(matrix), torch.rand(80, 3, 1, **DOUBLE))
    found = lyapunov_exponents(run, count=count, discard=50)
    expected = torch.tensor([0.9, 0.5, 0.2], **DOUBLE).log()[:count]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_scan_of_one_unit_forgets_by_the_mean_of_its_logarithms() -> None:
    """minGRU: the derivative of a step is 1 - z."""
    layer: Any = ostinato.MinGRU(2, 1, **DOUBLE)
    x = torch.randn(30, 1, 2, **DOUBLE)
    z = torch.sigmoid(x @ layer.weight_ih_l0[:1].T + layer.bias_ih_l0[:1])
    found = lyapunov_exponents(trajectories(layer, x)[0])
    assert found.item() == pytest.approx((1 - z).log().mean().item(), rel=1e-10)


def test_an_lstm_driven_by_noise_against_its_long_product() -> None:
    """All exponents add up to the mean log |det J|; and the layer as a map of its own state gives the same."""
    torch.manual_seed(0)
    layer = torch.nn.LSTM(2, 3, **DOUBLE)
    x = torch.randn(1, 1, 2, **DOUBLE).expand(40, 1, 2)
    (run,) = trajectories(layer, x)

    def step(s: torch.Tensor) -> torch.Tensor:
        h, c = s[:3], s[3:]
        a = layer.weight_ih_l0 @ x[0, 0] + layer.bias_ih_l0 + layer.weight_hh_l0 @ h + layer.bias_hh_l0
        i, f, g, o = a.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return torch.cat([o.sigmoid() * c.tanh(), c])

    found = lyapunov_exponents(run, discard=3)
    torch.testing.assert_close(found, lyapunov_exponents(step, torch.zeros(6), 40, discard=3), rtol=0, atol=1e-8)


@pytest.mark.parametrize("reverse", [False, True])
def test_rows_of_their_own_lengths_are_means_of_rows_alone(reverse: bool) -> None:
    torch.manual_seed(1)
    layer: Any = ostinato.GRU(2, 3, bidirectional=True, **DOUBLE)
    x, lengths = torch.randn(9, 3, 2, **DOUBLE), [9, 5, 3]
    found = lyapunov_exponents(trajectories(layer, x, lambda m, v: m(v, lengths=lengths))[reverse], discard=3)
    alone = [lyapunov_exponents(trajectories(layer, x[:n, b, None])[reverse], discard=3) for b, n in ((0, 9), (1, 5))]
    torch.testing.assert_close(found, torch.stack(alone).mean(0), rtol=0, atol=1e-9)  # the third has no step left


def test_wrong_arguments_are_told() -> None:
    run, start = trajectories(torch.nn.GRU(2, 3), torch.zeros(4, 1, 2))[0], torch.zeros(2)
    cases: list[tuple[Any, str]] = [
        (lambda: lyapunov_exponents(run, start), "leave them out"),
        (lambda: lyapunov_exponents(run, count=4), "from 1 to the 3 units of state, got 4"),
        (lambda: lyapunov_exponents(run, discard=4), "the longest row has, 4, got 4"),
        (lambda: lyapunov_exponents(run, discard=-1), "at least 0, got -1"),
        (lambda: lyapunov_exponents(lambda s: s, start), "give both"),
        (lambda: lyapunov_exponents(lambda s: s, start, 5, discard=5), "more than the 5"),
    ]
    for call, words in cases:
        with pytest.raises(InsightError, match=words):
            call()
