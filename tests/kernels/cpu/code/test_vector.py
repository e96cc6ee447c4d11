"""Every operation against torch, at every count of lanes, with NaN and infinities among the arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from llvmlite import ir

from ostinato.kernels.cpu.code.vector import OPERATIONS, Lanes, emit
from tests.kernels.cpu.compiled import run, run_op

COUNTS = (16, 8, 4, 2, 1)
ONE: dict[str, Callable[..., torch.Tensor]] = {
    "neg": torch.neg,
    "abs": torch.abs,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": torch.nn.functional.softplus,
}
TWO: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "eq": torch.eq,
    "ne": torch.ne,
}
LOGIC = {"and", "or", "not", "where"}


def _values() -> list[float]:
    ends = [0.0, -0.0, 1.0, -1.0, 2.5, np.inf, -np.inf, np.nan]
    return ends + np.random.default_rng(0).normal(0, 3, 8).tolist()


def _pairs() -> tuple[np.ndarray, np.ndarray]:
    a, b = np.meshgrid(_values(), _values())
    return a.ravel(), b.ravel()


def _torch(op: Callable[..., torch.Tensor], double: bool, *args: np.ndarray) -> np.ndarray:
    dtype = torch.float64 if double else torch.float32
    return op(*(torch.tensor(a, dtype=dtype) for a in args)).to(dtype).numpy()


def test_every_operation_is_tested() -> None:
    assert {*ONE, *TWO, *LOGIC} == OPERATIONS


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("op", ONE)
def test_operations_of_one_argument(op: str, count: int, double: bool) -> None:
    x = np.array(_values())
    expected = _torch(ONE[op], double, x)
    np.testing.assert_allclose(run_op(op, Lanes(count, double), x), expected, rtol=1e-14 if double else 1e-6)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("op", TWO)
def test_operations_of_two_arguments_are_exact(op: str, count: int, double: bool) -> None:
    a, b = _pairs()
    np.testing.assert_array_equal(run_op(op, Lanes(count, double), a, b), _torch(TWO[op], double, a, b))


@pytest.mark.parametrize("bound", [0.0, 1.5, np.inf])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("op", ["minimum", "maximum"])
def test_bounds_that_are_constants_keep_nan(op: str, swapped: bool, bound: float) -> None:
    lanes, x = Lanes(16), np.array(_values())

    def body(builder: ir.IRBuilder, v: Any) -> Any:
        args = [v, lanes.const(bound)]
        return emit(builder, lanes, op, args[::-1] if swapped else args)

    np.testing.assert_array_equal(run(lanes, body, x), _torch(TWO[op], False, x, np.full_like(x, bound)))


@pytest.mark.parametrize("count", COUNTS)
def test_conditions_combine_and_choose(count: int) -> None:
    lanes = Lanes(count)
    a, b = _pairs()

    def body(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
        def op(name: str, *args: Any) -> Any:
            return emit(builder, lanes, name, args)

        positive, larger = op("gt", a, lanes.const(0)), op("ge", a, b)
        chosen = op("or", op("and", positive, larger), op("not", op("le", b, lanes.const(1))))
        return op("where", chosen, a, b)

    expected = np.where(((a > 0) & (a >= b)) | ~(b <= 1), a, b)
    np.testing.assert_array_equal(run(lanes, body, a, b), expected.astype(np.float32))


def test_an_operation_that_is_not_there_is_named() -> None:
    function = ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), []), "f")
    with pytest.raises(NotImplementedError, match="got 'cosh'"):
        emit(ir.IRBuilder(function.append_basic_block()), Lanes(4), "cosh", [])
