"""Layers survive what turns a model into a graph: torch.compile, torch.export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import ostinato

LAYERS: list[tuple[Any, dict[str, Any]]] = [
    (ostinato.LSTM, {}),
    (ostinato.LSTM, {"num_layers": 2, "bidirectional": True}),
    (ostinato.LSTM, {"zoneout": 0.1, "layer_norm": True}),
    (ostinato.LSTM, {"peephole": True, "coupled_gates": True, "initial_state": "learned"}),
    (ostinato.RHN, {"depth": 2, "layer_norm": True}),
    (ostinato.MinLSTM, {"layer_norm": True, "coupled_gates": True}),
]
layers = pytest.mark.parametrize(("make", "arguments"), LAYERS, ids=str)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@layers
def test_a_compiled_layer_computes_the_same(make: Any, arguments: dict[str, Any]) -> None:
    layer = make(3, 4, **arguments).eval()
    x = torch.randn(5, 2, 3)
    compiled = torch.no_grad()(torch.compile(layer, backend="eager"))
    torch.testing.assert_close(compiled(x)[0], layer(x)[0])
    lengths = torch.tensor([5, 2])
    torch.testing.assert_close(compiled(x, lengths=lengths)[0], layer(x, lengths=lengths)[0])


# torch warns about the list of flat weights that its own layers keep, and so do ours.
@pytest.mark.filterwarnings("ignore:The tensor attributes self._flat_weights")
@layers
def test_an_exported_layer_computes_the_same(make: Any, arguments: dict[str, Any]) -> None:
    layer = make(3, 4, **arguments).eval()
    x = torch.randn(5, 2, 3)
    exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(exported(x)[0], layer(x)[0])
