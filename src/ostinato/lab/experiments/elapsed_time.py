"""Gates and elapsed time: the level of a drug whose doses come at irregular times.

A dose adds to the level, and over a gap dt the level falls to exp(-dt / tau) of its value. A network reads the doses
and predicts the level after each. Five networks are compared: an LSTM that does not see the gaps; an LSTM that reads
the gap as one more input; an LSTM whose memory decays over the gap, at rates that it learns; GRU-D, which decays with
an offset that it learns too; and CfC, whose time gate depends on the gap. How much they keep over a gap is measured
from their derivatives. LTC is not among them: its input acts during the whole gap before it, while a dose acts at once.
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
    """An LSTM whose states decay over the gap before each step: h and c times exp(-rate dt), one rate for each unit."""
    left = torch.exp(-torch.exp(log_rate) * dt)
    u = U(left * s.h)
    c = sigmoid(x.f + u.f) * left * s.c + sigmoid(x.i + u.i) * tanh(x.g + u.g)
    return State(h=sigmoid(x.o + u.o) * tanh(c), c=c)


@dataclass(frozen=True)
class Way:
    """How a network is told the time.

    Attributes:
        make: makes the layer from the number of features and of hidden units.
        reads: whether the gap is one more feature.
        extras: makes further arguments of the layer from the gaps, (T, B).
        memory: the index of the state that is the memory.
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
_NETWORKS = 2  # of each kind; the table holds their means


class LevelReader(nn.Module):
    """A recurrent network that reads doses, perhaps with gaps, and predicts levels."""

    def __init__(self, way: Way) -> None:
        super().__init__()
        self.way, self.layer, self.head = way, way.make(1 + way.reads, _HIDDEN), nn.Linear(_HIDDEN, 1)

    def read(self, doses: Tensor, gaps: Tensor, state: Any = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The predicted level after each dose, (T, B), and the last states.

        Args:
            doses: (T, B).
            gaps: (T, B), hours between a dose and the one before.
            state: before the first step; None for the layer's own.
        """
        input = torch.stack((doses, gaps), -1) if self.way.reads else doses[..., None]
        if state is not None and len(state) == 1:
            (state,) = state
        output, last = self.layer(input, state, **self.way.extras(gaps))
        return self.head(output)[..., 0], last if isinstance(last, tuple) else (last,)


def doses_and_gaps(rows: int, last_gap: float | None = None) -> tuple[Tensor, Tensor]:
    """Doses from 0 to 1, with gaps as in training, (T, B) each; `last_gap`, where given, replaces the last gap."""
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
    """Trains a network to predict the levels of a drug with this time constant."""
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
    """Measures, on fresh data, how a network handles one last gap.

    Returns:
        The error of the level after the gap, a root mean square, in doses; how much of the dose before the gap is left
        in the prediction, d level / d dose; and how much a unit of the memory keeps of its value, the mean of the
        diagonal of dc' / dc, or of dh' / dh where there is no c. In an LSTM the last is how far its forget gate is
        open.
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
    """Every kind of network, for drugs of several time constants, measured by the length of the last gap."""
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
    """The mean error over these last gaps, in doses."""
    found = [measured.one("error_doses", network=way, time_constant_hours=time_constant, gap_hours=gap) for gap in gaps]
    return sum(found) / len(found)


def learned_time_constant(measured: Table, way: str, time_constant: float) -> float:
    """The time constant that a network has learned, in hours, from the gaps that were seen in training.

    It is that of the exponential which fits best what is left of a dose: a least-squares line through the logarithms.
    It is infinite for a network that keeps no less over a longer gap, or nothing at all.
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
    """The gaps that are shorter or longer than all gaps of training."""
    return [gap for gap in measured.kinds("gap_hours") if not SHORTEST_SEEN <= gap <= LONGEST_SEEN]


def unseen_error(measured: Table, name: str) -> float:
    """The mean error at gaps that training did not have, over all time constants."""
    return sum(error(measured, name, tau, unseen(measured)) for tau in TIME_CONSTANTS) / len(TIME_CONSTANTS)


def seen_error(measured: Table, name: str) -> float:
    """The mean error at gaps as in training, over all time constants."""
    seen = [gap for gap in measured.kinds("gap_hours") if gap not in unseen(measured)]
    return sum(error(measured, name, tau, seen) for tau in TIME_CONSTANTS) / len(TIME_CONSTANTS)


def judge(measured: Table) -> Verdict:
    """Networks that see the time order the time constants and err less; the decaying LSTM errs least at new gaps."""
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
    """By last gap, for the middle time constant: the error, what is left of a dose, and what a unit keeps of itself."""
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
