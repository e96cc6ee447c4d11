"""Copy memory at growing lengths."""

from __future__ import annotations

from ostinato.lab.experiment import Experiment
from ostinato.lab.long_memory import draw, judge, measure
from ostinato.lab.tasks import COPY

LENGTHS = (5, 15, 60)

EXPERIMENT = Experiment(
    name="copy_memory",
    claim="A plain RNN forgets what it should say again later; an LSTM carries it over long gaps.",
    source="Hochreiter & Schmidhuber 1997; Arjovsky, Shah & Bengio 2016, arXiv 1511.06464, section 4.1",
    measure=lambda seed, quick: measure(COPY, LENGTHS, updates=800, rate=1e-2, quick=quick),
    judge=lambda measured: judge(measured, "gap that each cell copied over", ("LSTM",)),
    draw=lambda measured: draw(measured, "Copy memory", "wrong symbols (share)"),
)
