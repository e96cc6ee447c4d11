"""Layers as ONNX: which operators they become, at any length and batch, with states and lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, sigmoid, tanh

import ostinato
from ostinato import State, catalogue, cell
from ostinato.exporting.graph import flat
from ostinato.exporting.layers import layer_graph
from tests.exporting.support import assert_same, exported, filled, nodes_of, run


@cell(gates="f h", states="h", write="f", source="Zhou et al. 2016")
def minimal_gated_unit(x: Any, s: Any, U: Any) -> State:
    f = sigmoid(x.f + U.only("f")(s.h).f)
    return State(h=(1 - f) * s.h + f * tanh(x.h + U.only("h")(f * s.h).h))


@cell(gates="i f g o", states="h c")
def somebodys_lstm(x: Any, s: Any, U: Any) -> State:
    """The same equations as those of ONNX's operator, written by somebody else."""
    u = U(s.h)
    keep, write = sigmoid(u.f + x.f), tanh(x.g + u.g) * sigmoid(x.i + u.i)
    c = s.c * keep + write
    return State(h=tanh(c) * sigmoid(x.o + u.o), c=c)


@cell(
    gates="a b",
    states="h m:M n:1",
    parameters={"R": "M H", "share": "1"},
    widths={"M": 5},
    starts={"share": 0.5},
    extras="dt mask:I",
)
def of_other_widths(x: Any, s: Any, U: Any, R: Any, share: Any, dt: Any, mask: Any) -> State:
    """States of other widths, extras, units that move, what is the same for all units."""
    u = U(s.h)
    a = torch.softmax(x.a + u.a, -1) * s.h.shape[1]
    turned = torch.where(a > 1, a.roll(1, -1), a.flip(-1)) + a[:, :1]
    m = torch.exp(-dt) * s.m + share * torch.nn.functional.linear(s.h, R)
    n = s.n + (mask * mask).sum(-1, keepdim=True).sqrt() + m.amax(-1, keepdim=True)
    return State(h=tanh(turned * x.b + torch.logsumexp(u.b, -1, keepdim=True) - 0.01 * n), m=m, n=n)


# What each becomes, of one layer and direction.
OWN: dict[str, tuple[Callable[[], Any], str]] = {
    "LSTM": (lambda: ostinato.LSTM(4, 6, 2, bidirectional=True), "LSTM"),
    "LSTM without biases": (lambda: ostinato.LSTM(4, 6, bias=False), "LSTM"),
    "LSTM with peepholes": (lambda: ostinato.LSTM(4, 6, peephole=True, bidirectional=True), "LSTM"),
    "LSTM, coupled": (lambda: ostinato.LSTM(4, 6, coupled_gates=True, bidirectional=True), "LSTM"),
    "LSTM, coupled, with peepholes": (lambda: ostinato.LSTM(4, 6, coupled_gates=True, peephole=True), "LSTM"),
    "LSTM of the catalogue": (lambda: catalogue.PeepholeLSTM(4, 6), "LSTM"),
    "LSTM of somebody": (lambda: ostinato.Recurrent(somebodys_lstm, 4, 6), "LSTM"),
    "GRU": (lambda: ostinato.GRU(4, 6, bidirectional=True, batch_first=True), "GRU"),
    "GRU, reset before": (lambda: ostinato.GRU(4, 6, reset_after=False, bidirectional=True), "GRU"),
    "RNN tanh": (lambda: ostinato.RNN(4, 6), "RNN"),
    "RNN relu": (lambda: ostinato.RNN(4, 6, nonlinearity="relu", bidirectional=True), "RNN"),
    "RNN sigmoid": (lambda: ostinato.RNN(4, 6, nonlinearity="sigmoid"), "RNN"),
    "LSTM, highway, learned": (lambda: ostinato.LSTM(4, [6, 6], connection="highway", initial_state="learned"), "LSTM"),
    "LSTM of two widths": (lambda: ostinato.LSTM(4, [6, 5], dropout=0.5, variational_dropout=0.1), "LSTM"),
}
SCANS: dict[str, Callable[[], Any]] = {
    "LSTM, all options": lambda: ostinato.LSTM(
        4,
        6,
        2,
        bidirectional=True,
        layer_norm=True,
        peephole=True,
        proj_size=3,
        zoneout=(0.05, 0.5),
        recurrent_dropout=0.2,
    ),
    "LSTM with heads": lambda: ostinato.LSTM(4, 6, num_heads=2, layer_norm=True),
    "GRU, layer norm, reset before": lambda: ostinato.GRU(4, 6, layer_norm=True, reset_after=False, bidirectional=True),
    "RHN": lambda: ostinato.RHN(4, 6, depth=3, layer_norm=True),
    "minGRU": lambda: ostinato.MinGRU(4, 6, num_layers=2),
    "minLSTM": lambda: ostinato.MinLSTM(4, 6, bidirectional=True),
    "a cell of one's own": lambda: ostinato.Recurrent(minimal_gated_unit, 4, 6, 2, bidirectional=True, zoneout=0.1),
    "states of other widths": lambda: ostinato.Recurrent(of_other_widths, 4, 6),
}
# One for each kind of thing that a step may do; `python -m tests.exporting.sweep` tries all.
CATALOGUE = {
    "slstm": {"num_heads": 2},
    "indrnn": {},
    "lmu": {"order": 6, "theta": 12.0},
    "phasedlstm": {},
    "grud": {},
    "mogrifierlstm": {"rounds": 3},
    "lru": {},
    "cfc": {},
    "sru": {},
    "mut1": {},
}


