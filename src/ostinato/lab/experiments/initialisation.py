"""First weights: torch's own, Xavier, He, orthogonal, identity and chrono."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ostinato.insight import plots
from ostinato.lab import pictures
from ostinato.lab.experiment import Experiment, Table, Verdict, table
from ostinato.lab.gradients import FLOOR, reach, state_gradients
from ostinato.nn import LSTMCell, RNNCell, chrono

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INPUT, _HIDDEN, _ROWS, _STEPS = 8, 64, 16, 200
CARRIED, KEPT = 3, 0.1  # how many times as far as torch's; the share that is left after all steps
_STRENGTH = 0.1  # of the input; weak, so that tanh is nearly linear and the effect of the weights shows


def _identity(input_size: int, hidden_size: int, **options: Any) -> RNNCell:
    """The IRNN: ReLU, W_hh = I, bias 0."""
    cell = RNNCell(input_size, hidden_size, nonlinearity="relu", **options)
    with torch.no_grad():
        cell.weight_hh.copy_(torch.eye(hidden_size))
        cell.weight_ih.normal_(std=1e-3)
        cell.bias_ih.zero_()
        cell.bias_hh.zero_()
    return cell


def _rnn(init: str) -> Callable[..., Any]:
    return lambda *sizes, **options: RNNCell(*sizes, init=init, **options)


STARTS: dict[str, Callable[..., Any]] = {
    "torch": _rnn("torch"),
    "Xavier": _rnn("xavier"),
    "He": _rnn("he"),
    "orthogonal": _rnn("orthogonal"),
    "identity": _identity,
    "LSTM, torch": LSTMCell,
    "LSTM, chrono": lambda *sizes, **options: LSTMCell(*sizes, init=chrono(_STEPS), **options),
}


def measure(seed: int, quick: bool) -> Table:
    """The gradient of the whole state by distance, for each initialisation."""
    steps = 50 if quick else _STEPS
    x = _STRENGTH * torch.randn(steps, _ROWS, _INPUT, dtype=torch.float64)
    zeros = torch.zeros(_ROWS, _HIDDEN, dtype=torch.float64)
    rows = []
    for name, make in STARTS.items():
        cell = make(_INPUT, _HIDDEN, dtype=torch.float64)
        norms = state_gradients(cell, x, (zeros, zeros) if name.startswith("LSTM") else zeros)[-1]
        rows += [(name, distance, norm / norms[1]) for distance, norm in enumerate(norms)]
    return table("start distance_steps gradient_share", rows)


def judge(measured: Table) -> Verdict:
    """Torch's start loses the gradient; Xavier, orthogonal carry it farther; identity, chrono keep it; He grows it."""
    shares = {name: measured.where(start=name).column("gradient_share") for name in STARTS}
    reached = {name: reach(share) for name, share in shares.items()}
    last = {name: share[-1] for name, share in shares.items()}
    longest = len(shares["torch"]) - 1
    return Verdict(
        f"In a plain network with torch's start the gradient is below {FLOOR:g} after {reached['torch']} steps; after "
        f"{longest} steps Xavier has {last['Xavier']:.2g} of it left, orthogonal {last['orthogonal']:.2g}, identity with ReLU "
        f"{last['identity']:.2g}, and He, made for ReLU but used with tanh, has multiplied it by {last['He']:.2g}.",
        f"In an LSTM torch's start reaches {reached['LSTM, torch']} steps, while chrono biases leave "
        f"{last['LSTM, chrono']:.2g} of the gradient after {longest}.",
        all(reached[name] >= CARRIED * reached["torch"] for name in ("Xavier", "orthogonal"))
        and reached["LSTM, torch"] < longest
        and all(last[name] > KEPT for name in ("identity", "LSTM, chrono"))
        and last["He"] > 1,
    )


def draw(measured: Table) -> Figure:
    """Left: plain networks. Right: LSTMs."""
    figure, axes = pictures.panels(2)
    groups = (
        ("Plain networks", {name: name for name in STARTS if "LSTM" not in name}),
        ("LSTM", {name: name.removeprefix("LSTM, ") for name in STARTS if "LSTM" in name}),
    )
    for axis, (title, names) in zip(axes, groups, strict=True):
        series = {}
        for name, label in names.items():
            part = measured.where(start=name)
            shown = [(d, v) for _, d, v in part.rows if d >= 1 and 1e-9 < v < 1e9]
            series[label] = tuple(zip(*shown, strict=True))
        pictures.lines(axis, series, log=True)
        pictures.threshold(axis, FLOOR, "reach ends here", right=True, below=True)
        plots.name_axes(axis, "distance T - t (steps)", "gradient / gradient at distance 1", title)
    return figure


EXPERIMENT = Experiment(
    name="initialisation",
    claim="How the weights begin decides how far the gradient reaches at first: torch's start loses it soon, Xavier and orthogonal "
    "carry it at least three times as far, identity and chrono keep more than a tenth to the end, He under tanh makes it grow.",
    source="Glorot & Bengio 2010; He et al. 2015; Saxe et al. 2014; Le, Jaitly & Hinton 2015; Tallec & Ollivier 2018",
    measure=measure,
    judge=judge,
    draw=draw,
)
