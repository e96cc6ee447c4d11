"""The adding problem at growing lengths."""

from __future__ import annotations

from ostinato.lab.experiment import Experiment
from ostinato.lab.long_memory import draw, judge, measure
from ostinato.lab.tasks import ADDING

LENGTHS = (10, 30, 60, 120)

EXPERIMENT = Experiment(
    name="adding",
    claim="A plain RNN fails to add two numbers over gaps that GRU and LSTM bridge.",
    source="Hochreiter & Schmidhuber 1997, section 5.4",
    measure=lambda seed, quick: measure(ADDING, LENGTHS, updates=500, rate=1e-2, quick=quick),
    judge=lambda measured: judge(measured, "adding problem that each cell solved", ("GRU", "LSTM")),
    draw=lambda measured: draw(measured, "Adding problem", "mean squared error"),
)
