import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import ostinato
from ostinato.cells.library import NAMED
from ostinato.data.batches.streams import Streams
from ostinato.data.tokens.tokens import Tokens
from ostinato.data.tokens.vocabulary import CharVocabulary
from ostinato.insight import InsightError, doctor
from ostinato.insight.diagnosis.doctor import CHECKS
from ostinato.models.text.language_model import LanguageModel

from .patients import KINDS, Classifier, H, I, Reader, chunk, row_loss, rows, trained

both = pytest.mark.parametrize("layers", KINDS.values(), ids=KINDS)


@both
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_a_model_that_is_well(layers, cell) -> None:
    """All checks, and none finds anything."""
    one = trained(getattr(layers, cell)(I, H))
    found = doctor(one.model, chunk(0), **one.told)
    assert found.names == []
    assert found.checked == list(CHECKS)
    assert found.unchecked == {}


@pytest.mark.parametrize("cell", list(NAMED))
def test_a_language_model_before_training(cell) -> None:
    torch.manual_seed(0)
    text = "the quick brown fox jumps over the lazy dog\n" * 40
    vocabulary = CharVocabulary.build([text], 100)
    model = LanguageModel(vocabulary, 16, 24, 2, cell=cell, dropout=0.2, embedding_dropout=0.1)
    first, second = list(
        Streams(Tokens(vocabulary.encode(text), np.zeros(1, np.int64), len(text), len(text.split())), 8, 12)
    )[:2]
    found = doctor(model, first, next_batch=second, optimizer=torch.optim.AdamW(model.parameters(), lr=3e-3))
    assert found.names == []
    assert set(found.unchecked.values()) == {"give history=, clip_norm=", "give history=", "give figures=, baselines="}


class Eventful(Reader):
    """Has a buffer that counts, dropout, and gradients from before."""

    def __init__(self, layer: nn.Module):
        super().__init__(layer)
        self.register_buffer("calls", torch.zeros(()))
        self.norm = nn.BatchNorm1d(I)

    def loss(self, batch, state=None):
        self.calls += 1
        x = self.norm(F.dropout(self.embedding(batch[0]), 0.1, self.training).transpose(1, 2)).transpose(1, 2)
        h, state = self.layer(x, state)
        return F.cross_entropy(self.output(h).flatten(0, 1), batch[1].flatten()), state


def state_of(value: object) -> list[torch.Tensor]:
    """All tensors of an optimiser's state, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for each in value.values() for tensor in state_of(each)]
    if isinstance(value, list):
        return [tensor for each in value for tensor in state_of(each)]
    return []


@both
@pytest.mark.parametrize("training", [True, False])
def test_everything_is_as_before(layers, training) -> None:
    torch.manual_seed(0)
    model = Eventful(layers.LSTM(I, H)).train(training)
    model.norm.eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.loss(chunk(0))[0].backward()
    optimizer.step()
    batch, after = chunk(1), chunk(2)
    before = copy.deepcopy(model.state_dict())
    gradients = {name: (p.grad, p.grad.clone()) for name, p in model.named_parameters() if p.grad is not None}
    modes = {name: part.training for name, part in model.named_modules()}
    attributes = {name: sorted(part.__dict__) for name, part in model.named_modules()}
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()]
    parameters = [id(p) for p in model.parameters()]
    moments = [tensor.clone() for tensor in state_of(optimizer.state_dict())]
    generators = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy())  # noqa: NPY002

    doctor(model, batch, next_batch=after, optimizer=optimizer, history=[{"step": 300, "loss": 2.0}], clip_norm=1.0)

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for name, p in model.named_parameters():
        assert p.grad is gradients[name][0]
        assert torch.equal(p.grad, gradients[name][1])
    assert {name: part.training for name, part in model.named_modules()} == modes
    assert {name: sorted(part.__dict__) for name, part in model.named_modules()} == attributes
    assert [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()] == hooks
    assert [id(p) for p in model.parameters()] == parameters
    assert isinstance(model.layer, layers.LSTM)
    assert all(torch.equal(a, b) for a, b in zip(state_of(optimizer.state_dict()), moments, strict=True))
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert random.getstate() == generators[1]
    assert np.array_equal(np.random.get_state()[1], generators[2])  # noqa: NPY002
    assert all(torch.equal(a, b) for a, b in zip(batch, chunk(1), strict=True))


def test_it_says_the_same_twice() -> None:
    torch.manual_seed(0)
    model = Classifier(nn.RNN(I, H))
    first, second = (str(doctor(model, rows(steps=60), row_loss)) for _ in range(2))
    assert first == second


def test_it_can_be_called_where_gradients_are_off() -> None:
    with torch.no_grad():
        assert doctor(Classifier(nn.GRU(I, H)), rows(steps=8), row_loss).names == []


def test_what_it_was_not_told() -> None:
    found = doctor(Classifier(nn.GRU(I, H)), rows(steps=8), row_loss)
    assert found.unchecked["learning rate"] == "give optimizer="
    assert found.unchecked["clipping in nearly every step"] == "give history=, clip_norm="
    assert set(found.checked) | set(found.unchecked) == set(CHECKS)


def test_a_loss_that_is_none() -> None:
    model = Classifier(nn.GRU(I, H))
    with pytest.raises(InsightError, match=r"expected a scalar tensor.*got \(10, 3\)"):
        doctor(model, rows(), lambda m, b: m(b[0]))
    with pytest.raises(InsightError, match=r"Classifier has no method loss"):
        doctor(model, rows())


def test_a_model_without_a_recurrent_layer() -> None:
    with pytest.raises(InsightError, match="recurrent layer"):
        doctor(nn.Linear(I, 3), rows(), lambda m, b: m(b[0]).mean())


def test_a_model_that_cannot_be_copied() -> None:
    model = Classifier(nn.GRU(I, H))
    model.kept = model(rows()[0])
    with pytest.raises(InsightError, match="detach"):
        doctor(model, rows(), row_loss)


def test_every_finding_is_explained_in_the_documentation(request) -> None:
    page = (request.config.rootpath / "docs" / "doctor.md").read_text(encoding="utf-8")
    names = [*CHECKS, "learning rate too high", "learning rate too low"]
    assert [name for name in names if f"| {name} |" not in page and name != "learning rate"] == []


def test_our_layers_with_options() -> None:
    torch.manual_seed(0)
    layer = ostinato.LSTM(I, H, 2, layer_norm=True, zoneout=0.1, variational_dropout=0.2, connection="residual")
    assert doctor(Classifier(layer), rows(steps=10), row_loss).names == []
