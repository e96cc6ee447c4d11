"""Numbers and several labels at once, against torch's and scikit-learn's."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch.nn import functional as F

from ostinato.data.batches.batches import Batch
from ostinato.errors import ConfigError
from ostinato.models.classifying.regressor import SequenceRegressor, deviation_of, mean_number_loss
from ostinato.models.classifying.several import MultiLabelClassifier
from ostinato.models.tagging.numbers import Numbers
from ostinato.models.tagging.regressor import StepRegressor

SAID = torch.tensor([[0.3, -1.0], [2.0, 0.5], [-1.0, 0.1]])
TARGET = torch.tensor([0.5, math.nan, -3.0])


def test_losses_of_numbers_are_torchs():
    there, y = SAID[[0, 2]], TARGET[[0, 2]]
    found = {kind: mean_number_loss(SAID, TARGET, kind) for kind in ("squared", "absolute", "gaussian")}
    torch.testing.assert_close(found["squared"], F.mse_loss(there[:, 0], y) / 2)
    torch.testing.assert_close(found["absolute"], F.l1_loss(there[:, 0], y))
    torch.testing.assert_close(found["gaussian"], F.gaussian_nll_loss(there[:, 0], y, (2 * there[:, 1]).exp()))
    torch.testing.assert_close(deviation_of(SAID), SAID[:, 1].exp())
    assert deviation_of(SAID[:, :1]) is None
    assert float(mean_number_loss(SAID, TARGET * math.nan, "squared")) == 0.0


def test_networks_of_numbers():
    torch.manual_seed(0)
    model = SequenceRegressor("gaussian", input_size=2, hidden_size=4)
    batch = Batch(torch.randn(5, 3, 2), TARGET, torch.tensor([5, 2, 3]), torch.arange(3))
    loss, state = model.loss(batch)
    assert state is None
    torch.testing.assert_close(loss, mean_number_loss(model(batch.input, batch.lengths), TARGET, "gaussian"))
    assert model.eval()(batch.input, batch.lengths).shape == (3, 2)
    stream = model.stream()
    for step in batch.input[:, 0]:
        said = stream(step)
    torch.testing.assert_close(said, model(batch.input[:, :1])[0])
    steps = StepRegressor(Numbers(2), hidden_size=4)
    target = torch.randn(5, 3)
    target[2, 0] = math.nan
    emissions = steps.eval()(batch.input, batch.lengths)
    own = (torch.arange(5)[:, None] < batch.lengths) & target.isfinite()
    wanted = F.mse_loss(emissions[..., 0][own], target[own]) / 2
    torch.testing.assert_close(steps.tag_loss(emissions, target, batch.lengths), wanted)


def test_what_belongs_to_classes_is_refused():
    with pytest.raises(ConfigError, match="class_weights and label_smoothing: expected none"):
        SequenceRegressor(input_size=2, label_smoothing=0.1)
    with pytest.raises(ConfigError, match="number_loss: expected squared, absolute or gaussian, got cubic"):
        SequenceRegressor("cubic", input_size=2)
    with pytest.raises(ConfigError, match="output: expected softmax where a number is predicted, got crf"):
        StepRegressor(Numbers(2), output="crf")


def test_the_loss_of_several_labels_is_torchs():
    torch.manual_seed(0)
    weights = [1.0, 3.0, 0.5]
    model = MultiLabelClassifier(3, input_size=2, hidden_size=4, class_weights=weights, label_smoothing=0.2)
    target = torch.tensor([[1.0, 0, 1], [math.nan] * 3, [0, 0, 1]])
    batch = Batch(torch.randn(4, 3, 2), target, None, torch.arange(3))
    logits, kept = model(batch.input), [0, 2]
    smooth = target[kept] * 0.8 + 0.1
    loss = F.binary_cross_entropy_with_logits(logits[kept], smooth, pos_weight=torch.tensor(weights), reduction="sum")
    torch.testing.assert_close(model.loss(batch)[0], loss / 2)
    model.eval()
    plain = F.binary_cross_entropy_with_logits(logits[kept], target[kept], reduction="sum")
    torch.testing.assert_close(model.loss(batch)[0], plain / 2)


def test_the_threshold_has_the_best_f1_of_all():
    random = np.random.default_rng(0)
    for _ in range(20):
        target = random.random((15, 3)) < 0.3
        p = np.clip(0.3 * target + random.random((15, 3)) * 0.7, 0, 1).round(2)
        model = MultiLabelClassifier(3, input_size=1, hidden_size=2)
        model.choose_threshold(torch.tensor(p), torch.tensor(target, dtype=torch.float32))
        every = [f1_score(target, p >= at, average="micro", zero_division=0) for at in np.arange(0.005, 1, 0.01)]
        found = f1_score(target, p >= float(model.threshold), average="micro", zero_division=0)
        assert found == pytest.approx(max(every))
    before = float(model.threshold)
    model.choose_threshold(torch.tensor(p), torch.zeros(15, 3))
    assert float(model.threshold) == before
