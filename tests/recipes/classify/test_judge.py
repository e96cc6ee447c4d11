import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ostinato.data.batches.batches import Batch
from ostinato.models.classifying.classifier import Classifier
from ostinato.recipes.classify.judge import ClassJudge
from ostinato.recipes.confusion import per_class


class Parrot(Classifier):
    """Says what it is shown: inputs are logits, (1, B, C)."""

    def __init__(self, classes):
        super().__init__(classes, input_size=classes, hidden_size=1)

    def experts(self, input, lengths=None):
        return input


def judge(logits, targets, names):
    made = ClassJudge(Parrot(logits.shape[1]).eval(), names)
    for half in torch.arange(len(logits)).tensor_split(2):
        if len(half):
            made.see(Batch(logits[None, half], targets[half], None, half))
    return made


@settings(deadline=None, max_examples=40)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=30),
    seed=st.integers(0, 9),
)
def test_figures_are_those_counted_by_hand(pairs, seed):
    """Answers 0 to 2; labels 0 to 3, the last of which training never had."""
    answers, targets = map(torch.tensor, zip(*pairs, strict=True))
    generator = torch.Generator().manual_seed(seed)
    logits = torch.rand(len(pairs), 3, generator=generator) + 2 * nn.functional.one_hot(answers, 3)
    found = judge(logits, targets, ["a", "b", "c", "d"])
    figures, details = found.figures(), found.details()
    right = [answer == target for answer, target in pairs]
    assert figures["accuracy"] == pytest.approx(sum(right) / len(pairs))
    scores = []
    for label, name in enumerate("abcd"):
        both = sum(answer == target == label for answer, target in pairs)
        said, there = (sum(pair[at] == label for pair in pairs) for at in (0, 1))
        row = details["classes"][name]
        assert row["examples"] == there
        assert row["precision"] == pytest.approx(both / said if said else 0.0)
        assert row["recall"] == pytest.approx(both / there if there else 0.0)
        assert row["f1"] == pytest.approx(2 * both / (said + there) if said + there else 0.0)
        if there:
            scores.append(row["f1"])
    assert figures["macro_f1"] == pytest.approx(np.mean(scores))
    confidence = logits.softmax(-1).amax(-1)
    bins = (confidence * 15).ceil().long()
    gaps = [
        abs(sum(r - c for r, c, b in zip(right, confidence.tolist(), bins.tolist(), strict=True) if b == each))
        for each in range(16)
    ]
    assert figures["calibration_error"] == pytest.approx(sum(gaps) / len(pairs), abs=1e-5)
    assert len(found.warnings()) == 1


def test_the_loss_is_that_of_the_examples_whose_label_is_known():
    logits, targets = torch.randn(4, 3), torch.tensor([0, 3, 2, 1])
    made = ClassJudge(Parrot(3).eval(), list("abcd"))
    loss = made.see(Batch(logits[None], targets, None, torch.arange(4)))
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits[[0, 2, 3]], targets[[0, 2, 3]]))


def test_one_class_alone_can_be_judged():
    found = judge(torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64), ["only"])
    assert found.figures() == {"accuracy": 1.0, "macro_f1": 1.0, "calibration_error": 0.0}
    strange = judge(torch.zeros(4, 1), torch.tensor([0, 1, 0, 0]), ["only", "new"])
    assert strange.figures()["accuracy"] == 0.75
    assert strange.figures()["calibration_error"] == 0.25


def test_the_picture_shows_each_count_and_too_many_classes_are_not_drawn():
    found = judge(torch.eye(3)[[0, 0, 1, 2]], torch.tensor([0, 1, 1, 2]), ["a", "b", "c"])
    axes = found.pictures()["confusion"].axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1", "1", "1"]
    assert found.warnings() == []
    many = judge(torch.eye(41), torch.arange(41), [str(n) for n in range(41)])
    assert many.pictures() == {}


def test_nothing_is_divided_by_nothing():
    precision, recall, f1 = per_class(np.array([[0, 0], [0, 2]]))
    assert (precision.tolist(), recall.tolist(), f1.tolist()) == ([0, 1], [0, 1], [0, 1])
