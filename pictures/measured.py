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
PEERS = {"training": ("torch.nn",), "inference": ("torch.nn", "ONNX Runtime")}


def ratios(rows: list[dict[str, Any]], mode: str, cell: str) -> list[float]:
    """The time of the fastest peer for each size, Ostinato's being 1."""
    sizes: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["mode"] == mode and row["cell"] == cell:
            sizes.setdefault(json.dumps(row["size"]), {})[row["subject"]] = row["timing"]["median_s"]
    return [min(times[peer] for peer in PEERS[mode] if peer in times) / times["Ostinato"] for times in sizes.values()]


def draw() -> list[Path]:
    """Draws it."""
    whole = json.loads(RESULTS.read_text(encoding="utf-8"))
    figure, panels = plots.figure(9.6, 2.6, columns=2)
    for axes, mode in zip(panels, ("training", "inference"), strict=True):
        for at, cell in enumerate(CELLS):
            found = ratios(whole["rows"], mode, cell)
            mean = geometric_mean(found)
            axes.barh(at, mean, 0.55, color=COLOURS[0], zorder=2)
            axes.plot(found, [at] * len(found), "o", color=COLOURS[5], markersize=5, zorder=3)
            axes.text(
                mean + 0.06 if max(found) < mean + 0.3 else max(found) + 0.1,
                at,
                f"{mean:.2f}",
                va="center",
                fontsize=10,
            )
        axes.axvline(1, color=GREY, linewidth=1.2, zorder=1)
        axes.set_yticks(range(len(CELLS)), CELLS)
        axes.invert_yaxis()
        axes.set_xlim(0, None)
        axes.margins(x=0.12)
        peers = " or ".join(PEERS[mode])
        title = f"a training step: {peers}" if mode == "training" else f"inference: {peers}, the faster"
        plots.name_axes(axes, "time, Ostinato's being 1; a bar for the mean, a dot for each size", "", title)
    return paper.save(figure, "measured")
