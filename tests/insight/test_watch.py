"""Watching a model that trains: the training is the same, the time is bounded, the curves are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import watch as cost
from torch.utils.tensorboard import SummaryWriter

import ostinato
from ostinato.insight import InsightError, Watch, gradient_flow, saturation
from tests.insight.models import square_loss


class Clock:
    """Goes on by what it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Curves:
    """Keeps what would be written, and takes some time for it."""

    def __init__(self, clock: Clock, cost_s: float) -> None:
        self.clock, self.cost_s, self.points = clock, cost_s, []

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        if not self.points or self.points[-1][1] != global_step:
            self.clock.now += self.cost_s
        self.points.append((tag, global_step, scalar_value))


def train(watched: bool, steps: int = 6) -> list[torch.Tensor]:
    torch.manual_seed(0)
    layer: Any = ostinato.GRU(3, 4, 2, dropout=0.3, backend="reference")
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    x = torch.randn(5, 2, 3)
    if watched:
        Watch(layer, x, square_loss, every=2, at_most=1.0).attach(optimizer)
    for _ in range(steps):
        optimizer.zero_grad()
        square_loss(layer, x + torch.randn(())).backward()
        optimizer.step()
    return [p.detach() for p in layer.parameters()]


def test_training_goes_on_as_it_would_have() -> None:
    for a, b in zip(train(True), train(False), strict=True):
        assert torch.equal(a, b)


def test_it_measures_every_n_steps_within_its_share_of_the_time() -> None:
    clock = Clock()
    curves = Curves(clock, cost_s=0.3)
    watch = Watch(
        torch.nn.GRU(2, 3), torch.randn(4, 2, 2), square_loss, writer=curves, every=5, at_most=0.05, clock=clock
    )
    for step in range(1, 301):
        clock.now += 0.1
        watch(step)
    measured = [step for step, _ in watch.history]
    assert measured[0] == 5
    assert all(step % 5 == 0 for step in measured)
    assert watch.share <= 0.05
    # 30.3 s of training and 0.05 of it for measurements of 0.3 s each: there is time for five, and no more.
    assert len(measured) == 5
    assert sorted({step for _, step, _ in curves.points}) == measured


def test_the_numbers_are_those_of_the_functions_and_reach_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    torch.manual_seed(0)
    layer, x = torch.nn.LSTM(3, 4), torch.randn(30, 2, 3)
    with SummaryWriter(str(tmp_path)) as writer:
        watch = Watch(layer, x, square_loss, writer=writer, every=1)
        watch(7)
    flow, gates = gradient_flow(layer, x, square_loss, probes=1), saturation(layer, x)
    assert watch.history == [(7, {**flow.scalars(), **gates.scalars()})]
    board = EventAccumulator(str(tmp_path)).Reload()
    (point,) = board.Scalars("insight/l0/reach in steps")
    assert (point.step, point.value) == (7, float(flow.layers[0].reach_steps or 30))
    assert watch.history[0][1]["l0/f high share"] == next(g.high for g in gates.gates if g.gate == "f")


def test_the_curves_are_drawn() -> None:
    layer: Any = torch.nn.GRU(2, 3)
    watch = Watch(layer, torch.randn(4, 2, 2), square_loss, every=1, at_most=1.0, clock=Clock())
    with pytest.raises(InsightError, match="at least one measurement"):
        watch.plot()
    watch(1)
    with torch.no_grad():
        layer.weight_hh_l0.mul_(1.5)
    watch(2)
    reach, growth, shares, updates = watch.plot().axes
    drawn: Any = reach.get_lines()[0].get_xdata()
    assert list(drawn) == [1, 2]
    assert [line.get_label() for line in growth.get_lines()] == ["_stays", "l0"]
    assert "%" in shares.get_ylabel()
    ends = {str(line.get_label()): line.get_ydata() for line in shares.get_lines()}
    assert set(ends) == {"l0 r", "l0 z", "l0 n"}
    last: Any = ends["l0 n"]
    numbers = watch.history[-1][1]
    assert last[-1] == pytest.approx(100 * (numbers["l0/n low share"] + numbers["l0/n high share"]))
    assert len(updates.get_lines()) == 4


def test_update_ratios_are_those_of_the_update_before_the_measurement() -> None:
    torch.manual_seed(0)
    layer: Any = torch.nn.GRU(2, 3)
    torch.nn.init.zeros_(layer.bias_ih_l0)
    watch = Watch(layer, torch.randn(4, 2, 2), square_loss, every=3, at_most=1.0, clock=Clock())
    found = []
    for step in range(1, 7):
        with torch.no_grad():
            layer.weight_ih_l0.mul_(1 + 0.01 * step)
        found.append({name: value for name, value in watch(step).items() if name.endswith("update ratio")})
    assert [bool(each) for each in found] == [False, False, True] * 2
    for step, each in ((3, found[2]), (6, found[5])):
        assert set(each) == {f"{name}/update ratio" for name in ("weight_ih_l0", "weight_hh_l0", "bias_hh_l0")}
        assert each["weight_ih_l0/update ratio"] == pytest.approx(0.01 * step, rel=1e-5)
        assert each["weight_hh_l0/update ratio"] == 0.0


def test_the_handle_ends_it_and_wrong_arguments_are_told() -> None:
    layer = torch.nn.GRU(2, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    watch = Watch(layer, torch.randn(4, 2, 2), square_loss, every=1, at_most=1.0)
    handle = watch.attach(optimizer)
    optimizer.step()
    handle.remove()
    optimizer.step()
    assert [step for step, _ in watch.history] == [1]
    with pytest.raises(InsightError, match="every expected"):
        Watch(layer, None, every=0)
    with pytest.raises(InsightError, match="at_most expected"):
        Watch(layer, None, at_most=0.0)


def test_the_benchmark_of_its_cost_runs() -> None:
    lines = cost.table(V=5, E=2, H=3, T=4, B=3, rounds=1)
    assert lines[0].startswith("an update of E 2, H 3, L 1, T 4, B 3")
    assert len(lines) == 3
