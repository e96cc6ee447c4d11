"""`python -m benchmarks.forecast_shapes`: the command's defaults on series made by formulas, beside what anybody can forecast.

Sharply periodic series, two seasons at once, zeros, steps, trends, random walks, short tables: for each, seed by seed, the
absolute error on the test and that of the baselines. A model should be no worse than the seasonal naive forecast, on walks
than the last value, whatever the series. The budget is in steps, so that a loaded machine measures the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ostinato.recipes import train
from ostinato.recipes.forecast.baselines import BASELINES
from ostinato.recipes.forecast.settings import ForecastSettings

MARGIN = 1.05  # of the baseline's error: more is "worse"
TINY = 1e-3  # of the series' deviation: what rounding in float32 and the least width of an interval leave


def days(count: int) -> np.ndarray:
    """From a Monday on."""
    return np.datetime64("2024-01-01", "D") + np.arange(count)


def hours(count: int) -> np.ndarray:
    """From a Monday on."""
    return np.datetime64("2024-01-01T00", "h") + np.arange(count)


def months(count: int) -> np.ndarray:
    """From a January on, on the first."""
    return (np.datetime64("2010-01", "M") + np.arange(count)).astype("datetime64[D]")


def working(times: np.ndarray) -> np.ndarray:
    """Those from Monday to Friday."""
    return times[np.is_busday(times.astype("datetime64[D]"))]


def _open(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The hours from 9 to 16 of working days, and which of them each is."""
    times = working(hours(24 * count))
    hour = (times - times.astype("datetime64[D]")).astype(int)
    return times[(hour >= 9) & (hour < 17)], hour[(hour >= 9) & (hour < 17)] - 9


Series = tuple[np.ndarray, np.ndarray]


def _sawtooth(draw: np.random.Generator) -> Series:
    return days(600), np.arange(600) % 7


def _weekly_spikes(draw: np.random.Generator) -> Series:
    return days(600), np.where(np.arange(600) % 7 == 6, 70.0, 10.0) + draw.normal(size=600)


def _closed_sundays(draw: np.random.Generator) -> Series:
    return days(500), np.where(np.arange(500) % 7 == 6, 0.0, 100.0 + 3.0 * draw.normal(size=500))


def _opening_hours(draw: np.random.Generator) -> Series:
    times, hour = _open(90)
    return times, np.array([100, 110, 125, 130, 120, 115, 105, 102])[hour] + 0.3 * draw.normal(size=len(times))


def _working_days(draw: np.random.Generator) -> Series:
    times = working(days(560))
    return times, np.array([50.0, 20, 20, 20, 90])[np.arange(len(times)) % 5] + 2 * draw.normal(size=len(times))


def _daily_jump(draw: np.random.Generator) -> Series:
    hour = np.arange(1000) % 24
    return hours(1000), np.where((hour >= 8) & (hour < 18), 80.0, 20.0) + 2 * draw.normal(size=1000)


def _december(draw: np.random.Generator) -> Series:
    month = np.arange(180) % 12
    return months(180), 100 + 5 * draw.normal(size=180) + np.where(month == 11, 200.0, 0.0)


