"""Dynamic evaluation against the update written out with torch's own pieces."""

import pytest
import torch
from torch.nn import functional as F

from ostinato.data import CharVocabulary, Chunk
from ostinato.errors import ConfigError
from ostinato.models import DynamicEvaluation, gradient_rms
from ostinato.training import evaluate
from tests.models.support import V, small


def chunks_of(rows, length):
    last = len(rows) - 1
    return [
        Chunk(rows[s : min(s + length, last)], rows[s + 1 : min(s + length, last) + 1], None)
        for s in range(0, last, length)
    ]


def gradients(model, chunk, state):
    model.zero_grad()
    logits, state = model(chunk.input, state)
    loss = F.cross_entropy(logits.flatten(0, 1), chunk.target.flatten())
    loss.backward()
    detached = tuple(v.detach() for v in state) if isinstance(state, tuple) else state.detach()
    return float(loss.detach()), detached, {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("cell", ["lstm", "minlstm", "rhn"])
def test_plain_descent_with_decay(cell):
    model, by_hand = small(cell), small(cell)
    chunks = chunks_of(torch.randint(V, (23, 2)), 5)
    dynamic = DynamicEvaluation(model, "sgd", learning_rate=0.3, decay=0.1)
    start = {name: p.detach().clone() for name, p in by_hand.named_parameters()}
    state = other = None
    for chunk in chunks:
        loss, state = dynamic.loss(chunk, state)
        expected, other, slope = gradients(by_hand, chunk, other)
        assert float(loss) == pytest.approx(expected, rel=1e-9)
        with torch.no_grad():
            for name, p in by_hand.named_parameters():
                p += 0.1 * (start[name] - p) - 0.3 * slope[name]
    torch.testing.assert_close(dict(dynamic.model.named_parameters()), dict(by_hand.named_parameters()))


def test_descent_scaled_by_the_training_text_s_gradients():
    model, by_hand = small(num_layers=2), small(num_layers=2)
    training, chunks = (chunks_of(torch.randint(V, (31, 3)), 5) for _ in range(2))
    rms = gradient_rms(model, training)
    squares, state = [], None
    for chunk in training:
        _, state, slope = gradients(by_hand, chunk, state)
        squares.append({name: g**2 for name, g in slope.items()})
    expected = {name: (sum(s[name] for s in squares) / len(squares)) ** 0.5 for name in rms}
    torch.testing.assert_close(rms, expected)

    dynamic = DynamicEvaluation(model, "rms", learning_rate=0.02, decay=0.4, epsilon=1e-3, statistics=rms)
    mean = sum(v.mean() for v in expected.values()) / len(expected)
    start = {name: p.detach().clone() for name, p in by_hand.named_parameters()}
    state, clipped = None, False
    losses = []
    for chunk in chunks:
        loss, state_of_loss, slope = gradients(by_hand, chunk, state)
        state = state_of_loss
        losses.append(loss)
        with torch.no_grad():
            for name, p in by_hand.named_parameters():
                share = 0.4 * expected[name] / mean
                clipped |= bool((share > 1).any())
                p += share.clamp(max=1.0) * (start[name] - p) - 0.02 * slope[name] / (expected[name] + 1e-3)
    assert clipped
    assert evaluate(dynamic, chunks).nats_per_token == pytest.approx(sum(losses) / len(losses), rel=1e-9)
    torch.testing.assert_close(dict(dynamic.model.named_parameters()), dict(by_hand.named_parameters()))


def test_the_model_given_is_not_changed_and_reset_forgets():
    model = small(dropout=0.5).train()
    before = {name: v.clone() for name, v in model.state_dict().items()}
    rms = gradient_rms(model, chunks_of(torch.randint(V, (11, 2)), 5))
    dynamic = DynamicEvaluation(model, "rms", 0.05, statistics=rms)
    text = "hello hell\n" * 3
    first, second = dynamic.score(text), dynamic.score(text)
    assert first.nats != second.nats
    dynamic.reset()
    assert dynamic.score(text).nats == first.nats
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(v, before[name]) for name, v in model.state_dict().items())


