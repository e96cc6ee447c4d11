"""`ostinato.export`: any module around our layers, what is refused, and what is never left behind."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor
from torch.export import Dim

import ostinato
from ostinato import State, cell, extras
from ostinato.errors import CellError, ConfigError, MissingPackageError, ModelError
from ostinato.exporting.onnx import check, translation_table
from ostinato.exporting.onnx.quantise import quantise
from tests.exporting.support import assert_same, exported, filled, nodes_of, run

# torch warns of itself, and of the list of flat weights that its own layers keep, as ours do.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The tensor attributes self._flat_weights"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Exporting a model while it is in training mode"),
]


@cell(gates="f", states="h")
def summing(x: Any, s: Any, U: Any) -> State:
    return State(h=torch.cumsum(x.f + U(s.h).f, -1))


class Model(torch.nn.Module):
    """A layer between others, with arguments of every kind."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.layer, self.output = ostinato.GRU(4, 6, 2, **options), torch.nn.Linear(6, 3)

    def forward(self, x: Tensor, state: Tensor | None = None, *, lengths: Tensor | None = None) -> dict[str, Any]:
        output, last = self.layer(x, state, lengths=lengths)
        return {"scores": self.output(output), "state": last}


def test_a_module_is_exported_with_open_sizes_that_nobody_names(tmp_path: Path) -> None:
    model, file = filled(Model(layer_norm=True)), tmp_path / "model.onnx"
    written = ostinato.export(model, torch.randn(5, 1, 4), file)  # one row in the example is not one row for good
    assert written.operators == {"Scan": 2}
    assert [port.axes for port in written.inputs] == [("x_0", "x_1", 4)]
    x = torch.randn(11, 7, 4)
    assert_same(run(file, [x]), model(x))
    assert "layer.weight_hh_l1" in {each.name for each in onnx.load(file).graph.initializer}


