"""Backtesting: forecasts from several times of the test, by the model as it is or trained anew up to each time.

Each origin is saved in the folder of the run as soon as it is done, and each new training is a run of its own there,
which goes on where it was stopped: an interrupted backtest loses nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ostinato.errors import ConfigError
from ostinato.recipes.forecast.answers.answering import written_times
from ostinato.recipes.forecast.data import ForecastPart
from ostinato.recipes.forecast.judge import ForecastJudge
from ostinato.recipes.forecast.metrics import INTERVALS
from ostinato.recipes.trained import Trained, load, read_splits
from ostinato.training.run.files import write_json
from ostinato.training.run.run_folder import RunFolder

FOLDER = "backtest"  # in the folder of the run

OnOrigin = Callable[[int, int], None]


def backtest(
    trained: Trained[Any, Any, Any, Any],
    data: str | None = None,
    *,
    origins: int = 8,
    refit: bool = False,
    on_origin: OnOrigin | None = None,
) -> list[dict[str, Any]]:
    """Figures of forecasts from several origins, each from the past alone.

    Args:
        trained: a run of the task forecast, with the answers' options that it has now; without a folder, nothing is
            saved or trained anew.
        data: a table; None for the test data of the run.
        origins: how many times forecasts begin at, evenly spread over the test, at least 1; fewer if the test has
            fewer.
        refit: train anew on the data before each origin, with the settings and steps of the run; False to use its
            weights.
        on_origin: called with how many origins are done, and how many there are.

    Returns:
        A row for each origin and step ahead: `origin` and `time` as the table writes them, `refit`, `step` from 1,
        `series` (how many were compared), and figures over these: `mae`, `rmse`, `mase`, `crps` and `coverage_50` to
        `coverage_95`; None if no value is known.

    Raises:
        ConfigError: there is no such run, or `origins` is out of range.
        DataError: the data cannot be read.
    """
    if trained.task.name != "forecast":
        raise ConfigError(f"backtest: expected a run of the task forecast, got one of {trained.task.name}")
    if origins < 1:
        raise ConfigError(f"origins: expected at least 1, got {origins}")
    if refit and trained.folder is None:
        raise ConfigError(
            "refit: expected a run with a folder, in which those that are trained anew are kept; got none"
        )
    whole = _part(trained, data)
    moments = whole.moments()
    times = np.unique(moments)
    times = times[np.unique(np.linspace(0, len(times) - 1, min(origins, len(times))).round().astype(int))]
    rows: list[dict[str, Any]] = []
    for done, time in enumerate(times, start=1):
        at = np.flatnonzero(moments == time)
        part = dataclasses.replace(whole, series=whole.series[at], origin=whole.origin[at])
        rows += _of_origin(trained, data, part, time, refit)
        if on_origin is not None:
            on_origin(done, len(times))
    return rows


def _part(trained: Trained[Any, Any, Any, Any], data: str | None) -> ForecastPart:
    if data is not None:
        return trained.read_part(data, labelled=True)
    from ostinato.recipes.task import Opening

    splits = read_splits(trained.task, trained.settings, Opening(trained.folder, trained.known))
    return splits.test if len(splits.test) else splits.validation


def _of_origin(
    trained: Trained[Any, Any, Any, Any], data: str | None, part: ForecastPart, time: Any, refit: bool
) -> list[dict[str, Any]]:
    """The rows of one origin; saved ones are used if they are of the same model, data and answers."""
    name = f"{'refit' if refit else 'kept'}-{_named(time)}"
    file = None if trained.folder is None else trained.folder / FOLDER / f"{name}.json"
    # A path may get other contents, so saved rows are matched by the data that were read.
    source = _digest(part)
    asked: dict[str, Any] = {"data": source, "answers": dataclasses.asdict(trained.answering)}
    anew = None
    if refit:
        assert trained.folder is not None
        anew = _settings_anew(trained, data, part, time)
        known_by = hashlib.sha256(f"{source} {_plain(anew)}".encode()).hexdigest()[:8]
        anew = dataclasses.replace(anew, run=str(trained.folder / FOLDER / f"{name}-{known_by}"))
        asked["settings"] = known_by
    else:
        asked["weights"] = _weights(trained)
    if file is not None and (kept := _kept(file, asked)) is not None:
        return kept
    model = trained if anew is None else _refitted(trained, anew)
    rows = _rows(model, part, refit)
    if file is not None:
        file.parent.mkdir(exist_ok=True)
        write_json(file, {"asked": asked, "rows": rows})
    return rows


def _named(time: Any) -> str:
    return re.sub(r"[^0-9T-]", "", str(time).removesuffix(".000000").removesuffix("T00:00:00"))


def _digest(part: ForecastPart) -> str:
    """A digest of all that forecasts of a part are made from and compared with."""
    found = hashlib.sha256(f"{part.columns} {part.static} {part.horizon} {part.context} {part.season}".encode())
    found.update(part.series.tobytes() + part.origin.tobytes())
    for track in part.tracks:
        found.update(f"{track.id!r} {track.column!r} {track.times.dtype}".encode())
        for values in (track.times, track.values, track.known, track.observed, track.static):
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()[:16]


def _plain(settings: Any) -> str:
    return json.dumps(dataclasses.asdict(settings), sort_keys=True, default=str)


def _weights(trained: Trained[Any, Any, Any, Any]) -> str:
    """A digest of the model's parameters and buffers."""
    found = hashlib.sha256()
    for name, v in trained.model.state_dict().items():
        found.update(f"{name} {v.dtype} {tuple(v.shape)}".encode())
        found.update(v.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def _kept(file: Path, asked: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return content["rows"] if content["asked"] == json.loads(json.dumps(asked)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not done yet, or damaged: it is made again


def _settings_anew(trained: Trained[Any, Any, Any, Any], data: str | None, part: ForecastPart, time: Any) -> Any:
    """The settings of the run, for training on the data before a time."""
    known, settings = trained.known, trained.settings
    before = max(track.times[track.times < time][-1] for track in part.tracks if (track.times < time).any())
    layout = known.layout
    reading = dataclasses.replace(
        settings.reading,
        until=str(before),
        test_share=0.0,
        horizon=known.horizon,
        context=known.context,
        season=known.season,
        static=None if layout is None else list(layout.columns.static),
    )
    head = known.head or settings.model.head
    return dataclasses.replace(
        settings,
        data=settings.data if data is None else data,
        run=FOLDER,  # a stand-in until the name of this training is computed
        reading=reading,
        model=dataclasses.replace(settings.model, head=head),
        quiet=True,
        resume=False,
    )


def _refitted(trained: Trained[Any, Any, Any, Any], asked: Any) -> Trained[Any, Any, Any, Any]:
    """The model of these settings, trained now as far as it has not been."""
    from ostinato.recipes.task_training import train

    folder = Path(asked.run)
    if not (folder / "report.json").exists():
        resume = bool(RunFolder(folder).checkpoints.steps())
        result = train(trained.task, dataclasses.replace(asked, resume=resume))
        if result.outcome.ending == "interrupted":
            raise KeyboardInterrupt
    found = load(trained.task, folder).to(str(next(trained.model.parameters()).device))
    found.answering = trained.answering
    return found


def _rows(trained: Trained[Any, Any, Any, Any], part: ForecastPart, refit: bool) -> list[dict[str, Any]]:
    with torch.no_grad():
        _, judge = trained.evaluate(part, name=part.name)
    assert isinstance(judge, ForecastJudge)
    units, rows = judge.units(), []
    track, origin = part.tracks[part.series[0]], int(part.origin[0])
    ahead = written_times(part, track.times[origin : origin + part.horizon])
    for step, time in enumerate(ahead):
        there = ~np.isnan(judge.truth[:, step])
        apart = np.abs(judge.truth[:, step] - judge.median[:, step])[there]
        square = np.square(judge.truth[:, step] - judge.mean[:, step])[there]
        rows.append(
            {
                "origin": ahead[0],
                "refit": refit,
                "step": step + 1,
                "time": time,
                "series": int(there.sum()),
                "mae": _mean(apart),
                "rmse": None if (mean := _mean(square)) is None else float(np.sqrt(mean)),
                "mase": _mean(apart / units[there, 0]),
                "crps": _mean(judge.crps[there, step]),
                **{f"coverage_{percent}": _mean(inside[there, step]) for percent, inside in judge.inside.items()},
            }
        )
    return rows


def _mean(values: np.ndarray) -> float | None:
    there = values[~np.isnan(values.astype(np.float64))]
    return float(there.mean()) if len(there) else None


def summed_up(rows: Sequence[Mapping[str, Any]], by: str) -> list[dict[str, Any]]:
    """Means of the figures over all rows with the same origin, or with the same step.

    Args:
        rows: the result of `backtest`.
        by: "origin" or "step".
    """
    names = ("mae", "rmse", "mase", "crps", *(f"coverage_{percent}" for percent in INTERVALS))
    found: list[dict[str, Any]] = []
    for key in dict.fromkeys((row["refit"], row[by]) for row in rows):
        some = [row for row in rows if (row["refit"], row[by]) == key]
        figures = {}
        for name in names:
            there = [(row[name], row["series"]) for row in some if row[name] is not None]
            weights = sum(count for _, count in there)
            total = sum((value**2 if name == "rmse" else value) * count for value, count in there)
            mean = total / weights if weights else None
            figures[name] = mean if mean is None or name != "rmse" else mean**0.5
        found.append({by: key[1], "refit": key[0], **figures})
    return found
