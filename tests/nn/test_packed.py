"""A `PackedSequence` in: what `lengths=` gives, without the padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import ostinato
from tests.support import LAYERS, assert_same, first_states, results_and_gradients, tensors

# In evaluation, where the masks of zoneout are their mean.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "layer_norm": {"layer_norm": True},
    "zoneout_residual": {"zoneout": 0.3, "connection": "residual", "variational_dropout": 0.2},
    "segments": {"checkpoint_segments": 2},
}


def packed_of(x: torch.Tensor, lengths: list[int], batch_first: bool, sorted_: bool) -> tuple[PackedSequence, Any]:
    """The packed sequence, and its data as a leaf."""
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted=sorted_)
    leaf = packed.data.clone().requires_grad_()
    return PackedSequence(leaf, *packed[1:]), leaf


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_it_is_what_lengths_are_without_the_padding(data: st.DataObject) -> None:
    kind, option = data.draw(st.sampled_from(sorted(LAYERS))), data.draw(st.sampled_from(sorted(OPTIONS)))
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    sorted_ = data.draw(st.booleans())
    lengths = sorted(lengths, reverse=True) if sorted_ else lengths
    stack = {
        "num_layers": data.draw(st.integers(1, 2)),
        "bidirectional": data.draw(st.booleans()),
        "batch_first": data.draw(st.booleans()),
    }
    torch.manual_seed(data.draw(st.integers(0, 99)))
    name, own = LAYERS[kind]
    layer = getattr(ostinato, name)(3, 4, **own, **stack, **OPTIONS[option], dtype=torch.float64).eval()
    x = torch.randn(len(lengths), 6, 3) if stack["batch_first"] else torch.randn(6, len(lengths), 3)
    x = x.double().requires_grad_()
    hx = first_states(layer, len(lengths), requires_grad=True) if data.draw(st.booleans()) else None
    leaves = {**dict(layer.named_parameters()), **({} if hx is None else tensors(hx, "hx"))}
    every = data.draw(st.booleans())

    def repacked(v: Any) -> Any:
        if isinstance(v, torch.Tensor):
            return pack_padded_sequence(v, torch.tensor(lengths), stack["batch_first"], enforce_sorted=sorted_)
        return {key: tuple(repacked(layer) for layer in layers) for key, layers in v.items()}

    def by_lengths() -> Any:
        output, last, *states = layer(x, hx, lengths=lengths, return_states=every)
        return [repacked(output), last, *map(repacked, states)]

    expected = results_and_gradients(by_lengths, {"data": x, **leaves})
    expected["d data"] = repacked(expected["d data"]).data
    sequence, leaf = packed_of(x.detach(), lengths, stack["batch_first"], sorted_)
    backend = data.draw(st.sampled_from(["auto", "reference"]))
    with ostinato.backend(backend):
        got = results_and_gradients(lambda: layer(sequence, hx, return_states=every), {"data": leaf, **leaves})
    scale = max(
        float(v.detach().abs().max()) for v in expected.values() if v.numel()
    )  # layer norm may divide by very little
    assert_same(got, expected, atol=1e-10 * max(1.0, scale))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_is_differentiable_twice(bidirectional: bool) -> None:
    layer = ostinato.LSTM(2, 3, bidirectional=bidirectional, dtype=torch.float64)
    sequence, leaf = packed_of(torch.randn(4, 3, 2, dtype=torch.float64), [2, 4, 1], False, False)
    found = []
    for backend in ("auto", "reference"):
        with ostinato.backend(backend):
            (first,) = torch.autograd.grad(layer(sequence)[0].data.square().sum(), leaf, create_graph=True)
            found.append([first, *torch.autograd.grad(first.square().sum(), [leaf, *layer.parameters()])])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)


def test_a_row_has_the_same_mask_at_all_steps() -> None:
    layer = ostinato.GRU(3, 40, variational_dropout=(0, 0, 0.5))
    lengths = torch.tensor([2, 5, 3])
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(
        layer(pack_padded_sequence(torch.randn(5, 3, 3), lengths, enforce_sorted=False))[0]
    )
    masks = [(output[:length, row] == 0) for row, length in enumerate(lengths.tolist())]
    for mask in masks:
        assert (mask == mask[0]).all()
        assert 4 < int(mask[0].sum()) < 36
    assert not torch.equal(masks[0][0], masks[1][0])


def test_zoneout_keeps_units_of_each_row_and_step_by_themselves() -> None:
    layer = ostinato.RNN(3, 400, zoneout=0.25, nonlinearity="tanh")
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(
        layer(pack_padded_sequence(torch.randn(6, 2, 3), torch.tensor([6, 4])))[0]
    )
    kept = output[1:4] == output[:3]
    assert 0.19 < float(kept.float().mean()) < 0.31
    assert not torch.equal(kept[0, 0], kept[0, 1])
    assert not torch.equal(kept[0, 0], kept[1, 0])
