from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ostinato
from ostinato import cells
from ostinato.cells import State, cell
from ostinato.cells.options import coupled_gates, layer_norm, projection, zoneout
from ostinato.kernels.reference import Reference
from ostinato.kernels.request import Request
from ostinato.kernels.vendor import Vendor
from tests.kernels.requests import assert_same, request, tensors

vendor, reference = Vendor(), Reference()
PLAIN = [cells.rnn_tanh, cells.rnn_relu, cells.lstm, cells.gru]


@cell(gates="a", states="h c")
def two_states(x: Any, s: Any, U: Any) -> State:
    return State(h=x.a + U(s.h).a, c=s.c)


@settings(deadline=None, max_examples=120, derandomize=True)
@given(
    base=st.sampled_from([*PLAIN, projection(cells.lstm)]),
    lengths=st.none() | st.lists(st.integers(0, 6), min_size=1, max_size=6),
    reverse=st.booleans(),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_it_computes_what_the_reference_does(
    base: cells.Cell, lengths: list[int] | None, reverse: bool, bias: bool, seed: int
) -> None:
    proj = 2 if base.options else 0
    rows = 3 if lengths is None else len(lengths)
    r = request(base, 6, rows, proj=proj, bias=bias, lengths=lengths, reverse=reverse, seed=seed)
    assert vendor.refusal(r) is None
    assert_same(vendor.run(r), reference.run(r))


@pytest.mark.parametrize("base", [*PLAIN, projection(cells.lstm)], ids=lambda c: f"{c.name}{len(c.options) or ''}")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [3, 0, 6, 1], [2, 2, 2, 2], [0, 0, 0, 0]])
def test_its_gradients_are_the_reference_s(base: cells.Cell, reverse: bool, lengths: list[int] | None) -> None:
    def gradients(backend: Vendor | Reference) -> tuple[torch.Tensor, ...]:
        r = request(base, 6, 4, proj=2 if base.options else 0, lengths=lengths, reverse=reverse)
        w = r.weights
        assert w.bias_ih is not None
        assert w.bias_hh is not None
        leaves = [r.input, w.ih, w.hh, w.bias_ih, w.bias_hh, *w.own.values(), *r.first]
        for leaf in leaves:
            leaf.requires_grad_()
        total = torch.stack([(v + v.square()).sum() for v in tensors(backend.run(r))]).sum()
        return torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)

    for got, expected in zip(gradients(vendor), gradients(reference), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)


def test_all_states_of_a_cell_with_one_state_are_its_output() -> None:
    r = request(cells.gru, lengths=[3, 0, 5, 1], every_state=True)
    assert_same(vendor.run(r), reference.run(r))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("base", [cells.lstm, cells.gru])
def test_an_empty_batch_with_lengths(base: cells.Cell, reverse: bool) -> None:
    r = request(base, rows=0, lengths=[], reverse=reverse)
    assert_same(vendor.run(r), reference.run(r))


@pytest.mark.parametrize("kind", [ostinato.RNN, ostinato.LSTM, ostinato.GRU])
def test_where_all_rows_are_empty_gradients_are_zero_and_not_missing(kind: type[ostinato.Recurrent]) -> None:
    layer = kind(3, 4, bidirectional=True, backend="vendor")  # pyright: ignore[reportArgumentType, reportCallIssue]
    output, _ = layer(torch.randn(5, 2, 3), lengths=[0, 0])
    output.sum().backward()
    assert not output.any()
    assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())


def test_rows_are_called_together_as_long_as_they_live(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    call = Vendor._call

    def counted(self: Vendor, r: Request, input: torch.Tensor, first: State) -> Any:
        calls.append(tuple(input.shape[:2]))
        return call(self, r, input, first)

    monkeypatch.setattr(Vendor, "_call", counted)
    vendor.run(request(cells.lstm, 7, 5, lengths=[2, 5, 0, 5, 2]))
    assert calls == [(2, 4), (3, 2)]


# -- what it refuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (zoneout(cells.lstm, {"h": 0.5}), "torch's kernels do not know zoneout"),
        (projection(layer_norm(coupled_gates(cells.lstm))), "torch's kernels do not know coupled_gates, layer_norm"),
        (zoneout(projection(cells.lstm), {"h": 0.5}), "torch's kernels do not know zoneout"),
        (cells.rnn_sigmoid, "torch has no kernel for the cell 'rnn_sigmoid'"),
        (cells.gru_reset_before, "torch has no kernel for the cell 'gru_reset_before'"),
        (two_states, "torch has no kernel for the cell 'two_states'"),
        (projection(two_states), "torch has no kernel for the cell 'two_states'"),
        (replace(two_states, vendor="LTSM"), "torch has no kernel 'LTSM', which the cell 'two_states' names"),
    ],
)
def test_it_says_why_not(made: cells.Cell, reason: str) -> None:
    assert vendor.refusal(request(made, hidden=3, proj=2 if "projection" in made.options else 0)) == reason


