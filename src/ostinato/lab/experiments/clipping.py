"""Clipping gradients by norm and by value: what it does at a cliff of the loss, and whether the direction is kept."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.training.update.clipping import clip
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS = {"none": {}, "norm 0.05": {"norm": 0.05}, "value 0.05": {"value": 0.05}}
_STEPS, _TARGET = 50, 0.7
_STARTS = ((4.0, 5.5), (-2.5, -1.8))  # the ranges of the first w and b: the slope that leads to the cliff
_FIRST = (4.5, -2.0)  # the start of the descents in the picture
_RATE = 0.5


def loss_at(w: Tensor, b: Tensor) -> Tensor:
    """The loss with the cliff, (sigmoid(h_50) - 0.7)^2, h_t = w sigmoid(h_{t-1}) + b from h_0 = 0.5; w, b of any shape.

    Source: Pascanu et al. 2013, figure 6.
    """
    h = torch.full_like(w, 0.5)
    for _ in range(_STEPS):
        h = w * torch.sigmoid(h) + b
    return (torch.sigmoid(h) - _TARGET) ** 2


def descend(
    start: tuple[float, float], way: dict[str, float], updates: int
) -> list[tuple[float, float, float, float, float]]:
    """Gradient descent on the cliff from (w, b).

    Returns:
        For each update (w, b, loss) before it, the gradient's norm before clipping, and the angle by which clipping turned it, in
        degrees.
    """
    w, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in start)
    path = []
    for _ in range(updates):
        loss = loss_at(w, b)
        raw = torch.autograd.grad(loss, (w, b))
        w.grad, b.grad = (g.clone() for g in raw)
        norm = float(clip((w, b), **way))
        turned = _degrees(torch.stack(raw), torch.stack((w.grad, b.grad)))
        path.append((w.item(), b.item(), loss.item(), norm, turned))
        with torch.no_grad():
            w -= _RATE * w.grad
            b -= _RATE * b.grad
    return path


def _degrees(before: Tensor, after: Tensor) -> float:
    # From the cross product and the dot product: a cosine alone cannot tell an angle of 1e-8 from zero.
    cross = before[0] * after[1] - before[1] * after[0]
    return abs(math.degrees(math.atan2(float(cross), float(before @ after))))


def measure(seed: int, quick: bool) -> Table:
    """Descents from the same starts with each way of clipping."""
    count, updates = (3, 30) if quick else (10, 200)
    drawn = torch.rand(count - 1, 2, dtype=torch.float64)
    low, high = torch.tensor(_STARTS, dtype=torch.float64).unbind(1)
    starts = [_FIRST, *(tuple(start) for start in (low + (high - low) * drawn).tolist())]
    rows = []
    for name, way in WAYS.items():
        for n, start in enumerate(starts):
            rows += [(name, n, update, *point) for update, point in enumerate(descend(start, way, updates))]
    return table("clipping start update w b loss gradient_norm turned_degrees", rows)


def longest_steps(measured: Table) -> dict[str, float]:
    """The longest step of a single update in (w, b), for each way of clipping."""
    found = {}
    for name in WAYS:
        parts = [measured.where(clipping=name, start=n) for n in measured.kinds("start")]
        found[name] = max(math.dist(before[3:5], after[3:5]) for part in parts for before, after in pairwise(part.rows))
    return found


def last_losses(measured: Table) -> dict[str, float]:
    """The mean loss over the last tenth of the updates and all starts, for each way of clipping."""
    since = max(measured.column("update")) * 0.9
    found = {}
    for name in WAYS:
        part = measured.where(clipping=name)
        at = [loss for n, loss in zip(part.column("update"), part.column("loss"), strict=True) if n > since]
        found[name] = sum(at) / len(at)
    return found


def judge(measured: Table) -> Verdict:
    """Only clipping by norm keeps the direction; without clipping one update moves far and the last loss is higher."""
    turned = {name: max(measured.where(clipping=name).column("turned_degrees")) for name in WAYS}
    steps, losses = longest_steps(measured), last_losses(measured)
    none, norm, value = WAYS
    return Verdict(
        f"At the cliff the gradient grows to {max(measured.column('gradient_norm')):.0f}; without clipping one update moves "
        f"the weights by {steps[none]:.2g}, with clipping by norm by {steps[norm]:.2g} and by value by {steps[value]:.2g}, and the "
        f"mean loss at the end is {losses[none]:.3f}, {losses[norm]:.3f} and {losses[value]:.3f}.",
        f"Clipping by norm turns the gradient by {turned[norm]:.0e} degrees at most, clipping by value by up to "
        f"{turned[value]:.0f} degrees.",
        turned[norm] < 1e-6
        and turned[value] > 5
        and steps[none] > 10 * max(steps[norm], steps[value])
        and losses[norm] < losses[none],
    )


def draw(measured: Table) -> Figure:
    """Left: three descents from one start, over the loss surface. Right: by how much clipping turned the gradient."""
    figure, (left, right) = pictures.panels(2)
    w, b = torch.meshgrid(torch.linspace(3.6, 5.2, 121), torch.linspace(-2.7, -1.7, 101), indexing="ij")
    shades = left.pcolormesh(
        w.numpy(), b.numpy(), loss_at(w, b).numpy(), cmap="Greys", shading="auto", rasterized=True, vmax=0.6
    )
    figure.colorbar(shades, ax=left, label="loss")
    for n, name in enumerate(WAYS):
        part = measured.where(clipping=name, start=0)
        x, y = part.column("w"), part.column("b")
        colour = pictures.COLOURS[(1, 0, 2)[n]]
        left.plot(x, y, "o-", color=colour, markersize=2.5, linewidth=1.2, label=name)
    left.plot(*_FIRST, "k*", markersize=11)
    left.set(xlim=(3.6, 5.2), ylim=(-2.7, -1.7))
    left.legend(fontsize=9, title="clipping", loc="lower left")
    plots.name_axes(
        left, "weight w (no unit)", "bias b (no unit)", "Three descents from the star, to a cliff ten steps away"
    )
    for n, name in enumerate(WAYS):
        part = measured.where(clipping=name)
        colour, points = pictures.COLOURS[(1, 0, 2)[n]], part.column("turned_degrees")
        if name != "none":
            norms = part.column("gradient_norm")  # thousands of points: stored as pixels inside the SVG
            right.semilogx(norms, points, "o", markersize=3, color=colour, label=f"by {name}", rasterized=True)
    right.legend(fontsize=9, frameon=False, loc="upper right")
    plots.name_axes(right, "gradient norm before clipping", "turned by clipping (degrees)", "Is the direction kept?")
    return figure


EXPERIMENT = Experiment(
    name="clipping",
    claim="Clipping keeps updates short where the gradient explodes; by norm it keeps the direction, and the loss ends lower than "
    "without, by value it turns it.",
    source="Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, section 3.2 and figure 6",
    measure=measure,
    judge=judge,
    draw=draw,
)
