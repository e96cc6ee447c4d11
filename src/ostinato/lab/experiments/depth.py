"""Deep stacks of layers: plain, residual and highway."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.tasks import ORDER, LabBatch
from ostinato.nn import RNN
from ostinato.training.update.clipping import clip
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONNECTIONS: dict[str, Literal["residual", "highway"] | None] = {
    "plain": None,
    "residual": "residual",
    "highway": "highway",
}
DEPTHS = (2, 4, 8, 16)
_HIDDEN, _ROWS, _LENGTH, _REPEATS = 24, 32, 10, 2


def network(connection: str, depth: int) -> tuple[RNN, nn.Linear]:
    """A stack of tanh layers, and the linear output layer that reads the last one."""
    layer = RNN(ORDER.inputs, _HIDDEN, depth, connection=CONNECTIONS[connection])
    return layer, nn.Linear(_HIDDEN, ORDER.outputs)


def share_at_first_layer(layer: RNN, head: nn.Linear, batch: LabBatch) -> float:
    """||dL/dW_hh|| of the first layer, divided by that of the last layer."""
    loss = ORDER.loss(head(layer(batch.input)[0]), batch.target)
    weights = [layer.get_parameter(f"weight_hh_l{n}") for n in (0, layer.num_layers - 1)]
    first, last = (float(g.norm()) for g in torch.autograd.grad(loss, weights))
    return first / last


def train(layer: RNN, head: nn.Linear, updates: int) -> float:
    """Trains on the task of temporal order; returns the mean loss of the last tenth of the updates, in nats."""
    parameters: list[Any] = [*layer.parameters(), *head.parameters()]
    # Not Adam: it divides by the size of the gradient, which is what is compared here.
    optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9)
    losses: list[float] = []
    for _ in range(updates):
        batch = ORDER.make(_LENGTH, _ROWS)
        loss: Tensor = ORDER.loss(head(layer(batch.input)[0]), batch.target)
        optimizer.zero_grad()
        loss.backward()
        clip(parameters, norm=1.0)
        optimizer.step()
        losses.append(loss.item())
    return _mean(losses[-max(1, updates // 10) :])


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def measure(seed: int, quick: bool) -> Table:
    """By depth: the gradient that arrives at the first layer before training, and the loss after training."""
    rows = []
    for depth in DEPTHS:
        for connection in CONNECTIONS:
            shares, losses = [], []
            for _ in range(1 if quick else _REPEATS):
                layer, head = network(connection, depth)
                shares.append(share_at_first_layer(layer, head, ORDER.make(_LENGTH, 256)))
                losses.append(train(layer, head, 2 if quick else 200))
            rows.append(
                (
                    connection,
                    depth,
                    _mean(shares),
                    _mean(losses),
                    float(F.cross_entropy(torch.zeros(1, 4), torch.tensor([0]))),
                )
            )
    return table("connection layers first_layer_gradient_share loss_nats guessing_nats", rows)


def judge(measured: Table) -> Verdict:
    """Reproduced if in the deepest stack residual and highway keep the gradient and learn, and plain does neither."""
    deepest = max(measured.column("layers"))
    share, loss = (
        {c: measured.one(column, connection=c, layers=deepest) for c in CONNECTIONS}
        for column in ("first_layer_gradient_share", "loss_nats")
    )
    guessing = measured.column("guessing_nats")[0]
    return Verdict(
        f"Through {deepest} layers {share['plain']:.1e} of the gradient arrives at the first in a plain stack, "
        f"{share['residual']:.2g} with residual connections and {share['highway']:.2g} with highway connections.",
        f"After as many updates the loss is {loss['plain']:.2f} nats in the plain stack, {loss['residual']:.2f} in the residual "
        f"and {loss['highway']:.2f} in the highway one; guessing gives {guessing:.2f}.",
        min(share["residual"], share["highway"]) > 10 * share["plain"]
        and max(loss["residual"], loss["highway"]) < 0.5 * loss["plain"],
    )


def draw(measured: Table) -> Figure:
    """Left: gradients by depth. Right: losses by depth."""
    figure, axes = pictures.panels(2)
    for axis, column in zip(axes, ("first_layer_gradient_share", "loss_nats"), strict=True):
        axis.set_xscale("log")
        axis.set_xticks(DEPTHS, [str(depth) for depth in DEPTHS])
        axis.minorticks_off()
        series = {}
        for connection in CONNECTIONS:
            part = measured.where(connection=connection)
            series[connection] = (part.column("layers"), part.column(column))
        if column == "loss_nats":
            pictures.threshold(axis, measured.column("guessing_nats")[0], "guessing", below=True)
            plots.name_axes(axis, "depth (layers)", "loss after training (nats)", "What it learns")
        else:
            plots.name_axes(axis, "depth (layers)", "gradient at first / last layer", "What arrives at the first layer")
        pictures.lines(axis, series, log=column != "loss_nats", marker="o")
    return figure


EXPERIMENT = Experiment(
    name="depth",
    claim="Residual and highway connections let the gradient pass through many layers, where a plain deep stack loses it.",
    source="He et al. 2016, arXiv 1512.03385; Srivastava, Greff & Schmidhuber 2015, arXiv 1505.00387",
    measure=measure,
    judge=judge,
    draw=draw,
)
