import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.data import Batch, Chunk
from ostinato.training import Chunks, TrainingSettings
from ostinato.training.distributed.device import make_fabric
from ostinato.training.distributed.processes import Processes
from ostinato.training.update.update import NotFiniteError, Updater


class Reader(nn.Module):
    """Predicts the next of five tokens; breaks where it is told to."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.gru, self.output = nn.Embedding(5, 4), nn.GRU(4, 6), nn.Linear(6, 5)
        self.double()
        self.calls, self.breaks_at, self.breaks = 0, 0, ""

    def loss(self, chunk, state=None):
        h, state = self.gru(self.embedding(chunk.input), state)
        loss = F.cross_entropy(self.output(h).flatten(0, 1), chunk.target.flatten())
        self.calls += 1
        if self.calls == self.breaks_at:
            if self.breaks == "loss":
                return loss * math.inf, state
            h = self.output.bias - self.output.bias.detach()
            return loss + h.abs().sqrt().sum(), state  # a finite loss with an infinite slope
        return loss, state


def chunks(count):
    tokens = torch.randint(5, (6 * count + 1, 2), generator=torch.Generator().manual_seed(1))
    return [Chunk(tokens[s : s + 6], tokens[s + 1 : s + 7], None) for s in range(0, 6 * count, 6)]


def make(module, count=12, **settings):
    settings = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": None, **settings}
    source = Chunks(chunks(count))
    updater = Updater(module, source, TrainingSettings(**settings), Processes(make_fabric("cpu", "64-true")))
    return updater, iter(source)


def update(updater, windows, rate=0.5, mark=None):
    updater.begin(mark)
    for _ in range(updater.settings.accumulate):
        updater.add(next(windows))
    return updater.finish(rate)


def weights(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def plain(count, accumulate=1, rate=0.5):
    """Truncated BPTT and gradient descent as anyone would write them."""
    module = Reader()
    state, losses = None, []
    for group in range(0, count, accumulate):
        module.zero_grad()
        for chunk in chunks(count)[group : group + accumulate]:
            loss, state = module.loss(chunk, state)
            (loss / accumulate).backward()
            state = state.detach()
            losses.append(loss.item())
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= rate * parameter.grad
    return weights(module), losses


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_it_is_a_plain_loop(accumulate):
    module = Reader()
    updater, windows = make(module, accumulate=accumulate)
    measured = [each for _ in range(12 // accumulate) for each in update(updater, windows)]
    expected, losses = plain(12, accumulate)
    torch.testing.assert_close(weights(module), expected)
    assert sum(each.nats for each in measured) == pytest.approx(sum(losses) * 12)
    assert [each.tokens for each in measured] == [12 * accumulate] * (12 // accumulate)


class Words(nn.Module):
    """Predicts a number at each step of each row, and takes the mean over those that are real."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.output = nn.Linear(3, 1).double()

    def loss(self, batch, state=None):
        valid = torch.arange(len(batch.input))[:, None] < batch.lengths
        error = (self.output(batch.input).squeeze(-1) - batch.target).square()
        return error[valid].sum() / valid.sum().clamp_min(1), None


@pytest.mark.parametrize("lengths", [[[5, 1], [2], [4, 4, 3]], [[0], [3, 5]], [[2, 2], [0]], [[0], [0]]])
def test_accumulated_batches_of_unequal_lengths_are_one_large_batch(lengths):
    generator = torch.Generator().manual_seed(1)

    def batch(rows):
        x = torch.randn(5, len(rows), 3, dtype=torch.float64, generator=generator)
        y = torch.randn(5, len(rows), dtype=torch.float64, generator=generator)
        return Batch(x, y, torch.tensor(rows), torch.arange(len(rows)), count=sum(rows), total=sum(rows))

    batches = [batch(rows) for rows in lengths]
    one = Batch(
        torch.cat([each.input for each in batches], 1),
        torch.cat([each.target for each in batches], 1),
        torch.tensor([length for rows in lengths for length in rows]),
        torch.arange(sum(map(len, lengths))),
    )
    expected = Words()
    expected.loss(one)[0].backward()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter -= 0.5 * parameter.grad
    module = Words()
    plain_descent = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": None}
    settings = TrainingSettings(**plain_descent, accumulate=len(batches))
    updater = Updater(module, Chunks(batches), settings, Processes(make_fabric("cpu", "64-true")))
    update(updater, iter(updater.source))
    torch.testing.assert_close(weights(module), weights(expected))


