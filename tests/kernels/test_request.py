from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ostinato.cells import lstm, rhn, rnn_tanh
from tests.kernels.requests import request


@pytest.mark.parametrize("bias", [True, False])
def test_the_projected_input_is_one_product_for_all_steps(bias: bool) -> None:
    r = request(lstm, bias=bias)
    by_hand = torch.stack([torch.stack([r.weights.ih @ x for x in rows]) for rows in r.input])
    if r.weights.bias_ih is not None:
        by_hand = by_hand + r.weights.bias_ih
    assert r.projected_input().shape == (5, 4, 16)
    torch.testing.assert_close(r.projected_input(), by_hand, rtol=1e-12, atol=1e-12)


def test_gates_that_the_input_does_not_reach_have_no_part_in_the_product() -> None:
    r = request(rhn(3))
    assert r.weights.ih.shape == (2 * 4, 3)
    assert r.projected_input().shape == (5, 4, 2 * 4)


@pytest.mark.parametrize("bias", [True, False])
def test_what_enters_is_changed_in_order_and_before_the_bias(bias: bool) -> None:
    changes = (lambda product, own: product * own["scale"], lambda product, own: product + 1)
    r = request(rnn_tanh, bias=bias)
    plain = r.input @ r.weights.ih.T
    weights = replace(r.weights, own={"scale": torch.tensor(3.0, dtype=torch.float64)})
    changed = replace(r, cell=replace(rnn_tanh, enter=changes), weights=weights).projected_input()
    expected = 3 * plain + 1 + (0 if r.weights.bias_ih is None else r.weights.bias_ih)
    torch.testing.assert_close(changed, expected, rtol=1e-12, atol=1e-12)
