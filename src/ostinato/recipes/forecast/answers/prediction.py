"""A forecaster's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from ostinato import notebook
from ostinato.recipes.in_python.prediction import Prediction


@dataclass(init=False, repr=False, eq=False)
class ForecastPrediction(Prediction):
    """The forecast of a series over T steps.

    Attributes:
        series: the name of the series; "" if there is only one.
        last: time and value of the last known step.
        times: the times of the steps to come, as the data write them.
        mean: the mean of each step.
        median: the median of each step.
        intervals: central intervals by their percentage, "80": {"low": [...], "high": [...]}.
        column: the column that is forecast, if the table has several; else None.
        quantiles: the quantiles that were asked for, by level; None if none were.
        false_alarms: the rate of false alarms that was asked for. Then `times` are those of the series, the fields
            below have an entry for each of its steps, None where nothing is said, and `mean` and the like are None;
            without such a rate, the fields below are None.
        observed: the true values; `values` in JSON.
        expected: the median of the values that were to be expected.
        surprise: how strange the true value is.
        probability: the probability of a value at least so strange.
        anomaly: whether that probability is at most the rate.
    """

    renamed: ClassVar[Mapping[str, str]] = {"observed": "values"}

    series: str
    last: dict[str, Any]
    times: list[Any]
    mean: list[float]
    median: list[float]
    intervals: dict[str, dict[str, list[float]]]
    column: str | None
    quantiles: dict[str, list[float]] | None
    false_alarms: float | None
    observed: list[float | None] | None
    expected: list[float | None] | None
    surprise: list[float | None] | None
    probability: list[float | None] | None
    anomaly: list[bool | None] | None

    @override
    def to_html(self) -> str:
        """A picture of the median within its intervals."""
        if not self.median or not self.intervals:
            return super().to_html()
        widest = sorted(self.intervals.items(), key=lambda each: -float(each[0]))
        bands = [(each["low"], each["high"]) for _, each in widest]
        beside = f"median, and intervals of {', '.join(f'{percent} %' for percent, _ in widest)}"
        return notebook.heading(self.series, beside) + notebook.fan(
            self.median, bands, list(map(str, self.times or []))
        )
