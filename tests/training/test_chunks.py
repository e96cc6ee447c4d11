import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.data import Chunk
from ostinato.training import TruncatedBPTT, detach


class Reader(nn.Module):
    """Predicts the next of five tokens with a GRU; its state is nested on purpose."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(5, 4)
        self.gru = nn.GRU(4, 6)
        self.output = nn.Linear(6, 5)
        self.double()

    def loss(self, chunk, state=None):
        h, last = self.gru(self.embedding(chunk.input), state and state["layers"][0])
        return F.cross_entropy(self.output(h).flatten(0, 1), chunk.target.flatten()), {"layers": [last]}


def chunks(T, every):
    tokens = torch.randint(5, (T + 1, 2), generator=torch.Generator().manual_seed(1))
    return [Chunk(tokens[s : s + every], tokens[s + 1 : s + every + 1], None) for s in range(0, T, every)]


def test_the_forward_pass_is_that_of_the_whole_text():
    model = Reader()
    whole, _ = model.loss(chunks(24, 24)[0])
    bptt = TruncatedBPTT(model)
    losses = [bptt(chunk) for chunk in chunks(24, 6)]
    torch.testing.assert_close(torch.stack(losses).mean(), whole)


def test_the_gradient_stops_between_chunks():
    """Of the second chunk it is that of a fresh model which is given the first chunk's state as a constant."""
    model, (first, second) = Reader(), chunks(12, 6)
    bptt = TruncatedBPTT(model)
    bptt(first).backward()
    model.zero_grad()
    bptt(second).backward()
    truncated = [p.grad for p in model.parameters()]
    model.zero_grad()
    with torch.no_grad():
        _, state = model.loss(first)
    model.loss(second, state)[0].backward()
    torch.testing.assert_close(truncated, [p.grad for p in model.parameters()])
    # And it is not the gradient of going back all the way.
    model.zero_grad()
    _, state = model.loss(first)
    model.loss(second, state)[0].backward()
    assert not torch.allclose(truncated[1], model.gru.weight_ih_l0.grad)


def test_reset_begins_again():
    bptt, chunk = TruncatedBPTT(Reader()), chunks(6, 6)[0]
    first = bptt(chunk)
    assert not torch.equal(bptt(chunk), first)
    bptt.reset()
    assert torch.equal(bptt(chunk), first)


def test_detach_keeps_the_shape_of_any_state():
    leaf = torch.ones(1, requires_grad=True) * 2
    state = detach({"a": [leaf, (leaf, None)]})
    assert not state["a"][0].requires_grad
    assert not state["a"][1][0].requires_grad
    assert state["a"][1][1] is None


def test_a_module_without_loss_is_refused():
    with pytest.raises(TypeError, match=r"loss\(chunk, state\), got a Linear"):
        TruncatedBPTT(nn.Linear(1, 1))
