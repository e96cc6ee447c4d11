"""A task that says nothing about its answers is asked about its loss."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ostinato
from ostinato.data.batches.batches import Batch, TargetBatch
from ostinato.errors import ConfigError, DataError
from ostinato.insight import attribute
from ostinato.recipes.reasons.of_loss import question_of_loss


class Frames(nn.Module):
    """Frames in, a text out: CTC."""

    def __init__(self, size=3, letters=5):
        super().__init__()
        self.recurrent, self.output = ostinato.GRU(size, 8, bidirectional=True), nn.Linear(16, letters)

    def read(self, input):
        return self.recurrent(input)[0]

    def loss(self, batch: Any, state: Any = None):
        chances = self.output(self.read(batch.input)).log_softmax(-1)
        ctc = nn.functional.ctc_loss(chances, batch.target.T, batch.lengths, batch.target_lengths)
        return ctc, None


class Letters(Frames):
    """The same of tokens."""

    def __init__(self):
        super().__init__()
        self.embedding, self.other = nn.Embedding(7, 3), nn.Embedding(4, 3)

    def read(self, input):
        return super().read(self.embedding(input) + self.other(torch.zeros_like(input)))


def batch(input):
    lengths = torch.tensor([len(input)])
    return TargetBatch(input, torch.tensor([[1], [3]]), lengths, torch.tensor([0]), target_lengths=torch.tensor([2]))


@pytest.mark.parametrize("method", ["gradients", "gates", "occlusion"])
def test_of_frames_it_is_minus_the_loss(method):
    torch.manual_seed(0)
    model, given = Frames().eval(), batch(torch.randn(9, 1, 3))
    question = question_of_loss("transcribe", model, given)
    found = attribute(question, method)
    nothing = dataclasses.replace(given, input=torch.zeros(9, 1, 3))
    with torch.no_grad():
        assert found.answer == pytest.approx(-float(model.loss(given)[0]), abs=1e-4)
        assert found.baseline == pytest.approx(-float(model.loss(nothing)[0]), abs=1e-4)
    assert found.values.shape == (9, 3)
    if method != "occlusion":
        assert found.remainder == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("method", ["gradients", "gates"])
def test_of_tokens_it_is_their_vectors(method):
    torch.manual_seed(0)
    model, given = Letters().eval(), batch(torch.randint(7, (9, 1)))
    found = attribute(question_of_loss("transcribe", model, given), method)
    with torch.no_grad():
        assert found.answer == pytest.approx(-float(model.loss(given)[0]), abs=1e-4)
        model.embedding.weight.zero_()
        assert found.baseline == pytest.approx(-float(model.loss(given)[0]), abs=1e-4)
    assert found.by_step.shape == (9,)
    assert found.remainder == pytest.approx(0.0, abs=1e-3)
    assert not any(module._forward_hooks for module in model.modules())


def test_images_are_steps_of_rows():
    class Rows(Frames):
        def read(self, input):
            return super().read(input.flatten(2))

    torch.manual_seed(0)
    given = batch(torch.randn(9, 1, 3, 1))
    found = attribute(question_of_loss("own", Rows().eval(), given), "gates")
    assert found.values.shape == (9, 3)
    np.testing.assert_allclose(found.remainder, 0.0, atol=1e-8)


def test_what_cannot_be_asked_is_told():
    model = Frames()
    for wrong in (
        batch(torch.randn(9, 2, 3)),
        dataclasses.replace(batch(torch.randn(9, 1, 3)), input={"a": 1}),
        object(),
    ):
        with pytest.raises(ConfigError, match=r"give the task a method `question` \(docs/why.md\)"):
            question_of_loss("own", model, wrong)
    with pytest.raises(ConfigError, match=r"has no torch\.nn\.Embedding that reads its tokens"):
        question_of_loss("own", Tokenless(), Batch(torch.zeros(3, 1, dtype=torch.int64), None, None, torch.tensor([0])))
    with pytest.raises(DataError, match="at least one step"):
        question_of_loss("own", model, batch(torch.randn(0, 1, 3)))


class Tokenless(nn.Module):
    def loss(self, batch: Any, state: Any = None):
        return batch.input.float().sum(), None
