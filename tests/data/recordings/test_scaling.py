"""What a network reads of recordings, against the same written out by hand."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.errors import ConfigError

NONE = float("nan")


def recordings(*items, channels=("a", "b"), times=None):
    return Recordings(
        channels,
        tuple(
            Recording(str(n), np.array(values, np.float32), times=None if times is None else np.array(times[n], float))
            for n, values in enumerate(items)
        ),
    )


def measured(count=5, *, gaps=0.0, seed=0):
    """Of an accelerometer in g, and beside it the pressure of the air in Pascal; lengths differ."""
    draw = np.random.default_rng(seed)
    items = []
    for _ in range(count):
        steps = draw.integers(2, 12)
        values = np.stack([draw.normal(0.1, 0.3, steps), 101_325 + draw.normal(0, 40, steps)], 1).astype(np.float32)
        values[draw.random(values.shape) < gaps] = NONE
        items.append(values)
    return items


def by_hand(train, values, times=None, moments=None):
    """Inputs of a recording, number by number."""
    channels = range(len(train[0][0]))

    def statistics(c):
        there = [float(step[c]) for item in train for step in item if not math.isnan(step[c])]
        mean = math.fsum(there) / len(there)
        return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in there) / len(there)) or 1.0

    told = [statistics(c) for c in channels]

    def filled(item):
        rows, last = [], [0.0 for _ in channels]
        for step in item:
            last = [last[c] if math.isnan(step[c]) else (float(step[c]) - told[c][0]) / told[c][1] for c in channels]
            rows.append(last)
        return rows

    pairs = [pair for item in train for pair in pairwise(filled(item))]
    squares = [[(row[c] - before[c]) ** 2 for before, row in pairs] for c in channels]
    changes = [math.sqrt(math.fsum(each) / len(each)) or 1.0 for each in squares]
    gaps = [c for c in channels if any(math.isnan(step[c]) for item in train for step in item)]
    rows = filled(values)
    found = []
    for at, row in enumerate(rows):
        before = rows[max(at - 1, 0)]
        line = row + [(row[c] - before[c]) / changes[c] for c in channels]
        line += [0.0 if math.isnan(values[at][c]) else 1.0 for c in gaps]
        if times is not None:
            between = sorted(later - now for each in times for now, later in pairwise(each))
            half = len(between) // 2
            usual = between[half] if len(between) % 2 else (between[half - 1] + between[half]) / 2
            gone = usual if at == 0 or moments is None else moments[at] - moments[at - 1]
            line.append(min(5.0, max(-5.0, math.log(gone / usual))))
        found.append(line)
    return np.array(found)


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_each_channel_has_a_scale_of_its_own(gaps):
    items = measured(gaps=gaps)
    train = recordings(*items)
    scaling = Scaling.of(train)
    assert scaling.width == 4 + (2 if gaps else 0)
    assert (scaling.channels, scaling.step, scaling.stack) == (("a", "b"), None, 1)
    for each, values in zip(train.items, items, strict=True):
        found = scaling.apply(each)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, by_hand(items, values), rtol=1e-5, atol=1e-5)
    every = np.concatenate([scaling.apply(each) for each in train.items])
    if not gaps:
        np.testing.assert_allclose(every[:, :2].mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(every[:, :2].std(0), 1, rtol=1e-5)


def test_a_unit_changes_nothing():
    items = measured()
    other = [values * np.array([9.80665, 0.01], np.float32) for values in items]  # m/s² and hPa
    of, of_other = recordings(*items), recordings(*other)
    for each, again in zip(of.items, of_other.items, strict=True):
        np.testing.assert_allclose(Scaling.of(of).apply(each), Scaling.of(of_other).apply(again), atol=2e-3)


def test_a_channel_that_never_changes_or_is_never_there():
    scaling = Scaling.of(recordings([[0.1, NONE]] * 7, [[0.1, NONE]] * 3))
    assert (scaling.deviations, scaling.changes, scaling.gaps) == ((1.0, 1.0), (1.0, 1.0), (1,))
    np.testing.assert_array_equal(scaling.apply(recordings([[0.1, NONE]] * 2)[0]), [[0, 0, 0, 0, 0]] * 2)
    # Another value than the one is as far from it as it is.
    np.testing.assert_allclose(scaling.apply(recordings([[1.1, 5]])[0]), [[1, 5, 0, 0, 1]], rtol=1e-6)


def test_gaps_that_training_did_not_have_are_filled_and_not_told():
    items = measured()
    values = np.array([[NONE, NONE], [0.4, NONE], [NONE, 101_400], [NONE, NONE]])
    scaling = Scaling.of(recordings(*items))
    found = scaling.apply(recordings(values)[0])
    np.testing.assert_allclose(found, by_hand(items, values.astype(np.float32)), rtol=1e-4, atol=1e-4)
    assert found[0].tolist() == [0, 0, 0, 0]


TIMES = ([0, 1, 2, 9], [0, 1.0, 1.5], [0])


def test_uneven_times_are_told():
    items = [np.arange(len(each))[:, None] for each in TIMES]
    train = recordings(*items, channels=("a",), times=TIMES)
    scaling = Scaling.of(train)
    assert scaling.step == 1.0
    for each, values, times in zip(train.items, items, TIMES, strict=True):
        np.testing.assert_allclose(scaling.apply(each), by_hand(items, values, TIMES, times), rtol=1e-6, atol=1e-7)
    without = recordings(items[0], channels=("a",))[0]
    assert scaling.apply(without)[:, -1].tolist() == [0, 0, 0, 0]
    far = recordings([[0], [1], [2]], channels=("a",), times=[[0, 1e-9, 1e9]])[0]
    assert scaling.apply(far)[:, -1].tolist() == [0, -5, 5]


def test_even_times_and_times_of_some_are_not_told():
    items = [np.arange(4)[:, None], np.arange(3)[:, None]]
    nearly = ([0, 0.101, 0.199, 0.3], [0, 0.1, 0.2])
    assert Scaling.of(recordings(*items, channels=("a",), times=nearly)).step is None
    train = recordings(items[0], channels=("a",), times=TIMES[:1])
    train = Recordings(("a",), (*train.items, *recordings(items[1], channels=("a",)).items))
    assert Scaling.of(train).step is None
    assert Scaling.of(recordings([[1]], channels=("a",), times=[[0]])).step is None


@pytest.mark.parametrize("stack", [1, 2, 3, 5, 16])
def test_steps_are_stacked_and_what_is_short_is_zeros(stack):
    items = measured(8, gaps=0.2)
    train = recordings(*items)
    one, many = Scaling.of(train), Scaling.of(train, stack)
    assert many.width == stack * one.width
    for each in train.items:
        steps = one.apply(each)
        found = many.apply(each)
        assert found.shape == (many.reads(len(each)), many.width) == (math.ceil(len(each) / stack), many.width)
        unstacked = found.reshape(-1, one.width)
        np.testing.assert_array_equal(unstacked[: len(each)], steps)
        assert not unstacked[len(each) :].any()


@pytest.mark.parametrize(
    ("lengths", "stack"), [((64, 64, 1), 1), ((65, 65, 1), 2), ((128, 300, 10), 2), ((150, 1000, 1000), 16), ((1,), 1)]
)
def test_a_usual_recording_is_read_in_some_64_steps(lengths, stack):
    train = recordings(*(np.zeros((length, 2)) for length in lengths))
    assert Scaling.of(train, None).stack == stack


def test_it_can_be_kept():
    times = [np.cumsum(np.arange(len(each)) % 3 + 1) for each in measured(gaps=0.4)]
    scaling = Scaling.of(recordings(*measured(gaps=0.4), times=times), 3)
    assert scaling.step is not None
    assert Scaling.from_dict(json.loads(json.dumps(scaling.to_dict()))) == scaling


@pytest.mark.parametrize(
    "extras", [{"age": "1"}, {"mask": "1"}, {"t": "I"}, {"mask": "I", "dt": "1"}, {"mask": "H"}, {"dt": "M"}]
)
def test_what_no_recording_has_beside_its_steps_is_told(extras):
    items = [Recording(np.zeros((3, 2)), None, "a")]
    told = ", ".join(name if letter == "1" else f"{name}:{letter}" for name, letter in extras.items())
    with pytest.raises(
        ConfigError, match=f"expected one that reads.* dt, t, each one number.*got one that reads {told}$"
    ):
        Scaling.of(Recordings(("a", "b"), items), extras=extras)
