"""Recordings that arrive step by step: the numbers of `Scaling.apply`, step by step, for any number of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ostinato.data.recordings.scaling import MOST, Scaling
from ostinato.errors import DataError

State = dict[str, np.ndarray]


class OnlineScaling:
    """Scaling of steps as they arrive: the numbers that a network reads, at once for each step.

    The state of N recordings is arrays (N, ...) by name, so that code that stores sessions can store it.

    Args:
        scaling: the scaling that was learnt in training.
    """

    def __init__(self, scaling: Scaling):
        self.scaling = scaling
        self._means, self._deviations = np.array(scaling.means), np.array(scaling.deviations)
        self._changes, self._gaps = np.array(scaling.changes), list(scaling.gaps)
        self._width = scaling.width // scaling.stack

    def fresh(self, rows: int) -> State:
        """Return the state of `rows` recordings that have not begun."""
        channels = len(self.scaling.channels)
        return {
            "filled": np.zeros((rows, channels)),  # the values of the step before, scaled and filled in
            "there": np.zeros((rows, channels), dtype=bool),
            "since": np.zeros((rows, channels)),  # the time since a channel last had a value
            "clock": np.full(
                (rows, 3), np.nan
            ),  # the time of the step before; the time since the first step; the number of steps
            "block": np.zeros((rows, self.scaling.stack, self._width), dtype=np.float32),
        }

    def go_on(self, state: State, row: int, values: np.ndarray, time: float | None = None) -> tuple[np.ndarray, bool]:
        """Take one more step of a recording.

        Args:
            state: the state of all recordings; the row's part is changed in place.
            row: which recording.
            values: (C,), NaN where a value is missing.
            time: the time of the step, larger than that of the step before; None if the steps have no times.

        Returns:
            The next input of the network, (width,) float32, with zeros for those of its `stack` steps that have not
            arrived; and whether all have. If not, the caller must restore the network's state after reading this input.
        """
        scaling, clock = self.scaling, state["clock"][row]
        count = 0 if np.isnan(clock[2]) else int(clock[2])
        given = (np.asarray(values, dtype=np.float64) - self._means) / self._deviations
        there = ~np.isnan(given)
        before = state["filled"][row].copy()
        filled = np.where(there, given, before)
        changes = (filled - before) / self._changes if count else np.zeros_like(filled)
        between = np.nan if time is None or not count else time - clock[0]
        told = [filled, changes]
        if self._gaps:
            told.append(there[self._gaps])
        if scaling.extras:
            told = self._with_extras(state, row, told, there, count, between)
        elif scaling.step is not None:
            told.append(np.zeros(1) if np.isnan(between) else np.array([_told(between / scaling.step)]))
        state["filled"][row], state["there"][row] = filled, there
        clock[0], clock[2] = np.nan if time is None else time, count + 1
        place = count % scaling.stack
        block = state["block"][row]
        if not place:
            block[:] = 0.0
        block[place] = np.concatenate(told)
        return block.reshape(-1).copy(), place + 1 == scaling.stack

    def _with_extras(
        self, state: State, row: int, told: list[np.ndarray], there: np.ndarray, count: int, between: float
    ) -> list[np.ndarray]:
        scaling, clock = self.scaling, state["clock"][row]
        step = 1.0 if np.isnan(between) or scaling.step is None else between / scaling.step
        clock[1] = clock[1] + step if count else 0.0
        if all(letter == "I" for _, letter in scaling.extras):
            since = step + np.where(state["there"][row], 0.0, state["since"][row]) if count else np.zeros(len(there))
            state["since"][row] = since
            beside = {"mask": there, "dt": since}
            return [told[0], *(beside[name] for name, _ in scaling.extras)]
        alone = {"dt": step, "t": clock[1]}
        return [*told, *(np.array([alone[name]]) for name, _ in scaling.extras)]


def _told(ratio: float) -> float:
    return float(np.clip(np.log(max(ratio, 1e-12)), -MOST, MOST))


class OnlineFrames:
    """Frames of several steps side by side, each given once it is complete.

    Frame f has `stack` steps, from step f * `stride` on.

    Args:
        scaling: the scaling of single steps (its own `stack` is 1).
        stack: steps of a frame.
        stride: steps from the beginning of one frame to the next.
    """

    def __init__(self, scaling: Scaling, stack: int, stride: int):
        self.scaled, self.stack, self.stride = OnlineScaling(scaling), stack, stride
        self.channels, self._width = scaling.channels, scaling.width

    def fresh(self, rows: int) -> State:
        """Return the state of `rows` recordings that have not begun."""
        last = np.zeros((rows, self.stack, self._width), dtype=np.float32)
        return {**self.scaled.fresh(rows), "last": last, "count": np.zeros(rows, dtype=np.int64)}

    def go_on(self, state: State, row: int, values: np.ndarray, time: float | None = None) -> np.ndarray | None:
        """Take a step, see `OnlineScaling.go_on`; return the frame that it completes, (stack I,) float32, or None."""
        step, _ = self.scaled.go_on(state, row, values, time)
        last = state["last"][row]
        last[:-1] = last[1:]
        last[-1] = step
        state["count"][row] += 1
        behind = int(state["count"][row]) - self.stack
        return last.reshape(-1).copy() if behind >= 0 and behind % self.stride == 0 else None

    def rest(self, state: State, row: int) -> list[np.ndarray]:
        """Return the incomplete frames, with zeros for missing steps, as if the recording ended here."""
        count, last = int(state["count"][row]), state["last"][row]
        done = max(0, (count - self.stack) // self.stride + 1)
        found: list[np.ndarray] = []
        for begin in range(done * self.stride, count, self.stride):
            frame = np.zeros_like(last)
            frame[: count - begin] = last[self.stack - (count - begin) :]
            found.append(frame.reshape(-1))
        return found


def step_of(values: Sequence[float | None], channels: Sequence[str]) -> np.ndarray:
    """Turn the values of one step into (C,) float64, NaN where a value is missing.

    Raises:
        DataError: there are more or fewer values than channels, or one is infinite.
    """
    numbers = np.array([np.nan if each is None else each for each in values], dtype=np.float64)
    if numbers.shape != (len(channels),) or np.isinf(numbers).any():
        raise DataError(f"expected a finite number or None for each of {', '.join(channels)}, got {list(values)}")
    return numbers
