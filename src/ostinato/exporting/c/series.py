"""The parts of a forecaster: from values to the inputs of its layers, and from their outputs to a distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from ostinato.exporting.c.step import Field, StepWriter, loop
from ostinato.exporting.c.text import INDENT, block, number
from ostinato.exporting.c.weights import Matrix
from ostinato.models.forecasting.baseline import Baseline, shifted
from ostinato.models.forecasting.heads import LEAST_WIDTH, START, Head, Quantiles
from ostinato.models.forecasting.scale import Scale, fill_forward

_BASELINE, _SCALE = "baseline", "scale"  # keys of what the first part computes for the last


@dataclass(frozen=True)
class SeriesReader:
    """The inputs of a forecaster's layers at a step: `Forecaster._inputs`, computed value by value.

    Attributes:
        baseline: the baseline that the next value is measured from.
        lags: how many steps back the values are that the layers read, 1 first.
        limit: see `Forecaster`; None for no limit.
        known: the number of covariates that are known ahead of time.
        observed: the number of covariates that come with the values.
        embedding: the matrix with a row for each series, or None.
        reads_baseline: whether the layers read the baseline.
    """

    baseline: Baseline
    lags: Sequence[int]
    limit: float | None
    known: int
    observed: int
    embedding: Matrix | None
    reads_baseline: bool

    @property
    def reach(self) -> int:
        """The number of past values that the state holds."""
        return max(self.baseline.reach, *self.lags)

    @property
    def width(self) -> int:
        """The number of values that the layers read at a step."""
        series = 0 if self.embedding is None else self.embedding.columns
        return 2 * len(self.lags) + self.reads_baseline + self.known + 2 * self.observed + series

    @property
    def fields(self) -> Sequence[Field]:
        """See `Part`."""
        found = [
            Field("centre", told="of the series: where the scale is 0"),
            Field("width", first="1.0f", told="of the series: the unit of the scale"),
            Field("values", self.reach, told="in the scale, the newest first; missing ones filled"),
            Field("there", self.reach, told="1 where there was a value"),
            Field("age", first="0", kind="int", told="steps since the first value, up to what is looked back"),
        ]
        if self.baseline.name == "season_mean":
            found.append(Field("means", self.baseline.season, told="of the past, by the place in the season"))
            found.append(Field("place", first="0", kind="int", told="of the next step in the season"))
        return found

    def functions(self, name: str) -> Sequence[tuple[list[str], str, list[str]]]:
        """Return further public functions: the lines of the header's comment, the declaration, and the body of each."""
        told = [
            "Takes the scale of a series from its past, which a forecaster needs before the first step.",
            "",
            "past: values in order, NaN where missing",
            "count: how many there are; 0 for a series that begins",
            "least: the least width of the scale, at least 0",
        ]
        return [(told, f"void {name}_scale({name}_state *s, const float *past, int count, float least)", self._scale())]

    def _scale(self) -> list[str]:
        lines = [*map(str, _SCALE_BODY.splitlines())]
        if self.baseline.name == "season_mean":
            lines += _MEANS_BODY.replace("SEASON", str(self.baseline.season)).splitlines()
        return lines

    def write(self, step: StepWriter, v: str) -> str:
        """See `Part`."""
        lines, reach = step.lines, self.reach
        lines += [f"const int is_there = {v} == {v};"]
        lines += [f"float z = s->values[0], {_BASELINE};"]
        lines += ["if (is_there)", INDENT + f"z = s->width > 0.0f ? ({v} - s->centre) / s->width : 0.0f;"]
        if reach > 1:
            moved = [f"s->{each}[i] = s->{each}[i - 1];" for each in ("values", "there")]
            lines += [f"for (int i = {reach - 1}; i > 0; i--) {{", *block(moved), "}"]
        lines += ["s->values[0] = z;", "s->there[0] = is_there ? 1.0f : 0.0f;"]
        lines += [f"if (s->age < {reach} && (s->age > 0 || is_there))", INDENT + "s->age++;"]
        lines += self._baseline()
        to, at = step.array("read", self.width), 0
        for lag in self.lags:
            lines += [f"{to}[{at}] = {self._squashed(f's->values[{lag - 1}]')};"]
            lines += [f"{to}[{at + 1}] = s->there[{lag - 1}];"]
            at += 2
        if self.reads_baseline:
            lines += [f"{to}[{at}] = {self._squashed(_BASELINE)};"]
            at += 1
        if self.known:
            lines += loop(self.known, f"{to}[{_index(at)}] = known[i] == known[i] ? known[i] : 0.0f;")
            at += self.known
        if self.observed:
            is_seen = "observed[i] == observed[i]"
            seen = f"{to}[{_index(at)}] = {is_seen} ? observed[i] : 0.0f;"
            lines += loop(self.observed, seen, f"{to}[{_index(at + self.observed)}] = {is_seen} ? 1.0f : 0.0f;")
            at += 2 * self.observed
        if self.embedding is not None:
            table, columns = step.constants.use(self.embedding), self.embedding.columns
            lines += [f"const int row = series >= 0 && series < {len(self.embedding.values)} ? series : 0;"]
            value = f"{table}[row * {columns} + i]"
            value = f"(float){value} * {table}_scale[row]" if self.embedding.is_int8 else value
            lines += loop(columns, f"{to}[{_index(at)}] = {value};")
        return to

    def _baseline(self) -> list[str]:
        m = self.baseline.season
        match self.baseline.name:
            case "last_value":
                return [f"{_BASELINE} = s->values[0];"]
            case "seasonal_naive":
                return [f"{_BASELINE} = s->age >= {m} ? s->values[{m - 1}] : s->values[0];"]
            case "seasonal_change":
                changed = f"s->values[0] + s->values[{m - 1}] - s->values[{m}]"
                return [f"{_BASELINE} = s->age >= {m + 1} ? {changed} : s->values[0];"]
            case "season_mean":
                return [f"{_BASELINE} = s->means[s->place];", f"s->place = (s->place + 1) % {m};"]

    def _squashed(self, value: str) -> str:
        return value if self.limit is None else f"{number(self.limit)} * asinhf({value} / {number(self.limit)})"

    def run(self, v: torch.Tensor, more: dict[str, Any]) -> torch.Tensor:
        """See `Part`; v is `(T,)`; more has "past", `(n,)`, and "known", "observed", "series" if the model has them."""
        past, count = more["past"].float()[:, None], torch.tensor([len(more["past"])])
        scale = Scale.of(past, count) if len(past) else Scale(torch.zeros(1), torch.zeros(1))
        filled, is_there = fill_forward(scale.apply(v.float()[:, None]))
        begun = is_there.to(torch.uint8).cummax(0).values
        mean = None
        if self.baseline.name == "season_mean":
            known, was = fill_forward(scale.apply(past))
            means = self.baseline.means(known, was, count)
            assert means is not None
            mean = means[(torch.arange(len(v)) - count) % self.baseline.season]
        # The newest value has lag 1: it is one step before the step that is forecast.
        baseline = self.baseline.next(
            lambda lag: shifted(filled, lag - 1), lambda lag: shifted(begun, lag - 1).bool(), mean
        )
        parts = [
            each
            for lag in self.lags
            for each in (self._asinh(shifted(filled, lag - 1)), shifted(is_there.float(), lag - 1))
        ]
        parts += [self._asinh(baseline)] if self.reads_baseline else []
        if self.known:
            parts.append(more["known"].nan_to_num(0.0))
        if self.observed:
            parts += [more["observed"].nan_to_num(0.0), (~more["observed"].isnan()).float()]
        if self.embedding is not None:
            parts.append(self.embedding.values[more["series"]])
        more[_BASELINE], more[_SCALE] = baseline, scale
        return torch.cat(parts, 1)

    def _asinh(self, z: torch.Tensor) -> torch.Tensor:
        return z if self.limit is None else self.limit * torch.asinh(z / self.limit)


