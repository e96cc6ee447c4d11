import gc
import json
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import ostinato
from ostinato.data import Chunk, Streams, Tokens
from ostinato.data.batches.documents import Documents
from ostinato.training.update.tree import pack, tensors_of, unpack
from ostinato.training.update.truncated_bptt import chunks, detach

T, B, I, H = 23, 3, 2, 4  # noqa: E741


def data(steps=T):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(steps, B, I, generator=generator, dtype=torch.float64)
    return x, torch.randn(steps, B, H, generator=generator, dtype=torch.float64)


def rnn():
    torch.manual_seed(0)
    return nn.RNN(I, H, dtype=torch.float64)


def by_hand(k1, k2, rate=0.5):
    """Losses and gradients of every update, in a loop that cuts the graph by hand and changes the weights by hand.

    States are kept by the step that they come before; a window begins with the one that the last window to pass there left.
    """
    x, y = data()
    w, u, b, c = (p.detach().clone().requires_grad_() for p in rnn().parameters())
    states, found = {0: torch.zeros(B, H, dtype=torch.float64)}, []
    for new in range(0, T, k1):
        end = min(new + k1, T)
        first = max(0, new - (k2 - k1))
        h, loss = states[first].detach(), torch.zeros((), dtype=torch.float64)
        for t in range(first, end):
            states[t] = h
            h = torch.tanh(x[t] @ w.T + b + h @ u.T + c)
            if t >= new:
                loss = loss + (h - y[t]).square().mean() / (end - new)
        states[end] = h
        gradients = torch.autograd.grad(loss, (w, u, b, c))
        found.append((loss.detach(), gradients))
        with torch.no_grad():
            for parameter, gradient in zip((w, u, b, c), gradients, strict=True):
                parameter -= rate * gradient
    return found


def with_run(layer, window):
    return F.mse_loss(window.run(layer), window.target)


class Scored(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def loss(self, chunk, state=None):
        h, state = self.layer(chunk.input, state)
        return F.mse_loss(h, chunk.target), state


def with_loss(layer, window):
    return window.loss(Scored(layer))


LENGTHS = [(5, 5), (5, 6), (5, 9), (5, 10), (5, 13), (1, 1), (1, 4), (4, 50), (23, 23), (30, 31)]


@pytest.mark.parametrize("computed", [with_run, with_loss])
@pytest.mark.parametrize(("k1", "k2"), LENGTHS)
def test_losses_and_gradients_are_those_of_a_graph_that_is_cut_by_hand(k1, k2, computed):
    layer, expected = rnn(), by_hand(k1, k2)
    windows = 0
    for window, (loss, gradients) in zip(chunks(data(), k1, k2), expected, strict=True):
        found = computed(layer, window)
        layer.zero_grad()
        found.backward()
        torch.testing.assert_close(found, loss)
        torch.testing.assert_close([p.grad for p in layer.parameters()], list(gradients))
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter -= 0.5 * parameter.grad
        windows += 1
    assert windows == -(-T // k1)


@pytest.mark.parametrize("k2", [5, 12])
def test_pieces_of_any_length_are_one_sequence(k2):
    """Cut at k1 or shorter, they are windows of a sequence all the same: the forward pass is that over the whole."""
    (x, y), layer = data(), rnn()
    pieces = [(x[:9], y[:9]), (x[9:11], y[9:11]), Chunk(x[11:], y[11:], None)]
    windows = [(window.run(layer), window.target) for window in chunks(pieces, 5, k2)]
    assert [len(h) for h, _ in windows] == [5, 4, 2, 5, 5, 2]
    torch.testing.assert_close(torch.cat([h for h, _ in windows]), layer(x)[0])
    torch.testing.assert_close(torch.cat([target for _, target in windows]), y)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 3), st.integers(1, 6), st.integers(0, 7))
def test_with_resets_every_document_is_as_if_it_were_alone(lengths, rows, k1, more):
    torch.manual_seed(0)
    layer = nn.LSTM(I, H, num_layers=2, dtype=torch.float64)
    documents = [(torch.randn(n, I, dtype=torch.float64), torch.full((n,), i)) for i, n in enumerate(lengths)]
    outputs, owners = [], []
    for window in chunks(Documents(documents, rows, k1), k2=k1 + more):
        outputs.append(window.run(layer))
        owners.append(torch.where(window.mask, window.target, -1))
    h, owner = torch.cat(outputs), torch.cat(owners)
    for i, (x, _) in enumerate(documents):
        (row,) = {int(r) for r in (owner == i).nonzero()[:, 1]}
        torch.testing.assert_close(h[owner[:, row] == i, row], layer(x)[0])


def test_gradients_stop_at_resets():
    layer, (x, y) = rnn(), data(6)
    resets = torch.zeros(6, B, dtype=torch.bool)
    resets[4, 1] = True
    x.requires_grad_()
    for window in chunks(Chunk(x, y, resets), 6):
        window.run(layer)[5].sum(dim=1)[1].backward()  # the loss of row 1's last step
    assert not x.grad[:4].any()
    assert x.grad[4:, 1].all()