class Zoned(torch.nn.Module):
    """Layers that differ in how much they keep alone, from the first to the last, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(filled(ostinato.LSTM(4, 4, zoneout=rate)) for rate in (0.1, 0.6, 0.1))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)[0]
        return x


def test_layers_keep_their_own_rates_of_noise(tmp_path: Path) -> None:
    model, x, file = Zoned().eval(), torch.randn(9, 2, 4), tmp_path / "model.onnx"
    with torch.no_grad():
        torch.compile(model.layers[1], backend="aot_eager")(x)
        ostinato.export(model, x, file)
        assert_same(run(file, [x]), model(x))


def test_states_and_lengths_are_in_the_example_and_axes_have_names(tmp_path: Path) -> None:
    model, file = filled(Model()), tmp_path / "model.onnx"
    example = {"x": torch.randn(5, 3, 4), "state": torch.randn(2, 3, 6), "lengths": torch.tensor([5, 0, 3])}
    axes = {"x": "T B -", "state": "2 B 6", "lengths": "B"}
    written = ostinato.export(model, example, file, axes=axes, outputs=["scores", "last"])
    assert [port.name for port in written.inputs] == ["x", "state", "lengths"]
    assert [(port.name, port.axes) for port in written.outputs] == [("scores", ("T", "B", 3)), ("last", (2, "B", 6))]
    given = [torch.randn(9, 2, 4), torch.randn(2, 2, 6), torch.tensor([1, 9])]
    assert_same(run(file, given), model(*given[:2], lengths=given[2]))
    without_names = ostinato.export(model, example, tmp_path / "other.onnx")
    assert without_names.inputs[1].axes == (2, "x_1", 6)


def test_torchs_exporter_writes_our_layers_with_a_table_and_never_a_frozen_length(tmp_path: Path) -> None:
    x, shapes, file = torch.randn(7, 2, 4), {"input": {0: Dim("T"), 1: Dim("B")}}, tmp_path / "layer.onnx"
    for layer in (
        filled(ostinato.LSTM(4, 6, peephole=True)),
        filled(ostinato.LSTM(4, 6, zoneout=0.1, backend="reference")),
    ):
        table = translation_table()
        options = {"custom_translation_table": table, "dynamic_shapes": shapes, "verbose": False}
        torch.onnx.export(layer, (x,), file, external_data=False, **options)
        y = torch.randn(12, 5, 4)
        assert_same(run(file, [y]), layer(y))
        del table, options
        with pytest.raises(Exception, match="Failed to export") as raised:
            torch.onnx.export(layer, (x,), dynamic_shapes=shapes, verbose=False)
        assert "call ostinato.export(module, example, path)" in causes(raised.value)


@pytest.mark.parametrize("is_ours", [True, False], ids=["ostinato.export", "torch.onnx.export"])
def test_a_cell_that_cannot_be_exported_is_named_with_its_operation(is_ours: bool, tmp_path: Path) -> None:
    layer, x, file = ostinato.Recurrent(summing, 4, 6).eval(), torch.randn(5, 2, 4), tmp_path / "layer.onnx"

    def exports() -> None:
        if is_ours:
            ostinato.export(layer, x, file)
        else:
            torch.onnx.export(layer, (x,), file, custom_translation_table=translation_table(), verbose=False)

    with pytest.raises(Exception, match="export") as raised:
        exports()
    said = causes(raised.value)
    assert "the cell 'summing' cannot be exported to ONNX: the step uses aten.cumsum" in said
    assert "test_export.py:" in said
    assert is_ours == isinstance(raised.value, CellError)
    assert not list(tmp_path.iterdir())


def test_a_layer_in_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a module in evaluation .* its Model is in training"):
        ostinato.export(Model(), torch.randn(5, 2, 4), tmp_path / "model.onnx")
    layer, x = ostinato.LSTM(4, 6, zoneout=0.1), torch.randn(5, 2, 4)
    with pytest.raises(Exception, match="Failed to export") as raised:
        torch.onnx.export(layer, (x,), custom_translation_table=translation_table(), verbose=False)
    assert "draws zoneout_h; call .eval()" in causes(raised.value)
    assert layer.training


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("no module", None), {}, "module expected a torch.nn.Module, got str"),
        (
            (ostinato.LSTM(4, 6, bidirectional=True).eval(), None),
            {"form": "step"},
            "form step expected a layer of one direction",
        ),
        ((ostinato.LSTM(4, 6).eval(), None), {"form": "step", "lengths": True}, "form step expected no lengths"),
        ((ostinato.LSTM(4, 6).eval(), None), {"form": "whole"}, "form expected sequence or step, got 'whole'"),
        (
            (torch.nn.LSTM(4, 6).eval(), torch.ones(5, 2, 4)),
            {},
            "got torch.nn.LSTM, which torch exports for the example's length",
        ),
        ((ostinato.LSTM(4, 6).eval(), "x"), {}, "example expected the input of a layer, a tensor, got str"),
        (
            (ostinato.LSTM(4, 6).eval(), None),
            {"axes": {"input": "T B 4"}},
            "axes and outputs are for modules around layers",
        ),
        ((torch.nn.Linear(4, 6).eval(), torch.ones(2, 4)), {"states": True}, "states is for a layer of Ostinato"),
        (
            (torch.nn.Linear(4, 6).eval(), ()),
            {},
            "example expected arguments that Linear.forward takes|tensors among them",
        ),
        (
            (torch.nn.Linear(4, 6).eval(), torch.ones(2, 4)),
            {"axes": {"x": "B -"}},
            "axes expected names of inputs, input, got x",
        ),
        ((torch.nn.Linear(4, 6).eval(), torch.ones(2, 4)), {"axes": {"input": "B"}}, "axes of input expected 2 words"),
        ((torch.nn.Linear(4, 6).eval(), torch.ones(2, 4)), {"outputs": ["a", "b"]}, "outputs expected 1 names, got 2"),
    ],
)
def test_wrong_arguments_are_told(arguments: Any, options: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        ostinato.export(*arguments, tmp_path / "model.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_a_file_is_not_written_over_and_a_folder_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "layer.onnx"
    file.write_text("something else")
    layer = ostinato.RNN(4, 6).eval()
    with pytest.raises(ConfigError, match=r"layer.onnx is there already; choose another path, or say force"):
        ostinato.export(layer, None, file)
    assert file.read_text() == "something else"
    with pytest.raises(ConfigError, match=r"expected a folder .* to write into, got none"):
        ostinato.export(layer, None, tmp_path / "nowhere" / "layer.onnx")
    ostinato.export(layer, None, file, force=True)
    assert onnx.load(file).graph.node


def test_a_model_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        check.Session, "__call__", lambda self, inputs: [np.zeros((len(inputs[0]), inputs[0].shape[1], 6), np.float32)]
    )
    with pytest.raises(
        ModelError, match=r"layer: the model is .* from the module in output at input \(7, 3, 4\)"
    ) as raised:
        ostinato.export(filled(ostinato.LSTM(4, 6)), None, tmp_path / "layer.onnx")
    assert "In float64 the module is" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_layer_that_multiplies_rounding_is_compared_with_float64(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = ostinato.RNN(4, 32, nonlinearity="relu").eval()
    with torch.no_grad():
        layer.weight_hh_l0.copy_(torch.nn.init.orthogonal_(torch.empty(32, 32)) * 3)
        layer.bias_hh_l0.copy_(torch.randn(32))
    written, _ = exported(Chaotic(layer).eval(), tmp_path, example=(torch.randn(5, 2, 4),))
    assert written.difference.largest > check.TOLERANCE
    assert written.difference.rounding is not None
    assert written.difference.rounding > check.TOLERANCE / 10


def test_each_output_is_judged_by_its_own_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two is told with its own number, though the first, which only rounds, is further apart."""
    torch.manual_seed(0)
    layer = ostinato.RNN(4, 32, nonlinearity="relu").eval()
    with torch.no_grad():
        layer.weight_hh_l0.copy_(torch.nn.init.orthogonal_(torch.empty(32, 32)) * 3)
        layer.bias_hh_l0.copy_(torch.randn(32))
    answered = check.Session.__call__
    monkeypatch.setattr(
        check.Session, "__call__", lambda self, inputs: [v + 2e-4 * at for at, v in enumerate(answered(self, inputs))]
    )
    with pytest.raises(ModelError, match=r"the model is 2\.0e-04 from the module in output_1 at"):
        exported(ChaoticAndPlain(layer).eval(), tmp_path, example=(torch.randn(5, 2, 4),))


