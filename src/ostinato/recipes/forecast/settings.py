"""The settings of a forecaster; in a module without torch, so that a wrong flag is reported at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ostinato.cell_names import CellName
from ostinato.data.sources.dialect import Dialect
from ostinato.errors import ConfigError
from ostinato.recipes.settings import TaskSettings, check_shares
from ostinato.training.loop.budget import Budget
from ostinato.training.run.settings import AveragingName, UpdateSettings


@dataclass(frozen=True)
class ForecastReadingSettings:
    """Which columns there are, and what is forecast.

    Args:
        time: the column of times; without it, the one whose name or type says so.
        id: the column that tells series apart; without it, the one whose name says so, if there is one.
        values: columns to forecast, each a series of its own; without it, all columns of numbers that have no other part.
        known: columns that are known ahead of time, such as prices or holidays.
        observed: columns that are known up to now only.
        static: columns that stay the same in each series, numbers or words; null for those that do, where there are several series.
        until: a time, such as 2020-01-31, after which the table is not read; null for all of it.
        grid: missing steps of gaps are filled in (fill), or rows are the steps (rows); auto finds the pattern of the times.
        decimal: what comes before the decimals of numbers; null for what the cells tell.
        separator: what separates the cells of CSV or TSV, such as ; or tab; null to find it.
        header: whether the first line of CSV or TSV names the columns; if not, they are called 1, 2, ...
        skip_broken: for many files, leave out those in which something cannot be read, and say which; predict always does.
        horizon: steps to forecast, at least 1; null for a season, or 12 where there is none.
        context: steps that a forecast reads before, at least 2; null for seven seasons, from 64 to 200.
        season: steps after which the series is like itself, 1 for none; null to find it in the training data.
        stride: steps from one forecast of the test to the next; null for 1, or more where there would be more than 5000 forecasts.
        validation_share: the share of each series to validate with, before the test; at least one horizon long.
        test_share: the share of each series to test with, at its end; at least one horizon long, or 0 for no test.
    """

    time: str | None = None
    id: str | None = None
    values: list[str] | None = None
    known: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    static: list[str] | None = None
    until: str | None = None
    grid: Literal["auto", "fill", "rows"] = "auto"
    decimal: Literal[".", ","] | None = None
    separator: str | None = None
    header: bool = True
    skip_broken: bool = False
    horizon: int | None = None
    context: int | None = None
    season: int | None = None
    stride: int | None = None
    validation_share: float = 0.1
    test_share: float = 0.2

    def __post_init__(self):
        for name, least in (("horizon", 1), ("context", 2), ("season", 1), ("stride", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"reading.{name}: expected at least {least}, or null, got {value}")
        check_shares(self.validation_share, self.test_share)
        Dialect(self.separator, self.header)  # raises an error for a separator or header that cannot be


@dataclass(frozen=True)
class ForecasterSettings:
    """The network.

    Args:
        cell: the recurrent layer.
        hidden_size: units of each layer, or a list with one number a layer.
        num_layers: recurrent layers, one above the other; 1 where hidden_size is a list.
        dropout: the rate of dropout between the layers and before the output, from 0 to below 1.
        head: what is said about the next value: student-t, gaussian, or quantiles (trained by pinball loss); of counts
            negative-binomial or zero-inflated; of amounts log-normal (above 0) or rectified (from 0 on); of series that belong
            together low-rank, a Gaussian with factors that all share; auto tries those that suit
            the data for a few steps each, and takes the one of the smallest CRPS on validation.
        baseline: the forecast that training begins with, whose errors the network learns: last_value, seasonal_naive, season_mean
            or seasonal_change (the last value, changed as a season ago); null for the one that has the smallest a step ahead.
        lags: steps back, beside 1, that are inputs too; null for a season and a step on either side of it.
        calendar: the hour of the day, the day of the week and the time of the year are inputs, where training has them three times.
        series_size: width of the vector that tells series apart, where there are several.
        unknown_rate: how often training hides which series it is, from 0 to below 1.
        options: options of the recurrent layer by name, such as {zoneout: 0.1}.
    """

    cell: CellName = "lstm"
    hidden_size: int | list[int] = 64
    num_layers: int = 1
    dropout: float = 0.3
    head: Literal[
        "student-t",
        "gaussian",
        "quantiles",
        "negative-binomial",
        "zero-inflated",
        "log-normal",
        "rectified",
        "low-rank",
        "auto",
    ] = "student-t"
    baseline: Literal["last_value", "seasonal_naive", "season_mean", "seasonal_change"] | None = None
    lags: list[int] | None = None
    calendar: bool = True
    series_size: int = 8
    unknown_rate: float = 0.1
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AnswerSettings:
    """How a forecaster answers.

    Args:
        horizon: steps to forecast, from 1 to 10,000; null for those of training. Evaluation takes those of training only.
        samples: paths that are drawn for each forecast, from 2 to 10,000.
        seed: the seed of the paths, at least 0; the same seed gives the same forecast.
        conformal: intervals as wide as validation says: by a factor for each step ahead (steps), one for all (all), or as the
            model says (none).
        quantiles: levels above 0 and below 1 that are answered too, such as [0.1, 0.5, 0.9].
        sums: for each series that is a total, its parts by their names, such as {total: [north, south]}; forecasts then add up.
        reconcile: whom to trust so that they do: each as much as its variance says (variances), all alike (least-squares), or the
            parts alone (bottom-up).
        anomalies: in place of forecasts, how strange each value is beside what was to be expected of it, and an alarm where it is
            stranger than all but this share of ordinary values, such as 0.001.
    """

    horizon: int | None = None
    samples: int = 200
    seed: int = 0
    conformal: Literal["steps", "all", "none"] = "steps"
    quantiles: list[float] = field(default_factory=list)
    sums: dict[str, list[str]] = field(default_factory=dict)
    reconcile: Literal["variances", "least-squares", "bottom-up"] = "variances"
    anomalies: float | None = None

    def __post_init__(self):
        if self.anomalies is not None and not 0 < self.anomalies < 1:
            raise ConfigError(f"options.anomalies: expected a share above 0 and below 1, got {self.anomalies}")
        if any(not 0 < level < 1 for level in self.quantiles):
            raise ConfigError(f"options.quantiles: expected levels above 0 and below 1, got {self.quantiles}")
        for name, least, most in (("horizon", 1, 10_000), ("samples", 2, 10_000), ("seed", 0, 2**63 - 1)):
            value = getattr(self, name)
            is_right = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
            if not is_right and not (value is None and name == "horizon"):
                raise ConfigError(f"options.{name}: expected a whole number from {least} to {most}, got {value!r}")


@dataclass(frozen=True)
class ForecasterTraining(UpdateSettings):
    """How to train a forecaster."""

    # Windows overlap: an epoch shows each value as often as a horizon has steps, so a few hundred steps are enough.
    default_budget: ClassVar[Budget] = Budget(max_steps=400, max_time_s=75.0)

    batch_size: int = 64
    learning_rate: float = 3e-3
    evaluate_first: bool = True
    evaluate_every: int | None = 50
    averaging: AveragingName | None = "ema"
    ema_decay: float = 0.98


@dataclass(frozen=True)
class ForecastSettings(TaskSettings):
    """Train a forecaster of series.

    Args:
        data: a table (.csv, .tsv, .jsonl, .parquet), a row a step, or a folder, a glob or a URL of such; without it, carbon dioxide
            in the air of Mauna Loa, by week.
        reading: which columns there are, and what is forecast.
        model: the network.
        training: how to train; without a budget of your own, for 400 steps or 75 s, whichever is over first.
    """

    task: Literal["forecast"] = "forecast"
    reading: ForecastReadingSettings = field(default_factory=ForecastReadingSettings)
    model: ForecasterSettings = field(default_factory=ForecasterSettings)
    training: UpdateSettings = field(default_factory=ForecasterTraining)
