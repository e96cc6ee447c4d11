import math

import pytest
import torch
from torch import nn

from ostinato.training import TrainingSettings
from ostinato.training.update.averaging import EMA, NonMonotonicASGD, make_averaging


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False, dtype=torch.float64)
        self.second = nn.Linear(3, 3, dtype=torch.float64)
        self.second.weight = self.first.weight
        self.register_buffer("seen", torch.zeros(1))


@pytest.fixture
def module():
    torch.manual_seed(0)
    return Tied()


def walk(module, averaging, steps):
    """Changes the weights at random, as steps would; all of them, by step."""
    path = []
    for _ in range(steps):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter))
        averaging.update()
        path.append([parameter.detach().clone() for parameter in module.parameters()])
    return path


def averaged(averaging, module):
    with averaging.applied():
        return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.parametrize("steps", [1, 2, 30])
@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_ema_is_the_weighted_mean_of_all_steps(module, steps, decay):
    averaging = EMA(module, decay)
    path = walk(module, averaging, steps)
    shares = torch.tensor([decay ** (steps - 1 - i) for i in range(steps)], dtype=torch.float64)
    for i, found in enumerate(averaged(averaging, module)):
        expected = sum(share * weights[i] for share, weights in zip(shares, path, strict=True)) / shares.sum()
        torch.testing.assert_close(found, expected)


def trigger(losses, n):
    """Merity et al. 2017, algorithm 1, as it is printed; the evaluation at which averaging begins."""
    logs = []
    for t, v in enumerate(losses):
        if t > n and v > min(logs[l] for l in range(t - n)):  # noqa: E741
            return t
        logs.append(v)
    return None


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_nt_asgd_is_the_mean_since_validation_stood_still(module, n, seed):
    generator = torch.Generator().manual_seed(seed)
    losses = [1 / (1 + i) + 0.2 * float(torch.rand((), generator=generator)) for i in range(14)]
    averaging, path, begin = NonMonotonicASGD(module, n), [], trigger(losses, n)
    for i, loss in enumerate(losses):
        path += walk(module, averaging, 3)
        averaging.evaluated(loss)
        assert (averaging.weights is not None) == (begin is not None and i >= begin)
    own = [parameter.detach().clone() for parameter in module.parameters()]
    expected = (
        own if begin is None else [torch.stack(each).mean(0) for each in zip(*path[3 * (begin + 1) - 1 :], strict=True)]
    )
    torch.testing.assert_close(averaged(averaging, module), expected)


def test_an_evaluation_without_a_number_is_the_worst(module):
    averaging = NonMonotonicASGD(module, 1)
    for loss in (math.nan, 1.0, 0.9):
        averaging.evaluated(loss)
    assert averaging.weights is None
    averaging.evaluated(math.nan)
    assert averaging.weights is not None


def test_training_goes_on_with_the_weights_themselves_bit_for_bit(module):
    averaging = EMA(module, 0.9)
    walk(module, averaging, 5)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    with averaging.applied():
        assert not torch.equal(module.first.weight, before[0])
        assert module.second.weight is module.first.weight
        assert torch.equal(module.state_dict()["second.weight"], module.first.weight)
    assert all(torch.equal(*pair) for pair in zip(module.parameters(), before, strict=True))


@pytest.mark.parametrize("name", ["ema", "nt-asgd"])
def test_it_goes_on_from_its_state(module, name):
    settings = TrainingSettings(averaging=name, averaging_patience=1, ema_decay=0.8)
    first, second = make_averaging(module, settings), make_averaging(module, settings)
    for loss in (1.0, 2.0, 3.0):
        walk(module, first, 2)
        first.evaluated(loss)
    saved = first.state_dict()
    saved = {**saved, "weights": {key: tensor.clone() for key, tensor in saved["weights"].items()}}
    second.load_state_dict(saved)
    own = [parameter.detach().clone() for parameter in module.parameters()]
    walk(module, first, 1)
    step = [parameter.detach().clone() for parameter in module.parameters()]
    assert not torch.equal(own[0], step[0])
    second.update()
    assert all(torch.equal(a, b) for a, b in zip(averaged(first, module), averaged(second, module), strict=True))


def test_none_is_none(module):
    assert make_averaging(module, TrainingSettings()) is None