@dataclass(frozen=True)
class Distribution:
    """The distribution of the next value, in the unit of the series.

    Attributes:
        head: the head; see `ostinato.models.forecasting.heads`.
        name: the name of the head: "gaussian", "student-t" or "quantiles".
    """

    head: Head
    name: str
    fields: Sequence[Field] = ()

    @property
    def gives(self) -> str:
        """A description of y, for the header."""
        match self.head:
            case Quantiles(levels=levels):
                return f"the quantiles {', '.join(f'{level:g}' for level in levels)} of the next value"
            case _ if self.name == "gaussian":
                return "the mean and the standard deviation of the next value, whose distribution is a Gaussian"
            case _:
                return "location, scale and degrees of freedom of the next value, whose distribution is Student's t"

    def write(self, step: StepWriter, v: str) -> str:
        """See `Part`."""
        step.next(v)
        least, start = number(LEAST_WIDTH), number(START)
        if isinstance(self.head, Quantiles):
            middle, last = self.head.levels.index(0.5), self.head.size
            apart = f"softplus({v}[i] + {number(START - 2.0)}) + {least}"
            step.lines += [f"y[{middle}] = {_BASELINE} + {v}[{middle}];"]
            step.lines += [f"for (int i = {middle + 1}; i < {last}; i++)", INDENT + f"y[i] = y[i - 1] + ({apart});"]
            step.lines += [f"for (int i = {middle - 1}; i >= 0; i--)", INDENT + f"y[i] = y[i + 1] - ({apart});"]
            step.loop(last, "y[i] = s->centre + s->width * y[i];")
        else:
            step.lines += [f"y[0] = s->centre + s->width * ({_BASELINE} + {v}[0]);"]
            step.lines += [f"y[1] = s->width * (softplus({v}[1] + {start}) + {least});"]
        if self.name == "student-t":
            step.lines += [f"y[2] = 2.0f + softplus({v}[2] + 3.0f);"]
        return "y"

    def run(self, v: torch.Tensor, more: dict[str, Any]) -> torch.Tensor:
        """See `Part`."""
        baseline, scale = more[_BASELINE], more[_SCALE]
        if isinstance(self.head, Quantiles):
            return scale.centre + scale.width * (baseline + self.head.quantiles(v))
        found = [scale.centre + scale.width * (baseline + v[:, :1])]
        found.append(scale.width * (F.softplus(v[:, 1:2] + START) + LEAST_WIDTH))
        if self.name == "student-t":
            found.append(2.0 + F.softplus(v[:, 2:] + 3.0))
        return torch.cat(found, 1)