def test_rows_begin_with_the_state_that_is_given():
    layer, (x, y) = rnn(), data(6)
    first = torch.full((1, B, H), 0.3, dtype=torch.float64)
    resets = torch.zeros(6, B, dtype=torch.bool)
    resets[3, 0] = True
    (h,) = (window.run(layer) for window in chunks((x, y, resets), 6, fresh=lambda state: first))
    torch.testing.assert_close(h[3:, 0], layer(x[3:], first)[0][:, 0])
    torch.testing.assert_close(h[:, 1], layer(x)[0][:, 1])


def test_the_rows_of_a_state_may_be_its_first_dimension():
    torch.manual_seed(0)
    cell, (x, y) = nn.LSTMCell(I, H, dtype=torch.float64), data(6)
    resets = torch.zeros(6, B, dtype=torch.bool)
    resets[2, 2] = True

    def function(x, state):
        outputs = []
        for step in x:
            state = cell(step, state)
            outputs.append(state[0])
        return torch.stack(outputs), state

    h = torch.cat([w.run(function) for w in chunks((x, y, resets), 4, batch_dim=0)])
    torch.testing.assert_close(h[2:, 2], function(x[2:], None)[0][:, 2])
    torch.testing.assert_close(h[:, 0], function(x, None)[0][:, 0])


Pair = namedtuple("Pair", "h c")


@dataclass(frozen=True)
class Box:
    layers: dict
    steps: int


def boxed(layer):
    """A recurrence of two layers whose state is a dataclass of a dict of a named tuple, a list and a number."""

    def function(x, state):
        inner = None if state is None else (state.layers["lstm"][0].h, state.layers["lstm"][0].c)
        y, (h, c) = layer(x, inner)
        return {"y": y}, Box({"lstm": [Pair(h, c), None]}, 0 if state is None else state.steps)

    return function


@pytest.mark.parametrize("k2", [4, 7])
def test_any_nested_state__and_loaded(k2):
    (x, _), torch_layer = data(), nn.LSTM(I, H, dtype=torch.float64)
    function = boxed(torch_layer)
    expected = torch_layer(x)[0]
    outputs = [window.run(function)["y"] for window in chunks(x, 4, k2)]
    torch.testing.assert_close(torch.cat(outputs), expected)


def stops_and_goes_on(make_source, function, k1, k2, stop):
    """Outputs and gradients of a pass that is left after `stop` windows, written as JSON and tensors, and gone on with anew."""
    found = []

    def work(windows, until=None):
        for window in windows:
            output = window.run(function)
            leaf = tensors_of(output)[0]
            found.append(leaf.detach())
            if until is not None and len(found) == until:
                return

    first = chunks(make_source(), k1, k2)
    work(first, stop)
    tensors = {}
    text = json.dumps(pack(first.state_dict(), "place", tensors))
    second = chunks(make_source(), k1, k2)
    second.load_state_dict(unpack(json.loads(text), tensors))
    tensors_again = {}
    assert json.dumps(pack(second.state_dict(), "place", tensors_again)) == text
    torch.testing.assert_close(tensors_again, tensors, rtol=0, atol=0)
    work(second)
    return found


SOURCES = {
    "whole": lambda: data(),
    "pieces": lambda: [tuple(t[a:b] for t in data()) for a, b in ((0, 9), (9, 10), (10, 23))],
    "documents": lambda: Documents(
        [(data()[0][:n, 0], data()[1][:n, 0]) for n in (3, 9, 5, 8, 2, 7, 7)], B, 4, shuffle_seed=3
    ),
}


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize(("k1", "k2"), [(4, 4), (4, 6), (3, 10)])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("is_boxed", [False, True])
def test_a_pass_goes_on_bit_for_bit_where_it_was_saved(source, k1, k2, stop, is_boxed):
    torch.manual_seed(0)
    layer = nn.LSTM(I, H, dtype=torch.float64)
    function = boxed(layer) if is_boxed else layer
    whole = [tensors_of(w.run(function))[0].detach() for w in chunks(SOURCES[source](), k1, k2)]
    found = stops_and_goes_on(SOURCES[source], function, k1, k2, stop)
    assert len(found) == len(whole)
    assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True))


def test_a_window_that_was_not_run_or_given_back_is_given_again():
    layer, windows = rnn(), chunks(data(), 4, 6)
    iterator = iter(windows)
    next(iterator).run(layer)
    expected = next(iterator)
    before = windows.state_dict()
    output = expected.run(layer)
    assert windows.state_dict()["source"] != before["source"]
    expected.give_back()
    for place in (before, windows.state_dict()):
        again = chunks(data(), 4, 6)
        again.load_state_dict(place)
        window = next(iter(again))
        torch.testing.assert_close(window.whole.input, expected.whole.input, rtol=0, atol=0)
        assert torch.equal(window.run(layer), output)


