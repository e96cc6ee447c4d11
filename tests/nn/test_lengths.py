"""`lengths=`: as if every row ran alone, whatever the padding holds."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import ostinato
from ostinato import cells
from tests.support import LAYERS, assert_same, first_states, pair, results_and_gradients, tensors

# In evaluation: what is random has tests of its own.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "layer_norm": {"layer_norm": True},
    "zoneout_residual": {"zoneout": 0.3, "connection": "residual", "variational_dropout": 0.2},
    "learned": {"initial_state": "learned", "connection": "highway"},
}
few = settings(max_examples=40, deadline=None)


@st.composite
def problems(draw: st.DrawFn, shortest: int = 0) -> dict[str, Any]:
    steps, rows = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    return {
        "kind": draw(st.sampled_from(sorted(LAYERS))),
        "sizes": (draw(st.integers(1, 4)), draw(st.integers(3, 5))),
        "steps": steps,
        "lengths": draw(st.lists(st.integers(shortest, steps), min_size=rows, max_size=rows)),
        "stack": {
            "num_layers": draw(st.integers(1, 3)),
            "bidirectional": draw(st.booleans()),
            "bias": draw(st.booleans()),
            "batch_first": draw(st.booleans()),
        },
        "with_hx": draw(st.booleans()),
        "backend": draw(st.sampled_from(["auto", "vendor", "reference"])),
        "seed": draw(st.integers(0, 2**31)),
    }


def make(problem: dict[str, Any], **options: Any) -> tuple[Any, Any, torch.Tensor, Any]:
    """torch.nn's layer, ours, an input `(T, B, I)` or `(B, T, I)`, and first states or None."""
    torch.manual_seed(problem["seed"])
    theirs, ours = pair(problem["kind"], *problem["sizes"], **problem["stack"])
    if options:
        name, own = LAYERS[problem["kind"]]
        ours = getattr(ostinato, name)(*problem["sizes"], **problem["stack"], **own, **options, dtype=torch.float64)
        for parameter in ours.parameters():
            torch.nn.init.uniform_(parameter, -1, 1)
    rows = len(problem["lengths"])
    shape = (rows, problem["steps"]) if problem["stack"]["batch_first"] else (problem["steps"], rows)
    x = torch.randn(*shape, problem["sizes"][0], dtype=torch.float64)
    return theirs, ours.eval(), x, first_states(theirs, rows) if problem["with_hx"] else None


def backend_for(problem: dict[str, Any], option: str) -> str:
    """The backend that was drawn, if it can run this option."""
    options_of_the_cell = option in ("layer_norm", "zoneout_residual")
    return "auto" if problem["backend"] == "vendor" and options_of_the_cell else problem["backend"]


def row_of(hx: Any, row: int) -> Any:
    if hx is None:
        return None
    return tuple(v[:, row] for v in hx) if isinstance(hx, tuple) else hx[:, row]


def as_tuple(states: Any) -> tuple[torch.Tensor, ...]:
    return states if isinstance(states, tuple) else (states,)


def alone(layer: Any, x: torch.Tensor, hx: Any, row: int, length: int) -> tuple[torch.Tensor, Any]:
    """One row, unbatched, without its padding."""
    sequence = x[row] if layer.batch_first else x[:, row]
    return layer(sequence[:length], row_of(hx, row))


@few
@given(problems(), st.sampled_from(sorted(OPTIONS)))
def test_rows_come_out_as_if_each_ran_alone(problem: dict[str, Any], option: str) -> None:
    theirs, ours, x, hx = make(problem, **OPTIONS[option])
    oracle = theirs if option == "plain" else ours
    with ostinato.backend(backend_for(problem, option)):
        output, states = ours(x, hx, lengths=problem["lengths"])
        for row, length in enumerate(problem["lengths"]):
            got = output[row] if ours.batch_first else output[:, row]
            assert (got[length:] == 0).all()
            last = row_of(states, row)
            if length > 0:
                expected, expected_last = alone(oracle, x, hx, row, length)
                assert_same({"output": got[:length], **tensors(last)}, {"output": expected, **tensors(expected_last)})
            elif hx is not None:
                assert_same(tensors(last), tensors(row_of(hx, row)), atol=0.0)
            elif option != "learned":
                assert all((v == 0).all() for v in as_tuple(last))