def test_int8_of_an_embedding_that_is_an_output_layer_too(tmp_path: Path) -> None:
    embedding, output = torch.nn.Embedding(50, 32), torch.nn.Linear(32, 50)
    output.weight = embedding.weight
    model = torch.nn.Sequential(embedding, Output(ostinato.GRU(32, 32)), torch.nn.Flatten(0, 1), output).eval()
    tokens, file = torch.randint(0, 50, (9, 3)), tmp_path / "model.onnx"
    ostinato.export(model, tokens, file)
    assert sum(list(each.dims) in ([50, 32], [32, 50]) for each in onnx.load(file).graph.initializer) == 1
    quantise(file)
    assert float((run(file, [tokens])[0] - model(tokens).detach()).abs().mean()) < 0.1


class Output(torch.nn.Module):
    """Of a layer its output alone."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


class Chaotic(torch.nn.Module):
    """What is left of large numbers whose leading digits are taken away: rounding."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.layer(x)[0] * 30)


class ChaoticAndPlain(Chaotic):
    """Chaos beside the input's sine."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x), torch.sin(x)


def test_int8_is_a_third_of_the_size_and_nearly_the_same(tmp_path: Path) -> None:
    layers = [Output(ostinato.LSTM(16, 64)), Output(ostinato.LSTM(64, 64, layer_norm=True))]
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(0, 1), torch.nn.Linear(64, 5)).eval()
    x, file = torch.randn(9, 3, 16), tmp_path / "layer.onnx"
    ostinato.export(model, x, file)
    before = file.stat().st_size
    quantise(file)
    assert file.stat().st_size < before / 3
    assert float((run(file, [x])[0] - model(x).detach()).abs().mean()) < 0.02
    operators = {node.op_type for node in nodes_of(onnx.load(file).graph)}
    assert {"DynamicQuantizeLSTM", "MatMulInteger"} <= operators  # in the body of the Scan
    assert [each.name for each in tmp_path.iterdir()] == ["layer.onnx"]


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "onnxscript" else there(name))
    with pytest.raises(MissingPackageError, match=r"needs the package onnxscript, .* pip install 'ostinato\[export\]'"):
        extras.check_installed("export")


def causes(error: BaseException) -> str:
    found, seen = [], error
    while seen is not None:
        found.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    return "\n".join(found)
