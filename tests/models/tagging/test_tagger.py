import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ostinato.cells.library import NAMED
from ostinato.data.batches.batches import Batch
from ostinato.errors import ConfigError
from ostinato.models.tagging.tagger import Tagger
from ostinato.nn import span_constraints

N = 3


def make(output="softmax", **arguments):
    torch.manual_seed(0)
    return Tagger(nn.Embedding(7, 4), N, **{"hidden_size": 4, "output": output, **arguments})


def batch_of(sequences, more=0, filler=0):
    """Tokens, and for each a target from -1 to N: one that is no tag on either side."""
    lengths = torch.tensor([len(each) for each in sequences])
    T = max(1, int(lengths.max())) + more
    input, target = torch.full((T, len(sequences)), filler), torch.full((T, len(sequences)), filler)
    for row, each in enumerate(sequences):
        input[: len(each), row] = torch.tensor(each, dtype=torch.int64)
        target[: len(each), row] = torch.tensor([token % (N + 2) - 1 for token in each], dtype=torch.int64)
    return Batch(input, target, lengths, torch.arange(len(sequences)))


@pytest.mark.parametrize("output", ["softmax", "crf"])
@settings(max_examples=20, deadline=None)
@given(
    sequences=st.lists(st.lists(st.integers(0, 6), max_size=5), min_size=1, max_size=4),
    more=st.integers(1, 4),
    filler=st.integers(0, 6),
    bidirectional=st.booleans(),
)
def test_more_padding_changes_no_loss_no_gradient_and_no_answer(output, sequences, more, filler, bidirectional):
    model = make(output, num_layers=2, bidirectional=bidirectional).double()
    found = []
    for batch in (batch_of(sequences), batch_of(sequences, more, filler)):
        model.zero_grad()
        loss, state = model.loss(batch)
        loss.backward()
        assert state is None
        gradients = [torch.zeros(()) if each.grad is None else each.grad.clone() for each in model.parameters()]
        tags = model.decode(model(batch.input, batch.lengths), batch.lengths)
        found.append((loss.detach(), gradients, tags))
    torch.testing.assert_close(found[1][:2], found[0][:2], rtol=1e-9, atol=1e-11)
    assert torch.equal(found[1][2][: len(found[0][2])], found[0][2])
    assert torch.all(found[1][2][len(found[0][2]) :] == 0)


def test_the_softmax_loss_is_the_smoothed_or_weighted_mean_over_the_tags_that_are_known():
    model = make(label_smoothing=0.3)
    emissions = torch.randn(2, 3, N)
    target, lengths = torch.tensor([[0, 2, -1], [1, 0, N]]), torch.tensor([2, 1, 2])
    known = [(0, 0, 0), (1, 0, 1), (0, 1, 2)]  # the rest is padding, no tag or none of training's
    p = emissions.log_softmax(-1)
    plain = -sum(p[t, row, tag] for t, row, tag in known) / 3
    smooth = -sum(0.7 * p[t, row, tag] + 0.1 * p[t, row].sum() for t, row, tag in known) / 3
    torch.testing.assert_close(model.tag_loss(emissions, target, lengths), smooth)
    torch.testing.assert_close(model.eval().tag_loss(emissions, target, lengths), plain)
    weights = [0.5, 3.0, 1.0]
    weighted = -sum(weights[tag] * p[t, row, tag] for t, row, tag in known) / 3
    model = make(class_weights=weights)
    torch.testing.assert_close(model.tag_loss(emissions, target, lengths), weighted)
    torch.testing.assert_close(model.eval().tag_loss(emissions, target, lengths), plain)


def path_scores(model, e):
    """The score of every path through one row, e: (T, N)."""
    crf, scores = model.crf, {}
    for y in itertools.product(range(N), repeat=len(e)):
        score = sum(e[t, tag].item() for t, tag in enumerate(y)) + crf.start[y[0]].item() + crf.end[y[-1]].item()
        scores[y] = score + sum(crf.transitions[pair].item() for pair in itertools.pairwise(y))
    return scores


