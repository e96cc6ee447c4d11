from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato import cells
from ostinato.cells import State, cell
from ostinato.cells.options import projection, variational_dropout, zoneout
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request, Weights
from tests.kernels.requests import assert_same, request, tensors

reference = Reference()


@cell(gates="a", states="h k")
def recorder(x: Any, s: Any, U: Any) -> State:
    """h is the input plus ten times the old h: its digits tell which steps were seen, and in which order. k counts steps."""
    return State(h=10 * s.h + x.a, k=s.k + 1)


def digits(lengths: list[int] | None, reverse: bool, every_state: bool = False) -> Request:
    """One unit; the input of step t is t + 1, and zero past a row's end."""
    x = torch.arange(1.0, 5.0).expand(1, 3, 4).permute(2, 1, 0)
    valid = None if lengths is None else torch.tensor(lengths)
    if valid is not None:
        x = x * (torch.arange(4)[:, None] < valid)[..., None]
    first = State(h=torch.full((3, 1), 9.0), k=torch.zeros(3, 1))
    return Request(
        recorder, x, Weights(torch.ones(1, 1), torch.ones(1, 1)), first, valid, reverse, every_state=every_state
    )


def test_steps_are_taken_in_time() -> None:
    result = reference.run(digits(None, reverse=False, every_state=True))
    assert result.output[:, 0, 0].tolist() == [91, 912, 9123, 91234]
    assert result.last.h.flatten().tolist() == [91234] * 3
    assert result.states is not None
    assert torch.equal(result.states.h, result.output)
    assert result.states.k[:, 0, 0].tolist() == [1, 2, 3, 4]


def test_steps_are_taken_backwards_and_shown_where_they_belong() -> None:
    result = reference.run(digits(None, reverse=True))
    assert result.output[:, 0, 0].tolist() == [94321, 9432, 943, 94]
    assert result.last.h.flatten().tolist() == [94321] * 3
    assert result.states is None


def test_a_row_stops_at_its_end() -> None:
    result = reference.run(digits([2, 0, 4], reverse=False, every_state=True))
    assert result.output[..., 0].T.tolist() == [[91, 912, 0, 0], [0, 0, 0, 0], [91, 912, 9123, 91234]]
    assert result.last.h.flatten().tolist() == [912, 9, 91234]
    assert result.last.k.flatten().tolist() == [2, 0, 4]
    assert result.states is not None
    assert result.states.k[..., 0].T.tolist() == [[1, 2, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]]


def test_backwards_a_row_starts_at_its_end() -> None:
    result = reference.run(digits([2, 0, 4], reverse=True))
    assert result.output[..., 0].T.tolist() == [[921, 92, 0, 0], [0, 0, 0, 0], [94321, 9432, 943, 94]]
    assert result.last.h.flatten().tolist() == [921, 9, 94321]


def test_a_mask_of_a_step_meets_its_step_in_both_directions() -> None:
    @cell(gates="a", states="h")
    def echo(x: Any, s: Any, U: Any) -> State:
        return State(h=x.a)

    made = zoneout(echo, {"h": 0.5})
    kept = torch.tensor([1.0, 0.0, 1.0, 0.0])[:, None, None].expand(4, 1, 1)
    x = torch.arange(1.0, 5.0)[:, None, None]
    one = Weights(torch.ones(1, 1), torch.ones(1, 1))
    forward = Request(made, x, one, State(h=torch.zeros(1, 1)), masks={"zoneout_h": kept})
    assert reference.run(forward).output.flatten().tolist() == [1, 1, 3, 3]
    assert reference.run(replace(forward, reverse=True)).output.flatten().tolist() == [1, 3, 3, 0]


@pytest.mark.parametrize("reverse", [False, True])
def test_nothing_flows_into_or_out_of_the_padding(reverse: bool) -> None:
    r = request(cells.lstm, lengths=[3, 0, 5, 1], reverse=reverse)
    x = r.input.clone().requires_grad_()
    torch.stack([v.square().sum() for v in tensors(reference.run(replace(r, input=x)))]).sum().backward()
    assert x.grad is not None
    live = torch.arange(5)[:, None] < torch.tensor([3, 0, 5, 1])
    assert (x.grad[~live] == 0).all()
    assert (x.grad[live] != 0).all()


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    st.sampled_from([cells.rnn_relu, cells.gru, cells.gru_reset_before, cells.lstm, cells.rhn(3), cells.min_lstm]),
    st.integers(1, 4),
)
def test_two_halves_are_the_whole(base: cells.Cell, cut: int) -> None:
    wrapped = variational_dropout(base, 0.3) if base.recurrent else base
    r = request(zoneout(wrapped, {"h": 0.3}), every_state=True)
    whole = reference.run(r)
    of_step = r.masks["zoneout_h"]
    one = reference.run(replace(r, input=r.input[:cut], masks={**r.masks, "zoneout_h": of_step[:cut]}))
    rest = replace(r, input=r.input[cut:], first=one.last, masks={**r.masks, "zoneout_h": of_step[cut:]})
    two = reference.run(rest)
    torch.testing.assert_close(torch.cat([one.output, two.output]), whole.output, rtol=1e-13, atol=1e-13)
    for got, expected in zip(two.last, whole.last, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_floating_dtype_runs_and_stays(dtype: torch.dtype) -> None:
    r = request(cells.lstm, lengths=[3, 0, 5, 1])
    w = r.weights
    assert w.hh is not None
    assert w.bias_ih is not None
    assert w.bias_hh is not None
    weights = Weights(w.ih.to(dtype), w.hh.to(dtype), w.bias_ih.to(dtype), w.bias_hh.to(dtype))
    first = State(**{name: getattr(r.first, name).to(dtype) for name in r.first.names})
    result = reference.run(replace(r, input=r.input.to(dtype), weights=weights, first=first))
    assert {v.dtype for v in tensors(result)} == {dtype}
    exact = reference.run(r).output
    torch.testing.assert_close(result.output.double(), exact, rtol=0, atol=8 * torch.finfo(dtype).eps)


def test_an_empty_batch_has_empty_states() -> None:
    result = reference.run(request(projection(cells.lstm), rows=0, proj=2, lengths=[]))
    assert [tuple(v.shape) for v in tensors(result)] == [(5, 0, 2), (0, 2), (0, 4)]


def test_it_never_refuses_and_says_what_it_does() -> None:
    r = request(cells.gru)
    assert reference.refusal(r) is None
    assert reference.acceptance(r) == "the step of 'gru' in a loop over time, in plain PyTorch"
    assert_same(reference.run(r), reference.run(r), tolerance=0)
