"""A forecaster as graphs: one reads the past, the other makes one step and gives the next value's distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ostinato.errors import ConfigError
from ostinato.exporting.graph import Around, Axis, Graph, Port, flat
from ostinato.exporting.layers import StateNames, drawn
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.heads import Gaussian, Quantiles, StudentT, distribution
from ostinato.models.forecasting.low_rank import LowRank
from ostinato.models.forecasting.windows import uniform_numbers
from ostinato.recipes.exporting.exported import LENGTHS, Exported, drawn_lengths
from ostinato.recipes.forecast.data import ForecastPart
from ostinato.recipes.forecast.known import ForecastKnown
from ostinato.recipes.forecast.metrics import INTERVALS
from ostinato.recipes.forecast.windows import LEAST_OF_HISTORY, OWN_VALUES
from ostinato.types import Tensor

_SAMPLES, _SEED = 200, 0  # the defaults of the task's answers
_JUDGED = 60
_NO_FLOOR = 1e300  # JSON has no infinity
_SERIES = "which series it is, 1 to N; 0 for one that training never had, int64"


class _Reader(Around):
    """The graph of the past: from inputs (T, B, I), the number of steps and the series to the states after the past."""

    def __init__(self, model: Forecaster) -> None:
        super().__init__()
        self.model = model

    def forward(self, input: Tensor, lengths: Tensor, series: Tensor | None = None) -> tuple[Tensor, ...]:
        """The states."""
        if self.model.embedding is not None and series is not None:
            input = torch.cat([input, self.model.embedding(series).expand(input.shape[0], -1, -1)], -1)
        return tuple(flat(self.model.recurrent(self.model.entered(input), lengths=lengths)[1]))


class _Next(Around):
    """The graph of a step: from inputs (B, I), the series if there are several, and states."""

    def __init__(self, model: Forecaster) -> None:
        super().__init__()
        self.model = model
        self._states = StateNames(model.recurrent)

    def forward(self, input: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """The numbers of the distribution, and the states after the step."""
        states = list(more)
        if self.model.embedding is not None:
            input = torch.cat([input, self.model.embedding(states.pop(0))], -1)
        output, after = self.model.recurrent(self.model.entered(input[None]), self._states.opened(states))
        return (distribution(self.model.head, self.model.output(output[0])), *flat(after))


def exported(
    model: Forecaster, known: ForecastKnown, validation: Callable[[], ForecastPart], samples: int = _SAMPLES
) -> Exported:
    """Both graphs, and all that a runner needs to make their inputs from a series."""
    if model.head.reads_frame or isinstance(model.head, LowRank):
        raise ConfigError(
            f"ONNX expected a forecaster with the head student-t, gaussian or quantiles, got {known.head}, whose draws run.py does "
            "not make; train with --model.head quantiles, or serve this one with `ostinato serve`"
        )
    has_series, width = model.embedding is not None, model.input_size
    states = StateNames(model.recurrent)
    series = [Port("series", ("B",), _SERIES)] * has_series
    of_input = "values at the lags and whether they were there, baseline, what is known, what was observed; see run.py"

    def drawer(
        axes: tuple[Axis, ...], with_states: bool
    ) -> Callable[[Mapping[str, int], torch.Generator], list[Tensor]]:
        def draw(sizes: Mapping[str, int], generator: torch.Generator) -> list[Tensor]:
            found = [drawn((*axes, width), sizes, generator)]
            found += [] if with_states else [drawn_lengths(sizes, generator)]
            if has_series:
                found.append(torch.randint(0, model.num_series + 1, (sizes["B"],), generator=generator, device="cpu"))
            return found + ([0.5 * v for v in states.draw(sizes["B"], generator, torch.float32)] if with_states else [])

        return draw

    names, of_head = _described(model)
    past = Graph(
        "past",
        _Reader(model),
        (Port("input", ("T", "B", width), of_input), LENGTHS, *series),
        tuple(states.ports("n", "states behind the past")),
        drawer(("T", "B"), False),
        prefix="model.",
    )
    step = Graph(
        "step",
        _Next(model),
        (Port("input", ("B", width), of_input), *series, *states.ports("0", "states before the step")),
        (Port("distribution", ("B", model.head.size), of_head), *states.ports("n", "states after the step")),
        drawer(("B",), True),
        prefix="model.",
    )
    constants = {
        **{name: getattr(known, name) for name in ("horizon", "context", "season", "step", "ids", "cycles", "widths")},
        **{name: getattr(known, name) for name in ("observed", "baseline")},
        "known": (*known.known, *known.static),
        "floors": [0.0 if known.is_floored(id) else -_NO_FLOOR for id in ("", *known.ids)],
        "lags": model.lags,
        "limit": model.limit,
        "distribution": names,
        "levels": list(getattr(model.head, "levels", ())),
        "intervals": INTERVALS,
        "least_of_history": LEAST_OF_HISTORY,
        "own_values": OWN_VALUES,
    }
    uniform = uniform_numbers(known.horizon, samples, _SEED)
    nothing = np.ones((known.horizon, samples))
    factors = nothing if known.calibration is None else known.calibration.of_draws("steps", 0, known.horizon, samples)
    arrays = {"uniform": uniform.numpy(), "factors": factors}
    if isinstance(model.head, Gaussian):
        arrays["normal"] = torch.special.ndtri(uniform[:, 0]).numpy()
    return Exported((past, step), constants, "forecast.py", _judge(validation), arrays)


def _described(model: Forecaster) -> tuple[list[str], str]:
    head = model.head
    if isinstance(head, StudentT):
        names = ["location", "scale", "degrees of freedom"]
    elif isinstance(head, Gaussian):
        names = ["location", "scale"]
    else:
        assert isinstance(head, Quantiles)
        names = [f"quantile {level}" for level in head.levels]
    return names, f"of the next value less its baseline, in the scale of the window: {', '.join(names)}"


def _judge(validation: Callable[[], ForecastPart]) -> Callable[[Any], Mapping[str, float]]:
    def judge(runner: Any) -> Mapping[str, float]:
        part = validation()
        errors: list[float] = []
        rows = np.unique(np.linspace(0, len(part) - 1, min(_JUDGED, len(part))).round().astype(int))
        truth = part.future()
        for row in rows:
            track, origin = part.tracks[int(part.series[row])], int(part.origin[row])
            end = origin + part.horizon
            found = runner.forecast(
                track.values[:origin],
                track.times[:end],
                np.concatenate([track.known[:end], np.repeat(track.static[None], end, 0)], 1),
                track.observed[:origin],
                track.id,
                part.horizon,
            )
            apart = np.abs(np.array(found["median"]) - truth[row])
            errors += apart[~np.isnan(apart)].tolist()
        return {"mean_absolute_error": float(np.mean(errors)) if errors else math.nan}

    return judge
