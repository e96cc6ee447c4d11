"""What a forecaster says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from ostinato import notebook
from ostinato.recipes.in_python.prediction import Prediction


@dataclass(init=False, repr=False, eq=False)
class ForecastPrediction(Prediction):
    """The future of a series, T steps.

    Attributes:
        series: its name; "" where there is one only.
        last: time and value of the last step that is known.
        times: of the steps to come, as the data write them.
        mean: of each step.
        median: of each step.
        intervals: central ones by their percentage, "80": {"low": [...], "high": [...]}.
        column: which value it is of, where the table has several; else None.
        quantiles: those that were asked for, by their level; else None.
        false_alarms: the rate of anomalies that was asked for. Then `times` are those of the series, and what follows is of each
            of its steps, None where nothing is said; `mean` and the like are None, as these are where none were asked for.
        observed: what came; in JSON `values`.
        expected: the median of what might have come.
        surprise: how strange what came is.
        probability: of a value so strange.
        anomaly: whether that is at most the rate.
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
        """The median in its intervals, as a picture."""
        if not self.median or not self.intervals:
            return super().to_html()
        widest = sorted(self.intervals.items(), key=lambda each: -float(each[0]))
        bands = [(each["low"], each["high"]) for _, each in widest]
        beside = f"median, and intervals of {', '.join(f'{percent} %' for percent, _ in widest)}"
        return notebook.heading(self.series, beside) + notebook.fan(
            self.median, bands, list(map(str, self.times or []))
        )
