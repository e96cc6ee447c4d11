"""Temporal order at growing lengths."""

from __future__ import annotations

from ostinato.lab.experiment import Experiment
from ostinato.lab.long_memory import draw, judge, measure
from ostinato.lab.tasks import ORDER

LENGTHS = (10, 30, 60, 120)

EXPERIMENT = Experiment(
    name="temporal_order",
    claim="A plain RNN loses the order of two distant symbols among noise; GRU and LSTM keep it.",
    source="Hochreiter & Schmidhuber 1997, section 5.6; Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, section 4.1",
    measure=lambda seed, quick: measure(ORDER, LENGTHS, updates=500, rate=1e-2, quick=quick),
    judge=lambda measured: judge(measured, "sequence whose order each cell told", ("GRU", "LSTM")),
    draw=lambda measured: draw(measured, "Temporal order", "wrong orders (share)"),
)
