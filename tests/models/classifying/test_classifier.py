import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ostinato.cells.library import NAMED
from ostinato.data.batches.batches import Batch
from ostinato.errors import ConfigError
from ostinato.insight import parameters
from ostinato.models.classifying.classifier import Classifier
from ostinato.models.classifying.counting import count_features
from ostinato.models.classifying.pooling import POOLINGS


class RecurrentNeuralNetworkClass(nn.Module):
    """The class of the notes, but for its printed steps: rows of an image in, logits out."""

    def __init__(self, xdim=28, hdim=256, ydim=10, n_layer=3):
        super().__init__()
        self.rnn = nn.LSTM(input_size=xdim, hidden_size=hdim, num_layers=n_layer, batch_first=True)
        self.lin = nn.Linear(hdim, ydim)

    def forward(self, x):
        return self.lin(self.rnn(x)[0][:, -1])


def of_the_notes():
    return Classifier(10, input_size=28, hidden_size=256, num_layers=3, pooling="last")


def test_the_class_of_the_notes_computes_the_same():
    torch.manual_seed(0)
    notes, ours = RecurrentNeuralNetworkClass(), of_the_notes()
    ours.recurrent.load_state_dict(notes.rnn.state_dict())
    ours.output.load_state_dict(notes.lin.state_dict())
    images = torch.randn(2, 28, 28)
    torch.testing.assert_close(ours(images.transpose(0, 1)), notes(images), rtol=1e-4, atol=1e-5)


def test_the_parameter_table_of_the_notes():
    model = of_the_notes()
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    expected = {f"recurrent.weight_ih_l{layer}": (1024, 28 if layer == 0 else 256) for layer in range(3)}
    expected |= {f"recurrent.weight_hh_l{layer}": (1024, 256) for layer in range(3)}
    expected |= {f"recurrent.bias_{each}_l{layer}": (1024,) for each in ("ih", "hh") for layer in range(3)}
    expected |= {"output.weight": (10, 256), "output.bias": (10,)}
    assert shapes == expected
    # 4 (I + H + 2) H for each layer, and the linear layer.
    assert parameters(model).count == 4 * (28 + 256 + 2) * 256 + 2 * 4 * (256 + 256 + 2) * 256 + 257 * 10


def batch_of(sequences, targets, more=0, filler=0):
    lengths = torch.tensor([len(each) for each in sequences])
    input = torch.full((max(1, int(lengths.max())) + more, len(sequences)), filler)
    for row, each in enumerate(sequences):
        input[: len(each), row] = torch.tensor(each, dtype=torch.int64)
    rows = torch.arange(len(sequences))
    return Batch(input, torch.tensor(targets), lengths, rows)


@settings(max_examples=25, deadline=None)
@given(
    sequences=st.lists(st.lists(st.integers(0, 6), max_size=5), min_size=1, max_size=4),
    more=st.integers(1, 4),
    filler=st.integers(0, 6),
    pooling=st.sampled_from(POOLINGS),
    bidirectional=st.booleans(),
)
def test_more_padding_changes_no_loss_and_no_gradient(sequences, more, filler, pooling, bidirectional):
    torch.manual_seed(0)
    model = Classifier(
        3, vocabulary_size=7, embedding_size=4, hidden_size=4, pooling=pooling, bidirectional=bidirectional
    ).double()
    targets = [len(each) % 3 for each in sequences]
    found = []
    for batch in (batch_of(sequences, targets), batch_of(sequences, targets, more, filler)):
        model.zero_grad()
        loss, state = model.loss(batch)
        loss.backward()
        assert state is None
        gradients = [torch.zeros(()) if each.grad is None else each.grad.clone() for each in model.parameters()]
        found.append((loss.detach(), gradients))
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", list(NAMED))
def test_every_cell_classifies_sequences_longer_and_shorter_than_any(cell):
    model = Classifier(2, input_size=3, hidden_size=4, cell=cell)
    for T in (1, 50):
        assert model(torch.randn(T, 2, 3), torch.tensor([T, 0])).shape == (2, 2)


