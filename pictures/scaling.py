"""How training scales, predicted and measured, from the file of results that `python -m benchmarks.scaling` writes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.scaling.page import figure
from benchmarks.scaling.results import read

from pictures import paper

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "scaling.json"


def draw() -> list[Path]:
    """Draws it."""
    return paper.save(figure(read(RESULTS)), "scaling")
