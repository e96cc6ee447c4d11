import math

import pytest
import torch

from ostinato.lab.tasks import ADDING, COPY, ORDER, waves


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_the_adding_problem_asks_for_the_sum_of_the_two_marked_numbers():
    x, target = ADDING.make(21, 50)
    numbers, marks = x.unbind(-1)
    assert marks.sum(0).tolist() == [2.0] * 50
    assert (marks[:10].sum(0) == 1).all()
    torch.testing.assert_close((numbers * marks).sum(0), target)


def test_guessing_the_mean_of_the_adding_problem_errs_by_its_variance():
    _, target = ADDING.make(10, 20_000)
    output = torch.ones(10, 20_000, 1)
    assert ADDING.error(output, target) == pytest.approx(ADDING.guessing, rel=0.05)
    assert ADDING.error(target.expand(10, -1)[..., None], target) == 0


@pytest.mark.parametrize("task", [COPY, ORDER])
def test_guessing_a_class_is_wrong_as_often_as_stated(task):
    _, target = task.make(20, 20_000)
    output = torch.zeros(30, 20_000, task.outputs)
    output[..., 1] = 1
    assert task.error(output, target) == pytest.approx(task.guessing, abs=0.02)


def test_copy_memory_shows_symbols_then_nothing_then_the_cue():
    x, target = COPY.make(7, 9)
    ids = x.argmax(-1)
    count = len(target)
    assert torch.equal(ids[:count], target)
    assert (ids[count:-count] == 4).all()
    assert ids[-count].tolist() == [5] * 9
    assert len(ids) == 7 + 2 * count


def test_temporal_order_is_told_by_the_two_symbols_that_matter():
    x, target = ORDER.make(40, 64)
    for row, answer in zip(x.argmax(-1).T.tolist(), target[0].tolist(), strict=True):
        first, second = [(t, symbol - 4) for t, symbol in enumerate(row) if symbol >= 4]
        assert 4 <= first[0] < 8
        assert 20 <= second[0] < 24
        assert answer == 2 * first[1] + second[1]


def test_the_loss_of_a_task_is_that_of_its_last_steps():
    _, target = COPY.make(5, 3)
    assert float(COPY.loss(torch.zeros(9, 3, 4), target)) == pytest.approx(math.log(4))
    _, target = ADDING.make(5, 3)
    assert float(ADDING.loss(target.expand(5, -1)[..., None] + 2, target)) == pytest.approx(4)


def test_waves_obey_the_recurrence_of_a_sine():
    measured, true = waves(8, 30, 0.0)
    assert torch.equal(measured, true)
    # sin(a + w) + sin(a - w) = 2 cos(w) sin(a), with one w a row
    twice_cosine = (true[2:] + true[:-2]) / true[1:-1]
    w = torch.arccos(twice_cosine.median(0).values / 2)
    assert ((2 * math.pi / w > 11.9) & (2 * math.pi / w < 20.1)).all()
    noisy, true = waves(200, 50, 0.3)
    assert float((noisy - true).std()) == pytest.approx(0.3, rel=0.05)
