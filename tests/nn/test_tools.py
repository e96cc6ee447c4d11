"""Other tools around a layer: what docs/nn.md says of each that has no test of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import ostinato
from ostinato.kernels.graphs import ops
from tests.support import assert_same, tensors

X = torch.randn(5, 2, 3)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("make", [ostinato.LSTM, ostinato.MinGRU, ostinato.GRUCell])
def test_torchscript_is_refused_in_one_line(make: Any) -> None:
    model = nn.Sequential(make(3, 4))
    with pytest.raises(TypeError, match=rf"torch.jit.script takes no ostinato.{make.__name__}.*torch.export"):
        torch.jit.script(model)
    assert type(model[0]) is make


def test_the_operator_runs_as_aotinductor_calls_it() -> None:
    """Its programs cannot hand over a list of no tensors."""
    layer = ostinato.LSTM(3, 4).eval()
    program = torch.export.export(layer, (X,))
    call = next(n for n in program.graph.nodes if n.target is ops.recurrence)
    assert [node.name for node in call.args[2]] == [call.args[1][0].name]
    weights = [v.detach() for v in layer.parameters()]
    given = [X, *weights, torch.zeros(2, 4), torch.zeros(2, 4)]
    found, without = (ops.recurrence(call.args[0], given, masks, None) for masks in (given[:1], []))
    torch.testing.assert_close(without, found, rtol=0, atol=0)
    torch.testing.assert_close(found[0], layer(X)[0])


def test_ddp_takes_a_layer_as_any_module(tmp_path: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        layer = ostinato.GRU(3, 4)
        parallel = nn.parallel.DistributedDataParallel(layer)
        found = parallel(X, lengths=[5, 2])
        assert_same(tensors(found), tensors(layer(X, lengths=[5, 2])), atol=0.0)
        found[0].sum().backward()
        # Before the group: it ends the threads of the group that it holds, and whoever is the last to hold it waits for them. This
        # does so with Python's lock, which one of them may want.
        del parallel, found
    finally:
        torch.distributed.destroy_process_group()
    assert layer.weight_hh_l0.grad is not None


def test_an_output_that_cannot_be_resized_can_be_cloned() -> None:
    with torch.no_grad():
        output = ostinato.LSTM(3, 64)(torch.randn(100, 20, 3))[0]
    with pytest.raises(RuntimeError, match="not resizable"):
        output.resize_(101, 20, 64)
    assert output.clone().resize_(101, 20, 64).shape == (101, 20, 64)
