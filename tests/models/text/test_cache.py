"""The cache against its definition, token by token over an explicit list of what was seen."""

import math

import pytest
import torch

from ostinato.data import CharVocabulary, Chunk
from ostinato.errors import ConfigError
from ostinato.models import ContinuousCache
from ostinato.training import evaluate
from tests.models.support import LETTERS, V, small


def by_hand(model, ids, window, theta, share):
    """Nats of each token of one text after the first."""
    with torch.no_grad():
        h, _ = model.features(torch.tensor(ids[:-1])[:, None])
        p_model = torch.softmax(model.output(h)[:, 0], -1)
    h, nats, seen = h[:, 0], [], []
    for t, word in enumerate(ids[1:]):
        p = float(p_model[t, word])
        near = seen[-window:]
        if near:
            weights = [math.exp(theta * float(h[t] @ h_i)) for h_i, _ in near]
            cached = sum(w for w, (_, x) in zip(weights, near, strict=True) if x == word) / sum(weights)
            p = (1 - share) * p + share * cached
        nats.append(-math.log(p))
        seen.append((h[t], word))
    return nats


@pytest.mark.parametrize(
    ("window", "theta", "share"), [(3, 0.7, 0.3), (50, 0.0, 0.5), (7, 2.0, 0.9), (5, 1.0, 0.0), (1, 1.0, 0.2)]
)
@pytest.mark.parametrize("chunk_length", [1, 4, 11, 40])
def test_it_is_the_definition_however_the_text_is_cut(window, theta, share, chunk_length):
    model = small(num_layers=2)
    rows = torch.randint(V, (41, 3))
    cache = ContinuousCache(model, window, theta, share)
    nats, state = 0.0, None
    for start in range(0, 40, chunk_length):
        end = min(start + chunk_length, 40)
        loss, state = cache.loss(Chunk(rows[start:end], rows[start + 1 : end + 1], None), state)
        nats += float(loss) * (end - start) * 3
    expected = sum(sum(by_hand(model, rows[:, b].tolist(), window, theta, share)) for b in range(3))
    assert nats == pytest.approx(expected, rel=1e-9)


def test_a_text_sees_its_own_past_only():
    model = small()
    rows = torch.randint(V, (31, 2))
    resets = torch.zeros(30, 2, dtype=torch.bool)
    resets[12, 1] = resets[0, 0] = resets[20, 1] = True
    cache, state, nats = ContinuousCache(model, 50, 1.0, 0.4), None, 0.0
    for start in (0, 10, 20):
        at = slice(start, start + 10)
        loss, state = cache.loss(Chunk(rows[at], rows[start + 1 : start + 11], resets[at]), state)
        nats += float(loss) * 20
    texts = [rows[:, 0], rows[:13, 1], rows[12:21, 1], rows[20:, 1]]
    expected = sum(sum(by_hand(model, text.tolist(), 50, 1.0, 0.4)) for text in texts)
    assert nats == pytest.approx(expected, rel=1e-9)


def test_it_scores_a_text_and_goes_on_from_its_state():
    model = small()
    cache = ContinuousCache(model, 30, 1.0, 0.3)
    text = "hello hell\noh hello " * 12  # longer than a block
    whole = cache.score(text)
    assert whole.nats == pytest.approx(sum(by_hand(model, LETTERS.encode(text).tolist(), 30, 1.0, 0.3)))
    first = cache.score(text[:77])
    second = cache.score(text[77:], first.state)
    assert first.nats + second.nats == pytest.approx(whole.nats)
    assert first.characters + second.characters == whole.characters == 239


def test_repetition_pays():
    letters = CharVocabulary("abcdefghijklmnopqrstuvwxyz")
    torch.manual_seed(1)
    ids = torch.randint(1, 27, (40,)).repeat(6)
    model = small(vocabulary=letters, hidden_size=24).float()
    text = letters.decode(ids.tolist())
    assert ContinuousCache(model, 100, 2.0, 0.5).score(text).nats < 0.8 * model.score(text).nats


def test_the_training_s_evaluation_reads_with_it():
    model = small(dropout=0.5).train()
    rows = torch.randint(V, (21, 2))
    chunks = [Chunk(rows[s : s + 5], rows[s + 1 : s + 6], None) for s in range(0, 20, 5)]
    before = {name: v.clone() for name, v in model.state_dict().items()}
    nats = evaluate(ContinuousCache(model, 9, 1.0, 0.3), chunks).nats
    assert model.training
    assert all(torch.equal(v, before[name]) for name, v in model.state_dict().items())
    model.eval()
    assert nats == pytest.approx(sum(sum(by_hand(model, rows[:, b].tolist(), 9, 1.0, 0.3)) for b in range(2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "window: expected at least 1 step, got 0"),
        ({"theta": -1.0}, "theta: expected a number of at least 0, got -1.0"),
        ({"share": 1.0}, "share: expected a number from 0 to below 1, got 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ContinuousCache(small(), **arguments)
