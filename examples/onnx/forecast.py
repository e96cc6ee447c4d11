"""Runs an exported forecaster: python run.py FILE.json, with {"values": [...], "times": [...]}. Needs numpy and onnxruntime.

Missing values are null; times, such as "2024-01-31", are of the values and of the steps to come; not every model needs them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


class Model:
    def __init__(self, folder=Path(__file__).parent):
        folder = Path(folder)
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        self.known = json.loads((folder / "constants.json").read_text(encoding="utf-8"))
        self.numbers = dict(np.load(folder / "constants.npz"))
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / graph["file"], providers=["CPUExecutionProvider"])
            for name, graph in card["graphs"].items()
        }
        self.has_series = "series" in (names := [each["name"] for each in card["graphs"]["step"]["inputs"]])
        self.states = [name for name in names if name not in ("input", "series")]

    def forecast(self, values, times=None, known=None, observed=None, series="", horizon=None):
        """Mean, median and central intervals of the steps behind the last value.

        values: (T,), NaN where missing; times: (T + horizon,) datetime64; known: (T + horizon, K), static last; observed: (T, P).
        """
        know, values = self.known, np.array([np.nan if v is None else v for v in values], np.float64)
        values = values[: np.flatnonzero(~np.isnan(values))[-1] + 1]
        horizon, T = horizon or know["horizon"], len(values)
        inputs, seen, window = self.covariates(T, horizon, times, known, observed)
        anchor, number = values[-1], know["ids"].index(series) + 1 if series in know["ids"] else 0
        floor = know["floors"][number] if np.nanmin(values) >= 0 else -np.inf  # what is never negative stays so
        z, width = self.scaled((values[-window:] - anchor).astype(np.float32), values, number)
        there = (~np.isnan(z)).astype(np.float32)
        last = np.maximum.accumulate(np.where(there > 0, np.arange(len(z)), -1))
        z = np.where(last >= 0, np.nan_to_num(z)[last.clip(0)], np.float32(0))
        history = [list(z[:, None]), list(there[:, None]), list(np.maximum.accumulate(there)[:, None])]
        means = self.means(z, there)
        past = [self.inputs([v[:t] for v in history], inputs[t], seen[t], means, t - len(z), 1) for t in range(len(z))]
        which = {"series": np.array([number])} if self.has_series else {}
        found = self.sessions["past"].run(None, {"input": np.stack(past), "lengths": np.array([len(z)]), **which})
        S = self.numbers["uniform"].shape[2]
        states, which = [np.repeat(v, S, 1) for v in found], {name: np.repeat(v, S) for name, v in which.items()}
        history = [[np.repeat(v, S) for v in each] for each in history]
        for step in range(horizon):
            x = self.inputs(history, inputs[len(z) + step], seen[len(z) + step], means, step, S)
            given = {"input": x, **which, **dict(zip(self.states, states, strict=True))}
            parameters, *states = self.sessions["step"].run(None, given)
            value = self.baseline(history, means, step, S) + self.drawn(parameters, step)
            value = np.maximum(value, (floor - anchor) / (width or 1.0))
            for each, v in zip(history, (value, np.ones(S), np.ones(S)), strict=True):
                each.append(v.astype(np.float32))
        paths = anchor + (width * np.stack(history[0][-horizon:])).astype(np.float64)
        paths, at = np.sort(np.maximum(paths, floor), 1), np.arange(horizon).clip(max=know["horizon"] - 1)
        middle, factors = np.median(paths, 1)[:, None], self.numbers["factors"][at]  # as wide as validation says
        paths = np.maximum(np.sort(middle + factors * (paths - middle), 1), floor)
        answer = {"mean": paths.mean(1).tolist(), "median": np.median(paths, axis=1).tolist(), "intervals": {}}
        for percent in know["intervals"]:
            low, high = np.quantile(paths, (0.5 - percent / 200, 0.5 + percent / 200), axis=1, method="weibull")
            answer["intervals"][str(percent)] = {"low": low.tolist(), "high": high.tolist()}
        return answer

    def covariates(self, T, horizon, times, known, observed):
        """What is known at each step of the window and behind it; what was observed a step before each; steps of the window."""
        window, parts = min(T, self.known["context"]), []
        for name in self.known["cycles"]:
            at = np.asarray(times, "datetime64[us]")[T - window : T + horizon]
            if name == "year":
                year = at.astype("datetime64[Y]")
                share = (at - year) / ((year + np.timedelta64(1, "Y")).astype(at.dtype) - year.astype(at.dtype))
            else:
                seconds = (at - np.datetime64("1970-01-01", "us")) / np.timedelta64(1, "s")
                share = seconds % (cycle := {"day": 86_400.0, "week": 604_800.0}[name]) / cycle
            parts += [np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)]
        for at, (_, mean, deviation) in enumerate(self.known["known"]):
            parts.append((np.asarray(known, float)[T - window : T + horizon, at] - mean) / deviation)
        seen = np.full((window + horizon, len(self.known["observed"])), np.nan)
        for at, (_, mean, deviation) in enumerate(self.known["observed"]):
            seen[1 : window + 1, at] = (np.asarray(observed, float)[T - window : T, at] - mean) / deviation
        inputs = np.stack(parts, 1) if parts else np.zeros((window + horizon, 0))
        return np.nan_to_num(inputs).astype(np.float32), seen.astype(np.float32), window

    def scaled(self, x, values, number):
        """The window in its scale, whose width is the spread of its values, at least what the history and training say."""
        there, widths = values[~np.isnan(values)], self.known["widths"]
        moved = np.abs(np.diff(there)).sum() / max(len(there) - 1, 1)
        usual = 0.0 if not widths else widths[number - 1] if number else np.median(widths)
        own = self.known["least_of_history"] * moved
        few = usual * min(max(1 - (len(there) - 1) / self.known["own_values"], 0), 1)
        least = np.float32(max(few, own) if moved > 0 or len(there) == 1 else own)
        width = max(np.nanmean(np.abs(x - np.nanmean(x))), least)
        return (x / width if width > 0 else np.where(np.isnan(x), x, np.float32(0))), width

    def means(self, z, there):
        m = self.known["season"]
        sums, counts = (np.bincount((np.arange(len(z)) - len(z)) % m, each, m) for each in (z * there, there))
        return (sums / counts.clip(1)).astype(np.float32)

    def back(self, values, lag, S):
        return values[-lag] if lag <= len(values) else np.zeros(S, np.float32)

    def baseline(self, history, means, place, S):
        """What anybody would say comes next."""
        name, m, (values, _, begun) = self.known["baseline"], self.known["season"], history
        last = self.back(values, 1, S)
        if name == "season_mean":
            return np.full(S, means[place % m], np.float32)
        if name == "seasonal_naive":
            return np.where(self.back(begun, m, S) > 0, self.back(values, m, S), last)
        if name == "seasonal_change":
            moved = last + self.back(values, m, S) - self.back(values, m + 1, S)
            return np.where(self.back(begun, m + 1, S) > 0, moved, last)
        return last

    def inputs(self, history, known, seen, means, place, S):
        """(S, I), of one step."""
        limit, parts = self.known["limit"], []
        squashed = (lambda v: v) if limit is None else (lambda v: limit * np.arcsinh(v / limit))
        for lag in (1, *self.known["lags"]):
            parts += [squashed(self.back(history[0], lag, S)), self.back(history[1], lag, S)]
        parts += [squashed(self.baseline(history, means, place, S))] * (self.known["baseline"] != "last_value")
        parts += [np.full(S, v) for v in (*known, *np.nan_to_num(seen), *~np.isnan(seen))]
        return np.stack(parts, 1).astype(np.float32)

    def drawn(self, parameters, step):
        """A change for each path, by numbers that are spread evenly over [0, 1]."""
        u, v = self.numbers["uniform"][step % len(self.numbers["uniform"])]
        names, p = self.known["distribution"], parameters.T
        if names[-1] == "degrees of freedom":
            return p[0] + p[1] * np.sqrt(p[2] * np.expm1(-2 / p[2] * np.log(u))) * np.cos(np.float32(2 * np.pi) * v)
        if names[-1] == "scale":
            return p[0] + p[1] * self.numbers["normal"][step % len(self.numbers["uniform"])]
        levels, rows = np.array(self.known["levels"], np.float32), np.arange(len(u))
        above = np.searchsorted(levels, u).clip(1, len(levels) - 1)
        low, high = p[above - 1, rows], p[above, rows]
        slope = (high - low) / (levels[above] - levels[above - 1])
        below = p[0] + levels[0] * slope * np.log(np.minimum(u, levels[0]) / levels[0])
        beyond = p[-1] - (1 - levels[-1]) * slope * np.log((1 - np.maximum(u, levels[-1])) / (1 - levels[-1]))
        return np.where(u < levels[0], below, np.where(u > levels[-1], beyond, low + (u - levels[above - 1]) * slope))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        raise SystemExit(__doc__)
    print(json.dumps(Model().forecast(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
