"""Simulated movements of people, as a sensor in the hand would measure them; the best possible answers are known.

The hand swings as two damped oscillators: a has the gesture's period, and b is slow. The start of a gesture pushes
both, and noise drives them on. At step t and in channel k, with R(p) the rotation by a p-th of a circle:

    a_t = d R(p) a_{t-1} + q e_t + [the gesture starts at t] (m + w)        e_t, e'_t ~ N(0, I), 2 numbers
    b_t = d' R(p') b_{t-1} + q' e'_t + [the gesture starts at t] (m' + w')
    x_tk = c_k + o_k + u_k (h_k . (a_t, b_t)) + n_k n_tk                      n_tk ~ N(0, 1)

The gesture determines p, d, q, m and m'. People differ, and the recordings do not say how: the push w and the offset o
are each the sum of a part that is constant for a person and a part that is new in each recording, both normal with mean
0. So the numbers of one gesture are one normal vector. A Kalman filter computes its exact likelihood, also with missing
values, and no classifier that sees one recording at a time is right more often than the one that takes the gesture with
the highest likelihood. The share of its errors is the Bayes error.

Numbers are rounded as a sensor rounds them. Random numbers come from the bits of PCG64, which NumPy promises to keep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ostinato.data.recordings.draws import Draws
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.splits import Splits

REST = "rest"
GESTURES_BAYES_ERROR = 0.032  # of 50,000 recordings, by `python -m tests.data.recordings.kalman`; standard error 0.0008


@dataclass(frozen=True)
class Movement:
    """How the hand swings in a gesture, or at rest.

    Attributes:
        name: The label.
        period: p, in steps.
        damping: d, the share of a swing that is left after a step.
        drive: q, the strength of the noise.
        push: (m, m'), four numbers; None for rest, which begins without a push.
    """

    name: str
    period: float
    damping: float
    drive: float
    push: tuple[float, float, float, float] | None


MOVEMENTS = (
    Movement("shake", 9.0, 0.95, 0.15, (2.0, 0.0, 0.0, 0.0)),
    Movement("wave", 10.7, 0.95, 0.15, (2.0, 0.0, 0.0, 0.0)),
    Movement("turn", 14.0, 0.88, 0.3, (0.0, 2.0, 0.0, 0.0)),
    Movement("raise", 18.0, 0.95, 0.15, (0.0, 2.0, 0.0, -2.0)),
    Movement("lower", 18.0, 0.95, 0.15, (0.0, 2.0, 0.0, 2.0)),
    Movement(REST, 15.0, 0.5, 0.1, None),
)
SLOW_PERIOD, SLOW_DAMPING, SLOW_DRIVE = 60.0, 0.96, 0.15
PUSH_OF_PERSON, PUSH_OF_TIME = 0.5, 0.5  # standard deviations of each number of w and of w'


@dataclass(frozen=True)
class Channel:
    """A channel of the sensor, with the letters of the formulas above.

    Attributes:
        name: The name of the channel.
        centre: c, the value at rest.
        unit: u, the scale of the swings.
        of_swings: h, the weights of a and b.
        noise: n, the standard deviation of the measurement noise.
        of_person: Standard deviation of the part of o that is constant for a person.
        of_time: Standard deviation of the part of o that is new in each recording.
        resolution: How many values the sensor can tell apart within a unit of the channel.
    """

    name: str
    centre: float
    unit: float
    of_swings: tuple[float, float, float, float]
    noise: float
    of_person: float
    of_time: float
    resolution: float


CHANNELS = (
    Channel("acceleration_x", 0.0, 0.3, (1.0, 0.0, 0.0, 0.0), 0.2, 0.1, 0.1, 1000.0),  # g
    Channel("acceleration_z", 1.0, 0.3, (0.0, 1.0, 0.2, 0.0), 0.2, 0.1, 0.1, 1000.0),  # g
    Channel("angular_rate", 0.0, 60.0, (0.6, 0.8, 0.0, 0.3), 40.0, 15.0, 15.0, 100.0),  # degrees per second
    Channel("pressure", 101_325.0, 3.0, (0.0, 0.0, 1.0, 0.0), 1.5, 2.0, 2.0, 50.0),  # Pa
)
# The share of numbers that are lost; the share of recordings in which a channel is silent, and for how many steps.
_LOST, _GAP_SHARE, _GAP = 0.02, 0.25, 12
_PEOPLE = {"train": 30, "validation": 5, "test": 10}


@dataclass(frozen=True)
class _Plan:
    """The plan of N recordings of up to T steps.

    Attributes:
        person: (N,) the number of the person.
        lengths: (N,) the steps of each recording.
        movement: (N, T) the index into `MOVEMENTS` at each step.
        starts: (N, T) bool, True at steps with a push.
    """

    person: np.ndarray
    lengths: np.ndarray
    movement: np.ndarray
    starts: np.ndarray


def gestures() -> Splits[Recordings]:
    """Simulate recordings of one gesture: 1,200 of 30 people for training, 200 of 5 for validation, 400 of 10 for test.

    There are five gestures, four channels in their own units, 40 to 120 steps, and some missing numbers; `label` is the
    gesture and `group` the person. The Bayes error is `GESTURES_BAYES_ERROR`; lengths and missing numbers carry no
    information about the gesture.
    """
    recordings = simulate_gestures(sum(_PEOPLE.values()), 40, seed=0)
    return _in_parts("gestures, simulated", recordings, 40)


def gestures_in_a_row() -> Splits[Recordings]:
    """Simulate gestures in a row with rests around each: 300 recordings of 30 people, 50 of 5 and 100 of 10.

    They are as in `gestures`, but with 3 to 5 gestures of 25 to 60 steps each and rests of 10 to 30 steps; the label of
    a step is its gesture or `rest`.
    """
    recordings = simulate_rows(sum(_PEOPLE.values()), 10, seed=1)
    return _in_parts("gestures in a row, simulated", recordings, 10)


def _in_parts(name: str, recordings: Recordings, each: int) -> Splits[Recordings]:
    """Cut recordings, `each` of every person, into parts that share no person."""
    ends = np.cumsum([each * people for people in _PEOPLE.values()])
    parts = np.split(np.arange(len(recordings)), ends[:-1])
    return Splits(name, *map(recordings.take, parts))


def simulate_gestures(people: int, each: int, *, seed: int) -> Recordings:
    """Simulate `each` recordings of one gesture for each of `people` people; see `gestures`."""
    draws = Draws(seed)
    count = people * each
    lengths = draws.integers(40, 120, count)
    gesture = draws.integers(0, len(MOVEMENTS) - 2, count)
    movement = np.repeat(gesture[:, None], lengths.max(), 1)
    starts = np.zeros(movement.shape, dtype=bool)
    starts[:, 0] = True
    plan = _Plan(np.repeat(np.arange(people), each), lengths, movement, starts)
    values = _measured(plan, people, draws)
    labels = [MOVEMENTS[int(at)].name for at in gesture]
    return _recordings(plan, values, labels=labels)


def simulate_rows(people: int, each: int, *, seed: int) -> Recordings:
    """Simulate `each` recordings of gestures in a row for each of `people` people; see `gestures_in_a_row`."""
    draws = Draws(seed)
    count, most = people * each, 5
    how_many = draws.integers(3, most, count)
    rests, lasting = draws.integers(10, 30, count, most + 1), draws.integers(25, 60, count, most)
    gesture = draws.integers(0, len(MOVEMENTS) - 2, count, most)
    rest = len(MOVEMENTS) - 1
    not_there = np.arange(most) >= how_many[:, None]
    rests[:, 1:][not_there] = lasting[not_there] = 0
    lengths = rests.sum(1) + lasting.sum(1)
    movement = np.full((count, lengths.max()), rest)
    starts = np.zeros(movement.shape, dtype=bool)
    for n in range(count):
        step = rests[n, 0]
        for at in range(how_many[n]):
            starts[n, step] = True
            movement[n, step : step + lasting[n, at]] = gesture[n, at]
            step += lasting[n, at] + rests[n, at + 1]
    plan = _Plan(np.repeat(np.arange(people), each), lengths, movement, starts)
    return _recordings(plan, _measured(plan, people, draws))


def _recordings(plan: _Plan, values: np.ndarray, labels: list[str] | None = None) -> Recordings:
    """Make recordings with one label each, or with labels of steps if `labels` is None."""
    names = [movement.name for movement in MOVEMENTS]
    number: dict[int, int] = {}
    items: list[Recording] = []
    for n, length in enumerate(plan.lengths.tolist()):
        person = int(plan.person[n]) + 1
        number[person] = number.get(person, 0) + 1
        items.append(
            Recording(
                id=f"person {person}, {number[person]}",
                values=values[n, :length],
                label=labels[n] if labels else None,
                labels=None if labels else tuple(names[int(at)] for at in plan.movement[n, :length]),
                group=f"person {person}",
            )
        )
    return Recordings(tuple(channel.name for channel in CHANNELS), tuple(items))


def _measured(plan: _Plan, people: int, draws: Draws) -> np.ndarray:
    """Simulate the output of the sensor, (N, T, C) float32."""
    count, steps = plan.movement.shape
    by_person = PUSH_OF_PERSON * draws.normal(people, 4)
    offset_by_person, offset = draws.normal(people, len(CHANNELS)), draws.normal(count, len(CHANNELS))
    swings = _swings(plan, by_person[plan.person], draws)
    values = np.empty((count, steps, len(CHANNELS)), dtype=np.float32)
    for k, channel in enumerate(CHANNELS):
        swing = sum(weight * swings[:, :, at] for at, weight in enumerate(channel.of_swings))
        off = channel.of_person * offset_by_person[plan.person, k] + channel.of_time * offset[:, k]
        exact = channel.centre + off[:, None] + channel.unit * swing + channel.noise * draws.normal(count, steps)
        values[:, :, k] = np.rint(exact * channel.resolution) / channel.resolution
    values[draws.uniform(*values.shape) < _LOST] = np.nan
    silent = draws.uniform(count) < _GAP_SHARE
    which = draws.integers(0, len(CHANNELS) - 1, count)
    first = np.floor(draws.uniform(count) * (plan.lengths - _GAP)).astype(np.int64)
    for n in np.flatnonzero(silent):
        values[n, first[n] : first[n] + _GAP, which[n]] = np.nan
    return values


def _swings(plan: _Plan, push_of_person: np.ndarray, draws: Draws) -> np.ndarray:
    """Simulate (a, b) at every step, (N, T, 4)."""
    count, steps = plan.movement.shape
    angle = 2 * np.pi / np.array([movement.period for movement in MOVEMENTS])
    damping = np.array([movement.damping for movement in MOVEMENTS])
    drive = np.array([movement.drive for movement in MOVEMENTS])
    push = np.array([movement.push or (0.0,) * 4 for movement in MOVEMENTS])
    states = np.zeros((count, steps, 4))
    state = np.zeros((count, 4))
    for t in range(steps):
        now = plan.movement[:, t]
        a = _turned(state[:, :2], angle[now], damping[now])
        b = _turned(state[:, 2:], 2 * np.pi / SLOW_PERIOD, SLOW_DAMPING)
        noise = draws.normal(count, 4)
        noise[:, :2] *= drive[now][:, None]
        noise[:, 2:] *= SLOW_DRIVE
        pushed = push[now] + push_of_person + PUSH_OF_TIME * draws.normal(count, 4)
        state = np.concatenate([a, b], 1) + noise + np.where(plan.starts[:, t, None], pushed, 0.0)
        states[:, t] = state
    return states


def _turned(swing: np.ndarray, angle: np.ndarray | float, damping: np.ndarray | float) -> np.ndarray:
    """Rotate and damp (N, 2); written out, because a matrix product may add in another order on another machine."""
    along, across = damping * np.cos(angle), damping * np.sin(angle)
    return np.stack([along * swing[:, 0] - across * swing[:, 1], across * swing[:, 0] + along * swing[:, 1]], 1)
