"""Recordings as examples, in batches; and how few of them are trained on."""

import dataclasses

import numpy as np
import pytest
import torch

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.recipes.classify.settings import ClassifierTraining
from ostinato.recipes.recordings.examples import RecordingExamples
from ostinato.recipes.recordings.few import for_few
from ostinato.recipes.tag.settings import TaggerTraining

NAMES = ("u", "v", "new")


def recordings(lengths=(3, 5, 1, 4), of_steps=False):
    draw, items = np.random.default_rng(0), []
    for at, length in enumerate(lengths):
        values = draw.normal(7, 2, (length, 2)).astype(np.float32)
        label = ("v", "new", None, "u")[at % 4]
        labels = tuple(("u", None, "v", "new", "u")[:length]) if of_steps and at != 2 else None
        items.append(Recording(str(at), values, label, labels))
    return Recordings(("a", "b"), tuple(items))


@pytest.mark.parametrize("stack", [1, 2])
def test_recordings_with_a_label_each(stack):
    part = recordings()
    scaling = Scaling.of(part, stack)
    examples = RecordingExamples(part, scaling, NAMES, 2)
    assert examples.lengths.tolist() == [scaling.reads(len(each)) for each in part.items]
    assert [int(label) for label in examples.labels] == [1, 2, -1, 0]
    assert examples.counts.tolist() == [1, 0, 0, 1]  # those whose class training had
    rows = np.array([1, 2, 0])
    batch = examples.batch(rows)
    assert batch.input.shape == (int(examples.lengths[rows].max()), 3, scaling.width)
    assert (batch.input.dtype, batch.target.dtype) == (torch.float32, torch.int64)
    assert (batch.target.tolist(), batch.rows.tolist()) == ([2, -1, 1], [1, 2, 0])
    assert batch.lengths is not None
    assert batch.lengths.tolist() == examples.lengths[rows].tolist()
    for column, row in enumerate(rows):
        steps = scaling.apply(part[row])
        np.testing.assert_array_equal(batch.input[: len(steps), column].numpy(), steps)


def test_steps_with_labels():
    part = recordings(of_steps=True)
    examples = RecordingExamples(part, Scaling.of(part), NAMES, 2, of_steps=True)
    assert examples.lengths.tolist() == [3, 5, 1, 4]
    assert [each.tolist() for each in examples.labels] == [[0, -1, 1], [0, -1, 1, 2, 0], [-1], [0, -1, 1, 2]]
    assert examples.counts.tolist() == [2, 3, 0, 2]
    batch = examples.batch(np.array([2, 1]))
    assert batch.input.shape == (5, 2, 4)
    assert batch.target.T.tolist()[1] == [0, -1, 1, 2, 0]
    assert batch.target[0, 0] == -1


def test_what_is_longer_is_left_out():
    part = recordings(of_steps=True)
    for of_steps in (False, True):
        scaling = Scaling.of(part)
        examples = RecordingExamples(part, scaling, NAMES, 2, of_steps=of_steps, max_length=2)
        assert examples.lengths.tolist() == [2, 2, 1, 2]
        batch = examples.batch(np.arange(4))
        assert batch.target.shape == ((2, 4) if of_steps else (4,))
        np.testing.assert_array_equal(batch.input[:, 1].numpy(), scaling.apply(part[1])[:2])


def test_all_that_is_learnt_from_is_in_the_checksum():
    part = recordings(of_steps=True)
    examples = RecordingExamples(part, Scaling.of(part), NAMES, 2, of_steps=True)
    assert [len(each) for each in examples.arrays()] == [3, 5, 1, 4] * 2


def of(count):
    part = Recordings(("a",), tuple(Recording(str(n), np.zeros((2, 1), np.float32), "u") for n in range(count)))
    return RecordingExamples(part, Scaling.of(part), ("u",), 1)


@pytest.mark.parametrize(
    ("number", "rows", "epochs", "every"),
    [
        (10_000, 64, 20.0, 1.0),  # 3,125 updates are enough
        (1_000, 64, 58.0, 2.0),
        (200, 25, 112.0, 5.0),
        (40, 8, 180.0, 9.0),
        (5, 8, 1440.0, 72.0),
    ],
)
def test_few_recordings_have_as_many_updates(number, rows, epochs, every):
    how = ClassifierTraining()
    found = for_few(how, of(number))
    assert (found.batch_size, found.max_epochs, found.evaluate_every_epochs) == (rows, epochs, every)
    assert found.max_time_s == how.budget.max_time_s == 300.0
    assert dataclasses.replace(found, batch_size=64, max_epochs=None, max_time_s=None, evaluate_every_epochs=1.0) == how


def test_what_a_user_says_is_done():
    for limit in ({"max_steps": 5}, {"max_epochs": 2.0}, {"max_time_s": 1.0}):
        how = ClassifierTraining(**limit)
        assert for_few(how, of(40)) == dataclasses.replace(how, batch_size=8)
        assert for_few(dataclasses.replace(how, batch_size=16), of(40)).batch_size == 16
    assert for_few(TaggerTraining(batch_size=16), of(40)).batch_size == 16
    assert for_few(ClassifierTraining(evaluate_every_epochs=50.0), of(40)).evaluate_every_epochs == 50.0
    assert for_few(ClassifierTraining(evaluate_every=50), of(40)).evaluated_every == (50, None)


def test_the_default_budget_as_a_run_has_kept_it_is_that():
    kept = ClassifierTraining(max_epochs=20.0, max_time_s=300.0)
    assert for_few(kept, of(40)) == for_few(ClassifierTraining(), of(40))
