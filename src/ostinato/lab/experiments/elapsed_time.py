"""What gates do with elapsed time: the level of a drug, of which doses come at irregular times.

A dose adds to the level, and over a gap dt the level falls to exp(-dt / tau) of itself. A network reads the doses, and says the
level after each. An LSTM does not see the gaps; another reads the gap as one more number of its input; the memory of a third decays
over the gap, at rates that it learns; GRU-D decays with an offset, learned too; and the time gate of CfC opens with the gap. What
they keep over a gap is read off their derivatives. An LTC is not among them: there an input acts during the whole gap before it,
and a dose does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn, sigmoid, tanh
from torch.nn import functional as F

from ostinato import catalogue
from ostinato.cells.named import Gates, State
from ostinato.cells.spec import cell
from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.threads import one_thread
from ostinato.nn import LSTM, Recurrent
from ostinato.training.update.clipping import clip
from ostinato.types import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@cell(
    gates="i f g o",
    states="h c",
    keep="f",
    write="i",
    extras="dt",
    parameters={"log_rate": "H"},
    starts={"log_rate": "uniform(-3, 0)"},
    source="after Che et al. 2018, arXiv 1606.01865, and Mei & Eisner 2017, arXiv 1612.09328",
)
def decaying_lstm(x: Gates, s: State, U: Any, dt: Tensor, log_rate: Tensor) -> State:
    """An LSTM whose states have decayed since the step before: h and c times exp(-rate dt), a rate for each unit."""
    left = torch.exp(-torch.exp(log_rate) * dt)
    u = U(left * s.h)
    c = sigmoid(x.f + u.f) * left * s.c + sigmoid(x.i + u.i) * tanh(x.g + u.g)
    return State(h=sigmoid(x.o + u.o) * tanh(c), c=c)


@dataclass(frozen=True)
class Way:
    """How a network comes to know the time.

    Attributes:
        make: the layer of so many features and hidden units.
        reads: the gap is one more feature.
        extras: what else the layer is given, of gaps (T, B).
        memory: which of its states is the memory.
    """

    make: Callable[[int, int], Any]
    reads: bool = False
    extras: Callable[[Tensor], dict[str, Tensor]] = lambda gaps: {}
    memory: int = 0


IGNORES, READS, DECAYS = "LSTM", "LSTM, dt read", "LSTM, decaying"
WAYS = {
    IGNORES: Way(LSTM, memory=1),
    READS: Way(LSTM, reads=True, memory=1),
    DECAYS: Way(partial(Recurrent, decaying_lstm), extras=lambda gaps: {"dt": gaps}, memory=1),
    "GRU-D": Way(
        partial(catalogue.make, "grud"),
        extras=lambda gaps: {"dt": gaps[..., None], "mask": torch.ones_like(gaps)[..., None]},
    ),
    "CfC": Way(partial(catalogue.make, "cfc", init="xavier"), extras=lambda gaps: {"dt": gaps}),
}
TIME_CONSTANTS = (2.0, 4.0, 8.0)  # hours
SHORTEST_SEEN, LONGEST_SEEN = 0.5, 4.0  # gaps of training, hours
GAPS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)  # hours
_HIDDEN, _ROWS, _JUDGED_ROWS, _STEPS = 16, 32, 512, 20
_RATE = 1e-2
_NETWORKS = 2  # of each kind; the table has their means


class LevelReader(nn.Module):
    """A recurrence that reads doses, and maybe gaps, and says levels."""

    def __init__(self, way: Way) -> None:
        super().__init__()
        self.way, self.layer, self.head = way, way.make(1 + way.reads, _HIDDEN), nn.Linear(_HIDDEN, 1)

    def read(self, doses: Tensor, gaps: Tensor, state: Any = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The level after each dose, and the last states.

        Args:
            doses: (T, B).
            gaps: (T, B), hours between a dose and the one before.
            state: before the first; None for that of the layer.
        """
        input = torch.stack((doses, gaps), -1) if self.way.reads else doses[..., None]
        if state is not None and len(state) == 1:
            (state,) = state
        output, last = self.layer(input, state, **self.way.extras(gaps))
        return self.head(output)[..., 0], last if isinstance(last, tuple) else (last,)


def doses_and_gaps(rows: int, last_gap: float | None = None) -> tuple[Tensor, Tensor]:
    """Doses from 0 to 1 at gaps of training, (T, B) each; the last gap is `last_gap` where it is given."""
    gaps = SHORTEST_SEEN + (LONGEST_SEEN - SHORTEST_SEEN) * torch.rand(_STEPS, rows)
    if last_gap is not None:
        gaps[-1] = last_gap
    return torch.rand(_STEPS, rows), gaps