def log_sum(scores):
    return math.log(sum(map(math.exp, scores)))


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(-1, N), min_size=1, max_size=4), min_size=1, max_size=3), seed=st.integers(0, 9)
)
def test_the_crf_loss_sums_over_all_paths_through_the_tags_that_are_known(rows, seed):
    model = make("crf").double()
    T = max(map(len, rows))
    e = torch.randn(T, len(rows), N, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    target = torch.zeros(T, len(rows), dtype=torch.int64)
    expected, count = 0.0, 0
    for row, gold in enumerate(rows):
        target[: len(gold), row] = torch.tensor(gold)
        scores = path_scores(model, e[: len(gold), row])
        fits = [s for y, s in scores.items() if all(g == tag or g in (-1, N) for g, tag in zip(gold, y, strict=True))]
        expected += log_sum(scores.values()) - log_sum(fits)
        count += sum(0 <= g < N for g in gold)
    loss = model.tag_loss(e, target, torch.tensor([len(gold) for gold in rows]))
    assert loss.item() == pytest.approx(expected / max(count, 1), abs=1e-9)


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_without_any_known_tag_there_is_no_loss(output):
    loss, _ = make(output).loss(Batch(torch.ones(3, 2).long(), torch.full((3, 2), -1), None, torch.arange(2)))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    loss.backward()


def test_answers_of_softmax_are_the_likeliest_tags():
    model, e = make(), torch.randn(4, 2, N)
    assert torch.equal(model.decode(e), e.argmax(-1))
    torch.testing.assert_close(model.probabilities(e), e.softmax(-1))


def test_constraints_for_another_number_of_tags_are_refused():
    with pytest.raises(
        ConfigError, match=r"constraints.transitions: expected the shape \(3, 3\) for 3 tags, got \(2, 2\)"
    ):
        make("crf", constraints=span_constraints(["O", "B-x"]))


def test_answers_of_a_crf_heed_the_constraints_and_its_loss_does_not():
    constraints = span_constraints(["O", "B-x", "I-x"])
    free, bound = make("crf").double(), make("crf", constraints=constraints).double()
    e = torch.randn(4, 6, N, dtype=torch.float64)
    e[:, :, 2] += 1.0  # so that there is something to forbid
    tags = bound.decode(e)
    for row in range(6):
        scores = path_scores(bound, e[:, row])
        allowed = {y: s for y, s in scores.items() if all(b != 2 or a != 0 for a, b in itertools.pairwise((0, *y)))}
        assert tuple(tags[:, row].tolist()) == max(allowed, key=allowed.__getitem__)
        assert scores[tuple(free.decode(e)[:, row].tolist())] == max(scores.values())
    gold = torch.full((4, 6), 2)
    loss = bound.tag_loss(e, gold, None)
    assert torch.isfinite(loss)
    torch.testing.assert_close(loss, free.tag_loss(e, gold, None))


def test_probabilities_of_a_crf_are_shares_of_paths():
    model, e = make("crf").double(), torch.randn(3, 1, N, dtype=torch.float64)
    scores = path_scores(model, e[:, 0])
    total = sum(map(math.exp, scores.values()))
    expected = torch.zeros(3, N, dtype=torch.float64)
    for y, score in scores.items():
        for step, tag in enumerate(y):
            expected[step, tag] += math.exp(score) / total
    torch.testing.assert_close(model.probabilities(e)[:, 0], expected)


@pytest.mark.parametrize("cell", list(NAMED))
def test_every_cell_tags_sequences_longer_and_shorter_than_any(cell):
    model = make(cell=cell, window=16).eval()
    for T in (1, 50):
        tags = model.decode(model(torch.ones(T, 2).long(), torch.tensor([T, 0])), torch.tensor([T, 0]))
        assert tags.shape == (T, 2)
        assert torch.all(tags[:, 1] == 0)


def test_long_sequences_are_read_in_windows_but_in_training():
    model, whole = make(window=8), make(window=100)
    input, lengths = torch.randint(7, (30, 2)), torch.tensor([30, 5])
    torch.testing.assert_close(model(input, lengths), whole(input, lengths))
    model.eval()
    whole.eval()
    found = model(input, lengths)
    torch.testing.assert_close(found[:5, 1], whole(input[:5, 1:])[:, 0], rtol=1e-5, atol=1e-6)
    # Steps 4 to 7 are the middle of the window 2 to 9.
    torch.testing.assert_close(found[4:8, 0], whole(input[2:10, :1])[2:6, 0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found[:, 0], whole(input, lengths)[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 3}, "window: expected at least 4 steps, got 3"),
        ({"dropout": 1.0}, "dropout: expected a rate from 0 to below 1"),
        ({"output": "argmax"}, "output: expected softmax or crf, got argmax"),
        ({"output": "crf", "label_smoothing": 0.1}, "label_smoothing: expected 0 with a CRF"),
        ({"output": "crf", "class_weights": [1.0] * N}, "class_weights: expected none with a CRF"),
        ({"class_weights": [1.0]}, "class_weights: expected 3 numbers of at least 0"),
        ({"class_weights": [1.0, math.inf, 1.0]}, "class_weights: expected 3 numbers of at least 0"),
        ({"cell": "lstn"}, "cell: expected one of lstm, gru, "),
        ({"options": {"bidirectional": True}}, "options: bidirectional cannot be given here"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        make(**arguments)
    with pytest.raises(ConfigError, match="num_tags: expected at least 1, got 0"):
        Tagger(nn.Embedding(2, 2), 0)