class Many(torch.nn.Module):
    """Layers side by side in one model, as each export takes seconds; with lengths, and first states that follow from the rows."""

    def __init__(self, layers: dict[str, Any]) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers.values())
        self.names = [f"{name}: {each}" for name, layer in layers.items() for each in self.results(layer)]

    @staticmethod
    def results(layer: Any) -> list[str]:
        return [port.name for port in layer_graph(layer, states=True, lengths=True).outputs]

    def forward(self, x: Tensor, rows: Tensor, lengths: Tensor) -> list[Tensor]:
        found = []
        for layer in self.layers:
            states = [
                [
                    torch.sin(rows * (n + 1)).expand(layer.num_directions, -1, -1)[..., :1]
                    * torch.arange(1, shape[0] + 1)
                    / shape[0]
                    for n, shape in enumerate(shapes)
                ]
                for shapes in layer._layout.shapes.values()
            ]
            extras = {
                name: x[..., :size].abs().squeeze(-1) if size == 1 else x.abs()
                for name, size in layer._extra_sizes.items()
            }
            y = x.transpose(0, 1) if layer.batch_first else x
            found += flat(layer(y, states if len(states) > 1 else states[0], lengths=lengths, **extras))
        return found


def export_many(layers: dict[str, Any], folder: Path) -> tuple[Any, Any]:
    """What is said of it, and the model."""
    model, file = Many({name: filled(layer) for name, layer in layers.items()}).eval(), folder / "many.onnx"
    example = (torch.randn(7, 3, 4), torch.randn(3, 1), torch.tensor([7, 0, 4]))
    axes = {"x": "T B -", "rows": "B -", "lengths": "B"}
    return ostinato.export(model, example, file, axes=axes, outputs=model.names), onnx.load(file)


def test_plain_cells_become_onnx_own_operators(tmp_path: Path) -> None:
    layers = {name: make() for name, (make, _) in OWN.items()}
    written, model = export_many(layers, tmp_path)
    assert written.difference.largest < 1e-5
    wanted: Counter[str] = Counter()
    for name, layer in layers.items():
        wanted[OWN[name][1]] += layer.num_layers  # both directions are one node
    assert written.operators == wanted
    both_ways = sum(attribute.s == b"bidirectional" for node in model.graph.node for attribute in node.attribute)
    assert both_ways == sum(layer.num_layers for layer in layers.values() if layer.bidirectional)


@pytest.mark.parametrize("which", ["options", "catalogue"])
def test_any_other_cell_becomes_a_scan(which: str, tmp_path: Path) -> None:
    of_papers = {name: catalogue.make(name, 4, 6, **options) for name, options in CATALOGUE.items()}
    layers = {name: make() for name, make in SCANS.items()} if which == "options" else of_papers
    written, model = export_many(layers, tmp_path)
    assert written.difference.largest < 1e-5
    assert written.operators == {"Scan": sum(layer.num_layers * layer.num_directions for layer in layers.values())}
    assert len(nodes_of(model.graph)) < 1500  # none is unrolled


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_it_computes_what_torch_nn_does(kind: str, tmp_path: Path) -> None:
    ours = filled(getattr(ostinato, kind)(4, 6, 2, bidirectional=True))
    theirs = getattr(torch.nn, kind)(4, 6, 2, bidirectional=True).eval()
    theirs.load_state_dict(ours.state_dict())
    _, file = exported(ours, tmp_path, states=True, lengths=True)
    x, lengths = torch.randn(9, 5, 4), torch.tensor([9, 3, 1, 7, 9])
    states = [torch.randn(4, 5, 6) for _ in range(1 + (kind == "LSTM"))]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    with torch.no_grad():
        output, last = theirs(packed, tuple(states) if kind == "LSTM" else states[0])
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
    x[3:, 1] = torch.nan  # what lies behind a row's end is never looked at
    assert_same(run(file, [x, *states, lengths]), [output, last])


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}], ids=["LSTM", "Scan"])
def test_the_last_state_of_a_row_without_steps_is_its_first(options: Any, tmp_path: Path) -> None:
    layer = filled(ostinato.LSTM(4, 6, bidirectional=True, **options))
    _, file = exported(layer, tmp_path, states=True, lengths=True)
    x, h, c, lengths = torch.randn(5, 3, 4), torch.randn(2, 3, 6), torch.randn(2, 3, 6), torch.tensor([0, 5, 0])
    output, h_n, c_n = run(file, [x, h, c, lengths])
    assert not output[:, [0, 2]].any()
    assert torch.equal(h_n[:, [0, 2]], h[:, [0, 2]])
    assert torch.equal(c_n[:, [0, 2]], c[:, [0, 2]])


