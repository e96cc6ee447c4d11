"""How many steps back the gradient reaches in each cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.gradients import FLOOR, reach, state_gradients
from ostinato.nn import GRUCell, LSTMCell, MinGRUCell, RHNCell, RNNCell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS: dict[str, Callable[..., Any]] = {
    "RNN": RNNCell,
    "GRU": GRUCell,
    "LSTM": LSTMCell,
    "RHN": lambda *sizes, **options: RHNCell(*sizes, depth=2, **options),
    "minGRU": MinGRUCell,
}
GROWN = 10.0  # times its size at distance 1: the text calls such a gradient grown
OPEN = 4.0  # the bias that opens the gates which keep the memory: sigmoid(4) = 0.98
_INPUT, _HIDDEN, _ROWS, _STEPS = 8, 48, 16, 300


def measure(seed: int, quick: bool) -> Table:
    """The gradient of the whole state by distance, with gates half open (bias 0) and open; the RNN has no gates."""
    steps = 60 if quick else _STEPS
    x = torch.randn(steps, _ROWS, _INPUT, dtype=torch.float64)
    rows = []
    for name, make in CELLS.items():
        for start, bias in (("half open", 0.0), ("open", OPEN)):
            cell = make(
                _INPUT, _HIDDEN, dtype=torch.float64, backend="reference", forget_bias=None if name == "RNN" else bias
            )
            zeros = torch.zeros(_ROWS, _HIDDEN, dtype=torch.float64)
            norms = state_gradients(cell, x, (zeros, zeros) if name == "LSTM" else zeros)[-1]
            rows += [(name, start, distance, norm / norms[1]) for distance, norm in enumerate(norms)]
    return table("cell gates distance_steps gradient_share", rows)


def reaches(measured: Table, gates: str) -> dict[str, int]:
    """Steps until the gradient is below 1e-3 of its size at distance 1, by cell."""
    return {name: reach(measured.where(cell=name, gates=gates).column("gradient_share")) for name in CELLS}


def judge(measured: Table) -> Verdict:
    """Every gated cell with open gates reaches at least three times as far as the RNN."""
    half, opened = reaches(measured, "half open"), reaches(measured, "open")
    longest = max(measured.column("distance_steps"))
    gated = [name for name in CELLS if name != "RNN"]

    def said(found: dict[str, int]) -> str:
        return ", ".join(f"{name} {found[name]}{' or more' if found[name] == longest else ''}" for name in gated)

    shares = {name: max(measured.where(cell=name, gates="open").column("gradient_share")) for name in gated}
    grown = [f"in the {name} it grows to {share:.0f} times its size" for name, share in shares.items() if share > GROWN]
    return Verdict(
        f"Until the gradient is below {FLOOR:g} of its size, it goes back {half['RNN']} steps through the RNN; through gates "
        f"that are opened for memory (bias {OPEN:g}): {said(opened)} steps"
        f"{''.join(f'; {each}' for each in grown)}.",
        f"The gates must be open for it: at bias 0, half open, the same cells reach {said(half)} steps, so that a gated cell "
        "gives the chance of a long memory and no guarantee.",
        all(opened[name] >= 3 * half["RNN"] and opened[name] > half[name] for name in gated),
    )


def draw(measured: Table) -> Figure:
    """The gradient by distance. Left: gates half open. Right: gates open."""
    figure, axes = pictures.panels(2)
    top = max(100.0, 2 * max(share for share in measured.column("gradient_share") if math.isfinite(share)))
    for axis, gates, title in zip(
        axes, ("half open", "open"), ("Gates half open (bias 0)", f"Gates open (bias {OPEN:g})"), strict=True
    ):
        series = {}
        for name in CELLS:
            part = measured.where(cell=name, gates=gates)
            kept = [(d, v) for d, v in zip(part.column("distance_steps"), part.column("gradient_share"), strict=True)]
            kept = [(d, v) for d, v in kept if d >= 1 and v > 1e-6]
            series[name] = tuple(zip(*kept, strict=True))
        axis.set_xscale("log")
        axis.set_ylim(1e-6, top)
        pictures.lines(axis, series, log=True, labels=gates == "open")
        pictures.threshold(axis, FLOOR, "reach ends here", below=True)
        plots.name_axes(axis, "distance T - t (steps)", "gradient / gradient at distance 1", title)
    axes[0].legend(frameon=False, fontsize=9, loc="upper right")  # the lines are too close for names at their ends
    return figure


EXPERIMENT = Experiment(
    name="gradient_reach",
    claim="LSTM, GRU and their kin carry the gradient over many more steps than a plain RNN, if their gates are open.",
    source="Hochreiter & Schmidhuber 1997; Zilly et al. 2017, arXiv 1607.03474; Feng et al. 2024, arXiv 2410.01201",
    measure=measure,
    judge=judge,
    draw=draw,
)