def test_accumulated_chunks_of_unequal_lengths_are_one_long_chunk():
    tokens = chunks(2)
    short = Chunk(tokens[1].input[:2], tokens[1].target[:2], None)
    module, expected = Reader(), Reader()
    descent = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": None}
    settings = TrainingSettings(**descent, accumulate=2)
    updater = Updater(module, Chunks([tokens[0], short]), settings, Processes(make_fabric("cpu", "64-true")))
    update(updater, iter(updater.source))
    first, state = expected.loss(tokens[0])
    second, _ = expected.loss(short, state.detach())
    ((6 * first + 2 * second) / 8).backward()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter -= 0.5 * parameter.grad
    torch.testing.assert_close(weights(module), weights(expected))


@pytest.mark.parametrize("reads_every_update", [True, False])
@pytest.mark.parametrize("breaks", ["loss", "gradient"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_what_is_not_finite_does_not_reach_the_weights(reads_every_update, breaks, optimizer):
    """As if it had never been tried: also where the numbers are looked at only after more updates."""
    module, other = Reader(), Reader()
    module.breaks_at, module.breaks = 4, breaks
    updater, windows = make(module, optimizer=optimizer)
    updater.reads_every_update = reads_every_update
    reference, same_windows = make(other, optimizer=optimizer)
    for _ in range(3):
        update(reference, same_windows)

    def go():
        for step in range(6):
            update(updater, windows, mark=step)
        updater.read()

    with pytest.raises(NotFiniteError) as error:
        go()
    assert error.value.attempt.mark == 3
    assert len(error.value.measured) == (0 if reads_every_update else 3)
    assert math.isfinite(error.value.loss) == (breaks == "gradient")
    assert not math.isfinite(error.value.norm)
    assert all(torch.equal(a, b) for a, b in zip(weights(module), weights(other), strict=True))

    # Once more from there, and nothing breaks: everything is as it was.
    updater.go_back(error.value.attempt)
    assert updater.unread == []
    windows = iter(updater.source)
    for _ in range(3):
        update(updater, windows)
        update(reference, same_windows)
    updater.read()
    assert all(torch.equal(a, b) for a, b in zip(weights(module), weights(other), strict=True))


def test_it_is_repeated_as_it_was():
    module = Reader()
    module.breaks_at, module.breaks = 4, "loss"
    updater, windows = make(module, accumulate=2)
    update(updater, windows)
    with pytest.raises(NotFiniteError) as error:
        update(updater, windows)
    updater.repeat(error.value.attempt)
    # Now nothing breaks. By hand: the second update's gradients, with the weights of the first and the state that it left.
    expected, state = Reader(), None
    for chunk in chunks(2):
        state = expected.loss(chunk, state)[1].detach()
    moved, _ = plain(2, 2)
    with torch.no_grad():
        for parameter, tensor in zip(expected.parameters(), moved, strict=True):
            parameter.copy_(tensor)
    for chunk in chunks(4)[2:]:
        loss, state = expected.loss(chunk, state)
        (loss / 2).backward()
        state = state.detach()
    torch.testing.assert_close([p.grad for p in module.parameters()], [p.grad for p in expected.parameters()])


def test_the_loss_told_is_without_the_penalty():
    module = Reader()
    loss, module.penalty = module.loss, torch.tensor(2.0)
    module.loss = lambda chunk, state=None: (loss(chunk, state)[0] + 2.0, loss(chunk, state)[1])
    updater, windows = make(module)
    (measured,) = update(updater, windows)
    assert measured.nats / measured.tokens == pytest.approx(plain(1)[1][0])


def test_a_module_without_loss_is_refused():
    with pytest.raises(TypeError, match=r"loss\(chunk, state\), got a Linear"):
        make(nn.Linear(1, 1))


def test_the_hidden_state_lies_in_memory_as_one_that_was_read():
    """A view of all outputs does not: products of matrices may then round otherwise than after a resume."""
    module = Reader()
    loss = module.loss
    module.loss = lambda chunk, state=None: (lambda mean, after: (mean, torch.cat((after, after))[1:]))(
        *loss(chunk, state)
    )
    updater, windows = make(module)
    update(updater, windows)
    assert updater.source.state.storage_offset() == 0