@few
@given(problems(), st.sampled_from(sorted(OPTIONS)), st.sampled_from([math.nan, math.inf, -math.inf, 1e300]))
def test_padding_changes_no_result_and_no_gradient(problem: dict[str, Any], option: str, junk: float) -> None:
    _, ours, x, hx = make(problem, **OPTIONS[option])
    lengths = torch.tensor(problem["lengths"])
    times = torch.arange(problem["steps"])
    padded = times >= lengths[:, None] if ours.batch_first else times[:, None] >= lengths
    found = []
    for content in (0.0, junk):
        leaf = x.masked_fill(padded[..., None], content).requires_grad_()
        with ostinato.backend(backend_for(problem, option)):
            found.append(
                results_and_gradients(
                    lambda leaf=leaf: ours(leaf, hx, lengths=lengths), {"input": leaf, **dict(ours.named_parameters())}
                )
            )
    assert_same(found[1], found[0], atol=0.0)
    assert (found[1]["d input"][padded] == 0).all()


@few
@given(problems(shortest=1))
def test_lengths_do_what_packing_does(problem: dict[str, Any]) -> None:
    theirs, ours, x, hx = make(problem)
    packed = pack_padded_sequence(x, torch.tensor(problem["lengths"]), theirs.batch_first, enforce_sorted=False)
    expected, expected_last = theirs(packed, hx)
    with ostinato.backend(problem["backend"]):
        output, last = ours(x, hx, lengths=problem["lengths"])
    got = pack_padded_sequence(output, torch.tensor(problem["lengths"]), ours.batch_first, enforce_sorted=False)
    assert_same({**tensors(got), **tensors(last)}, {**tensors(expected), **tensors(expected_last)})


@few
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(problem: dict[str, Any], random: Any) -> None:
    _, ours, x, hx = make(problem)
    order = list(range(len(problem["lengths"])))
    random.shuffle(order)
    batch_at = 0 if ours.batch_first else 1
    output, last = ours(x, hx, lengths=problem["lengths"])
    hx_shuffled = None if hx is None else (tuple(v[:, order] for v in hx) if isinstance(hx, tuple) else hx[:, order])
    shuffled = [problem["lengths"][n] for n in order]
    got, got_last = ours(x.index_select(batch_at, torch.tensor(order)), hx_shuffled, lengths=shuffled)
    expected = output.index_select(batch_at, torch.tensor(order))
    assert_same(
        {"output": got, **tensors(as_tuple(got_last))},
        {"output": expected, **tensors(tuple(v[:, order] for v in as_tuple(last)))},
    )


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_lengths_are_any_integers(dtype: torch.dtype, backend: str) -> None:
    layer, x = ostinato.GRU(3, 4, bidirectional=True), torch.randn(5, 3, 3)
    with ostinato.backend(backend):
        expected = tensors(layer(x, lengths=[2, 0, 5]))
        assert_same(tensors(layer(x, lengths=(2, 0, 5))), expected, atol=0.0)
        assert_same(tensors(layer(x, lengths=torch.tensor([2, 0, 5], dtype=dtype))), expected, atol=0.0)


