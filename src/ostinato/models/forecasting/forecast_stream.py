"""Reading a series value by value, and forecasting from any step."""

from __future__ import annotations

import math
from typing import Any

import torch

from ostinato.errors import ConfigError
from ostinato.models.forecasting.baseline import Baseline
from ostinato.models.forecasting.heads import Quantiles, distribution
from ostinato.models.forecasting.scale import Scale
from ostinato.models.forecasting.windows import Behind, SeriesBatch, uniform_numbers
from ostinato.models.parts.model_stream import ModelStream
from ostinato.models.parts.reading import reading
from ostinato.nn.streams.rows import Rows, is_one


class ForecastStream(ModelStream):
    """`Stream(forecaster)`: reads a past, then value after value, and forecasts from there without reading them again.

        stream.begin(past)
        stream(value)
        paths = stream.forecast(horizon)

    After each value, `surprise` says how strange it was compared with the likeliest value, `()` or `(n,)`, NaN for a
    missing one; see `Head.surprise`.

    The model reads values in the unit of the past, its `Scale`, as for forecasts of a window that begins with this
    past. If a series moves far from there, begin again with a newer past.
    """

    def __init__(self, model: Any, **arguments: Any) -> None:
        super().__init__(model, output=model.output, **arguments)
        self.surprise = model.output.weight.new_full((), torch.nan)

    def _fresh(self, rows: int) -> dict[str, torch.Tensor]:
        model, like = self.model, self.model.output.weight.detach()
        baseline: Baseline = model.baseline
        ends = {name: like.new_zeros(rows, model.reach) for name in ("values", "flags", "begun")}
        season = baseline.season if baseline.name == "season_mean" else 0
        return {
            **ends,
            "means": like.new_zeros(rows, season),
            "observed": like.new_full((rows, model.observed_size), torch.nan),
            "centre": like.new_zeros(rows),
            "width": like.new_zeros(rows),
            "level": like.new_zeros(rows),
            "size": like.new_zeros(rows),
            "floored": torch.zeros(rows, dtype=torch.bool, device=like.device),
            "has_begun": torch.zeros(rows, dtype=torch.bool, device=like.device),
            "steps": torch.zeros(rows, dtype=torch.int64, device=like.device),
            "series": torch.zeros(rows, dtype=torch.int64, device=like.device),
        }

    # steps

    @torch.inference_mode(False)
    def begin(
        self,
        past: Any,
        *,
        known: Any = None,
        observed: Any = None,
        series: int = 0,
        least_scale: float = 0.0,
        level: float = 0.0,
        nonnegative: bool = False,
        row: int = 0,
    ) -> None:
        """Reads a past; what was read before is forgotten.

        Args:
            past: `(T,)` values, T at least 1, NaN for missing ones.
            known: `(T, K)`, covariates known ahead of time.
            observed: `(T, P)`, covariates known up to now, NaN for missing ones.
            series: the number of the series; 0 for one that training never had.
            least_scale: the least scale, at least 0, see `Scale`.
            level: what was subtracted from all values, for a head that must know where 0 is.
            nonnegative: forecast nothing below 0, that is, below -level.
            row: with `rows=N`, the row that reads it.

        Raises:
            ConfigError: the past or covariates have another shape, or the series or row does not exist.
        """
        model, which = self.model, self._row(row)
        like = model.output.weight
        values = _numbers("past", past, like)
        if values.dim() != 1 or not len(values) or bool(values.isinf().any()):
            raise ConfigError(
                f"past expected finite values (T,), T at least 1, NaN where missing, got {_shown(values)}"
            )
        count = 1 if model.embedding is None else model.num_series
        if not isinstance(series, int) or not 0 <= series <= count:
            raise ConfigError(f"series expected a number from 0 to {count}, got {series!r}")
        if not 0 <= least_scale < math.inf:
            raise ConfigError(f"least_scale expected a number of at least 0, got {least_scale}")
        known = _columns("known", known, len(values), model.known_size, like)
        observed = _columns("observed", observed, len(values), model.observed_size, like)
        batch = SeriesBatch(
            input=values.unsqueeze(1),
            lengths=torch.tensor([len(values)], device=like.device),
            rows=torch.tensor([0], device=like.device),
            target=values.unsqueeze(1),
            past=torch.tensor([len(values)], device=like.device),
            known=known.unsqueeze(1),
            observed=observed.unsqueeze(1),
            series=torch.tensor([series], device=like.device),
            least_scale=torch.tensor([least_scale], dtype=values.dtype, device=like.device),
            level=torch.tensor([level], dtype=values.dtype, device=like.device),
            floored=torch.tensor([nonnegative], device=like.device),
        )
        with torch.no_grad(), reading(model), torch.autocast("cpu", enabled=False):
            behind = model.behind(batch)
        if not bool((behind.scale.centre + behind.scale.width).isfinite().all()):
            raise ConfigError("past expected values whose spread is a finite number, got values that are too large")
        if self.rows is None:
            self.layers.state = behind.state
        else:
            self.layers.set_state(behind.state, which)
        kept = {
            "values": behind.values.T,
            "flags": behind.flags.T,
            "begun": behind.begun.T,
            "observed": observed[-1:],
            "centre": behind.scale.centre,
            "width": behind.scale.width,
            "level": behind.level,
            "size": behind.size,
            "floored": behind.floored,
            "has_begun": torch.ones(1, dtype=torch.bool, device=like.device),
            "steps": torch.zeros(1, dtype=torch.int64, device=like.device),
            "series": torch.tensor([series], device=like.device),
        }
        if behind.means is not None:
            kept["means"] = behind.means.T
        for name, v in kept.items():
            self._memory[name][which] = v.to(self._memory[name].dtype)

    def __call__(
        self, input: Any, rows: Rows | None = None, *, known: Any = None, observed: Any = None
    ) -> torch.Tensor:
        """Reads the next value.

        Args:
            input: a number, NaN if it is missing; for n rows `(n,)`.
            rows: see `ModelStream`.
            known: `(K,)`, for n rows `(n, K)`: covariates of this step that are known ahead of time.
            observed: `(P,)`, `(n, P)`: covariates that are observed with it, NaN for missing ones.

        Returns:
            The distribution that was forecast for this value, in the unit of the series, `(K,)` or `(n, K)`: location
            and scale, for a Student-t the degrees of freedom too; or the quantiles, in the order of the head's levels.
            For counts and amounts, the head's `numbers`, for values from 0 on.

        Raises:
            ConfigError: values or covariates have another shape, or no past was read.
        """
        which = self._which(rows)
        self._check_begun(which)
        model, n, like = self.model, len(which), self.model.output.weight
        values = _numbers("input", input, like).reshape(-1)
        if len(values) != n or bool(values.isinf().any()):
            raise ConfigError(f"input expected {n} finite values, NaN where missing, got {_shown(values)}")
        known = _columns("known", known, n, model.known_size, like)
        observed = _columns("observed", observed, n, model.observed_size, like)
        return super().__call__((values, known, observed), rows)

    def _one(self, input: Any) -> tuple[Any, bool]:
        return input, True

    def _enter(self, input: Any, which: torch.Tensor) -> torch.Tensor:
        memory, known = self._of(which), input[1]
        series = memory["series"] if self.model.embedding is not None else None
        others = self.model.others(memory["centre"], known, memory["observed"], series)
        means = memory["means"]
        mean = means.gather(1, (memory["steps"] % means.shape[1]).unsqueeze(1))[:, 0] if means.shape[1] else None
        ends = ([*memory[name].T] for name in ("values", "flags", "begun"))
        x, self._baseline = self.model.step_input(*ends, mean, others)
        return x

    def _of(self, which: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: v[which] for name, v in self._memory.items()}

    def _answer(self, h: torch.Tensor, input: Any, which: torch.Tensor) -> torch.Tensor:
        values, _, observed = input
        memory = self._of(which)
        z = Scale(memory["centre"], memory["width"]).apply(values.unsqueeze(0))[0]
        is_there = ~z.isnan()
        last = memory["values"][:, -1]
        new = {
            "values": torch.where(is_there, z, last),
            "flags": is_there.to(z.dtype),
            "begun": torch.maximum(memory["begun"][:, -1], is_there.to(z.dtype)),
        }
        for name, v in new.items():
            self._memory[name][which] = torch.cat([memory[name][:, 1:], v.unsqueeze(1)], 1)
        self._memory["observed"][which] = observed
        self._memory["steps"][which] += 1
        change, frame = torch.where(is_there, z - self._baseline, 0.0), self._frame(memory)
        surprise = self.model.head.surprise(h, change, frame).to(z.dtype).masked_fill(~is_there, torch.nan)
        self.surprise = surprise[0] if self.rows is None else surprise
        return self._said(h, memory)

    def _frame(self, memory: dict[str, torch.Tensor]) -> Any:
        scale = Scale(memory["centre"], memory["width"])
        return self.model.frame(scale, memory["level"], memory["size"], self._baseline)

    def _said(self, h: torch.Tensor, memory: dict[str, torch.Tensor]) -> torch.Tensor:
        """The forecast distribution, in the unit of the series."""
        frame = self._frame(memory)
        if frame is not None:
            return self.model.head.numbers(h, frame).to(h.dtype)
        numbers = distribution(self.model.head, h)
        centre, width, baseline = (v.unsqueeze(1) for v in (memory["centre"], memory["width"], self._baseline))
        if isinstance(self.model.head, Quantiles):
            return centre + width * (baseline + numbers)
        return torch.cat([centre + width * (baseline + numbers[:, :1]), width * numbers[:, 1:2], numbers[:, 2:]], 1)

    def _check_begun(self, which: torch.Tensor) -> None:
        if not bool(self._memory["has_begun"][which].all()):
            raise ConfigError("expected a past that was read, got none yet; call begin(past) first")

    # forecasts

    @torch.no_grad()
    def forecast(
        self, horizon: int, *, future: Any = None, samples: int = 100, seed: int = 0, rows: Rows | None = None
    ) -> torch.Tensor:
        """Draws paths that continue the series from here, in its unit; the stream stays where it is.

        Args:
            horizon: steps, at least 1.
            future: `(horizon, K)`, covariates known ahead of time; for n rows `(horizon, n, K)`. None if K is 0.
            samples: S, the number of paths.
            seed: the same seed draws the same paths.
            rows: with `rows=N`, the rows to forecast; None for all.

        Returns:
            `(horizon, S)`, or `(horizon, n, S)`; quantiles over the last dimension are the ends of intervals.

        Raises:
            ConfigError: an argument is out of range, or no past was read.
        """
        for name, number in (("horizon", horizon), ("samples", samples), ("seed", seed)):
            if isinstance(number, bool) or not isinstance(number, int) or (name != "seed" and number < 1):
                raise ConfigError(
                    f"{name} expected a whole number{'' if name == 'seed' else ' of at least 1'}, got {number!r}"
                )
        if not -(2**63) <= seed < 2**64:
            raise ConfigError(f"seed expected an integer from -2^63 to 2^64 - 1, as torch takes, got {seed}")
        which, alone = self._which(rows), self.rows is None or is_one(rows)
        if not len(which):
            return self.model.output.weight.new_zeros(horizon, 0, samples)
        self._check_begun(which)
        model, memory = self.model, self._of(which)
        like = memory["values"]
        if model.known_size and future is None:
            raise ConfigError(f"future expected covariates ({horizon}, {model.known_size}), got none")
        given = like.new_zeros(horizon, len(which), 0) if future is None else _numbers("future", future, like)
        if future is not None and alone and given.dim() == 2:
            given = given.unsqueeze(1)
        if given.shape != (horizon, len(which), model.known_size):
            raise ConfigError(
                f"future expected covariates ({horizon}, {len(which)}, {model.known_size}), got {tuple(given.shape)}"
            )
        series = memory["series"] if model.embedding is not None else None
        centre = memory["centre"]
        beside = [
            model.others(centre, given[step].to(like), memory["observed"] if step == 0 else None, series)
            for step in range(horizon)
        ]
        state = self.layers.state if self.rows is None else self.layers.state_of(which)
        behind = Behind(
            state if self.rows is not None else _batched(state),
            Scale(centre, memory["width"]),
            memory["values"].T,
            memory["flags"].T,
            memory["begun"].T,
            self._means_from_here(memory),
            memory["level"],
            memory["floored"],
            memory["size"],
            (memory["series"] - 1).clamp_min(0),
        )
        with torch.inference_mode(False), reading(model), torch.autocast("cpu", enabled=False):
            paths = model.paths(behind, beside, uniform_numbers(horizon, samples, seed, model.draws))
        return paths[:, 0] if alone else paths

    def measure_error(self, inputs: Any) -> Any:
        """Not for a series, as the layers' inputs depend on its state: see `stream.layers.measure_error`."""
        raise ConfigError(
            "measure_error expected a stream of tokens or vectors, got one of a series; stream.layers.measure_error(x) takes what "
            f"enters the layers, (T, {self.model.recurrent.input_size})"
        )

    def _means_from_here(self, memory: dict[str, torch.Tensor]) -> torch.Tensor | None:
        """The means of the baseline, `(m, n)`, from that of the next step on; or None."""
        means = memory["means"].T
        if not len(means):
            return None
        return means.gather(
            0, (torch.arange(len(means), device=means.device).unsqueeze(1) + memory["steps"]) % len(means)
        )


def _numbers(name: str, given: Any, like: torch.Tensor) -> torch.Tensor:
    try:
        return torch.as_tensor(given, dtype=like.dtype, device=like.device).detach()
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{name} expected numbers, got {type(given).__name__}") from None


def _shown(values: torch.Tensor) -> str:
    return "infinite ones" if bool(values.isinf().any()) else f"the shape {tuple(values.shape)}"


def _columns(name: str, given: Any, rows: int, size: int, like: torch.Tensor) -> torch.Tensor:
    """Covariates, `(rows, size)`."""
    if given is None:
        if size:
            raise ConfigError(f"{name} expected covariates ({rows}, {size}), got none")
        return like.new_zeros(rows, 0)
    v = _numbers(name, given, like)
    if v.dim() == 1 and rows == 1:
        v = v.unsqueeze(0)
    if v.shape != (rows, size):
        raise ConfigError(f"{name} expected covariates ({rows}, {size}), got {tuple(v.shape)}")
    return v


def _batched(state: Any) -> Any:
    """Adds a dimension of rows to the state of a stream of one row."""
    if isinstance(state, torch.Tensor):
        return state.unsqueeze(1)
    return type(state)(_batched(part) for part in state)
