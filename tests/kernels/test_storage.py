"""Memory that was taken away from under a tensor is told, on every way into machine code; it was read, and the process died."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import ostinato
from ostinato import GRU, LSTM, RHN, LSTMCell, Stream
from ostinato.errors import ConfigError
from ostinato.kernels.graphs import ops
from ostinato.kernels.storage import missing
from tests.kernels.graphs.test_ops import MADE, taken_apart
from tests.kernels.requests import request

Tensor = torch.Tensor
TOLD = "expected memory for the numbers of its shape"
# Or by torch, where it makes a view or looks for a maximum before.
ALSO_BY_TORCH = f"{TOLD}|out of bounds for storage of size|its data is not allocated"


def take_away(v: Tensor, bytes_left: int = 0) -> None:
    v.untyped_storage().resize_(bytes_left)


def layer_and_arguments(make: Callable[[], Any], rows: int = 3) -> tuple[Any, Tensor, Any]:
    layer = make()
    shape = (layer.num_layers * layer.num_directions, rows, layer.hidden_size)
    states = [torch.randn(shape) for _ in layer._layout.sizes]
    return layer, torch.randn(5, rows, layer.input_size), tuple(states) if len(states) > 1 else states[0]


LAYERS: dict[str, Callable[[], Any]] = {
    "lstm": lambda: LSTM(4, 20, 2, bidirectional=True),
    "gru": lambda: GRU(4, 20),
    "rhn": lambda: RHN(4, 20, depth=2),
    "normalised": lambda: LSTM(4, 20, layer_norm=True, peephole=True),
}
every_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
every_mode = pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])


@every_mode
@every_layer
def test_inputs_states_and_parameters_of_layers(make: Callable[[], Any], mode: Any) -> None:
    layer, x, hx = layer_and_arguments(make)
    victims = [x, *(hx if isinstance(hx, tuple) else (hx,)), *layer.parameters()]
    with mode(), ostinato.backend("compiled"):
        layer(x, hx)
        for victim in victims:
            numbers, bytes_ = victim.detach().clone(), victim.nbytes
            for left in (0, bytes_ - 4):
                take_away(victim, left)
                with pytest.raises(RuntimeError, match=ALSO_BY_TORCH):
                    layer(x, hx)
            take_away(victim, bytes_)
            victim.detach().copy_(numbers)
            layer(x, hx)


def test_the_message_names_what_is_missing() -> None:
    layer, x = LSTM(4, 20), torch.randn(5, 3, 4)
    take_away(layer.get_parameter("weight_hh_l0"))
    with pytest.raises(RuntimeError, match=r"^weight_hh expected .* \(80, 20\), 6400 bytes, got a storage of 0 bytes"):
        layer(x)


@pytest.mark.parametrize(
    ("lay", "numbers"),
    [
        (lambda x: x[1:], 60),
        (lambda x: x.transpose(0, 1).contiguous().transpose(0, 1), 60),
        (lambda x: x.repeat_interleave(2, 2)[..., ::2], 119),
        (lambda x: x[1:2].expand(5, -1, -1), 24),
    ],
)
def test_views_that_end_behind_their_storage(lay: Callable[[Tensor], Tensor], numbers: int) -> None:
    layer, view = LSTM(4, 20), lay(torch.randn(5, 3, 4))
    take_away(view, 4 * numbers)
    layer(view)
    take_away(view, 4 * (numbers - 1))
    with pytest.raises(RuntimeError, match=TOLD):
        layer(view)


def test_what_is_missing_of_a_view() -> None:
    whole = torch.randn(6, 4)
    there = [whole[:5], whole[:0], whole[6:], whole[:5:2, 1], whole[:1].expand(9, 4), whole[4]]
    not_there = [whole, whole[5:], whole[:, :1], whole[5, :1].expand(9), whole.t(), whole[5, 3]]
    assert [missing(v) for v in (*there, *not_there)] == [None] * 12
    take_away(whole, 4 * 20)
    assert [missing(v) for v in there] == [None] * 6
    assert all(TOLD in str(missing(v)) for v in not_there)


def test_packed_sequences_and_lengths() -> None:
    layer, packed = GRU(4, 20), pack_padded_sequence(torch.randn(5, 3, 4), torch.tensor([5, 4, 1]))
    take_away(packed.data)
    with pytest.raises(RuntimeError, match=TOLD):
        layer(packed)
    lengths = torch.tensor([5, 4, 1])
    take_away(lengths)
    with pytest.raises(RuntimeError, match=ALSO_BY_TORCH):
        layer(torch.randn(5, 3, 4), lengths=lengths)


def test_single_steps() -> None:
    cell, x, hx = LSTMCell(4, 20, peephole=True), torch.randn(3, 4), (torch.randn(3, 20), torch.randn(3, 20))
    for victim in (x, *hx, *cell.parameters()):
        take_away(victim)
        with pytest.raises(RuntimeError, match=ALSO_BY_TORCH):
            cell(x, hx)
        take_away(victim, victim.nbytes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_is_converted_first(dtype: torch.dtype) -> None:
    layer, x = GRU(4, 20, dtype=dtype), torch.randn(5, 3, 4, dtype=dtype)
    take_away(x)
    with ostinato.backend("compiled"), pytest.raises(RuntimeError, match=TOLD):
        layer(x)


@every_layer
def test_what_the_backward_pass_reads(make: Callable[[], Any]) -> None:
    layer, x, hx = layer_and_arguments(make)
    for which in range(4):
        x = torch.randn(5, 3, 4, requires_grad=True)
        output = layer(x, hx)[0]
        gradient = torch.ones_like(output)
        # What a stack of two directions gives is put together from what the backward pass reads.
        shown = output if layer.num_layers * layer.num_directions == 1 else x
        victim = (x, shown, gradient, layer.weight_ih_l0)[which]
        take_away(victim)
        with pytest.raises(RuntimeError, match=ALSO_BY_TORCH):
            output.backward(gradient)
        take_away(victim, victim.nbytes)


@pytest.mark.parametrize("segments", [None, 2])
def test_the_backward_pass_of_a_long_sequence(segments: int | None) -> None:
    layer = LSTM(4, 20, checkpoint_segments=segments)
    output = layer(torch.randn(50, 30, 4))[0]
    gradient = torch.ones_like(output)
    take_away(gradient, 1000)
    with pytest.raises(RuntimeError, match=TOLD):
        output.backward(gradient)


@pytest.mark.parametrize("name", MADE)
def test_the_operators(name: str) -> None:
    what, given, masks, lengths = taken_apart(
        request(MADE[name], proj=2 if name == "projected" else 0, lengths=[5, 0, 3, 2])
    )
    found = ops.recurrence(what, given, masks, lengths, True)
    outputs = len(ops.recurrence(what, given, masks, lengths))
    shown = len(ops.read(what).shown)
    kept = [*found[:shown], *found[outputs:]]
    gradients = [torch.ones_like(v) for v in found[:outputs]]
    present, wanted = [True] * outputs, [True] * len(given)
    assert lengths is not None
    for victim in (*given, *masks, lengths, *kept, *gradients):
        numbers = victim.clone()
        if not victim.untyped_storage().resizable():
            continue
        take_away(victim)
        with pytest.raises(RuntimeError, match=TOLD):
            ops.recurrence_backward(what, given, masks, lengths, kept, gradients, present, wanted)
        if any(victim is v for v in (*given, *masks, lengths)):
            with pytest.raises(RuntimeError, match=TOLD):
                ops.recurrence(what, given, masks, lengths, True)
        take_away(victim, victim.nbytes)
        victim.copy_(numbers)


def test_streams() -> None:
    layer: Any = GRU(4, 20, 2, initial_state="learned").eval()
    stream, rows = Stream(layer), torch.randn(3, 4)
    stream(rows[2])
    for left, x in ((0, rows[0]), (4 * 9, rows[2]), (4 * 9, rows[2:])):
        take_away(rows, left)
        with pytest.raises(ConfigError, match="^x " + TOLD):
            stream(x)
    state = stream.state
    take_away(state)
    with pytest.raises(RuntimeError, match=TOLD):
        stream.state = state
    for name, victim in layer.named_parameters():
        take_away(victim)
        with pytest.raises(ConfigError, match=f"^{name} {TOLD}"):
            stream.refresh()
        with pytest.raises(ConfigError, match=f"^{name} {TOLD}"):
            Stream(layer)
        take_away(victim, victim.nbytes)
    take_away(layer.initial_h_l0)
    with pytest.raises(RuntimeError, match="^initial_h_l0 " + TOLD):
        stream.reset()
