"""`python -m benchmarks.forecast RUN`: a forecaster of a run beside exponential smoothing, on the same forecasts.

AutoETS of statsforecast is fitted anew on the last steps before each origin, with the season of the run, and judged by the same
code: absolute error of its mean, closed-form CRPS and coverage of the Gaussian that its 95 % interval says. It takes a second or
two for each origin, so a part of the run's test origins, evenly spread, is looked at.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ostinato import load
from ostinato.recipes.forecast.baselines import BASELINES, baseline
from ostinato.recipes.forecast.data import ForecastPart
from ostinato.recipes.forecast.judge import ForecastJudge
from ostinato.recipes.forecast.metrics import crps_of_gaussian, edges, gaussian_quantile
from ostinato.recipes.forecast.start import thinned
from ostinato.recipes.forecast.windows import SeriesWindows


def exponential_smoothing(part: ForecastPart, history: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of AutoETS, (N, horizon) each, fitted on at most `history` steps before each origin."""
    from statsforecast.models import AutoETS  # pyright: ignore[reportMissingImports]  # an extra of its own

    mean, deviation = (np.zeros((len(part), part.horizon)) for _ in range(2))
    places = list(zip(part.series, part.origin, strict=True))
    for row, (series, origin) in enumerate(track(places, "exponential smoothing", console=Console(stderr=True))):
        past = part.tracks[series].filled[max(0, origin - history) : origin]
        past = past[~np.isnan(past)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = AutoETS(season_length=part.season).forecast(past, h=part.horizon, level=[95])
        mean[row] = found["mean"]
        deviation[row] = (found["hi-95"] - found["lo-95"]) / (2.0 * gaussian_quantile(0.975))
    return mean, deviation


def row(name: str, truth: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> list[str]:
    """Errors of Gaussian forecasts, as a row of the table."""
    there = ~np.isnan(truth)
    crps = crps_of_gaussian(mean, deviation, truth)[there].mean()
    reach = gaussian_quantile(edges(90)[1]) * deviation
    inside = (np.abs(truth - mean) <= reach)[there].mean()
    return [name, f"{np.abs(truth - mean)[there].mean():.4f}", f"{crps:.4f}", f"{inside:.1%}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run of the task forecast")
    parser.add_argument("--origins", type=int, default=100, help="forecasts that are compared")
    parser.add_argument("--history", type=int, default=1000, help="steps that exponential smoothing is fitted on")
    given = parser.parse_args()
    trained = load(given.run)
    part = thinned(trained.task.read(trained.settings).test, given.origins)
    began = time.perf_counter()
    _, judge = trained.evaluate(part, name="test")
    ours_s = time.perf_counter() - began
    assert isinstance(judge, ForecastJudge)
    assert isinstance(judge.windows, SeriesWindows)
    figures = judge.figures()
    table = Table("", "MAE", "CRPS", "in 90 %", "seconds", title=f"{len(part)} forecasts of {part.horizon} steps")
    ours = [f"{figures[name]:.4f}" for name in ("mae", "crps")]
    table.add_row("ostinato", *ours, f"{figures['coverage_90']:.1%}", f"{ours_s:.1f}")
    began = time.perf_counter()
    smoothed = exponential_smoothing(part, given.history)
    table.add_row(*row("AutoETS", judge.truth, *smoothed), f"{time.perf_counter() - began:.1f}")
    for name in BASELINES:
        table.add_row(*row(name.replace("_", " "), judge.truth, *baseline(name, part)), "")
    Console().print(table)


if __name__ == "__main__":
    main()
