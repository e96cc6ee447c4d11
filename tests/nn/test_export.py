"""Layers survive torch.export, saved and loaded, and the older ways of recording."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.export import Dim, ExportedProgram, export
from torch.fx.experimental.proxy_tensor import make_fx

import ostinato
from tests.contracts.menu import CELLS, OPTIONS, layer, step
from tests.support import assert_same, tensors

pytestmark = [
    # torch warns about the list of flat weights that its own layers keep, and so do ours; and of what it does itself.
    pytest.mark.filterwarnings("ignore:The tensor attributes self._flat_weights"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec:FutureWarning"),
]
strictly = pytest.mark.parametrize("strict", [False, True], ids=["", "strict"])
# Every cell without options, and every option that leaves something to do in evaluation.
MENU = [*((name, "plain") for name in CELLS), *(("lstm", option) for option in ("zoneout", "layer_norm", "peephole"))]
MENU += [("gru", option) for option in ("learned", "highway", "layer_norm")]


def made(name: str, option: str) -> Any:
    return layer(name, 3, 4, 2, bidirectional=option != "highway", **OPTIONS[option]).eval()


def operators(program: ExportedProgram) -> list[str]:
    return [str(n.args[0]) for n in program.graph.nodes if n.target is torch.ops.ostinato.recurrence.default]


@pytest.mark.filterwarnings(
    "ignore:The given buffer is not writable:UserWarning"
)  # torch 2.11 says so of its own loading
@pytest.mark.parametrize(("name", "option"), MENU)
def test_an_exported_layer_computes_the_same_also_when_it_was_saved(name: str, option: str) -> None:
    module, x = made(name, option), torch.randn(5, 2, 3)
    program = export(module, (x,))
    found = operators(program)
    assert [text.endswith("reverse") for text in found] == [False, True][: module.num_directions] * 2
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    for each in (program, torch.export.load(file), program.run_decompositions()):
        assert_same(tensors(each.module()(x)), tensors(module(x)), atol=1e-6)


@strictly
def test_lengths_are_an_input_of_the_graph(strict: bool) -> None:
    module, x, lengths = made("lstm", "layer_norm"), torch.randn(5, 3, 3), torch.tensor([5, 0, 2])
    exported = export(module, (x,), {"lengths": lengths}, strict=strict).module()
    for given in (lengths, torch.tensor([1, 4, 5])):
        assert_same(tensors(exported(x, lengths=given)), tensors(module(x, lengths=given)), atol=1e-6)
    with pytest.raises(
        ValueError, match="lengths expected numbers from 0 to the 5 time steps of the input, got 1 to 6"
    ):
        exported(x, lengths=torch.tensor([1, 6, 5]))


@strictly
def test_time_and_batch_may_stay_open(strict: bool) -> None:
    module = made("gru_reset_before", "plain")
    shapes = {"input": {0: Dim("T", min=2, max=100), 1: Dim("B", min=2, max=100)}}
    exported = export(module, (torch.randn(5, 2, 3),), dynamic_shapes=shapes, strict=strict).module()
    for x in (torch.randn(9, 7, 3), torch.randn(2, 11, 3)):
        assert_same(tensors(exported(x)), tensors(module(x)), atol=1e-6)


@strictly
def test_an_exported_layer_can_be_trained(strict: bool) -> None:
    module = layer("lstm", 3, 4, layer_norm=True)
    x = torch.randn(5, 2, 3, requires_grad=True)
    exported = export(module, (x,), strict=strict).module()
    gradients = [torch.autograd.grad(m(x)[0].square().sum(), [x, *m.parameters()]) for m in (exported, module)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)


def test_a_single_step_is_exported() -> None:
    module = step("lstm", 3, 4, layer_norm=True).eval()
    x = torch.randn(2, 3)
    program = export(module, (x,))
    assert len(operators(program)) == 1
    assert_same(tensors(program.module()(x)), tensors(module(x)), atol=1e-6)


LOADED = """
import sys, torch, ostinato
from ostinato.errors import CellError
layer = ostinato.GRU(3, 4{options}).eval()
exported = torch.export.load(sys.argv[1]).module()
try:
    exported(torch.ones(5, 2, 3))
except CellError as error:
    print(error)
else:
    layer.load_state_dict(exported.state_dict())
    assert torch.equal(exported(torch.ones(5, 2, 3))[0], layer(torch.ones(5, 2, 3))[0])
    print("ran")
"""


def test_another_process_runs_what_was_saved_once_it_has_the_layer(tmp_path: Path) -> None:
    file = tmp_path / "layer.pt2"
    torch.export.save(export(layer("gru", 3, 4, layer_norm=True).eval(), (torch.ones(5, 2, 3),)), file)
    for options, said in ((", layer_norm=True", "ran"), ("", "the graph holds the cell 'gru' with the fingerprint")):
        program = LOADED.format(options=options)
        done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(said)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_older_ways_of_recording_hold_the_computation_and_not_its_result() -> None:
    module, x, other = made("lstm", "peephole"), torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    for recorded in (torch.jit.trace(module, (x,)), make_fx(module)(x)):
        assert_same(tensors(recorded(other)), tensors(module(other)), atol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "gru", "rhn_2"])
def test_torch_fx_keeps_a_layer_whole(name: str) -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.below, self.above = layer(name, 3, 4), step(name, 4, 5)

        def forward(self, x: Tensor) -> Any:
            return self.above(self.below(x, lengths=[5, 2])[0][-1])

    model, x = Model(), torch.randn(5, 2, 3)
    graph = torch.fx.symbolic_trace(model)
    assert [n.target for n in graph.graph.nodes if n.op == "call_module"] == ["below", "above"]
    torch.testing.assert_close(graph(x), model(x))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:Exporting a model to ONNX with a batch_size")
@pytest.mark.parametrize("name", ["lstm", "gru", "min_gru"])
def test_onnx_takes_a_layer_that_no_model_is_around(name: str) -> None:
    module, x, file = layer(name, 3, 4, 2).eval(), torch.randn(5, 2, 3), io.BytesIO()
    torch.onnx.export(module, (x,), file, dynamo=False)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    output = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    torch.testing.assert_close(torch.as_tensor(output), module(x)[0], rtol=0, atol=1e-6)


def test_shapes_are_known_without_values() -> None:
    with FakeTensorMode():
        module = layer("lstm", 3, 4, 2, bidirectional=True, proj_size=2)
        x: Tensor = torch.empty(5, 2, 3, requires_grad=True)
        output, (h, c) = module(x, lengths=torch.tensor([5, 3]))
        assert ostinato.explain(module, x).backends == {"compiled"}
        assert (output.shape, h.shape, c.shape) == ((5, 2, 4), (4, 2, 2), (4, 2, 4))
        output.sum().backward()
        for leaf in (x, *module.parameters()):
            assert leaf.grad is not None
            assert leaf.grad.shape == leaf.shape
