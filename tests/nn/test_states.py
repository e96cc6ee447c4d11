"""The states of a stack: given, handed back, carried on, and those of every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

import ostinato
from ostinato import State
from tests.support import LAYERS, assert_same, first_states, pair, tensors

few = settings(max_examples=20, deadline=None)
BACKENDS = ["auto", "reference"]


@few
@given(
    st.sampled_from(sorted(LAYERS)),
    st.integers(1, 3),
    st.integers(2, 7),
    st.data(),
    st.sampled_from(BACKENDS),
    st.booleans(),
    st.booleans(),
)
def test_a_sequence_may_be_run_in_pieces(
    kind: str, layers: int, steps: int, data: st.DataObject, backend: str, batch_first: bool, normalised: bool
) -> None:
    name, own = LAYERS[kind]
    layer = getattr(ostinato, name)(
        3, 5, layers, **own, batch_first=batch_first, layer_norm=normalised, dtype=torch.float64
    )
    cut = data.draw(st.integers(1, steps - 1))
    x = torch.randn(2, steps, 3, dtype=torch.float64) if batch_first else torch.randn(steps, 2, 3, dtype=torch.float64)
    time_at = 1 if batch_first else 0
    before, after = x.split([cut, steps - cut], time_at)
    with ostinato.backend(backend):
        whole, last = layer(x)
        first_half, carried = layer(before)
        second_half, last_of_pieces = layer(after, carried)
    assert_same(
        {"output": torch.cat([first_half, second_half], time_at), **tensors(last_of_pieces)},
        {"output": whole, **tensors(last)},
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"initial_state": "learned"}], ids=str)
def test_with_lengths_a_row_that_has_ended_carries_on_where_it_was(options: dict[str, Any], backend: str) -> None:
    layer = ostinato.LSTM(3, 4, 2, **options, dtype=torch.float64)
    x = torch.randn(7, 3, 3, dtype=torch.float64)
    with ostinato.backend(backend):
        _, expected = layer(x, lengths=[2, 7, 4])
        _, carried = layer(x[:4], lengths=[2, 4, 4])
        _, last = layer(x[4:], carried, lengths=[0, 3, 0])
    assert_same(tensors(last), tensors(expected))


@few
@given(st.integers(1, 3), st.booleans(), st.integers(1, 5), st.booleans(), st.booleans())
def test_the_states_of_every_step_are_those_of_a_loop_of_cells(
    layers: int, bidirectional: bool, steps: int, batch_first: bool, with_hx: bool
) -> None:
    theirs, ours = pair("lstm", 3, 4, layers, bidirectional=bidirectional, batch_first=batch_first)
    x = torch.randn(steps, 2, 3, dtype=torch.float64)
    hx = first_states(theirs, 2) if with_hx else None
    output, last, states = ours(x.transpose(0, 1) if batch_first else x, hx, return_states=True)
    assert_same({"output": output, **tensors(last)}, tensors_of_plain(ours, x, hx))
    directions = 2 if bidirectional else 1
    below = x
    for layer in range(layers):
        each: dict[str, list[torch.Tensor]] = {"h": [], "c": []}
        for direction in range(directions):
            cell = torch.nn.LSTMCell(below.shape[-1], 4, dtype=torch.float64)
            place = layer * directions + direction
            cell.load_state_dict(dict(zip(cell.state_dict(), theirs.all_weights[place], strict=True)))
            state = None if hx is None else (hx[0][place], hx[1][place])
            seen: list[Any] = [None] * steps
            for t in reversed(range(steps)) if direction else range(steps):
                seen[t] = state = cell(below[t], state)
            each["h"].append(torch.stack([h for h, _ in seen]))
            each["c"].append(torch.stack([c for _, c in seen]))
        expected = {name: torch.cat(parts, -1) for name, parts in each.items()}
        below = expected["h"]
        got = {name: states[name][layer] for name in ("h", "c")}
        assert_same({n: v.transpose(0, 1) if batch_first else v for n, v in got.items()}, expected)
    assert states.c is states["c"]


def tensors_of_plain(layer: Any, x: torch.Tensor, hx: Any) -> dict[str, torch.Tensor]:
    output, last = layer(x.transpose(0, 1) if layer.batch_first else x, hx)
    return {"output": output, **tensors(last)}


@pytest.mark.parametrize("kind", sorted(LAYERS))
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_top_states_are_the_output_and_their_ends_the_last_states(kind: str, backend: str) -> None:
    _, ours = pair(kind, 3, 4, 2, bidirectional=True)
    lengths = [5, 0, 3]
    with ostinato.backend(backend):
        output, last, states = ours(torch.randn(5, 3, 3, dtype=torch.float64), lengths=lengths, return_states=True)
    assert torch.equal(states.h[-1], output)
    for name, ends in zip(states, last if isinstance(last, tuple) else (last,), strict=True):
        for layer in range(2):
            forward, backward = states[name][layer].chunk(2, -1)
            for row, length in enumerate(lengths):
                assert (states[name][layer][length:, row] == 0).all()
                if length:
                    assert torch.equal(forward[length - 1, row], ends[2 * layer, row])
                    assert torch.equal(backward[0, row], ends[2 * layer + 1, row])


def test_the_states_of_every_step_have_the_form_of_the_output() -> None:
    layer = ostinato.LSTM(3, 4, 2)
    output, _, states = layer(torch.randn(5, 3), return_states=True)
    assert output.shape == states.c[1].shape == (5, 4)
    packed = pack_padded_sequence(torch.randn(5, 2, 3), torch.tensor([3, 5]), enforce_sorted=False)
    output, _, states = layer(packed, return_states=True)
    assert torch.equal(states.h[1].data, output.data)
    assert torch.equal(states.c[0].batch_sizes, packed.batch_sizes)
    with pytest.raises(AttributeError, match="expected one of the states h, c, got 'cell'"):
        _ = states.cell


@pytest.mark.parametrize("backend", BACKENDS)
def test_states_of_different_widths_come_as_lists_and_go_back_in(backend: str) -> None:
    layer = ostinato.LSTM(3, [4, 6, 5], bidirectional=True, dtype=torch.float64)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    with ostinato.backend(backend):
        _, (h, c) = layer(x)
        assert [tuple(v.shape) for v in h] == [tuple(v.shape) for v in c] == [(2, 2, 4), (2, 2, 6), (2, 2, 5)]
        again, _ = layer(x, (h, c))
        unbatched, (h_row, c_row) = layer(x[:, 1], ([v[:, 1] for v in h], tuple(v[:, 1] for v in c)))
        assert [tuple(v.shape) for v in h_row] == [tuple(v.shape) for v in c_row] == [(2, 4), (2, 6), (2, 5)]
    assert_same({"row": unbatched}, {"row": again[:, 1]})
    assert not torch.equal(again, layer(x)[0])


def of(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape)


@pytest.mark.parametrize(
    ("hx", "error", "message"),
    [
        (of(3, 2, 4), ValueError, "hx expected one entry for each of the states h, c, got Tensor"),
        ((of(3, 2, 4),), ValueError, "hx expected one entry for each of the states h, c, got 1 entries"),
        (
            (of(3, 2, 4), of(3, 2, 4)),
            ValueError,
            "hx expected a list over layers for h, as their widths [4, 6] differ, got a tensor",
        ),
        (
            ([of(1, 2, 4)], [of(1, 2, 4)]),
            ValueError,
            "hx expected a tensor or a list of 2 tensors, one a layer, for h, got 1 entries",
        ),
        (
            (None, None),
            ValueError,
            "hx expected a tensor or a list of 2 tensors, one a layer, for h, got NoneType",
        ),
        (
            ([of(1, 2, 4), of(1, 2, 6)], [of(1, 2, 4), of(1, 2, 5)]),
            RuntimeError,
            "Expected hidden[1] size (1, 2, 6), got [1, 2, 5]",
        ),
        (
            ([of(1, 2, 4), of(2, 6)], [of(1, 2, 4), of(1, 2, 6)]),
            RuntimeError,
            "For batched 3-D input, hx and cx should also be 3-D but got (3-D, 2-D, 3-D, 3-D) tensors",
        ),
    ],
)
def test_wrong_first_states_are_told(hx: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        ostinato.LSTM(3, [4, 6])(torch.randn(5, 2, 3), hx)
    assert str(caught.value) == message


def test_a_state_by_names_is_a_first_state() -> None:
    x, h, c = torch.randn(5, 2, 3), torch.randn(1, 2, 4), torch.randn(1, 2, 4)
    for lstm in (ostinato.LSTM(3, 4), ostinato.LSTM(3, 4, zoneout=0.1).eval()):
        assert_same(tensors(lstm(x, State(c=c, h=h))), tensors(lstm(x, (h, c))))
    gru, step, lstm_step = ostinato.GRU(3, 4), ostinato.GRUCell(3, 4), ostinato.LSTMCell(3, 4)
    assert_same(tensors(gru(x, State(h=h))), tensors(gru(x, h)))
    assert_same(tensors(step(x[0], State(h=h[0]))), tensors(step(x[0], h[0])))
    assert_same(tensors(lstm_step(x[0], State(c=c[0], h=h[0]))), tensors(lstm_step(x[0], (h[0], c[0]))))
    with pytest.raises(ValueError, match="hx expected a State of h, c, got one of h"):
        ostinato.LSTM(3, 4)(x, State(h=h))


@pytest.mark.parametrize("make", [ostinato.GRU, ostinato.RNN, ostinato.RHN])
def test_a_list_of_flat_first_states_is_told_as_a_list(make: Any) -> None:
    with pytest.raises(RuntimeError, match=r"2-D tensor; a list has one tensor \(D, B, H\) for each layer"):
        make(3, 4)(torch.randn(5, 2, 3), [torch.zeros(2, 4)])
    with pytest.raises(ValueError, match="got ndarray in it"):
        make(3, 4)(torch.randn(5, 2, 3), [np.zeros((1, 2, 4))])


WHOLE, ONE = torch.zeros(5, 2, 3), torch.zeros(2, 3)


@pytest.mark.parametrize("make", [ostinato.LSTM, ostinato.GRU, ostinato.RNN, ostinato.MinGRU])
def test_input_that_is_no_tensor_is_told(make: Any) -> None:
    for wrong in (WHOLE.numpy(), WHOLE.tolist(), None, "text"):
        with pytest.raises(TypeError, match=f"input expected a tensor.*got {type(wrong).__name__}"):
            make(3, 4)(wrong)


@pytest.mark.parametrize("make", [ostinato.LSTMCell, ostinato.GRUCell, ostinato.RNNCell, ostinato.MinGRUCell])
def test_a_step_tells_what_it_does_not_take(make: Any) -> None:
    step = make(3, 4)
    for wrong in (ONE.numpy(), ONE.tolist(), None):
        with pytest.raises(TypeError, match=f"input expected a tensor.*got {type(wrong).__name__}"):
            step(wrong)
    with pytest.raises(ValueError, match=r"hx expected .* got ndarray"):
        step(ONE, np.zeros((2, 4)))


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
@pytest.mark.parametrize("make", [ostinato.LSTM, ostinato.GRU, ostinato.RNN, ostinato.MinGRU])
def test_first_states_of_another_type_are_told(make: Any, dtype: torch.dtype, backend: str) -> None:
    h = torch.zeros(1, 2, 4, dtype=dtype)
    with ostinato.backend(backend), pytest.raises(RuntimeError, match=rf"expected torch.float32.*got {dtype}"):
        make(3, 4)(WHOLE, (h, h) if make is ostinato.LSTM else h)
