"""How good a forecaster is: whole forecasts compared with the truth and with what anybody can forecast."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.errors import ConfigError
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.windows import SeriesBatch, uniform_numbers
from ostinato.recipes.forecast.answers.calibration import LEVELS as CALIBRATED
from ostinato.recipes.forecast.answers.calibration import Conformal, scores_of
from ostinato.recipes.forecast.baselines import BASELINES, baseline
from ostinato.recipes.forecast.data import ids_of
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.metrics import (
    INTERVALS,
    crps_of_gaussian,
    crps_of_samples,
    edges,
    gaussian_quantile,
    place_in_draws,
    quantile_loss,
    sample_quantile,
    seasonal_scale,
    smape,
)
from ostinato.recipes.forecast.settings import AnswerSettings
from ostinato.recipes.forecast.windows import SeriesWindows
from ostinato.recipes.task import Judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ostinato.recipes.forecast.pictures import Fan

LEVELS = np.arange(1, 20) / 20.0  # levels of the quantile loss
_TRAINING_SAMPLES = 64  # paths while training, when weights are chosen
_FANS = 4
_ROUNDING = (
    1e-3  # of values' mean distance from their median: an exact forecast is off by as much (float32, least widths)
)
_LISTED_SERIES = 50


class ForecastJudge(Judge):
    """Judges the forecasts from all origins of a part.

    A step counts if its true value is known. Absolute errors are those of the median, squared ones those of the mean,
    as each is the best possible forecast for its error.

    Args:
        model: the forecaster.
        windows: what the forecaster reads, and the true values.
        known: what is known about the series.
        answering: the settings of its answers.
        final: draw as many paths as are set, calibrate them, and add baselines and pictures; else fewer, as weights are
            only chosen.
        is_scored: keep the scores that intervals are calibrated with.

    Raises:
        ConfigError: another horizon is asked for than the windows have.
    """

    memory = ("_seen",)  # a sign that judges can be joined; `remembered` has the rest

    def __init__(
        self,
        model: Forecaster,
        windows: SeriesWindows,
        known: ForecastKnown,
        answering: AnswerSettings,
        *,
        final: bool,
        is_scored: bool = False,
    ):
        part = windows.part
        if answering.horizon not in (None, part.horizon):
            raise ConfigError(
                f"options.horizon: evaluation compares the {part.horizon} steps of training, got {answering.horizon}; leave it "
                "out, or train with reading.horizon"
            )
        self.model, self.windows, self.part, self.known, self.final = model, windows, part, known, final
        samples = answering.samples if final or is_scored else min(_TRAINING_SAMPLES, answering.samples)
        self._units: np.ndarray | None = None
        self._compared: dict[str, dict[str, float]] | None = None
        self._conformal: Conformal = answering.conformal
        self._calibration = known.calibration if final else None
        self._uniform = uniform_numbers(part.horizon, samples, answering.seed, model.draws)
        self._seen: set[int] = set()
        self.truth = part.future()
        shape = self.truth.shape
        self.median, self.mean, self.crps, self.pinball = (np.full(shape, np.nan) for _ in range(4))
        self.place = np.full(shape, np.nan)  # of the truth in the distribution, from 0 to 1 (PIT)
        self.scores = np.full((len(CALIBRATED) if is_scored else 0, *shape), np.nan)
        self.inside_before = {percent: np.zeros(shape, dtype=bool) for percent in INTERVALS}
        self.inside = {percent: np.zeros(shape, dtype=bool) for percent in INTERVALS}
        shown = np.unique(np.linspace(0, len(part) - 1, _FANS).round().astype(int)) if final and len(part) else []
        self._fans: dict[int, np.ndarray | None] = dict.fromkeys(map(int, shown))

    def see(self, batch: Batch) -> torch.Tensor:
        """Draws paths from each origin of the batch, and compares them with the truth."""
        assert isinstance(batch, SeriesBatch)
        horizon, rows = self.part.horizon, batch.rows.cpu().numpy()
        self._seen.update(rows.tolist())
        future = None
        if self.known.known_size:
            assert batch.known is not None
            place = batch.past + torch.arange(horizon, device=batch.past.device).unsqueeze(1)
            future = batch.known.gather(0, place.unsqueeze(-1).expand(-1, -1, batch.known.shape[2]))
        drawn = self.model.sample(batch, future, horizon, self._uniform)
        paths = self.windows.absolute(rows, drawn.double().cpu().numpy().transpose(1, 0, 2))
        if self.model.head.is_count:
            paths = paths.round()  # values relative to an anchor are blurred by float32
        self._compare(rows, self._calibrated(rows, np.sort(paths, -1)))
        return self.model.loss(batch)[0]

    def remembered(self) -> dict[str, Any]:
        """The results for the forecasts that were seen."""
        rows = np.array(sorted(self._seen), dtype=np.int64)
        arrays = [array[rows] for array in self._arrays()]
        fans = {row: fan for row, fan in self._fans.items() if fan is not None}
        return {"rows": rows, "arrays": arrays, "scores": self.scores[:, rows], "fans": fans}

    def join(self, remembered: Any) -> None:
        """Adds the results of another judge."""
        rows = remembered["rows"]
        for mine, theirs in zip(self._arrays(), remembered["arrays"], strict=True):
            mine[rows] = theirs
        self.scores[:, rows] = remembered["scores"]
        self._fans |= remembered["fans"]
        self._seen.update(rows.tolist())

    def _arrays(self) -> list[np.ndarray]:
        """The arrays with a result for each forecast and step."""
        errors = [self.median, self.mean, self.crps, self.pinball, self.place]
        return [*errors, *self.inside_before.values(), *self.inside.values()]

    def _calibrated(self, rows: np.ndarray, paths: np.ndarray) -> np.ndarray:
        """Calibrates sorted paths; before that, records which values are within the intervals."""
        truth = self.truth[rows]
        if len(self.scores):
            self.scores[:, rows] = scores_of(paths, truth)
        if self._calibration is None or self._conformal == "none":
            return paths
        for percent, inside in self.inside_before.items():
            low, high = sample_quantile(paths, edges(percent))
            inside[rows] = (low <= truth) & (truth <= high)
        return self.windows.bounded(rows, self._calibration.applied(paths, self._conformal))

    def _compare(self, rows: np.ndarray, paths: np.ndarray) -> None:
        """Compares sorted paths (B, horizon, S) with the truth."""
        truth = self.truth[rows]
        self.median[rows], self.mean[rows] = np.median(paths, -1), paths.mean(-1)
        self.crps[rows] = crps_of_samples(paths, truth)
        for percent, inside in self.inside.items():
            low, high = sample_quantile(paths, edges(percent))
            inside[rows] = (low <= truth) & (truth <= high)
        if not self.final:
            return
        self.pinball[rows] = quantile_loss(np.moveaxis(sample_quantile(paths, LEVELS), 0, -1), LEVELS, truth)
        self.place[rows] = place_in_draws(paths, truth)
        for at, row in enumerate(rows.tolist()):
            if row in self._fans:
                levels = (0.5, *(level for percent in (50, 80, 95) for level in edges(percent)))
                self._fans[row] = sample_quantile(paths[at], levels)

    # --- figures ---

    def units(self) -> np.ndarray:
        """The unit of MASE for each forecast, (N, 1): that of its series."""
        if self._units is None:
            part = self.part
            self._units = np.full((len(part), 1), np.nan)
            for track, rows in part.by_track():
                end = part.fitted[int(part.series[rows[0]])]
                self._units[rows] = seasonal_scale(track.values[:end], part.season)
        return self._units

    def _skill(self, units: np.ndarray) -> float:
        """1 - CRPS / CRPS of the last value, each series in its own unit: 0 is no better, 1 is perfect."""
        theirs = _mean(crps_of_gaussian(*baseline("last_value", self.part), self.truth) / units)
        ours = _mean(self.crps / units)
        if np.isnan(theirs) or theirs == 0:
            return 0.0 if not ours > 0 else -ours
        return 1.0 - ours / theirs

    def scaled_crps(self) -> float:
        """The mean CRPS, each series in the unit of MASE; NaN if nothing was compared."""
        return _mean(self.crps / self.units())

    def figures(self) -> dict[str, float]:
        """Errors in the unit of the values, skill, MASE, and the share of true values within each interval."""
        units = self.units()
        found = {
            "skill": self._skill(units),
            **_errors(self.truth, self.median, self.mean, self.crps, units),
            **{f"coverage_{percent}": self._coverage(percent) for percent in INTERVALS},
        }
        if not self.final:
            return {name: found[name] for name in ("skill", "mae", "crps", "coverage_90")}
        found["quantile_loss"] = _mean(self.pinball)
        if self.is_calibrated:
            found |= {f"coverage_{percent}_before": self._coverage(percent, before=True) for percent in INTERVALS}
        for name, errors in self._baselines(units).items():
            found |= {f"{figure}_of_{name}": errors[figure] for figure in ("mae", "crps")}
        return found

    @property
    def is_calibrated(self) -> bool:
        """Whether the intervals are calibrated on validation."""
        return self._calibration is not None and self._conformal != "none"

    def _coverage(self, percent: int, *, before: bool = False) -> float:
        there = ~np.isnan(self.truth)
        inside = (self.inside_before if before else self.inside)[percent]
        return float(inside[there].mean()) if there.any() else float("nan")

    def _baselines(self, units: np.ndarray) -> dict[str, dict[str, float]]:
        if self._compared is not None:
            return self._compared
        found = self._compared = {}
        for name in BASELINES:
            mean, deviation = baseline(name, self.part)
            found[name] = _errors(self.truth, mean, mean, crps_of_gaussian(mean, deviation, self.truth), units)
            there = ~np.isnan(self.truth)
            for percent in INTERVALS:
                reach = gaussian_quantile(edges(percent)[1]) * deviation
                found[name][f"coverage_{percent}"] = float((np.abs(self.truth - mean) <= reach)[there].mean())
        return found

    def details(self) -> dict[str, Any]:
        """Season and horizon; baselines in full; errors by steps ahead and by series; places of the truth."""
        part, units = self.part, self.units()
        first, last = (part.tracks[part.series[at]].times[part.origin[at]] for at in (0, -1))
        by_series = {}
        for track, rows in islice(part.by_track(), _LISTED_SERIES):
            compared = (self.truth, self.median, self.mean, self.crps, units)
            by_series[track.id] = _errors(*(each[rows] for each in compared))
        ahead = [
            {"mae": _mean(np.abs(self.truth - self.median)[:, h]), "crps": _mean(self.crps[:, h])}
            for h in range(part.horizon)
        ]
        return {
            "season": part.season,
            "horizon": part.horizon,
            "context": part.context,
            "step": part.step,
            "forecasts": len(part),
            "first_origin": str(first),
            "last_origin": str(last),
            "samples": self._uniform.shape[2],
            "baselines": self._baselines(units),
            "by_steps_ahead": ahead,
            "by_series": by_series,
            "place_histogram": self.places().tolist(),
            **({"conformal": self._conformal_details()} if self.is_calibrated else {}),
        }

    def _conformal_details(self) -> dict[str, Any]:
        """Coverage by steps ahead before and after calibration, and the factors of the 90 % interval."""
        assert self._calibration is not None
        there = ~np.isnan(self.truth)
        count = there.sum(0).clip(1)
        factors = self._calibration.factors(self._conformal, 0, self.part.horizon)[CALIBRATED.index(90)]
        ahead = {
            name: ((inside[90] & there).sum(0) / count).tolist()
            for name, inside in (("before", self.inside_before), ("after", self.inside))
        }
        return {
            "how": self._conformal,
            "forecasts": self._calibration.count,
            "factors_of_90": factors.tolist(),
            "coverage_90_by_steps_ahead": ahead,
        }

    def places(self, bins: int = 20) -> np.ndarray:
        """The share of true values in each of equal parts of their distributions, (bins,) (PIT); 1 / bins is right."""
        found = self.place[~np.isnan(self.place)]
        return np.histogram(found, bins, (0.0, 1.0))[0] / max(len(found), 1)

    def pictures(self) -> dict[str, Figure]:
        """Pictures: some forecasts as fans; how far the intervals can be trusted."""
        from ostinato.recipes.forecast.pictures import calibration, fans

        there = {percent: self._coverage(percent) for percent in INTERVALS}
        before = (
            {percent: self._coverage(percent, before=True) for percent in INTERVALS} if self.is_calibrated else None
        )
        return {
            "forecasts": fans([self._fan(row, found) for row, found in self._fans.items() if found is not None]),
            "calibration": calibration(there, self.places(), int((~np.isnan(self.truth)).sum()), before),
        }

    def _fan(self, row: int, quantiles: np.ndarray) -> Fan:
        from ostinato.recipes.forecast.pictures import Fan

        part = self.part
        track, origin = part.tracks[part.series[row]], int(part.origin[row])
        begin = max(0, origin - max(2 * part.horizon, 24))
        middle, *bounds = quantiles
        return Fan(
            track.id,
            track.times[begin : origin + part.horizon],
            track.values[begin : origin + part.horizon],
            origin - begin,
            middle,
            {percent: (bounds[2 * at], bounds[2 * at + 1]) for at, percent in enumerate((50, 80, 95))},
        )

    def _better_baselines(self) -> list[str]:
        """A line for each error in which a baseline is better, by more than 1 % and more than rounding explains."""
        units = self.units()
        ours = _errors(self.truth, self.median, self.mean, self.crps, units)
        baselines, lines = self._baselines(units), []
        apart = _mean(np.abs(self.truth - np.nanmedian(self.truth))) if len(self.part) else 0.0
        for figure in ("mae", "crps"):
            name = min(baselines, key=lambda each: baselines[each][figure])
            theirs = baselines[name][figure]
            if ours[figure] > 1.01 * theirs + _ROUNDING * apart:
                lines.append(
                    f"the model is worse than {name.replace('_', ' ')}, a forecast that anybody can make: {figure} "
                    f"{ours[figure]:.4g} against {theirs:.4g}"
                )
        return lines

    def warnings(self) -> list[str]:
        """Lines about better baselines, series that training never had, and forecasts without a scale."""
        part, lines = self.part, self._better_baselines()
        if len(self.known.ids) > 1:
            strange = [id for id in ids_of(part.tracks) if not self.known.number(id)]
            if strange:
                shown = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
                lines.append(f"training never had the series {shown}: forecast like any other, by what their past says")
        still = int((self.windows.counts == 0).sum())
        if still:
            lines.append(
                f"{still:,} of the forecasts are of series that have never changed so far: they stay the same, without a loss"
            )
        return lines


def _errors(
    truth: np.ndarray, median: np.ndarray, mean: np.ndarray, crps: np.ndarray, units: np.ndarray
) -> dict[str, float]:
    apart = np.abs(truth - median)
    return {
        "mae": _mean(apart),
        "rmse": float(np.sqrt(_mean(np.square(truth - mean)))),
        "mase": _mean(apart / units),
        "smape": _mean(smape(median, truth)),
        "crps": _mean(crps),
    }


def _mean(values: np.ndarray) -> float:
    """The mean without NaN; NaN if nothing is left."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
