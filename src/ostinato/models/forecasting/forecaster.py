"""Aligned, then fed back: reads a series step by step, forecasts the next value's distribution, and reads its draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.models.forecasting.baseline import Baseline, BaselineName, shifted
from ostinato.models.forecasting.forecast_stream import ForecastStream
from ostinato.models.forecasting.frame import Frame
from ostinato.models.forecasting.heads import LEVELS, HeadName, least_size, make_head
from ostinato.models.forecasting.low_rank import LowRank
from ostinato.models.forecasting.scale import Scale, fill_forward, size_of
from ostinato.models.forecasting.windows import Behind, OneStep, SeriesBatch
from ostinato.models.forecasting.words import WordVectors
from ostinato.models.parts.dropout import Dropout, check_rate
from ostinato.models.parts.layers import AnyCell, make_layers, output_size
from ostinato.models.parts.states import map_state

_MOST_PATHS = 65_536  # paths that are drawn at once; others wait, so that memory stays bounded


class Forecaster(nn.Module):
    """Recurrent layers over a series and a distribution of its next value, fed back at inference.

        z_t = (x_t - x_n) / scale,   h_t = recurrent(z_{t-1}, lags, covariates_t, h_{t-1}),   z_t - b_t ~ head(W h_t + b)

    with n the last step of the past, and `scale` that of the past (`Scale`): the model does not notice if a series
    moves to another level, or is measured in another unit. b_t is a simple forecast (`Baseline`), such as z_{t-1}, or
    the value a season ago. Training reads the true values (teacher forcing) and has its loss on the steps to come,
    whose past is as long as a forecast's; forecasts feed back what they draw, many paths at once.

    Source: Salinas et al. 2020 (DeepAR), arXiv 1704.04110, equations 1 and 2. Different here: the change from a
    baseline is modelled, not the value; the scale is the spread of the past, not its mean; the steps of the past have
    no loss.

    Args:
        head: the kind of distribution of the next value.
        baseline: what the distribution is measured from, see `Baseline`.
        season: the baseline's season in steps; at least 1.
        start: K numbers of the head, see `Head.start`: before training, the forecast for any series is the baseline
            with their distribution around it. None for random weights of the output layer.
        lags: steps back, besides 1, whose values are inputs too, such as a season; each at least 2.
        limit: spreads of a window above which input values grow with their logarithm, above 0: a jump larger than any
            in training then does not drive the recurrent layers into unknown states. None for no limit.
        known_size: K, covariates known ahead of time.
        observed_size: P, covariates known up to now; for steps to come the model is told that they are missing.
        known_words: among the columns known ahead of time, the columns of 0 and 1 that stand for words: for each kind
            of words the first column and the one after the last; they are read as vectors (`WordVectors`).
        observed_words: the same for the observed columns.
        num_series: N, the number of training series; an embedding tells several apart.
        series_size: width of that embedding, and the largest width of those of words.
        unknown_rate: how often training hides the series or a word, so that the model knows what to do with a new one.
        cell: the recurrent layer.
        hidden_size: H, or one number a layer.
        num_layers: recurrent layers.
        dropout: between the layers and before the output, from 0 to below 1.
        options: keyword options of the recurrent layer, such as `{"zoneout": 0.1}`.
        levels: the levels of the head "quantiles".

    Raises:
        ConfigError: sizes, rates or options do not fit.
    """

    def __init__(
        self,
        *,
        head: HeadName = "student-t",
        baseline: BaselineName = "last_value",
        season: int = 1,
        start: Sequence[float] | None = None,
        lags: Sequence[int] = (),
        limit: float | None = None,
        known_size: int = 0,
        observed_size: int = 0,
        known_words: Sequence[tuple[int, int]] = (),
        observed_words: Sequence[tuple[int, int]] = (),
        num_series: int = 1,
        series_size: int = 8,
        unknown_rate: float = 0.1,
        cell: AnyCell = "lstm",
        hidden_size: int | Sequence[int] = 64,
        num_layers: int = 1,
        dropout: float = 0.0,
        options: Mapping[str, Any] | None = None,
        levels: Sequence[float] = LEVELS,
    ):
        super().__init__()
        for name, value, least in (
            ("known_size", known_size, 0),
            ("observed_size", observed_size, 0),
            ("num_series", num_series, 1),
            ("series_size", series_size, 1),
        ):
            if value < least:
                raise ConfigError(f"{name}: expected at least {least}, got {value}")
        if any(lag < 2 for lag in lags) or len(set(lags)) != len(lags):
            raise ConfigError(f"lags: expected different numbers of at least 2 (1 is always there), got {list(lags)}")
        if limit is not None and not limit > 0:
            raise ConfigError(f"limit: expected a number above 0, or none, got {limit}")
        check_rate("dropout", dropout)
        check_rate("unknown_rate", unknown_rate)
        self.lags, self.known_size, self.observed_size = tuple(lags), known_size, observed_size
        self.num_series, self.unknown_rate, self.limit = num_series, unknown_rate, limit
        self.head, self.baseline = make_head(head, levels), Baseline(baseline, season)
        self.embedding = nn.Embedding(num_series + 1, series_size) if num_series > 1 else None
        several = num_layers > 1 or (not isinstance(hidden_size, int) and len(hidden_size) > 1)
        self._reads_baseline = baseline != "last_value"  # the last value is an input anyway
        values = 2 * (1 + len(lags)) + self._reads_baseline
        # Inputs before words become vectors, and without the vector of the series.
        self.input_size = values + known_size + 2 * observed_size
        spans = [(values + a, values + b) for a, b in known_words]
        spans += [(values + known_size + a, values + known_size + b) for a, b in observed_words]
        self.words = WordVectors(spans, series_size, unknown_rate) if spans else None
        width = self.input_size + (self.words.grown if self.words is not None else 0)
        width += series_size if num_series > 1 else 0
        self.recurrent = make_layers(
            cell,
            width,
            hidden_size,
            num_layers,
            options=options,
            dropout=dropout if several else 0.0,
            bidirectional=False,
        )
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(output_size(self.recurrent), self.head.size)
        nn.init.zeros_(self.output.bias)
        if start is not None:
            self._begin_with(start)

    @torch.no_grad()
    def _begin_with(self, start: Sequence[float]) -> None:
        if len(start) != self.head.size:
            raise ConfigError(f"start: expected {self.head.size} numbers for this head, got {len(start)}")
        loadings = self.output.weight[2:].clone()
        self.output.weight.zero_()
        if isinstance(self.head, LowRank):  # with zero weights, all series would have the same factors
            self.output.weight[2:] = 0.3 * loadings
        self.output.bias.copy_(torch.tensor(start))

    # --- training ---

    def loss(self, batch: SeriesBatch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean loss of the head over the known values to come, in the scale of each window; and None for a state.

        Values of a row whose past has no scale are left out; the loss is 0 if no other is left.
        """
        found = self.one_step(batch)
        if isinstance(self.head, LowRank):
            alone = torch.arange(len(batch.past), device=batch.past.device)
            group = alone if batch.group is None else batch.group
            return self.head.joint_loss(found.raw, found.change, found.counted, group), None
        losses = self.head.loss(found.raw, found.change, found.frame)
        return losses.masked_fill(~found.counted, 0.0).sum() / found.counted.sum().clamp_min(1), None

    def one_step(self, batch: SeriesBatch) -> OneStep:
        """The forecast of each value to come from the true values before it (teacher forcing)."""
        z, scale = self.scaled(batch)
        filled, is_there = fill_forward(z)
        baseline = self.baseline.of_window(filled, is_there, batch.past)
        x = self._inputs(batch, filled, is_there, baseline, self._hidden_series(batch))
        begin = int(
            batch.past.min()
        )  # most rows have the same past: the steps before the origins of all rows need no output
        raw = self.output(self.dropout(self.recurrent(x, lengths=batch.lengths)[0][begin:]))
        counted = (is_there & self.to_come(batch) & (scale.width > 0))[begin:]
        change = torch.where(counted, (z - baseline)[begin:], 0.0)
        raw = raw.float() if raw.dtype in (torch.bfloat16, torch.float16) else raw
        level, _, size = self._levels(batch)
        frame = self.frame(scale, level, size, baseline[begin:])
        return OneStep(begin, raw, change, counted, baseline[begin:], scale, frame)

    def frame(self, scale: Scale, level: torch.Tensor, size: torch.Tensor, baseline: torch.Tensor) -> Frame | None:
        """Where zero is relative to a baseline (..., B), in the window's scale; None for a head without frames."""
        if not self.head.reads_frame:
            return None
        width = torch.where(scale.width > 0, scale.width, 1.0)
        zero = -(level + scale.centre) / width - baseline
        return Frame(zero, width.expand_as(zero), size.expand_as(zero))

    def _levels(self, batch: SeriesBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For each row, (B,): what its values are measured from, whether they are never below 0, and their size."""
        nothing = batch.input.new_zeros(len(batch.past))
        level = nothing if batch.level is None else batch.level.to(nothing.dtype)
        floored = torch.zeros_like(nothing, dtype=torch.bool) if batch.floored is None else batch.floored
        if not self.head.reads_frame:
            return level, floored, nothing
        return level, floored, size_of(batch.input, batch.past, level, least_size(self.head))

    @staticmethod
    def scaled(batch: SeriesBatch) -> tuple[torch.Tensor, Scale]:
        """The values in the scale of each window, (T, B), NaN for missing ones; and that scale."""
        scale = Scale.of(batch.input, batch.past, batch.least_scale)
        real = batch.input
        if batch.lengths is not None:
            ends = torch.arange(len(real), device=real.device).unsqueeze(1) >= batch.lengths
            real = real.masked_fill(ends, torch.nan)
        return scale.apply(real), scale

    @staticmethod
    def to_come(batch: SeriesBatch) -> torch.Tensor:
        """Which steps come after the past, (T, B) bool; padding is among them, but has no value."""
        return torch.arange(len(batch.input), device=batch.input.device).unsqueeze(1) >= batch.past

    def _hidden_series(self, batch: SeriesBatch) -> torch.Tensor | None:
        if batch.series is None or not self.training or self.embedding is None:
            return batch.series
        hidden = torch.rand(batch.series.shape, device=batch.series.device) < self.unknown_rate
        return batch.series.masked_fill(hidden, 0)

    def _inputs(
        self,
        batch: SeriesBatch,
        filled: torch.Tensor,
        is_there: torch.Tensor,
        baseline: torch.Tensor,
        series: torch.Tensor | None,
    ) -> torch.Tensor:
        """The inputs (T, B, I): at each step the value before it, those at the lags, the baseline, and covariates.

        At the first step, values before it are marked as missing.
        """
        there = is_there.to(filled.dtype)
        parts: list[torch.Tensor] = []
        for lag in (1, *self.lags):
            parts += [self._squashed(shifted(filled, lag)), shifted(there, lag)]
        parts += [self._squashed(baseline)] if self._reads_baseline else []
        known = self._covariates(batch.known, self.known_size, batch.input, "known")
        observed = self._covariates(batch.observed, self.observed_size, batch.input, "observed")
        observed = shifted(observed.masked_fill(self.to_come(batch).unsqueeze(-1), torch.nan), 1, torch.nan)
        parts = [part.unsqueeze(-1) for part in parts]
        parts += [known.nan_to_num(0.0), observed.nan_to_num(0.0), (~observed.isnan()).to(filled.dtype)]
        if self.embedding is not None:
            chosen = torch.zeros_like(batch.past) if series is None else series
            parts.append(self.embedding(chosen).expand(len(filled), -1, -1))
        weights = self.output.weight
        return self.entered(torch.cat([part.to(weights.dtype) for part in parts], -1))

    def entered(self, x: torch.Tensor) -> torch.Tensor:
        """The layers' input from inputs (..., B, I) in which words are columns."""
        return x if self.words is None else self.words(x)

    def _squashed(self, z: torch.Tensor) -> torch.Tensor:
        """Values as inputs: nearly unchanged up to the limit, growing with the logarithm far beyond."""
        return z if self.limit is None else self.limit * torch.asinh(z / self.limit)

    def _covariates(self, given: torch.Tensor | None, size: int, like: torch.Tensor, name: str) -> torch.Tensor:
        if given is None and size:
            raise ConfigError(f"{name}: expected {size} covariates at each step, got none")
        return like.new_zeros((*like.shape, 0)) if given is None else given

    # --- inference ---

    def sample(
        self, batch: SeriesBatch, future: torch.Tensor | None, horizon: int, uniform: torch.Tensor
    ) -> torch.Tensor:
        """Draws paths that continue each row's past (ancestral sampling): each step given the drawn ones before it.

        Args:
            batch: the windows; their values after the past are not used.
            future: (horizon, B, K), covariates known ahead of time; None if K is 0.
            horizon: steps to forecast, at least 1.
            uniform: (horizon, `draws`, S), numbers above 0 and below 1, see `uniform_numbers`; the same for every row.

        Returns:
            (horizon, B, S), in the unit of the series.

        Raises:
            ConfigError: `horizon`, `future` or `uniform` does not fit.
        """
        if horizon < 1:
            raise ConfigError(f"horizon: expected at least 1 step to forecast, got {horizon}")
        if uniform.dim() != 3 or uniform.shape[:2] != (horizon, self.draws):
            raise ConfigError(f"uniform: expected numbers ({horizon}, {self.draws}, S), got {tuple(uniform.shape)}")
        if self.known_size and (future is None or future.shape[::2] != (horizon, self.known_size)):
            got = "none" if future is None else tuple(future.shape)
            raise ConfigError(f"future: expected covariates ({horizon}, B, {self.known_size}), got {got}")
        behind = self.behind(batch)
        # At the first step to come, what was observed last is still an input.
        beside = [
            self._beside(batch, None if future is None else future[step], batch.observed if step == 0 else None)
            for step in range(horizon)
        ]
        return self.paths(behind, beside, uniform)

    def behind(self, batch: SeriesBatch) -> Behind:
        """The model's state after the past of each row of a batch."""
        z, scale = self.scaled(batch)
        filled, is_there = fill_forward(z.masked_fill(self.to_come(batch), torch.nan))
        return self.behind_filled(batch, filled, is_there, scale)

    def behind_filled(self, batch: SeriesBatch, filled: torch.Tensor, is_there: torch.Tensor, scale: Scale) -> Behind:
        """The model's state after the past, from values (T, B) in the scale of each window, without gaps.

        Args:
            batch: the inputs besides the values.
            filled: the values.
            is_there: (T, B) bool, which of them the series has.
            scale: the scale of the windows.
        """
        baseline = self.baseline.of_window(filled, is_there, batch.past)
        x = self._inputs(batch, filled, is_there, baseline, batch.series)
        _, state = self.recurrent(x, lengths=batch.past)
        # (reach, B): the last steps of each row's past, as far as it has so many.
        back = batch.past + torch.arange(-self.reach, 0, device=filled.device).unsqueeze(1)
        values, flags, begun = (
            torch.where(back >= 0, each.gather(0, back.clamp_min(0)), 0.0)
            for each in (filled, is_there.to(filled.dtype), is_there.to(filled.dtype).cummax(0).values)
        )
        means = self.baseline.means(filled, is_there, batch.past)
        channel = torch.zeros_like(batch.past) if batch.channel is None else batch.channel
        return Behind(state, scale, values, flags, begun, means, *self._levels(batch), channel)

    @property
    def reach(self) -> int:
        """How many values before a step the model reads."""
        return max(self.baseline.reach, *self.lags, 1)

    def paths(self, behind: Behind, beside: Sequence[torch.Tensor], uniform: torch.Tensor) -> torch.Tensor:
        """Draws paths from a state, (horizon, B, S), in the unit of the series.

        Args:
            behind: the state, of B rows.
            beside: for each step (B, .), the inputs that are no values.
            uniform: (horizon, `draws`, S), as in `sample`.
        """
        like = behind.values
        at_once = max(1, _MOST_PATHS // like.shape[1])
        parts = uniform.to(device=like.device, dtype=like.dtype).split(at_once, 2)
        found = torch.cat([behind.scale.invert(self._paths(part, behind, beside)) for part in parts], 2)
        level = behind.level.unsqueeze(-1)
        if self.head.is_count:
            found = (found + level).round() - level  # values in the window's scale have rounding errors
        return torch.where(behind.floored.unsqueeze(-1), torch.maximum(found, -level), found)

    def middles(self, behind: Behind, beside: Sequence[torch.Tensor]) -> torch.Tensor:
        """The path of which each step is the middle of its distribution (`Head.middle`), (horizon, B); see `paths`.

        Nothing is drawn and no count is rounded, so that it has derivatives.
        """
        return behind.scale.invert(self._paths(None, behind, beside))[..., 0]

    def _paths(self, uniform: torch.Tensor | None, behind: Behind, beside: Sequence[torch.Tensor]) -> torch.Tensor:
        """Feeds back draws, or middles if `uniform` is None; arguments as for `paths`. In the scale of the window."""
        S, B = 1 if uniform is None else uniform.shape[2], behind.values.shape[1]
        state = map_state(lambda part: part.repeat_interleave(S, 1), behind.state)
        repeated = [list(each.repeat_interleave(S, 1)) for each in (behind.values, behind.flags, behind.begun)]
        values, flags, begun = repeated
        means = None if behind.means is None else behind.means.repeat_interleave(S, 1)
        scale, level, size = (
            Scale(*(_times(S, v) for v in (behind.scale.centre, behind.scale.width))),
            behind.level,
            behind.size,
        )
        level, size, floored = (_times(S, v) for v in (level, size, behind.floored))
        least = -(level + scale.centre) / torch.where(scale.width > 0, scale.width, 1.0)
        for step, others in enumerate(beside):
            mean = None if means is None else means[step % len(means)]
            x, baseline = self.step_input(values, flags, begun, mean, others.repeat_interleave(S, 0))
            output, state = self.recurrent(x.unsqueeze(0), state)
            raw, frame = self.output(output[0]).to(baseline.dtype), self.frame(scale, level, size, baseline)
            if uniform is None:
                change = self.head.middle(raw, frame)
            else:
                change = self.head.sample(raw, self._numbers(uniform[step], behind.channel), frame)
            value = baseline + change
            values.append(torch.where(floored, torch.maximum(value, least), value))
            flags.append(torch.ones_like(value))
            begun.append(flags[-1])
        return torch.stack(values[-len(beside) :]).reshape(len(beside), B, S)

    @property
    def draws(self) -> int:
        """How many uniform numbers a step of a path needs: two; for joint series one each, and one for each factor."""
        return self.num_series + self.head.rank if isinstance(self.head, LowRank) else 2

    def _numbers(self, uniform: torch.Tensor, channel: torch.Tensor) -> torch.Tensor:
        """The uniform numbers of each row and path, (., B S), from (draws, S)."""
        if not isinstance(self.head, LowRank):
            return uniform.repeat(1, len(channel))
        own = uniform[channel.clamp_max(self.num_series - 1)].reshape(1, -1)
        return torch.cat([own, uniform[self.num_series :].repeat(1, len(channel))])

    def step_input(
        self,
        values: Sequence[torch.Tensor],
        flags: Sequence[torch.Tensor],
        begun: Sequence[torch.Tensor],
        mean: torch.Tensor | None,
        others: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The layers' input at one step, (B, I), and the baseline, (B,).

        Args:
            values: the values before the step, (B,) each, the latest last; at least as many as `reach`.
            flags: for each, 1 if there was a value, else 0.
            begun: for each, 1 if the series had begun by then.
            mean: (B,), the mean that the baseline needs.
            others: (B, .), the inputs that are no values.
        """
        parts: list[torch.Tensor] = []
        for lag in (1, *self.lags):
            parts += [self._squashed(values[-lag]), flags[-lag]]
        baseline = self.baseline.next(lambda lag: values[-lag], lambda lag: begun[-lag].bool(), mean)
        parts += [self._squashed(baseline)] if self._reads_baseline else []
        return self.entered(torch.cat([torch.stack(parts, 1), others], 1).to(self.output.weight.dtype)), baseline

    def _beside(self, batch: SeriesBatch, known: torch.Tensor | None, observed: torch.Tensor | None) -> torch.Tensor:
        """The inputs of one step after the past, (B, .), without those that are values of the series."""
        B = len(batch.past)
        if observed is not None and self.observed_size:
            observed = observed[batch.past - 1, torch.arange(B, device=batch.input.device)]
        return self.others(batch.input.new_zeros(B), known, observed, batch.series)

    def others(
        self,
        like: torch.Tensor,
        known: torch.Tensor | None,
        observed: torch.Tensor | None,
        series: torch.Tensor | None,
    ) -> torch.Tensor:
        """The inputs of one step that are no values of the series, (B, .).

        Args:
            like: (B,).
            known: (B, K), covariates of this step; None if there are none.
            observed: (B, P), those of the step before, NaN for missing ones; None if all are missing.
            series: (B,) int64; None for a series that training never had.
        """
        B = len(like)
        parts = [like.new_zeros((B, 0)) if known is None else known.nan_to_num(0.0)]
        seen = like.new_full((B, self.observed_size), torch.nan)
        if observed is not None and self.observed_size:
            seen = observed
        parts += [seen.nan_to_num(0.0), (~seen.isnan()).to(like.dtype)]
        if self.embedding is not None:
            chosen = torch.zeros(B, dtype=torch.int64, device=like.device) if series is None else series
            parts.append(self.embedding(chosen))
        return torch.cat([part.to(like.dtype) for part in parts], -1)

    # --- step by step ---

    def open_stream(self, **arguments: Any) -> ForecastStream:
        """Opens the stream of `Stream(model, ...)`, see `ForecastStream`."""
        return ForecastStream(self, **arguments)

    def stream(self, **arguments: Any) -> ForecastStream:
        """Reads values one by one, and forecasts from any, see `ForecastStream`; arguments are those of `Stream`."""
        return self.open_stream(**arguments)


def _times(count: int, v: torch.Tensor) -> torch.Tensor:
    return v.repeat_interleave(count, 0)