def levels(doses: Tensor, gaps: Tensor, time_constant: float) -> Tensor:
    """The true level after each dose: m' = exp(-dt / tau) m + dose."""
    level, found = torch.zeros_like(doses[0]), []
    for dose, gap in zip(doses, gaps, strict=True):
        level = torch.exp(-gap / time_constant) * level + dose
        found.append(level)
    return torch.stack(found)


def train(way: Way, time_constant: float, updates: int) -> LevelReader:
    """A network that has learned the levels of a drug."""
    model = LevelReader(way)
    optimizer = torch.optim.Adam(model.parameters(), _RATE)
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - update / updates)
        doses, gaps = doses_and_gaps(_ROWS)
        loss = F.mse_loss(model.read(doses, gaps)[0], levels(doses, gaps, time_constant))
        optimizer.zero_grad()
        loss.backward()
        clip(model.parameters(), norm=1.0)
        optimizer.step()
    return model


def look(model: LevelReader, time_constant: float, gap: float) -> tuple[float, float, float]:
    """What a network does with one last gap, on fresh data.

    Returns:
        The error of the level after it, the root of the mean square, in doses; the share of the dose before it that is left in what
        the network says, d level / d dose; and what a unit of its memory keeps of itself, the mean of the diagonal of dc' / dc,
        or of dh' / dh where there is no c: of an LSTM, how far its forget gate is open.
    """
    doses, gaps = doses_and_gaps(_JUDGED_ROWS, gap)
    with torch.no_grad():
        _, before = model.read(doses[:-2], gaps[:-2])
    dose = doses[-2:-1].requires_grad_()
    _, states = model.read(dose, gaps[-2:-1], before)
    said, after = model.read(doses[-1:], gaps[-1:], states)
    (left,) = torch.autograd.grad(said.sum(), dose, retain_graph=True)
    memory, later = states[model.way.memory], after[model.way.memory]
    kept = [
        float(torch.autograd.grad(later[..., unit].sum(), memory, retain_graph=True)[0][..., unit].mean())
        for unit in range(_HIDDEN)
    ]
    off = said[-1].detach() - levels(doses.detach(), gaps, time_constant)[-1]
    return float(off.square().mean().sqrt()), float(left.mean()), sum(kept) / len(kept)


@one_thread()
def measure(seed: int, quick: bool) -> Table:
    """Every kind of network for drugs of several time constants, judged by the last gap."""
    rows = []
    for time_constant in TIME_CONSTANTS:
        for name, way in WAYS.items():
            models = [train(way, time_constant, 2 if quick else 600) for _ in range(1 if quick else _NETWORKS)]
            for gap in GAPS:
                looks = [look(model, time_constant, gap) for model in models]
                means = [sum(each) / len(each) for each in zip(*looks, strict=True)]
                rows.append((name, time_constant, gap, *means, math.exp(-gap / time_constant)))
    return table("network time_constant_hours gap_hours error_doses left_share unit_keeps_share true_share", rows)


def error(measured: Table, way: str, time_constant: float, gaps: list[float]) -> float:
    """The mean error over these last gaps."""
    found = [measured.one("error_doses", network=way, time_constant_hours=time_constant, gap_hours=gap) for gap in gaps]
    return sum(found) / len(found)


def learned_time_constant(measured: Table, way: str, time_constant: float) -> float:
    """Of the exponential that fits, by least squares of logarithms, what a network keeps over gaps that it has seen; in hours.

    Infinite for a network that keeps no less over a longer gap, or nothing at all.
    """
    part = measured.where(network=way, time_constant_hours=time_constant)
    kept = [
        (gap, math.log(left))
        for gap, left in zip(part.column("gap_hours"), part.column("left_share"), strict=True)
        if SHORTEST_SEEN <= gap <= LONGEST_SEEN and left > 0
    ]
    if len(kept) < 2:
        return math.inf
    mean_gap = sum(gap for gap, _ in kept) / len(kept)
    slope = sum((gap - mean_gap) * log for gap, log in kept) / sum((gap - mean_gap) ** 2 for gap, _ in kept)
    return -1 / slope if slope < -1e-9 else math.inf


def unseen(measured: Table) -> list[float]:
    """The gaps that are shorter or longer than all of training."""
    return [gap for gap in measured.kinds("gap_hours") if not SHORTEST_SEEN <= gap <= LONGEST_SEEN]


