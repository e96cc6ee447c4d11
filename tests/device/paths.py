"""Paths through the project on which a device matters: each runs on any, and gives tensors to compare."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.data import CharVocabulary
from ostinato.data.batches.streams import Chunk
from ostinato.models import BeamSettings, Classifier, LanguageModel, Tagger
from ostinato.models.text.output_loss import output_cross_entropy
from ostinato.models.writing.decoding import log_softmax
from ostinato.nn.crf.crf import CRF
from tests.models.classifying.test_classifier import batch_of as classes
from tests.models.forecasting.test_forecaster import batch_of as series
from tests.models.forecasting.test_forecaster import model as forecaster
from tests.models.tagging.test_tagger import batch_of as tags
from tests.models.writing.test_captioner import small as captioner
from tests.models.writing.test_captioner import some as captions
from tests.models.writing.test_seq2seq import small as seq2seq
from tests.models.writing.test_seq2seq import some_pairs as pairs

D = torch.float64
LETTERS = CharVocabulary("\n ehlo")


def moved(batch: Any, device: str) -> Any:
    """A batch with its tensors on a device."""
    if isinstance(batch, Chunk):
        return Chunk(*(v if v is None else v.to(device) for v in (batch.input, batch.target, batch.resets, batch.mask)))
    tensors = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    return dataclasses.replace(batch, **{name: v.to(device) for name, v in tensors.items() if isinstance(v, Tensor)})


def step(model: Any, batch: Any, device: str) -> list[Tensor]:
    """The loss and every gradient of a training step without noise."""
    model = model.to(device)
    loss, _ = model.loss(moved(batch, device))
    loss.backward()
    return [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


def language_model(**options: Any) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(LETTERS, embedding_size=5, hidden_size=7, **options).double()


def chunk(resets: bool = False) -> Chunk:
    torch.manual_seed(1)
    tokens = torch.randint(len(LETTERS), (7, 3))
    marks = torch.zeros(6, 3, dtype=torch.bool)
    marks[2, 1] = True
    return Chunk(tokens[:-1], tokens[1:], marks if resets else None)


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(3, vocabulary_size=7, embedding_size=4, hidden_size=4, bidirectional=True).double()


def tagger(output: str) -> Tagger:
    torch.manual_seed(0)
    return Tagger(nn.Embedding(7, 4), 3, hidden_size=4, output=output).double()  # pyright: ignore[reportArgumentType]


def _output_loss(device: str) -> list[Tensor]:
    torch.manual_seed(0)
    layer, x = nn.Linear(5, 9000).double().to(device), torch.randn(40, 5, dtype=D).to(device).requires_grad_()
    loss = output_cross_entropy(layer, x, torch.randint(9000, (40,)).to(device), label_smoothing=0.1)
    return [loss.detach(), *torch.autograd.grad(loss, [x, *layer.parameters()])]


def _log_softmax(device: str) -> list[Tensor]:
    torch.manual_seed(0)
    return [log_softmax(torch.randn(3, 50, dtype=D).to(device))]


def _crf(device: str) -> list[Tensor]:
    torch.manual_seed(0)
    crf = CRF(4).double().to(device)
    emissions = torch.randn(5, 3, 4, dtype=D).to(device).requires_grad_()
    lengths = torch.tensor([5, 0, 2]).to(device)
    value = crf.log_likelihood(emissions, torch.randint(4, (5, 3)).to(device), lengths).sum()
    gradients = torch.autograd.grad(value, [emissions, *crf.parameters()])
    return [value.detach(), *gradients, crf.marginals(emissions.detach(), lengths)]


def _beam(device: str) -> list[Tensor]:
    batch, model = moved(pairs(), device), seq2seq().to(device)
    found = model.translate(batch.input, batch.lengths, max_length=6, beam=BeamSettings(beam_size=3, n_best=2))
    return [torch.tensor([each.log_probability for row in found for each in row], dtype=D)]


def _captions(device: str) -> list[Tensor]:
    images = moved(captions(), device).input
    found = captioner().to(device).caption(images, max_length=5, beam=BeamSettings(beam_size=2))
    return [torch.tensor([each.log_probability for row in found for each in row], dtype=D)]


PATHS: dict[str, Callable[[str], list[Tensor]]] = {
    "output loss": _output_loss,
    "log softmax": _log_softmax,
    "language model": lambda device: step(language_model(), chunk(), device),
    "language model with resets": lambda device: step(language_model(cell="gru"), chunk(True), device),
    "language model with options": lambda device: step(language_model(options={"layer_norm": True}), chunk(), device),
    "translation": lambda device: step(seq2seq(), pairs(), device),
    "translation, all attention": lambda device: step(
        seq2seq(coverage=True, input_feeding=True, attention="additive", attention_units=5), pairs(), device
    ),
    "beam": _beam,
    "CRF": _crf,
    "tagging, CRF": lambda device: step(tagger("crf"), tags([[1, 2, 3], [4]]), device),
    "tagging, softmax": lambda device: step(tagger("softmax"), tags([[1, 2, 3], [4]]), device),
    "classifying": lambda device: step(classifier(), classes([[1, 2, 3], [4]], [0, 2]), device),
    "captions": lambda device: step(captioner(), captions(), device),
    "captions, beam": _captions,
    "forecasting": lambda device: step(forecaster(), series([5, 7, 4], 3), device),
}