def test_it_cannot_give_the_memory_at_every_step() -> None:
    r = request(cells.lstm, every_state=True)
    assert vendor.refusal(r) == "torch's kernels give only the output at every step, and all states were asked for"
    assert vendor.refusal(replace(r, every_state=False)) is None


@pytest.mark.parametrize(
    ("cell", "dtype", "library"),
    [
        (cells.lstm, torch.float32, "oneDNN"),
        (cells.lstm, torch.float64, "ATen"),
        (projection(cells.lstm), torch.float32, "ATen"),
        (cells.gru, torch.float32, "ATen"),
    ],
)
def test_it_names_the_library(cell: cells.Cell, dtype: torch.dtype, library: str) -> None:
    assert Vendor.library(cell, torch.zeros(1, dtype=dtype)) == library
    assert vendor.acceptance(request(cells.lstm)) == "torch's LSTM kernel (ATen)"


def test_it_names_no_library_that_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert Vendor.library(cells.lstm, torch.zeros(1)) == "ATen"


# -- as on CUDA ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [*PLAIN, projection(cells.lstm)], ids=lambda c: f"{c.name}{len(c.options) or ''}")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [[3, 0, 6, 1], [2, 2, 2, 2], [0, 0, 0, 0]])
def test_one_call_for_all_lengths_gives_the_same(base: cells.Cell, reverse: bool, lengths: list[int]) -> None:
    def outcome(packed: bool) -> list[torch.Tensor]:
        r = request(base, 6, 4, proj=2 if base.options else 0, lengths=lengths, reverse=reverse)
        assert r.lengths is not None
        leaves = [r.input, r.weights.ih, r.weights.hh, r.weights.bias_hh, *r.first]
        for leaf in leaves:
            assert leaf is not None
            leaf.requires_grad_()
        result = vendor._run_packed(r, r.lengths) if packed else reference.run(r)
        total = torch.stack([(v + v.square()).sum() for v in tensors(result)]).sum()
        found = torch.autograd.grad(
            total, [v for v in leaves if v is not None], allow_unused=True, materialize_grads=True
        )
        return [*tensors(result), *found]

    torch.testing.assert_close(outcome(True), outcome(False), rtol=1e-11, atol=1e-11)


def test_what_the_padding_holds_is_not_read_in_one_call() -> None:
    r = request(cells.gru, 6, 4, lengths=[3, 0, 6, 1])
    assert r.lengths is not None
    ended = torch.arange(6)[:, None] >= r.lengths
    poisoned = replace(r, input=r.input.masked_fill(ended[..., None], float("nan")))
    assert_same(vendor._run_packed(poisoned, r.lengths), reference.run(r))


def test_weights_are_laid_out_for_the_whole_stack_or_for_each_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out: list[tuple[int, int, int, int]] = []

    def noted(self: Any) -> None:
        laid_out.append((self.num_layers, len(self._flat_weights), self.input_size, self.hidden_size))

    whole, each = ostinato.LSTM(3, 4, 2, bidirectional=True), ostinato.GRU(3, [4, 5], bidirectional=True)
    other = ostinato.LSTM(3, 4, zoneout=0.1)
    monkeypatch.setattr(torch.nn.RNNBase, "flatten_parameters", noted)
    whole.flatten_parameters()
    assert laid_out == [(2, 16, 3, 4)]
    laid_out.clear()
    each.flatten_parameters()
    assert laid_out == [(1, 4, 3, 4), (1, 4, 3, 4), (1, 4, 8, 5), (1, 4, 8, 5)]
    laid_out.clear()
    other.eval().flatten_parameters()  # its cell in evaluation is no plain one either
    assert not laid_out
