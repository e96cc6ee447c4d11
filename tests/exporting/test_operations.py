"""Each operation of the compiler is in ONNX what it is in torch, at the edges too."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from ostinato.exporting.onnx.check import Session
from ostinato.exporting.onnx.nodes import OPSET, Nodes
from ostinato.exporting.onnx.operations import operation
from ostinato.kernels.compiler.graph import BINARY, BOOLEAN, REDUCTIONS, UNARY

EDGES = [0.0, -0.0, 1e-6, -1e-6, 0.3, -0.7, 1.0, -1.0, 1.5, 2.5, -2.5, 7.25, -30.0, 88.0, 1e20, -1e20]
SPECIAL = [torch.inf, -torch.inf, torch.nan]
TORCH: dict[str, Any] = {
    "reciprocal": torch.reciprocal,
    "sum": lambda v: v.sum(-1, keepdim=True),
    "max": lambda v: v.amax(-1, keepdim=True),
    "and": torch.logical_and,
    "or": torch.logical_or,
    "not": torch.logical_not,
}


def computed(op: str, *given: torch.Tensor) -> torch.Tensor:
    nodes = Nodes(ir.DataType.FLOAT)
    inputs = [nodes.value("given", ir.DataType.from_numpy(v.numpy().dtype)) for v in given]
    for v, tensor in zip(inputs, given, strict=True):
        v.shape = ir.Shape(tensor.shape)
    found = operation(nodes, op, inputs)
    is_condition = op in BOOLEAN
    found.type = ir.TensorType(ir.DataType.BOOL if is_condition else ir.DataType.FLOAT)
    graph = ir.Graph(inputs, [found], nodes=nodes.all, name="graph", opset_imports={"": OPSET})
    model = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    return torch.from_numpy(np.array(Session(model)(given)[0]))


def wanted(op: str, *given: torch.Tensor) -> torch.Tensor:
    return (TORCH[op] if op in TORCH else getattr(torch, op))(*given)


@pytest.mark.parametrize("op", sorted(UNARY))
def test_of_one_number(op: str) -> None:
    values = torch.tensor(EDGES + SPECIAL)
    torch.testing.assert_close(computed(op, values), wanted(op, values), rtol=2e-6, atol=2e-7, equal_nan=True)


@pytest.mark.parametrize("op", sorted(BINARY))
def test_of_two_numbers(op: str) -> None:
    pairs = list(itertools.product(EDGES, EDGES)) + (
        [] if op in ("fmod", "pow") else list(itertools.product(SPECIAL, SPECIAL + EDGES))
    )
    a, b = torch.tensor(pairs).T.contiguous()
    if op == "fmod":  # how often the divisor goes in must be a number that float32 holds
        keep = ((a / b).abs() < 1e6) & (b != 0)
        a, b = a[keep], b[keep]
    if op == "div":
        keep = b != 0
        a, b = a[keep], b[keep]
    torch.testing.assert_close(computed(op, a, b), wanted(op, a, b), rtol=2e-6, atol=2e-7, equal_nan=True)


@pytest.mark.parametrize("op", sorted(REDUCTIONS))
def test_over_the_units_of_a_row(op: str) -> None:
    rows = torch.tensor(
        [[1.0, -2.0, 3.0], [torch.nan, 1.0, 2.0], [1.0, 2.0, torch.nan], [-torch.inf] * 3, [torch.inf, 1.0, 2.0]]
    )
    torch.testing.assert_close(computed(op, rows), wanted(op, rows), equal_nan=True)


def test_of_conditions() -> None:
    a, b = torch.tensor(list(itertools.product([True, False], repeat=2))).T.contiguous()
    for op in ("and", "or"):
        assert torch.equal(computed(op, a, b), wanted(op, a, b))
    assert torch.equal(computed("not", a), ~a)
    x, y = torch.randn(4), torch.randn(4)
    assert torch.equal(computed("where", a, x, y), torch.where(a, x, y))