def test_penalties_and_dropout_do_not_act():
    arguments = {"dropout": 0.5, "embedding_dropout": 0.3, "activation_regularisation": 2.0}
    text = "hello hell\n" * 3
    losses = [DynamicEvaluation(small(**given), "sgd", 0.1).score(text).nats for given in ({}, arguments)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("rule", ["sgd", "rms"])
def test_repetition_pays(rule):
    letters = CharVocabulary("abcdefghijklmnopqrstuvwxyz")
    torch.manual_seed(1)
    ids = torch.randint(1, 27, (40,))
    model = small(vocabulary=letters, hidden_size=24).float()
    rms = gradient_rms(model, chunks_of(torch.randint(1, 27, (101, 4)), 5)) if rule == "rms" else None
    dynamic = DynamicEvaluation(model, rule, 0.5 if rule == "sgd" else 0.005, statistics=rms)
    text = letters.decode(ids.repeat(8).tolist())
    assert dynamic.score(text).nats < 0.9 * model.score(text).nats


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "adam"}, "rule: expected one of sgd, rms, got adam"),
        ({"rule": "rms"}, "statistics: rule rms needs what gradient_rms gives"),
        ({"rule": "sgd", "statistics": {}}, "and rule sgd takes none"),
        ({"statistics": {}}, "statistics: expected one of every parameter, embedding.weight is missing"),
        ({"rule": "sgd", "learning_rate": 0.0}, "learning_rate: expected a number above 0, got 0.0"),
        ({"rule": "sgd", "decay": 1.5}, "decay: expected a share from 0 to 1, got 1.5"),
        ({"epsilon": 0.0}, "epsilon: expected a number above 0, got 0.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        DynamicEvaluation(small(), **arguments)


def test_statistics_of_nothing_are_refused():
    with pytest.raises(ConfigError, match="expected at least one chunk"):
        gradient_rms(small(), [])


@pytest.mark.parametrize("rule", ["sgd", "rms"])
def test_frozen_weights_stay_and_the_others_learn(rule):
    model = small(num_layers=2)
    model.embedding.weight.requires_grad_(False)
    rows = torch.randint(V, (23, 2))
    statistics = gradient_rms(model, chunks_of(rows, 5)) if rule == "rms" else None
    dynamic = DynamicEvaluation(model, rule, learning_rate=0.1, decay=0.1, statistics=statistics)
    dynamic.loss(chunks_of(rows, 5)[0])
    changed = {
        name for name, p in dynamic.model.named_parameters() if not torch.equal(p, dict(model.named_parameters())[name])
    }
    assert changed == {name for name, _ in model.named_parameters()} - {"embedding.weight"}
    with pytest.raises(ConfigError, match="none requires a gradient"):
        DynamicEvaluation(model.requires_grad_(False), "sgd")


@pytest.mark.parametrize("rule", ["sgd", "rms"])
def test_it_may_be_moved_to_another_type(rule):
    """As if the model had been moved before; what it goes back to is in the new type, too."""
    rows = chunks_of(torch.randint(V, (23, 2)), 5)

    def losses(moved_first):
        model = small().double()
        if moved_first:
            model.bfloat16()
        statistics = {name: torch.ones_like(p) for name, p in model.named_parameters()} if rule == "rms" else None
        dynamic = DynamicEvaluation(model, rule, learning_rate=0.1, decay=0.5, statistics=statistics)
        if not moved_first:
            dynamic.bfloat16()
        state, found = None, []
        for chunk in rows:
            loss, state = dynamic.loss(chunk, state)
            found.append(float(loss))
        return found, dict(dynamic.model.named_parameters())

    first, second = losses(True), losses(False)
    assert first[0] == second[0]
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])
