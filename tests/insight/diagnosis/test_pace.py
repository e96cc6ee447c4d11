import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import ostinato
from ostinato.insight import doctor
from ostinato.insight.diagnosis.pace import sharpness_of
from ostinato.insight.diagnosis.patient import Patient, fit_for_examination

from .patients import KINDS, H, I, Reader, chunk, trained

both = pytest.mark.parametrize("layers", KINDS.values(), ids=KINDS)


def admitted(model: nn.Module, optimizer: torch.optim.Optimizer, batch=None, loss=None) -> Patient:
    return Patient(model, fit_for_examination(model), chunk(0) if batch is None else batch, loss, optimizer=optimizer)


class Tiny(nn.Module):
    """Few enough parameters for a Hessian."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer, self.output = layer, nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.layer(x)[0][-1])


def hessian(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Of the squared error, by a second backward pass for each parameter, (N, N)."""
    parameters = list(model.parameters())
    with ostinato.backend("reference"):
        loss = F.mse_loss(model(batch[0]), batch[1])
    flat = torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, create_graph=True)])
    each = [torch.autograd.grad(g, parameters, retain_graph=True) for g in flat]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in each])


def squared(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return F.mse_loss(model(batch[0]), batch[1])


@both
def test_the_sharpness_is_the_largest_eigenvalue_of_the_hessian(layers) -> None:
    torch.manual_seed(0)
    model = Tiny(layers.LSTM(1, 2)).double()
    batch = (torch.randn(6, 5, 1).double(), 3 + torch.randn(5, 1).double())
    patient = admitted(model, torch.optim.SGD(model.parameters(), lr=0.1), batch, squared)
    expected = float(torch.linalg.eigvalsh(hessian(ostinato.convert(model), batch)).max())
    assert sharpness_of(patient) == pytest.approx(expected, rel=0.02)


def test_the_sharpness_in_adams_measure() -> None:
    torch.manual_seed(0)
    model = Tiny(ostinato.GRU(1, 2)).double()
    batch = (torch.randn(6, 5, 1).double(), 3 + torch.randn(5, 1).double())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        with ostinato.backend("reference"):
            squared(model, batch).backward()
        optimizer.step()
    states = [optimizer.state[p] for p in model.parameters()]
    scale = torch.cat([(s["exp_avg_sq"] / (1 - 0.999**5)).sqrt().flatten() + 1e-8 for s in states]).rsqrt()
    expected = float(torch.linalg.eigvalsh(scale[:, None] * hessian(model, batch) * scale).max())
    assert sharpness_of(admitted(model, optimizer, batch, squared)) == pytest.approx(expected, rel=0.05)


def test_an_adam_that_has_measured_nothing() -> None:
    torch.manual_seed(0)
    model = Reader(nn.GRU(I, H))
    assert sharpness_of(admitted(model, torch.optim.Adam(model.parameters()))) is None


@both
def test_a_learning_rate_beyond_the_bound(layers) -> None:
    torch.manual_seed(0)
    model = Reader(layers.GRU(I, H))
    optimizer = torch.optim.SGD(model.parameters(), lr=200.0)
    found = doctor(model, chunk(0), optimizer=optimizer)
    assert found.names == ["learning rate too high"]
    numbers = found[0].numbers
    assert numbers["bound"].value == pytest.approx(2 / sharpness_of(admitted(model, optimizer)), rel=0.01)
    assert numbers["after"].value > numbers["before"].value > numbers["after the remedy"].value


@both
def test_a_learning_rate_within_the_bound(layers) -> None:
    torch.manual_seed(0)
    model = Reader(layers.GRU(I, H))
    for optimizer in (
        torch.optim.SGD(model.parameters(), lr=0.5),
        torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, nesterov=True),
        torch.optim.Adam(model.parameters(), lr=3e-3),
        torch.optim.RMSprop(model.parameters(), lr=3e-3),
    ):
        assert doctor(model, chunk(0), optimizer=optimizer).names == []


@both
def test_a_learning_rate_far_below_the_bound(layers) -> None:
    torch.manual_seed(0)
    model = Reader(layers.GRU(I, H))
    found = doctor(model, chunk(0), optimizer=torch.optim.SGD(model.parameters(), lr=1e-4))
    assert found.names == []  # even a hundred times as much would win little: nothing to show
    found = doctor(model, chunk(0), optimizer=torch.optim.SGD(model.parameters(), lr=5e-3))
    assert found.names == ["learning rate too low"]
    assert found[0].numbers["won by the remedy"].value > 20 * found[0].numbers["won"].value > 0


@both
def test_adam(layers) -> None:
    one = trained(layers.GRU(I, H), updates=30)
    for lr, names in ((3.0, ["learning rate too high"]), (5e-3, []), (1e-5, ["learning rate too low"])):
        one.optimizer.param_groups[0]["lr"] = lr
        assert doctor(one.model, chunk(0), optimizer=one.optimizer).names == names


def test_adam_as_it_is_where_nobody_chose_a_rate() -> None:
    """100 times as much would do much more in a few updates, and yet this is no fault."""
    for seed in range(3):
        torch.manual_seed(seed)
        model = Tiny(nn.GRU(1, 2))
        batch = (torch.rand(10, 32, 1), 1 + torch.rand(32, 1))
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(8):
            optimizer.zero_grad()
            squared(model, batch).backward()
            optimizer.step()
        assert doctor(model, batch, squared, optimizer=optimizer).names == []


def test_a_schedule_that_has_ended() -> None:
    one = trained(nn.GRU(I, H), updates=30)
    group = one.optimizer.param_groups[0]
    group["initial_lr"], group["lr"] = 5e-3, 1e-7
    assert doctor(one.model, chunk(0), optimizer=one.optimizer).names == []
    group["lr"] = 0.0
    assert doctor(one.model, chunk(0), optimizer=one.optimizer).names == []


def test_an_optimizer_of_something_else_too() -> None:
    model, other = Reader(nn.GRU(I, H)), nn.Linear(2, 2)
    optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.5)
    assert "other modules" in doctor(model, chunk(0), optimizer=optimizer).unchecked["learning rate"]


class OfAModel(torch.optim.SGD):
    """An optimiser that is not made from parameter groups."""

    def __init__(self, model, lr):
        super().__init__(model.parameters(), lr)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda model: torch.optim.LBFGS(model.parameters()), "an update of LBFGS cannot be tried: .*closure"),
        (lambda model: OfAModel(model, 0.1), "an optimizer OfAModel cannot be made from parameter groups to try it"),
    ],
)
def test_an_optimiser_that_cannot_be_tried_is_told_and_all_else_is_checked(make, reason):
    model = Reader(nn.GRU(I, H))
    found = doctor(model, chunk(0), optimizer=make(model))
    assert re.search(reason, found.unchecked["learning rate"])
    assert "parameters not in the optimizer" in found.checked
