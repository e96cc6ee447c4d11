"""A clock that the test moves on, against sums written out."""

import pytest

from ostinato.recipes.classify.settings import ClassifierTraining
from ostinato.training.loop.pace import EVALUATIONS, Pace
from ostinato.training.run.settings import UpdateSettings


class Data:
    """Ten chunks an epoch."""

    position, chunks_per_epoch = 0, 10


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def made(kind=UpdateSettings, **settings):
    data, clock = Data(), Clock()
    return Pace(kind(**settings), data, clock), data, clock  # pyright: ignore[reportArgumentType]


def test_time_goes_on_from_the_sessions_before():
    pace, _, clock = made(max_time_s=50.0)
    pace.counters.elapsed_s = 30.0
    pace.restart()
    clock.now += 10
    assert pace.elapsed_s() == pytest.approx(40.0)
    assert pace.used() == pytest.approx(0.8)


def test_speed_is_that_of_training_alone():
    pace, _, clock = made(max_steps=1)
    clock.now += 10
    pace.counters.tokens += 600
    pace.leave_out(4.0)
    pace.waited_s += 1.5
    assert pace.tokens_per_s() == pytest.approx(100.0)
    assert pace.waiting_share() == pytest.approx(0.25)
    pace.restart()
    clock.now += 1
    assert (pace.tokens_per_s(), pace.waiting_share()) == (0.0, 0.0)


def test_the_learning_rate_is_that_of_the_middle_of_the_update():
    pace, data, _ = made(max_epochs=2.0, schedule="linear", warmup=0.0, learning_rate=0.1, accumulate=2)
    pace.counters.epoch, data.position = 1, 2  # two of an update's chunks have been given
    assert pace.learning_rate(48) == pytest.approx(0.1 * (1 - 1.1 / 2))


def test_a_slow_first_update_does_not_change_how_those_after_it_learn():
    rates = []
    for seconds in (0.0, 20.0):
        pace, data, clock = made(max_epochs=2.0, max_time_s=300.0, schedule="cosine", warmup=0.1)
        clock.now += seconds
        pace.counters.step, data.position = 1, 1
        rates.append(pace.learning_rate(1))
    assert rates[0] == rates[1]


def test_without_a_distance_evaluations_are_spread_over_the_budget():
    pace, _, _ = made(max_steps=60)
    due = []
    for step in range(1, 61):
        pace.counters.step = step
        if pace.evaluation_due():
            due.append(step)
            pace.counters.evaluations += 1
            pace.counters.evaluated_step = step
            assert not pace.evaluation_due()
    assert due == [60 * each // EVALUATIONS for each in range(1, EVALUATIONS + 1)]
    assert pace.evaluations_by_now() == EVALUATIONS


def test_evaluations_by_epochs():
    pace, data, _ = made(max_epochs=1.0, evaluate_every_epochs=0.3)
    due = []
    for step in range(1, 11):
        pace.counters.step, data.position = step, step
        if pace.evaluation_due():
            due.append(step)
            pace.counters.evaluated_step, pace.counters.evaluated_epochs = step, pace.epochs()
    assert due == [3, 6, 9, 10]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [10, 20, 30]),
        ({"evaluate_every": 8}, [8, 16, 24, 30]),  # in place of what classifiers have by default
        ({"evaluate_every": 8, "evaluate_every_epochs": 1.5}, [8, 15, 16, 24, 30]),
        ({"evaluate_every_epochs": None}, [5, 10, 15, 20, 25, 30]),
    ],
)
def test_steps_that_are_given_take_the_place_of_the_epochs_of_a_task(asked, expected):
    pace, data, _ = made(ClassifierTraining, max_epochs=3.0, **asked)
    due = []
    for step in range(1, 31):
        pace.counters.step, pace.counters.epoch, data.position = step, *divmod(step, 10)
        if pace.evaluation_due():
            due.append(step)
            pace.counters.evaluations += 1
            pace.counters.evaluated_step, pace.counters.evaluated_epochs = step, pace.epochs()
    assert due == expected