def _two_seasons(draw: np.random.Generator) -> Series:
    at = np.arange(24 * 7 * 12)
    day = 10 + 8 * np.sin(2 * np.pi * at / 24) * np.where(at // 24 % 7 < 5, 1.0, 0.2)
    return hours(len(at)), day + draw.normal(size=len(at)) * 0.5


def _zeros_between(draw: np.random.Generator) -> Series:
    return days(600), np.where(draw.random(600) < 0.7, 0, draw.poisson(5, 600))


def _steps(draw: np.random.Generator) -> Series:
    level = np.cumsum(np.where(draw.random(600) < 0.02, 20 * draw.normal(size=600), 0.0))
    return days(600), 100 + level + draw.normal(size=600)


def _trend_and_season(draw: np.random.Generator) -> Series:
    at = np.arange(500)
    return days(500), 0.3 * at + np.array([0, 5, 3, 8, 2, 20, 12])[at % 7] + 2 * draw.normal(size=500)


def _random_walk(draw: np.random.Generator) -> Series:
    return days(600), 100 + draw.normal(size=600).cumsum()


def _short_week(draw: np.random.Generator) -> Series:
    return days(110), np.array([3.0, 1, 4, 1, 5, 9, 2])[np.arange(110) % 7] * 10 + 3 * draw.normal(size=110)


def _short_walk(draw: np.random.Generator) -> Series:
    return days(150), 100 + draw.normal(size=150).cumsum()


def _short_trend(draw: np.random.Generator) -> Series:
    return months(120), 2.0 * np.arange(120) + 30 * np.sin(2 * np.pi * np.arange(120) / 12) + 5 * draw.normal(size=120)


def _noise(draw: np.random.Generator) -> Series:
    return days(300), 50 + 5 * draw.normal(size=300)


def _growing(draw: np.random.Generator) -> Series:
    at = np.arange(156)
    return months(156), np.exp(0.01 * at + 0.4 * np.sin(2 * np.pi * at / 12) + 0.03 * draw.normal(size=156)) * 100


def _every_third(draw: np.random.Generator) -> Series:
    return days(400), np.array([10.0, 10, 50])[np.arange(400) % 3] + draw.normal(size=400)


def _every_tenth(draw: np.random.Generator) -> Series:
    return days(600), np.where(np.arange(600) % 10 == 9, 60.0, 10.0) + draw.normal(size=600)


SHAPES: Mapping[str, Callable[[np.random.Generator], Series]] = {
    each.__name__.removeprefix("_").replace("_", " "): each
    for each in (
        _sawtooth,
        _weekly_spikes,
        _closed_sundays,
        _opening_hours,
        _working_days,
        _daily_jump,
        _december,
        _two_seasons,
        _zeros_between,
        _steps,
        _trend_and_season,
        _random_walk,
        _short_week,
        _short_walk,
        _short_trend,
        _noise,
        _growing,
        _every_third,
        _every_tenth,
    )
}


def write(series: Series, path: Path) -> str:
    """A table of times and values."""
    lines = [f"{time},{value:.6g}" for time, value in zip(np.datetime_as_string(series[0]), series[1], strict=True)]
    path.write_text("\n".join(["time,value", *lines]) + "\n", encoding="utf-8")
    return str(path)


def measure(data: str, run: Path, seed: int, changes: Mapping[str, object]) -> tuple[Mapping[str, float], int, int]:
    """Figures on the test, the season, and the step whose weights were kept, of a training with the defaults."""
    settings = ForecastSettings(data=data, run=str(run), seed=seed, quiet=True, device="cpu")
    training = dataclasses.replace(settings.training, max_time_s=None)
    model = dataclasses.replace(settings.model, **changes)
    result = train(dataclasses.replace(settings, training=training, model=model))
    scores = result.scores["test"]
    return scores.figures, scores.details["season"], result.outcome.counters.best_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*", help=f"which, by their beginning; all: {', '.join(SHAPES)}")
    parser.add_argument("--seeds", type=int, default=3, help="series, and trainings, of each shape")
    parser.add_argument("--hidden_size", type=int, help="instead of the default")
    parser.add_argument("--head", help="instead of the default")
    given = parser.parse_args()
    changes = {name: getattr(given, name) for name in ("hidden_size", "head") if getattr(given, name) is not None}
    named = [name for name in SHAPES if not given.shapes or name.startswith(tuple(given.shapes))]
    names = [name.replace("_", " ") for name in BASELINES]
    table = Table("series", "season", "seed", "step", "model", *names, "in 90 %", "", title="MAE on the test")
    worse = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in named:
            for seed in range(given.seeds):
                series = SHAPES[name](np.random.default_rng(seed))
                path = Path(folder, f"{name} {seed}".replace(" ", "_"))
                data = write(series, path.with_suffix(".csv"))
                figures, season, step = measure(data, path, seed, changes)
                bound = MARGIN * figures["mae_of_seasonal_naive"] + TINY * float(np.std(series[1]))
                is_worse = figures["mae"] > bound
                worse += is_worse
                errors = [f"{figures[f'mae_of_{each}']:.4g}" for each in BASELINES]
                cells = [f"{figures['mae']:.4g}", *errors, f"{figures['coverage_90']:.0%}", "worse" if is_worse else ""]
                table.add_row(name, str(season), str(seed), str(step), *cells)
                print(f"{name:18} {season:3} {seed} {step:4}  ", "  ".join(cells), flush=True)
    Console().print(table)
    print(
        f"{worse} of {len(named) * given.seeds} are worse than the seasonal naive forecast by more than {MARGIN - 1:.0%}"
    )


if __name__ == "__main__":
    main()