@pytest.mark.parametrize("length", [3, [3], torch.tensor(3), torch.tensor([3])], ids=str)
def test_unbatched_input_takes_one_length(length: Any) -> None:
    layer, x = ostinato.LSTM(3, 4, 2, bidirectional=True, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    output, last = layer(x, lengths=length)
    expected, expected_last = layer(x[:3])
    assert_same({"output": output[:3], **tensors(last)}, {"output": expected, **tensors(expected_last)})
    assert output.shape == (5, 8)
    assert (output[3:] == 0).all()


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_no_rows_and_no_steps_are_no_special_cases(backend: str) -> None:
    layer = ostinato.LSTM(3, 4, 2, bidirectional=True)
    with ostinato.backend(backend):
        output, (h, c) = layer(torch.randn(5, 0, 3), lengths=[])
        assert output.shape == (5, 0, 8)
        assert h.shape == c.shape == (4, 0, 4)
        output, (h, c) = layer(torch.randn(5, 2, 3), lengths=[0, 0])
        assert not output.any()
        assert not h.any()
        assert not c.any()


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_a_row_of_length_zero_hands_its_gradient_to_the_first_state(backend: str) -> None:
    layer = ostinato.GRU(3, 4)
    h = torch.randn(1, 2, 4, requires_grad=True)
    with ostinato.backend(backend):
        _, last = layer(torch.randn(5, 2, 3), h, lengths=[0, 4])
    (gradient,) = torch.autograd.grad(last[:, 0].sum(), h)
    assert (gradient[:, 0] == 1).all()
    assert (gradient[:, 1] == 0).all()


def test_packed_sequences_keep_their_order_and_batch_sizes() -> None:
    layer = ostinato.Recurrent(cells.gru_reset_before, 3, 4, 2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(5, 4, 3, dtype=torch.float64)
    for lengths, enforce_sorted in (([5, 4, 4, 1], True), ([1, 4, 5, 4], False)):
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=enforce_sorted)
        output, _ = layer(packed)
        assert isinstance(output, PackedSequence)
        assert torch.equal(output.batch_sizes, packed.batch_sizes)
        for got, expected in zip(output[2:], packed[2:], strict=True):
            assert got is expected
        expected, _ = layer(x, lengths=lengths)
        again = pack_padded_sequence(expected, torch.tensor(lengths), enforce_sorted=enforce_sorted)
        assert_same(tensors(output), tensors(again))


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([1, 2], ValueError, "lengths expected one number for each of the 3 rows, got the shape (2,)"),
        ([[1, 2, 3]], ValueError, "lengths expected one number for each of the 3 rows, got the shape (1, 3)"),
        (2, ValueError, "lengths expected one number for each of the 3 rows, got the shape ()"),
        ([1, 2, 6], ValueError, "lengths expected numbers from 0 to the 5 time steps of the input, got 1 to 6"),
        ([-1, 2, 5], ValueError, "lengths expected numbers from 0 to the 5 time steps of the input, got -1 to 5"),
        ([1.0, 2.0, 3.0], TypeError, "lengths expected integers, got torch.float32"),
        ([True, True, False], TypeError, "lengths expected integers, got torch.bool"),
        (torch.ones(3), TypeError, "lengths expected integers, got torch.float32"),
        ("abc", TypeError, "lengths expected a tensor or a list of integers, got str"),
        ([None, 1, 2], TypeError, "lengths expected a tensor or a list of integers, got list"),
    ],
    ids=str,
)
def test_wrong_lengths_are_told(lengths: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        ostinato.GRU(2, 3)(torch.randn(5, 3, 2), lengths=lengths)
    assert str(caught.value) == message


def test_a_packed_sequence_takes_no_lengths() -> None:
    packed = pack_padded_sequence(torch.randn(5, 2, 3), torch.tensor([5, 2]))
    with pytest.raises(ValueError, match="lengths expected None for a PackedSequence, which has lengths of its own"):
        ostinato.GRU(3, 4)(packed, lengths=[5, 2])


@pytest.mark.parametrize("backend", ["compiled", "vendor", "reference"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["x", "h"])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_what_is_no_number_in_a_row_is_seen_as_if_the_row_ran_alone(
    name: str, place: str, bad: float, backend: str
) -> None:
    """Neither swallowed, nor carried on through the padding into the gradients of weights."""
    options = {"nonlinearity": "relu"} if name == "RNN" else {}  # the one that bounds nothing
    layer = getattr(ostinato, name)(3, 4, **options)
    x, lengths = torch.randn(6, 3, 3), [2, 6, 1]
    first = list(first_states(layer, 3)) if name == "LSTM" else [first_states(layer, 3)]
    (x if place == "x" else first[-1])[0, 0, 1] = bad

    def gradients(x: torch.Tensor, first: list[torch.Tensor], **kwargs: Any) -> list[torch.Tensor]:
        leaves = [x.clone().requires_grad_(), *(v.clone().requires_grad_() for v in first)]
        output, last = layer(leaves[0], tuple(leaves[1:]) if len(first) > 1 else leaves[1], **kwargs)
        total = output.sum() + sum(v.sin().sum() for v in (last if isinstance(last, tuple) else [last]))
        return [*torch.autograd.grad(total, leaves + list(layer.parameters()))]

    with ostinato.backend(backend):
        together = gradients(x, first, lengths=lengths)
    with ostinato.backend("reference"):
        alone = [gradients(x[:n, b : b + 1], [v[:, b : b + 1] for v in first]) for b, n in enumerate(lengths)]
    expected = [torch.stack(each).sum(0) for each in zip(*(of_row[len(first) + 1 :] for of_row in alone), strict=True)]
    for got, want in zip(together[len(first) + 1 :], expected, strict=True):
        assert torch.equal(got.isfinite(), want.isfinite())
        torch.testing.assert_close(got[want.isfinite()], want[want.isfinite()])
    for b, n in enumerate(lengths):
        torch.testing.assert_close(together[0][:n, b].isfinite(), alone[b][0][:, 0].isfinite())
        assert not together[0][n:, b].any()
