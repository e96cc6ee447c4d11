import pytest
import torch
from torch import optim

from ostinato.errors import ConfigError
from ostinato.training.update.optimizers import make_optimizer


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", optim.Adam), ("adamw", optim.AdamW), ("sgd", optim.SGD), ("rmsprop", optim.RMSprop)],
)
@pytest.mark.parametrize("fused", [False, True])
def test_a_step_goes_down(name, kind, fused):
    x = torch.nn.Parameter(torch.ones(3))
    optimizer = make_optimizer(name, [x], learning_rate=0.1, weight_decay=0.01, fused=fused)
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["weight_decay"] == 0.01
    (x * x).sum().backward()
    optimizer.step()
    assert (x < 1.0).all()


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_momentum_is_that_of_sgd(momentum):
    x = torch.nn.Parameter(torch.zeros(()))
    optimizer = make_optimizer("sgd", [x], learning_rate=1.0, momentum=momentum)
    for _ in range(2):
        x.grad = torch.ones(())
        optimizer.step()
    assert x.item() == -1 - (1 + momentum)


def test_an_unknown_optimiser_is_not_taken_for_another():
    with pytest.raises(ConfigError, match="optimizer: expected one of adam, adamw, sgd, rmsprop, got lion"):
        make_optimizer("lion", [torch.nn.Parameter(torch.zeros(1))], learning_rate=0.1)
