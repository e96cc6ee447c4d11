"""How Ostinato's layers compare with torch.nn's, from `benchmarks/results/layers.json`.

`make bench ARGS="--only training inference --output benchmarks/results/layers.json"` measures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.summary import geometric_mean

from ostinato.insight import plots
from ostinato.insight.plots import COLOURS, GREY
from pictures import paper

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "layers.json"
CELLS = ("LSTM", "GRU", "RNN")
TICKS = (0.5, 1, 2, 4, 8, 16)
TITLES = {
    "training": "A training step, beside torch.nn",
    "inference": "Inference, beside the faster of torch.nn and ONNX Runtime",
}
PEERS = {"training": ("torch.nn",), "inference": ("torch.nn", "ONNX Runtime")}


def ratios(rows: list[dict[str, Any]], mode: str, cell: str) -> list[float]:
    """How many times as long the fastest peer takes as Ostinato, for each size."""
    sizes: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["mode"] == mode and row["cell"] == cell:
            sizes.setdefault(json.dumps(row["size"]), {})[row["subject"]] = row["timing"]["median_s"]
    return [min(times[peer] for peer in PEERS[mode] if peer in times) / times["Ostinato"] for times in sizes.values()]


def draw() -> list[Path]:
    """Draws it."""
    whole = json.loads(RESULTS.read_text(encoding="utf-8"))
    figure, panels = plots.figure(9.6, 2.5, columns=2)
    for axes, (mode, title) in zip(panels, TITLES.items(), strict=True):
        for at, cell in enumerate(CELLS):
            found = ratios(whole["rows"], mode, cell)
            mean = geometric_mean(found)
            axes.barh(at, mean - 1, 0.55, 1, color=COLOURS[0], zorder=2)
            axes.plot(found, [at] * len(found), "o", color=COLOURS[5], markersize=5, zorder=3)
            axes.text(38, at, f"{mean:.2f}", va="center", ha="right", fontsize=10)
        axes.axvline(1, color=GREY, linewidth=1.2, zorder=1)
        axes.set_yticks(range(len(CELLS)), CELLS)
        axes.invert_yaxis()
        axes.set_xscale("log")  # twice as fast and half as fast are equally far from 1
        axes.set_xlim(0.5, 40)
        axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS], minor=False)
        axes.set_xticks([], minor=True)
        plots.name_axes(axes, "time of the peer / time of Ostinato", "", title)
    return paper.save(figure, "measured")
