"""Counts, memory and work against torch's own: formulas are evaluated, optimisers are run, products are counted by torch."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import ostinato
from ostinato.insight import InsightError, ParameterTable, parameters
from ostinato.insight.parameter_table import OPTIMIZER_STATES

LAYERS: list[Any] = [
    nn.LSTM(5, 7, 2),
    nn.LSTM(5, 7, 2, bidirectional=True, proj_size=3),
    nn.GRU(5, 7, bias=False),
    nn.RNN(5, 7),
    nn.LSTMCell(5, 7),
    ostinato.LSTM(5, 7, peephole=True, layer_norm=True),
    ostinato.LSTM(5, 7, coupled_gates=True, proj_size=2),
    ostinato.GRU(5, [7, 4], initial_state="learned"),
    ostinato.RHN(5, 7, 2, depth=3, connection="highway"),
    ostinato.MinGRU(5, 7, 2),
    ostinato.MinLSTM(5, 7, layer_norm=True),
    ostinato.GRUCell(5, 7),
    ostinato.LSTM(5, 8, num_heads=2),
    ostinato.LSTM(5, 8, num_heads=2, proj_size=4),
    ostinato.catalogue.make("mlstm", 5, 8, num_heads=4),
    *(ostinato.catalogue.make(name, 5, 8) for name in ostinato.catalogue.names()),
    nn.Linear(5, 7),
    nn.Linear(5, 7, bias=False),
    nn.Embedding(5, 7),
    nn.Conv1d(5, 7, 3),
]


def value_of(formula: str, letters: Any) -> int:
    """`4 (I + H + 2) H` as a number: what stands side by side is multiplied."""
    python = re.sub(r"(?<=[\w)])\s+(?=[\w(])", " * ", formula)
    return eval(python, {"__builtins__": {}}, dict(letters))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: str(layer).replace("\n", " ")[:40])
def test_formulas_are_the_counts_of_what_the_model_holds(layer: Any) -> None:
    table = parameters(nn.ModuleDict({"it": layer}))
    assert {row.name: (row.shape, row.count) for row in table.rows} == {
        f"it.{name}": (tuple(p.shape), p.numel()) for name, p in layer.named_parameters()
    }
    counted = 0
    for piece in table.pieces:
        rows = [row for row in table.rows if row.name in piece.formulas]
        for row in rows:
            assert value_of(row.formula, piece.letters) == row.count
        assert value_of(piece.whole, piece.letters) == sum(row.count for row in rows)
        counted += sum(row.count for row in rows)
    assert counted == table.count == sum(p.numel() for p in layer.parameters())


def test_the_formula_of_the_notes() -> None:
    (piece,) = parameters(nn.LSTM(3, 8)).pieces
    assert (piece.name, piece.whole, piece.letters) == ("l0", "4 (I + H + 2) H", {"I": 3, "H": 8})
    assert value_of(piece.whole, piece.letters) == 4 * (3 + 8 + 2) * 8
    assert parameters(nn.RNN(3, 8)).pieces[0].whole == "(I + H + 2) H"
    assert parameters(nn.GRU(3, 8, bias=False)).pieces[0].whole == "3 (I + H) H"


@pytest.mark.parametrize(
    "layer",
    [nn.LSTM(5, 7, 2), nn.GRU(5, 7, bidirectional=True), ostinato.RHN(5, 7, depth=3), ostinato.MinGRU(5, 7),
     ostinato.LSTM(5, 7, proj_size=3), ostinato.GRU(5, 7, reset_after=False)],
)  # fmt: skip
def test_multiply_adds_are_those_that_torch_counts(layer: Any) -> None:
    x = torch.randn(1, 1, 5)
    ours = layer if isinstance(layer, ostinato.Recurrent) else ostinato.convert(layer)
    with FlopCounterMode(display=False) as counter, ostinato.backend("reference"):
        ours(x)
    assert parameters(layer).multiply_adds_per_step * 2 == counter.get_total_flops()


@pytest.mark.parametrize("name", OPTIMIZER_STATES)
def test_optimiser_memory_is_what_torchs_optimisers_keep(name: str) -> None:
    model = nn.LSTM(3, 5)
    kinds: dict[str, Any] = {
        "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad,
        "adadelta": torch.optim.Adadelta, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
        "nadam": torch.optim.NAdam, "radam": torch.optim.RAdam,
    }  # fmt: skip
    optimizer = (
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        if name == "sgd with momentum"
        else kinds[name](model.parameters(), lr=0.1)
    )
    model(torch.randn(2, 1, 3))[0].sum().backward()
    optimizer.step()
    kept = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, torch.Tensor) and v.dim()]
    table = parameters(model, optimizer=name)
    assert table.optimizer_bytes == sum(v.numel() * v.element_size() for v in kept)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert table.gradients_bytes == sum(v.numel() * v.element_size() for v in gradients)


def language_model() -> nn.ModuleDict:
    model = nn.ModuleDict(
        {"embedding": nn.Embedding(11, 4), "recurrent": ostinato.LSTM(4, 4), "output": nn.Linear(4, 11)}
    )
    output: Any = model["output"]
    output.weight = model["embedding"].weight
    return model


def test_tied_and_frozen_parameters_count_once_and_not_at_all() -> None:
    model = language_model()
    model["recurrent"].requires_grad_(False)
    table = parameters(model.double(), T=6, B=3)
    assert table.count == sum(p.numel() for p in model.parameters())
    assert table.weights_bytes == 8 * table.count
    assert table.gradients_bytes == 8 * (11 * 4 + 11)
    notes = {row.name: row.note for row in table.rows}
    assert notes["output.weight"] == "is embedding.weight"
    assert notes["recurrent.weight_hh_l0"] == "frozen"
    assert notes["embedding.weight"] == ""
    # Of each of 6 x 3 places an index; x, four gates, h and c; and h again: 8 bytes each.
    assert table.activations_bytes == 6 * 3 * 8 * (1 + (4 + 4 * 4 + 2 * 4) + 4)
    assert table.multiply_adds_per_step == 4 * 4 * (4 + 4) + 4 * 11


def test_activations_are_what_the_reference_keeps_within_a_factor() -> None:
    """Counted by torch: what autograd saves of a plain loop, every tensor once, weights left out."""
    layer, T, B = ostinato.LSTM(8, 8, 2), 10, 4
    seen: dict[int, torch.Tensor] = {}
    weights = {p.untyped_storage().data_ptr() for p in layer.parameters()}

    def pack(v: torch.Tensor) -> torch.Tensor:
        if v.untyped_storage().data_ptr() not in weights:
            seen[v.data_ptr()] = v
        return v

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda v: v), ostinato.backend("reference"):
        layer(torch.randn(T, B, 8))
    saved = sum(v.numel() * v.element_size() for v in seen.values())
    assert 0.5 < parameters(layer, T=T, B=B).activations_bytes / saved < 1.5


def test_a_module_that_is_there_twice_and_one_without_a_formula() -> None:
    shared = nn.Linear(3, 3)
    table = parameters(nn.ModuleDict({"a": shared, "b": shared, "norm": nn.LayerNorm(3)}))
    assert [row.note for row in table.rows if row.name.startswith("b.")] == ["is a.weight", "is a.bias"]
    assert [row.formula for row in table.rows if row.name.startswith("b.")] == ["O I", "O"]
    assert table.unknown == ["norm (LayerNorm)"]
    assert table.count == 12 + 6


def test_it_can_be_read_by_people_and_programs() -> None:
    table: ParameterTable = parameters(language_model(), T=10, B=2, optimizer="adamw")
    lines = list(csv.DictReader(io.StringIO(table.csv())))
    assert lines[0] == {"name": "embedding.weight", "shape": "11x4", "formula": "V E", "count": "44", "note": ""}
    assert len(lines) == len(table.rows)
    told = json.loads(json.dumps(table.to_dict()))
    assert told["pieces"][1]["whole"] == "4 (I + H + 2) H"
    text = str(table)
    assert "states of adamw (MB)" in text
    assert "4 (I + H + 2) H" in text


def test_wrong_arguments_are_told() -> None:
    for arguments, words in (({"T": 0}, "T expected"), ({"B": 1.5}, "B expected"), ({"optimizer": "adamm"}, "sgd, ")):
        with pytest.raises(InsightError, match=words):
            parameters(nn.LSTM(1, 1), **arguments)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InsightError, match="got none in Tanh"):
        parameters(nn.Tanh())