def unseen_error(measured: Table, name: str) -> float:
    """The mean error at gaps never seen, over all time constants."""
    return sum(error(measured, name, tau, unseen(measured)) for tau in TIME_CONSTANTS) / len(TIME_CONSTANTS)


def seen_error(measured: Table, name: str) -> float:
    """The mean error at gaps of training, over all time constants."""
    seen = [gap for gap in measured.kinds("gap_hours") if gap not in unseen(measured)]
    return sum(error(measured, name, tau, seen) for tau in TIME_CONSTANTS) / len(TIME_CONSTANTS)


def judge(measured: Table) -> Verdict:
    """Networks that see the time order the time constants and err less by far; the decaying LSTM errs least at new gaps."""
    seen, new = ({name: f(measured, name) for name in WAYS} for f in (seen_error, unseen_error))
    learned = {name: [learned_time_constant(measured, name, tau) for tau in TIME_CONSTANTS] for name in WAYS}
    timed = [name for name in WAYS if name != IGNORES]
    off = max(abs(found / tau - 1) for found, tau in zip(learned[DECAYS], TIME_CONSTANTS, strict=True))

    def hours(name: str) -> str:
        return ", ".join(f"{found:.1f}" if found < 100 else "none" for found in learned[name])

    return Verdict(
        f"Of time constants of {', '.join(f'{tau:g}' for tau in TIME_CONSTANTS)} hours, what networks keep of a dose over gaps of "
        f"training is that of {'; '.join(f'{hours(name)} ({name})' for name in WAYS)}.",
        f"The error is, in doses, {', '.join(f'{seen[name]:.3f} ({name})' for name in WAYS)} at gaps of {SHORTEST_SEEN:g} to "
        f"{LONGEST_SEEN:g} hours, as in training, and {', '.join(f'{new[name]:.3f} ({name})' for name in WAYS)} at others, from "
        f"{min(GAPS):g} to {max(GAPS):g} hours.",
        all(seen[IGNORES] > 3 * seen[name] and new[IGNORES] > 1.5 * new[name] for name in timed)
        and all(first < second for name in timed for first, second in pairwise(learned[name]))
        and off < 0.4
        and all(new[DECAYS] < 0.7 * new[name] for name in timed if name != DECAYS),
    )


def draw(measured: Table) -> Figure:
    """By gap, for a drug of the middle time constant: errors, what is left of a dose, and what a unit keeps of itself."""
    tau = TIME_CONSTANTS[len(TIME_CONSTANTS) // 2]
    figure, axes = pictures.panels(3, width=4.9)
    columns = {
        "error_doses": ("error of the level (doses)", f"Level of a drug, time constant {tau:g} h"),
        "left_share": ("share of a dose that is left", "What the network keeps of a dose"),
        "unit_keeps_share": ("share of itself", "What a unit of the memory keeps of itself"),
    }
    for axis, (column, (name, title)) in zip(axes, columns.items(), strict=True):
        series = {}
        for way in WAYS:
            part = measured.where(network=way, time_constant_hours=tau)
            series[way] = (part.column("gap_hours"), part.column(column))
        axis.set_xscale("log")
        axis.axvspan(SHORTEST_SEEN, LONGEST_SEEN, color="#eeeeee", zorder=0)
        shown = [0.1, 0.5, 1, 2, 4, 8, 16]
        axis.set_xticks(shown, [f"{gap:g}" for gap in shown])
        axis.minorticks_off()
        if column != "error_doses":
            axis.set_ylim(-0.1, 1.05)
            part = measured.where(network=IGNORES, time_constant_hours=tau)
            axis.plot(part.column("gap_hours"), part.column("true_share"), "k:", linewidth=1.8, zorder=4, label="_true")
        plots.name_axes(axis, "last gap (hours)", name, title)
        pictures.lines(axis, series, log=column == "error_doses")
    pictures.note(axes[0], 0.27, 0.03, "gaps of training")
    pictures.note(axes[1], 0.03, 0.06, "dotted: exp(-gap / time constant)")
    return figure


EXPERIMENT = Experiment(
    name="elapsed_time",
    claim="Networks that see the elapsed time learn how fast a level falls; an LSTM that decays by it errs least at new gaps.",
    source="Che et al. 2018, arXiv 1606.01865; Mei & Eisner 2017, arXiv 1612.09328; Hasani et al. 2022, arXiv 2106.13898",
    measure=measure,
    judge=judge,
    draw=draw,
)
