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
    **{
        op: getattr(torch, op)
        for op in (
            *("exp2", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh"),
            *("atanh", "erf", "erfc", "floor", "ceil", "trunc", "round"),
        )
    },
}


def _fmod(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """C's: torch's own is NaN for the largest quotients."""
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(np.fmod(a.numpy(), b.numpy()))


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
    "fmod": _fmod,
    "copysign": torch.copysign,
}
NEARLY: dict[str, Callable[..., torch.Tensor]] = {"pow": torch.pow, "atan2": torch.atan2, "hypot": torch.hypot}
LOGIC = {"and", "or", "not", "where"}


def _values() -> list[float]:
    ends = [0.0, -0.0, 1.0, -1.0, 2.5, np.inf, -np.inf, np.nan, 0.5, -3.0, 1e20, -1e-20]
    return ends + np.random.default_rng(0).normal(0, 3, 20).tolist()


def _pairs() -> tuple[np.ndarray, np.ndarray]:
    a, b = np.meshgrid(_values(), _values())
    return a.ravel(), b.ravel()


def _torch(op: Callable[..., torch.Tensor], double: bool, *args: np.ndarray) -> np.ndarray:
    dtype = torch.float64 if double else torch.float32
    return op(*(torch.tensor(a, dtype=dtype) for a in args)).to(dtype).numpy()


def test_every_operation_is_tested() -> None:
    assert {*ONE, *TWO, *NEARLY, *LOGIC} == OPERATIONS


def assert_nearly(op: str, got: np.ndarray, expected: np.ndarray) -> None:
    """The same but for the last bits, and for the sign of zero in some."""
    np.testing.assert_allclose(got, expected, rtol=1e-14 if got.dtype == np.float64 else 1e-6)
    is_zero = (expected == 0) & (op not in ("expm1", "log1p", "tanh"))
    np.testing.assert_array_equal(np.signbit(got[is_zero]), np.signbit(expected[is_zero]))


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("op", ONE)
def test_operations_of_one_argument(op: str, count: int, double: bool) -> None:
    x = np.array(_values())
    assert_nearly(op, run_op(op, Lanes(count, double), x), _torch(ONE[op], double, x))


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("op", TWO)
def test_operations_of_two_arguments_are_exact(op: str, count: int, double: bool) -> None:
    a, b = _pairs()
    np.testing.assert_array_equal(run_op(op, Lanes(count, double), a, b), _torch(TWO[op], double, a, b))


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("op", NEARLY)
def test_operations_of_two_arguments(op: str, count: int, double: bool) -> None:
    a, b = _pairs()
    assert_nearly(op, run_op(op, Lanes(count, double), a, b), _torch(NEARLY[op], double, a, b))


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_a_remainder_is_exact_however_large_the_quotient(double: bool) -> None:
    draw, dtype = np.random.default_rng(0), np.float64 if double else np.float32
    a, b = (draw.normal(size=1 << 12) * 10.0 ** draw.uniform(-30, 30, 1 << 12) for _ in "ab")
    a[:1024] = b[:1024] * draw.integers(1, 1000, 1024)
    a, b = a.astype(dtype), b.astype(dtype)
    np.testing.assert_array_equal(run_op("fmod", Lanes(8, double), a, b), np.fmod(a, b))


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
    with pytest.raises(NotImplementedError, match="got 'lgamma'"):
        emit(ir.IRBuilder(function.append_basic_block()), Lanes(4), "lgamma", [])