def test_the_loss_is_the_weighted_smoothed_mean_over_examples():
    torch.manual_seed(0)
    weights = [0.5, 2.0, 1.0]
    model = Classifier(3, input_size=2, hidden_size=4, class_weights=weights, label_smoothing=0.3)
    x, y = torch.randn(4, 5, 2), torch.tensor([0, 1, 2, 1, 0])
    logits = model(x)
    p = logits.log_softmax(-1)
    target = torch.full((5, 3), 0.1).scatter(1, y[:, None], 0.7 + 0.1)
    expected = (-(target * p).sum(1) * torch.tensor(weights)[y]).sum() / 5
    torch.testing.assert_close(model.cross_entropy(logits, y), expected)
    model.eval()
    torch.testing.assert_close(model.cross_entropy(logits, y), nn.functional.cross_entropy(logits, y))


def test_targets_that_are_no_class_have_no_part_in_the_loss():
    model = Classifier(2, input_size=2, hidden_size=4)
    logits = torch.randn(4, 2, requires_grad=True)
    loss = model.cross_entropy(logits, torch.tensor([0, 2, 1, -1]))
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits[[0, 2]], torch.tensor([0, 1])))
    assert model.cross_entropy(logits, torch.tensor([2, 2, 2, -1])).item() == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_size": None}, "expected one of input_size .* and vocabulary_size"),
        ({"vocabulary_size": 3}, "expected one of input_size .* and vocabulary_size"),
        ({"num_classes": 0}, "num_classes: expected at least 1, got 0"),
        ({"dropout": 1.0}, "dropout: expected a rate from 0 to below 1"),
        ({"class_weights": [1.0]}, "class_weights: expected 2 numbers of at least 0"),
        ({"class_weights": [1.0, math.nan]}, "class_weights: expected 2 numbers of at least 0"),
        ({"cell": "lstn"}, "cell: expected one of lstm, gru, "),
        ({"options": {"bidirectional": True}}, "options: bidirectional cannot be given here"),
        ({"options": {"zoneot": 0.1}}, "options of LSTM: "),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Classifier(**{"num_classes": 2, "input_size": 3, **arguments})


def with_counts():
    """A model of two classes and three tokens, of which 0 says the first class and 1 the second."""
    texts, labels = [np.array([0, 2]), np.array([1, 2])] * 10, np.array([0, 1] * 10)
    counted = count_features(texts, labels, vocabulary_size=3, num_classes=2)
    torch.manual_seed(0)
    model = Classifier(2, vocabulary_size=3, embedding_size=4, hidden_size=4, dropout=0.5, naive_bayes=counted.sizes)
    assert model.naive_bayes is not None
    model.naive_bayes.take(counted)
    return model


def test_naive_bayes_has_its_say_in_evaluation_and_none_in_training():
    model, input = with_counts(), torch.tensor([[0, 1], [2, 2]])
    experts = model.eval().experts(input)
    assert experts[1].argmax(-1).tolist() == [0, 1]
    model.scales.copy_(torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(model(input), 0.5 * experts[0] + 2.0 * experts[1])
    model.train().dropout.p = 0.0
    torch.testing.assert_close(model(input), experts[0])


def test_scales_are_fitted_and_kept_with_the_weights():
    model, input = with_counts().eval(), torch.tensor([[0, 1] * 50, [2] * 100])
    target = torch.tensor([0, 1] * 50)
    target[:20] = 1 - target[:20]  # so that a fifth of them is wrong
    before = model.cross_entropy(model(input), target)
    model.calibrate(model.experts(input), target)
    assert model.cross_entropy(model(input), target) < before
    assert model(input).softmax(-1).amax(-1).mean().item() == pytest.approx(0.8, abs=0.02)
    again = with_counts().eval()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(input), model(input))
    older = {name: value for name, value in of_the_notes().state_dict().items() if name != "scales"}
    of_the_notes().load_state_dict(older)


def test_naive_bayes_is_of_tokens():
    with pytest.raises(ConfigError, match="naive_bayes: expected vocabulary_size beside it"):
        Classifier(2, input_size=3, naive_bayes=(1,))
