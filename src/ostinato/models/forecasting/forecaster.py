"""Aligned, then fed back: reads a series step by step, says how the next value is distributed, and reads what it has drawn."""

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

_MOST_PATHS = 65_536  # that are drawn at once: more wait, so that memory does not grow with them


class Forecaster(nn.Module):
    """Recurrent layers over a series and a distribution of its next value, fed back at inference.

        z_t = (x_t - x_n) / scale,   h_t = recurrent(z_{t-1}, lags, covariates_t, h_{t-1}),   z_t - b_t ~ head(W h_t + b)

    with n the last step of the past, and `scale` of the past too (`Scale`): a series that moves to another level, or is measured in
    another unit, is the same to it. b_t is what anybody would forecast (`Baseline`), such as z_{t-1}, or the value a season ago.
    Training reads the true values (teacher forcing) and has its loss on the steps to come, whose past is what a forecast would have
    had; forecasts feed back what they draw, many paths at once.

    Source: Salinas et al. 2020 (DeepAR), arXiv 1704.04110, equations 1 and 2. Different here: the change from a baseline is
    modelled, not the value; the scale is the spread of the past, not its mean; the loss has no step of the past.

    Args:
        head: what is said about the next value.
        baseline: what the distribution is measured from, see `Baseline`.
        season: in steps, of the baseline; at least 1.
        start: K numbers of the head, see `Head.start`: before training the forecast is the baseline with their distribution around
            it, whatever the series. None for random weights of the output layer.
        lags: steps back, beside 1, whose values are inputs too, such as a season; each at least 2.
        limit: spreads of a window beyond which values that are inputs grow with their logarithm, above 0: after a jump that
            training never had the like of, the recurrent layers are not driven where they never were. None for no limit.
        known_size: K, covariates known ahead of time.
        observed_size: P, covariates known up to now; in the steps to come the model is told that they are not there.
        known_words: of the columns known ahead of time, those of 0 and 1 that stand for the words of a kind, the first and the one
            behind the last of each kind; they are read as vectors (`WordVectors`).
        observed_words: the same of the others.
        num_series: N, series that training has; an embedding tells them apart where there are several.
        series_size: width of that embedding, and at most of those of words.
        unknown_rate: how often training hides which series it is, or which word, so that the model knows what to do with a new one.
        cell: the recurrent layer.
        hidden_size: H, or one number a layer.
        num_layers: recurrent layers.
        dropout: between the layers and before the output, from 0 to below 1.
        options: keyword options of the recurrent layer, such as `{"zoneout": 0.1}`.
        levels: of the head "quantiles".

    Raises:
        ConfigError: sizes, rates or options that do not fit.
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
        self._reads_baseline = baseline != "last_value"  # which is an input anyway
        values = 2 * (1 + len(lags)) + self._reads_baseline
        # Inputs before words are vectors, without the vector of a series.
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
        if isinstance(self.head, LowRank):  # which are the same for all series else
            self.output.weight[2:] = 0.3 * loadings
        self.output.bias.copy_(torch.tensor(start))

    # --- training ---

    def loss(self, batch: SeriesBatch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The mean loss of the head over the values to come that are there, in the scale of each window, and no state.

        Values of a row whose past has no scale are left out; without any other it is 0.
        """
        found = self.one_step(batch)
        if isinstance(self.head, LowRank):
            alone = torch.arange(len(batch.past), device=batch.past.device)
            group = alone if batch.group is None else batch.group
            return self.head.joint_loss(found.raw, found.change, found.counted, group), None
        losses = self.head.loss(found.raw, found.change, found.frame)
        return losses.masked_fill(~found.counted, 0.0).sum() / found.counted.sum().clamp_min(1), None

    def one_step(self, batch: SeriesBatch) -> OneStep:
        """What is said of each value to come, the true values before it read (teacher forcing)."""
        z, scale = self.scaled(batch)
        filled, is_there = fill_forward(z)
        baseline = self.baseline.of_window(filled, is_there, batch.past)
        x = self._inputs(batch, filled, is_there, baseline, self._hidden_series(batch))
        begin = int(
            batch.past.min()
        )  # most rows have the same past: what lies before all their origins needs no output
        raw = self.output(self.dropout(self.recurrent(x, lengths=batch.lengths)[0][begin:]))
        counted = (is_there & self.to_come(batch) & (scale.width > 0))[begin:]
        change = torch.where(counted, (z - baseline)[begin:], 0.0)
        raw = raw.float() if raw.dtype in (torch.bfloat16, torch.float16) else raw
        level, _, size = self._levels(batch)
        frame = self.frame(scale, level, size, baseline[begin:])
        return OneStep(begin, raw, change, counted, baseline[begin:], scale, frame)

    def frame(self, scale: Scale, level: torch.Tensor, size: torch.Tensor, baseline: torch.Tensor) -> Frame | None:
        """Where zero is beside a baseline (..., B), in the scale of the window; None for a head that does not read it."""
        if not self.head.reads_frame:
            return None
        width = torch.where(scale.width > 0, scale.width, 1.0)
        zero = -(level + scale.centre) / width - baseline
        return Frame(zero, width.expand_as(zero), size.expand_as(zero))

    def _levels(self, batch: SeriesBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(B,) each: what values are measured from, whether they stay above 0, and how large they are."""
        nothing = batch.input.new_zeros(len(batch.past))
        level = nothing if batch.level is None else batch.level.to(nothing.dtype)
        floored = torch.zeros_like(nothing, dtype=torch.bool) if batch.floored is None else batch.floored
        if not self.head.reads_frame:
            return level, floored, nothing
        return level, floored, size_of(batch.input, batch.past, level, least_size(self.head))

    @staticmethod
    def scaled(batch: SeriesBatch) -> tuple[torch.Tensor, Scale]:
        """The values in the scale of each window, (T, B), NaN where missing; and that scale."""
        scale = Scale.of(batch.input, batch.past, batch.least_scale)
        real = batch.input
        if batch.lengths is not None:
            ends = torch.arange(len(real), device=real.device).unsqueeze(1) >= batch.lengths
            real = real.masked_fill(ends, torch.nan)
        return scale.apply(real), scale

    @staticmethod
    def to_come(batch: SeriesBatch) -> torch.Tensor:
        """(T, B) bool: the steps behind the past; those that are padding have no value."""
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
        """(T, B, I): at each step the value before it, those at the lags, what the baseline says, covariates.

        The first is told that nothing was.
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
        """What the layers read of inputs (..., B, I), whose words are columns."""
        return x if self.words is None else self.words(x)

    def _squashed(self, z: torch.Tensor) -> torch.Tensor:
        """Values as inputs: about as they are up to the limit, with the logarithm of what is far beyond."""
        return z if self.limit is None else self.limit * torch.asinh(z / self.limit)

    def _covariates(self, given: torch.Tensor | None, size: int, like: torch.Tensor, name: str) -> torch.Tensor:
        if given is None and size:
            raise ConfigError(f"{name}: expected {size} covariates at each step, got none")
        return like.new_zeros((*like.shape, 0)) if given is None else given

    # --- inference ---

    def sample(
        self, batch: SeriesBatch, future: torch.Tensor | None, horizon: int, uniform: torch.Tensor
    ) -> torch.Tensor:
        """Paths that go on from the past of each row (ancestral sampling): each step is drawn given those drawn before.

        Args:
            batch: whose past is read; what comes behind it is not looked at.
            future: (horizon, B, K), covariates known ahead of time; None where K is 0.
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
        # The first step to come still sees what was observed last.
        beside = [
            self._beside(batch, None if future is None else future[step], batch.observed if step == 0 else None)
            for step in range(horizon)
        ]
        return self.paths(behind, beside, uniform)

    def behind(self, batch: SeriesBatch) -> Behind:
        """Where the model stands behind the past of each row of a batch."""
        z, scale = self.scaled(batch)
        filled, is_there = fill_forward(z.masked_fill(self.to_come(batch), torch.nan))
        return self.behind_filled(batch, filled, is_there, scale)

    def behind_filled(self, batch: SeriesBatch, filled: torch.Tensor, is_there: torch.Tensor, scale: Scale) -> Behind:
        """The same of values in the scale of each window, (T, B), without gaps.

        Args:
            batch: all that is read beside the values.
            filled: the values.
            is_there: (T, B) bool, which of them the series has.
            scale: of the windows.
        """
        baseline = self.baseline.of_window(filled, is_there, batch.past)
        x = self._inputs(batch, filled, is_there, baseline, batch.series)
        _, state = self.recurrent(x, lengths=batch.past)
        # (reach, B), the last steps of the past of each row, where it has so many.
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
        """How many values before a step it looks at."""
        return max(self.baseline.reach, *self.lags, 1)

    def paths(self, behind: Behind, beside: Sequence[torch.Tensor], uniform: torch.Tensor) -> torch.Tensor:
        """Paths that go on from somewhere, (horizon, B, S), in the unit of the series.

        Args:
            behind: where, of B rows.
            beside: for each step (B, .), the inputs that are no values.
            uniform: (horizon, `draws`, S), as of `sample`.
        """
        like = behind.values
        at_once = max(1, _MOST_PATHS // like.shape[1])
        parts = uniform.to(device=like.device, dtype=like.dtype).split(at_once, 2)
        found = torch.cat([behind.scale.invert(self._paths(part, behind, beside)) for part in parts], 2)
        level = behind.level.unsqueeze(-1)
        if self.head.is_count:
            found = (found + level).round() - level  # which the scale of the window has blurred
        return torch.where(behind.floored.unsqueeze(-1), torch.maximum(found, -level), found)

    def middles(self, behind: Behind, beside: Sequence[torch.Tensor]) -> torch.Tensor:
        """The one path on which each step is the middle of what is said of it (`Head.middle`), (horizon, B), as `paths` has them.

        Nothing is drawn and no count is rounded, so that it has derivatives.
        """
        return behind.scale.invert(self._paths(None, behind, beside))[..., 0]

    def _paths(self, uniform: torch.Tensor | None, behind: Behind, beside: Sequence[torch.Tensor]) -> torch.Tensor:
        """Feeds back what is drawn, or the middle without numbers; for the arguments see `paths`. In the scale of the window."""
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
        """How many uniform numbers a step of a path needs: two; of series together one each, and those of the factors."""
        return self.num_series + self.head.rank if isinstance(self.head, LowRank) else 2

    def _numbers(self, uniform: torch.Tensor, channel: torch.Tensor) -> torch.Tensor:
        """(., B S): the uniform numbers (draws, S) of each row and path."""
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
        """What enters the layers at one step, (B, I), and what the baseline says, (B,).

        Args:
            values: before the step, (B,) each, the last one last; at least as many as `reach`.
            flags: 1 where there was one, else 0.
            begun: 1 where there had been one by then.
            mean: (B,), of the baseline.
            others: (B, .), the inputs that are no values.
        """
        parts: list[torch.Tensor] = []
        for lag in (1, *self.lags):
            parts += [self._squashed(values[-lag]), flags[-lag]]
        baseline = self.baseline.next(lambda lag: values[-lag], lambda lag: begun[-lag].bool(), mean)
        parts += [self._squashed(baseline)] if self._reads_baseline else []
        return self.entered(torch.cat([torch.stack(parts, 1), others], 1).to(self.output.weight.dtype)), baseline

    def _beside(self, batch: SeriesBatch, known: torch.Tensor | None, observed: torch.Tensor | None) -> torch.Tensor:
        """(B, .): the inputs of one step behind the past, without those that are values of the series."""
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
        """(B, .): the inputs of one step that are no values of the series.

        Args:
            like: (B,).
            known: (B, K), covariates of this step; None for none.
            observed: (B, P), those of the step before, NaN where missing; None for missing.
            series: (B,) int64; None for one that training never had.
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
        """What `Stream(model, ...)` makes of it, see `ForecastStream`."""
        return ForecastStream(self, **arguments)

    def stream(self, **arguments: Any) -> ForecastStream:
        """Values one by one, and forecasts from where they are, see `ForecastStream`; `**arguments` are those of `Stream`."""
        return self.open_stream(**arguments)


def _times(count: int, v: torch.Tensor) -> torch.Tensor:
    return v.repeat_interleave(count, 0)
