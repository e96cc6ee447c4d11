"""Bridges between stacks that differ in cells, layers, widths and directions."""

import itertools

import pytest
import torch

from ostinato import State, catalogue, cell
from ostinato.errors import ConfigError
from ostinato.models.writing.first_states import Bridge, VectorFirstState
from ostinato.nn import GRU, LSTM, Recurrent

T, B = 4, 3
STACKS = [(GRU, 5, 1), (GRU, [5, 5], 1), (LSTM, 6, 2), (LSTM, [4, 7, 3], 1)]


@pytest.mark.parametrize(("encoder", "decoder"), list(itertools.product(STACKS, STACKS)), ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_any_stack_follows_any_other(encoder, decoder, bidirectional):
    torch.manual_seed(0)
    read = encoder[0](2, encoder[1], encoder[2], bidirectional=bidirectional)
    write = decoder[0](2, decoder[1], decoder[2])
    bridge = Bridge("linear", read, write)
    _, last = read(torch.randn(T, B, 2))
    first = bridge(last)
    output, _ = write(torch.randn(T, B, 2), first)
    gradients = torch.autograd.grad(output.sum(), list(bridge.parameters()))
    assert all(bool(gradient.any()) for gradient in gradients)


def test_linear_takes_both_directions_of_the_layer_that_belongs_to_it():
    torch.manual_seed(0)
    read, write = LSTM(2, 3, 3, bidirectional=True), LSTM(2, 5, 2)
    bridge = Bridge("linear", read, write)
    h, c = torch.randn(6, B, 3), torch.randn(6, B, 3)
    first_h, first_c = bridge((h, c))
    # The decoder's two layers belong to the encoder's upper two.
    for layer, (forward, backward) in enumerate(((2, 3), (4, 5))):
        of_h, of_c = bridge.layers[layer], bridge.layers[2 + layer]
        torch.testing.assert_close(first_h[layer], torch.tanh(of_h(torch.cat((h[forward], h[backward]), 1))))
        torch.testing.assert_close(first_c[layer], of_c(torch.cat((c[forward], c[backward]), 1)))


def test_copy_hands_the_states_over():
    bridge = Bridge("copy", LSTM(2, 5, 2), LSTM(3, 5, 2))
    states = (torch.randn(2, B, 5), torch.randn(2, B, 5))
    torch.testing.assert_close(bridge(states), states)
    assert not list(bridge.parameters())


def test_copy_of_two_directions_lays_them_side_by_side():
    h = torch.randn(2, B, 4)
    torch.testing.assert_close(
        Bridge("copy", GRU(2, 4, bidirectional=True), GRU(2, 8))(h)[0], torch.cat((h[0], h[1]), dim=1)
    )


def test_none_leaves_the_decoder_its_own_beginning():
    assert Bridge("none", GRU(2, 4), GRU(2, 8))(torch.randn(1, B, 4)) is None


def test_copy_needs_the_same_states_and_widths():
    for read, write in ((GRU(2, 4), GRU(2, 5)), (GRU(2, 5), LSTM(2, 5))):
        with pytest.raises(ConfigError, match="use bridge linear"):
            Bridge("copy", read, write)


@cell(gates="a", states="h seen:I")
def remembers_its_input(x, s, U):
    return State(h=torch.tanh(x.a + U(s.h).a + s.seen.sum(-1, keepdim=True)), seen=0.5 * s.seen + 1.0)


def test_a_state_may_be_as_wide_as_the_input():
    encoder, decoder = Recurrent(remembers_its_input, 3, 5, 2), Recurrent(remembers_its_input, 4, 6, 2)
    assert decoder.layer_input_sizes == [4, 6]
    _, last = encoder(torch.randn(7, 2, 3))
    for first in (Bridge("linear", encoder, decoder)(last), VectorFirstState(9, decoder)(torch.randn(2, 9))):
        assert [v.shape[-1] for v in first[1]] == [4, 6]
        outputs, _ = decoder(torch.randn(3, 2, 4), first)
        assert outputs.shape == (3, 2, 6)


def test_states_may_be_matrices():
    encoder, decoder = catalogue.make("mlstm", 3, 4, 2, bidirectional=True), catalogue.make("mlstm", 5, 8, 2)
    _, last = encoder(torch.randn(7, 2, 3))
    for first in (Bridge("linear", encoder, decoder)(last), VectorFirstState(9, decoder)(torch.randn(2, 9))):
        assert first[1].shape == (2, 2, 1, 8, 8)
        assert decoder(torch.randn(3, 2, 5), first)[0].shape == (3, 2, 8)
    _, last = decoder(torch.randn(7, 2, 5))
    for handed, each in zip(Bridge("copy", decoder, decoder)(last), last, strict=True):
        torch.testing.assert_close(handed, each)