def test_streams_go_from_epoch_to_epoch():
    tokens = Tokens(torch.arange(50).numpy().astype("uint8"), torch.tensor([0]).numpy(), 50, 1)
    windows = chunks(Streams(tokens, 2, 5), k2=7)
    for _ in range(2):
        states, inputs = [], []
        for window in windows:
            states.append(window.state)
            inputs.append(window.input)
            window.run(lambda x, state: (x, x[-1:].clone()))
        assert states[0] is None
        assert states[1] is not None
        torch.testing.assert_close(torch.cat(inputs)[:, 1], torch.arange(24, 48))
    assert windows.state is None


def test_memory_does_not_grow():
    """Nothing of older windows is held: neither tensors of theirs, nor a graph behind the state."""
    layer, counts = rnn(), []
    x, y = data(200)
    for window in chunks((x, y), 4, 10):
        F.mse_loss(window.run(layer), window.target).backward()
        assert all(t.grad_fn is None for t in tensors_of(window._owner.state))
        if len(counts) not in (8, 45):
            counts.append(0)
            continue
        gc.collect()
        counts.append(sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects()))
    assert counts[8] == counts[45] > 0


def test_eight_lines_train_a_torch_lstm():
    torch.manual_seed(0)
    x, y = torch.randn(60, 4, 3), torch.randn(60, 4, 3).cumsum(0).tanh()
    losses = []
    lstm, head = nn.LSTM(3, 16), nn.Linear(16, 3)
    optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()], lr=0.02)
    windows = chunks((x, y), k1=10, k2=30)
    for _ in range(15):
        for window in windows:
            loss = F.mse_loss(head(window.run(lstm)), window.target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert sum(losses[-6:]) < 0.5 * sum(losses[:6])


def test_ostinato_layers_are_run_like_those_of_torch():
    layer, (x, y) = ostinato.LSTM(I, H, num_layers=2, dtype=torch.float64), data()
    found = torch.cat([window.run(layer) for window in chunks((x, y), 4, 9)])
    torch.testing.assert_close(found, layer(x)[0])


@pytest.mark.parametrize("k2", [4, 6, 9])
def test_masked_steps_do_not_count_in_a_mean(k2):
    documents = [torch.arange(n + 1) % 5 for n in (10, 3)]

    class Mean(nn.Module):
        def loss(self, chunk, state=None):
            assert state is None or state.shape == (1, 2)
            logits = F.one_hot(chunk.input, 5).double()
            return F.cross_entropy(logits.flatten(0, 1), chunk.target.flatten()), torch.zeros(1, 2)

    for window in chunks(Documents(documents, 2, 4), k2=k2):
        logits, target = F.one_hot(window.input, 5).double(), window.target
        expected = F.cross_entropy(logits[window.mask], target[window.mask])
        torch.testing.assert_close(window.loss(Mean()), expected)


def test_detach_keeps_the_shape_of_any_state():
    leaf = torch.ones(1, requires_grad=True) * 2
    state = detach({"a": [leaf, Pair(leaf, None)]})
    assert not any(tensor.requires_grad for tensor in tensors_of(state))
    assert isinstance(state["a"][1], Pair)
    assert state["a"][1].c is None


def test_slips_are_told():
    x = torch.zeros(6, 1, 1)
    with pytest.raises(ValueError, match="k1: expected at least 1 step"):
        chunks(x, 0)
    with pytest.raises(ValueError, match="k2: expected at least k1 = 4 steps to go back, got 3"):
        chunks(x, 4, 3)
    with pytest.raises(ValueError, match="expected k1 beside it"):
        chunks(x, k2=3)
    with pytest.raises(TypeError, match=r"expected a Chunk, a tensor or a tuple .*, got a str"):
        next(iter(chunks("abc", 1)))
    with pytest.raises(RuntimeError, match=r"expected window\.run, window\.loss or window\.carry"):
        list(chunks(x, 3))
    iterator = iter(chunks(x, 3))
    old = next(iterator)
    old.carry(None)
    next(iterator)
    with pytest.raises(RuntimeError, match="an older one cannot be given back"):
        old.give_back()
    with pytest.raises(ValueError, match="input, target and resets of as many steps, time first, got 6 and 4"):
        next(iter(chunks((x, x[:4]), 3)))


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (torch.zeros(()), r"\(tensor \(\)\)"),
        ((torch.zeros(3, 2), None), r"\(tensor \(3, 2\), NoneType\)"),
        ((0.5, None), r"\(float, NoneType\)"),
        (None, r"\(NoneType\)"),
    ],
)
def test_a_loss_that_is_no_loss_and_state_is_told(given, got):
    class Wrong:
        def loss(self, chunk, state=None):
            return given

    window = next(iter(chunks(torch.zeros(6, 1, 1))))
    with pytest.raises(TypeError, match=f"expected Wrong.loss to give two things, .*, got {got}"):
        window.loss(Wrong())


def test_lists_of_a_data_loader_are_chunks():
    x, y = data()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=6)
    layer = rnn()
    found = torch.cat([window.run(layer) for window in chunks(loader, 4)])
    torch.testing.assert_close(found, layer(x)[0])