def _index(at: int) -> str:
    return f"{at} + i" if at else "i"


_SCALE_BODY = """\
float sum = 0.0f, farthest = 0.0f, spread = 0.0f;
int there = 0;
s->centre = 0.0f;
for (int i = 0; i < count; i++)
    if (past[i] == past[i])
        s->centre = past[i]; /* the last value */
for (int i = 0; i < count; i++)
    if (past[i] == past[i]) {
        const float apart = past[i] - s->centre;
        sum += apart;
        farthest = maximum(farthest, fabsf(apart));
        there++;
    }
for (int i = 0; i < count; i++)
    if (past[i] == past[i])
        spread += fabsf(past[i] - s->centre - sum / (float)there) / (float)there;
s->width = maximum(farthest > 0.0f ? spread : 0.0f, least);"""
_MEANS_BODY = """\
for (int place = 0; place < SEASON; place++) {
    float total = 0.0f, values = 0.0f;
    for (int i = (place + count) % SEASON; i < count; i += SEASON)
        if (past[i] == past[i]) {
            total += s->width > 0.0f ? (past[i] - s->centre) / s->width : 0.0f;
            values += 1.0f;
        }
    s->means[place] = values > 0.0f ? total / values : 0.0f;
}
s->place = (SEASON - count % SEASON) % SEASON;"""
