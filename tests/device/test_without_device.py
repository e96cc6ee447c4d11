"""What of a device can be seen without one, under FakeTensorMode.

Tensors without values show who reads them, as `.item()` and `nonzero` do: on a device those wait for it. So a training step runs
here on fake tensors of the CPU. Tensors that say they are on CUDA would show mixed devices. But in a build of torch for CPUs
autograd ends the process for one that requires a gradient, and an index (`v[:, None]`) or a copy in place is an error: so they go
as far as a loss without gradient, of a model without lengths.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import unset_fake_temporarily

from ostinato import GRU, LSTM
from ostinato.data.batches.streams import Chunk, steps_of
from ostinato.training import chunks
from tests.device.paths import (
    PATHS,
    captioner,
    captions,
    chunk,
    classes,
    classifier,
    language_model,
    pairs,
    seq2seq,
    tagger,
    tags,
)

# torch's recurrent operators ask for CUDA's driver where they are built for it, even of tensors without memory.
DEVICE = "cuda" if torch.cuda.is_available() or not torch.backends.cuda.is_built() else "xpu"

STEPS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "language model": (language_model, chunk),
    "language model with options": (lambda: language_model(options={"layer_norm": True, "zoneout": 0.1}), chunk),
    "translation": (seq2seq, pairs),
    "translation, all attention": (lambda: seq2seq(coverage=True, input_feeding=True, label_smoothing=0.1), pairs),
    "captions": (captioner, captions),
    "classifying": (classifier, lambda: classes([[1, 2, 3], [4]], [0, 2])),
    "tagging": (lambda: tagger("softmax"), lambda: tags([[1, 2, 3], [4]])),
}


def empty(v: Tensor, device: str) -> Tensor:
    return torch.empty(v.shape, dtype=v.dtype, device=device)


def fake_model(model: nn.Module, device: str, needs_gradients: bool) -> None:
    """Give a model fake tensors; to be called in the mode."""
    for module in model.modules():
        for name, p in module._parameters.items():
            if p is not None:
                module._parameters[name] = nn.Parameter(empty(p, device), requires_grad=needs_gradients)
        for name, b in module._buffers.items():
            if b is not None:
                module._buffers[name] = empty(b, device)


def fake_batch(batch: Any, device: str) -> Any:
    if isinstance(batch, Chunk):
        return Chunk(*(None if v is None else empty(v, device) for v in dataclasses_of(batch)))
    tensors = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    return dataclasses.replace(batch, **{n: empty(v, device) for n, v in tensors.items() if isinstance(v, Tensor)})


def dataclasses_of(batch: Chunk) -> tuple[Tensor | None, ...]:
    return batch.input, batch.target, batch.resets, batch.mask


@pytest.mark.parametrize("name", STEPS)
def test_a_training_step_reads_no_values(name: str) -> None:
    model, batch = (make() for make in STEPS[name])
    with FakeTensorMode():
        fake_model(model.train(), "cpu", True)
        loss, _ = model.loss(fake_batch(batch, "cpu"))
        loss.backward()
    assert all(p.grad is None or p.grad.shape == p.shape for p in model.parameters())


def test_where_texts_begin_is_read_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows begin a new text within a window, the model runs piece by piece: resets on the CPU say where."""
    model, batch, asked = language_model(), chunk(resets=True), []

    def on_the_host(resets: Tensor | None) -> list[int]:
        assert resets is batch.resets
        with unset_fake_temporarily():
            asked.append(steps_of(resets))
        return asked[-1]

    monkeypatch.setattr("ostinato.models.text.language_model.steps_of", on_the_host)
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake_model(model, "cpu", True)
        loss, _ = model.loss(dataclasses.replace(fake_batch(batch, "cpu"), resets=batch.resets))
        loss.backward()
    assert asked == [[2]]


def test_resets_are_not_moved_to_a_device() -> None:
    batch = chunk(resets=True)
    window = next(iter(chunks(batch, 6, device="meta")))
    assert window.input.is_meta
    assert window.whole.resets is batch.resets


@torch.no_grad()
@pytest.mark.parametrize("name", ["language model", "language model with options"])
def test_a_loss_is_on_the_device_of_the_model(name: str) -> None:
    model, batch = (make() for make in STEPS[name])
    with FakeTensorMode():
        fake_model(model, DEVICE, False)
        assert model.loss(fake_batch(batch, DEVICE))[0].device.type == DEVICE


@torch.no_grad()
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_a_layer_is_on_the_device_of_its_input(kind: Any) -> None:
    layer = kind(3, 4, 2, bidirectional=True, layer_norm=True)
    with FakeTensorMode():
        fake_model(layer, DEVICE, False)
        output, last = layer(torch.empty(5, 2, 3, device=DEVICE))
        found = [output, *(last if isinstance(last, tuple) else (last,))]
    assert all(v.device.type == DEVICE for v in found)


@pytest.mark.parametrize("name", PATHS)
def test_every_path_gives_something_to_compare(name: str) -> None:
    found = PATHS[name]("cpu")
    assert found
    assert all(v.isfinite().all() for v in found)
