"""The likelihood of a simulated gesture, exactly: `python -m tests.data.recordings.kalman` measures the Bayes error."""

from __future__ import annotations

import math

import numpy as np

from ostinato.data.recordings.recording import Recordings
from ostinato.data.recordings.simulated import (
    CHANNELS,
    MOVEMENTS,
    PUSH_OF_PERSON,
    PUSH_OF_TIME,
    SLOW_DAMPING,
    SLOW_DRIVE,
    SLOW_PERIOD,
    Movement,
    simulate_gestures,
)

GESTURES = MOVEMENTS[:-1]


def _turn(period: float, damping: float) -> np.ndarray:
    angle = 2 * math.pi / period
    return damping * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def model(movement: Movement) -> dict[str, np.ndarray]:
    """z' = F z + N(0, Q), x = c + H z + N(0, R), z_0 ~ N(m, P), with z = (a, b, o)."""
    assert movement.push is not None
    C = len(CHANNELS)
    F = np.eye(4 + C)
    F[:2, :2], F[2:4, 2:4] = _turn(movement.period, movement.damping), _turn(SLOW_PERIOD, SLOW_DAMPING)
    q = [movement.drive**2] * 2 + [SLOW_DRIVE**2] * 2
    first = np.array(q) + PUSH_OF_PERSON**2 + PUSH_OF_TIME**2
    H = np.concatenate([[np.array(c.of_swings) * c.unit for c in CHANNELS], np.eye(C)], 1)
    offsets = [c.of_person**2 + c.of_time**2 for c in CHANNELS]
    return {
        "F": F,
        "Q": np.diag(q + [0.0] * C),
        "H": H,
        "c": np.array([c.centre for c in CHANNELS]),
        "R": np.array([c.noise**2 for c in CHANNELS]),
        "m": np.array([*movement.push, *[0.0] * C]),
        "P": np.diag([*first, *offsets]),
    }


def log_likelihoods(recordings: Recordings) -> np.ndarray:
    """(N, K) log densities of N recordings under each of the K gestures, by a Kalman filter, a number of the sensor at a time."""
    lengths = np.array([len(each) for each in recordings.items])
    values = np.full((len(lengths), lengths.max(), len(CHANNELS)), np.nan)
    for n, each in enumerate(recordings.items):
        values[n, : len(each)] = each.values
    return np.stack([_of(values, model(movement)) for movement in GESTURES], 1)


def _of(values: np.ndarray, given: dict[str, np.ndarray]) -> np.ndarray:
    count, steps, channels = values.shape
    mean = np.repeat(given["m"][None], count, 0)
    cov = np.repeat(given["P"][None], count, 0)
    total = np.zeros(count)
    for t in range(steps):
        if t:
            mean = mean @ given["F"].T
            cov = given["F"] @ cov @ given["F"].T + given["Q"]
        for k in range(channels):
            x = values[:, t, k] - given["c"][k]
            seen = ~np.isnan(x)
            h = given["H"][k]
            ph = cov @ h
            variance = ph @ h + given["R"][k]
            error = np.where(seen, x - mean @ h, 0.0)
            gain = np.where(seen[:, None], ph / variance[:, None], 0.0)
            mean = mean + gain * error[:, None]
            cov = cov - gain[:, :, None] * ph[:, None, :]
            total -= np.where(seen, 0.5 * (np.log(2 * math.pi * variance) + error**2 / variance), 0.0)
    return total


def errors(recordings: Recordings) -> np.ndarray:
    """Which recordings the most likely gesture is wrong about, (N,) bool."""
    best = log_likelihoods(recordings).argmax(1)
    return np.array([GESTURES[at].name != each.label for at, each in zip(best, recordings.items, strict=True)])


def main() -> None:
    wrong = np.concatenate([errors(simulate_gestures(1000, 1, seed=1000 + at)) for at in range(50)])
    print(f"{wrong.mean():.4f} of {len(wrong):,} recordings, standard error {wrong.std() / len(wrong) ** 0.5:.4f}")


if __name__ == "__main__":
    main()