@pytest.mark.parametrize("name", ["LSTM", "LSTM, all options", "states of other widths"])
def test_a_single_step_after_the_other_is_the_sequence(name: str, tmp_path: Path) -> None:
    make = OWN[name][0] if name in OWN else SCANS[name]
    layer = make()
    if layer.bidirectional:
        options = {"layer_norm": True, "proj_size": 3} if "all" in name else {}
        layer = ostinato.LSTM(4, 6, 2, **options)
    written, file = exported(filled(layer), tmp_path, form="step")
    assert "Scan" not in written.operators
    assert all("T" not in port.axes for port in written.inputs)
    x, rows = torch.randn(4, 3, 4), 3
    extras = {extra: torch.rand(4, 3, size).squeeze(-1) for extra, size in layer._extra_sizes.items()}
    with torch.no_grad():
        wanted, last = layer(x, **extras)
    states = [
        torch.zeros([rows if axis == "B" else axis for axis in port.axes])
        for port in written.inputs
        if "_0" in port.name
    ]
    for t in range(4):
        output, *states = run(file, [x[t], *(v[t] for v in extras.values()), *states])
        assert_same(output, wanted[t])
    assert_same(states, last)


@pytest.mark.parametrize("make", [ostinato.LSTMCell, catalogue.JANETCell])
def test_single_steps_are_exported(make: Any, tmp_path: Path) -> None:
    written, _ = exported(filled(make(4, 6)), tmp_path)
    assert written.difference.largest < 1e-5
    assert "Scan" not in written.operators


def test_layers_of_float64_are_exported_as_scans_and_of_float16_at_all(tmp_path: Path) -> None:
    written, _ = exported(filled(ostinato.LSTM(4, 6, dtype=torch.float64)), tmp_path, states=True)
    assert written.operators == {"Scan": 1}  # ONNX Runtime's LSTM does not compute in float64
    assert written.difference.largest < 1e-12
    written, _ = exported(ostinato.LSTM(4, 6).half().eval(), tmp_path)
    assert written.operators == {"LSTM": 1}


def test_gates_are_kept_together_and_layer_norm_is_one_node(tmp_path: Path) -> None:
    _, file = exported(ostinato.LSTM(4, 6, layer_norm=True).eval(), tmp_path)
    (scan,) = (node for node in onnx.load(file).graph.node if node.op_type == "Scan")
    (body,) = (attribute.g for attribute in scan.attribute if attribute.name == "body")
    operators = [node.op_type for node in body.node]
    assert operators.count("LayerNormalization") == 2  # of the product, and of c
    assert operators.count("MatMul") == operators.count("Split") == 1
    assert len(operators) <= 15
    _, file = exported(ostinato.MinGRU(4, 6).eval(), tmp_path)
    assert len(nodes_of(onnx.load(file).graph)) < 25


def test_weights_keep_their_names_and_the_file_tells_nothing_of_this_machine(tmp_path: Path) -> None:
    layer = ostinato.LSTM(4, 6, 2, bidirectional=True, layer_norm=True).eval()
    _, file = exported(layer, tmp_path, states=True)
    first = file.read_bytes()
    model = onnx.load(file)
    names = {name for each in model.graph.initializer for name in each.name.split("+")}
    assert set(layer.state_dict()) <= names
    text = first.decode("latin-1")
    assert "site-packages" not in text
    assert str(Path(ostinato.__file__).parent) not in text
    assert all(not node.metadata_props for node in nodes_of(model.graph))
    exported(layer, tmp_path, states=True)
    assert file.read_bytes() == first
