import numpy as np
import pytest
import torch

from ostinato.models import FixedWindow


def test_the_equation():
    torch.manual_seed(0)
    model = FixedWindow(5, window=3, embedding_size=2, hidden_size=4)
    windows = torch.tensor([[0, 4, 2], [5, 5, 1]])
    C, W, b = (p.detach().numpy() for p in (model.embedding.weight, model.hidden.weight, model.hidden.bias))
    U, c = model.output.weight.detach().numpy(), model.output.bias.detach().numpy()
    x = np.stack([np.concatenate([C[w] for w in row]) for row in windows.numpy()])
    expected = np.tanh(x @ W.T + b) @ U.T + c
    np.testing.assert_allclose(model(windows).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_score_gives_every_token_the_window_before_it():
    torch.manual_seed(0)
    model = FixedWindow(7, window=3, embedding_size=2, hidden_size=4)
    ids = np.random.default_rng(0).integers(0, 7, 20).astype(np.uint8)
    nothing = 7
    for t, nats in enumerate(model.score(ids)):
        window = [nothing] * max(0, 3 - t) + ids[max(0, t - 3) : t].tolist()
        log_p = torch.log_softmax(model(torch.tensor([window]))[0], dim=0).detach()
        assert nats == pytest.approx(-float(log_p[ids[t]]), rel=1e-5)


def test_it_learns_what_its_window_shows():
    """Each token is the sum of the two before it, modulo 5: two tokens tell all, one tells nothing."""
    random = np.random.default_rng(0)
    runs = []
    for _ in range(40):
        run = random.integers(0, 5, 2).tolist()
        for _ in range(30):
            run.append((run[-1] + run[-2]) % 5)
        runs.append(np.array(run, dtype=np.uint8))
    losses = {}
    for window in (1, 2):
        torch.manual_seed(0)
        model = FixedWindow(5, window, embedding_size=8, hidden_size=64)
        steps = model.fit(runs[:-1], max_time_s=60, max_steps=200, batch_size=256, learning_rate=0.02)
        assert steps == 200
        losses[window] = model.score(runs[-1])[2:].mean()
    assert losses[2] < 0.05
    assert losses[1] > 0.8


def test_fit_ends_with_its_time():
    model = FixedWindow(5, 2, 2, 2)
    assert model.fit([np.zeros(100, dtype=np.uint8)], max_time_s=0.05, batch_size=8) > 0


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1 token, got 0"):
        FixedWindow(5, window=0)
