"""The functions against wider arithmetic: over all floats, close around where they are steep, and at the ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from ostinato.kernels.cpu.code.lanes import Lanes
from ostinato.kernels.cpu.code.target import assembly
from ostinato.kernels.cpu.code.vector import emit
from tests.kernels.cpu.compiled import HOST, LESSER, module_of, run_op, use

INF, NAN = np.inf, np.nan
ULPS = 4.0


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 21))))


ARC = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}
NAMED = ("exp2", "log2", "log10", "sin", "cos", "tan", *ARC, "sinh", "cosh", "erf", "erfc")
WIDE: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(np, ARC.get(name, name)) for name in NAMED if not name.startswith("erf")},
    "erf": np.vectorize(math.erf, otypes=[float]),
    "erfc": np.vectorize(math.erfc, otypes=[float]),
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "softplus": _softplus,
    "reciprocal": lambda x: 1 / x,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
}
PRECISE: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(mpmath, name) for name in NAMED if name not in ("exp2", "log2", "erfc")},
    "erfc": lambda x: mpmath.erfc(min(x, 1000)),
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "log2": lambda x: mpmath.log(x, 2),
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "softplus": lambda x: x if x > 20 else mpmath.log1p(mpmath.exp(x)),
    "reciprocal": lambda x: 1 / x,
    "sqrt": mpmath.sqrt,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
}
POSITIVE = {"log", "log2", "log10", "sqrt", "rsqrt"}
WITHIN_ONE = {"asin", "acos", "atanh"}
SPECIAL: dict[str, list[tuple[float, float]]] = {
    "exp2": [(INF, INF), (-INF, 0), (0, 1), (-0.0, 1), (1e30, INF), (-1e30, 0), (10, 1024), (-3, 0.125)],
    "log2": [(INF, INF), (0, -INF), (-0.0, -INF), (-1, NAN), (-INF, NAN), (1, 0), (1024, 10)],
    "log10": [(INF, INF), (0, -INF), (-0.0, -INF), (-1, NAN), (-INF, NAN), (1, 0)],
    "sin": [(INF, NAN), (-INF, NAN), (0, 0), (2.0**70, math.sin(2.0**70))],
    "cos": [(INF, NAN), (-INF, NAN), (0, 1), (-(2.0**70), math.cos(2.0**70))],
    "tan": [(INF, NAN), (-INF, NAN), (0, 0)],
    "asin": [(INF, NAN), (-INF, NAN), (0, 0), (1, math.pi / 2), (-1, -math.pi / 2), (1.01, NAN)],
    "acos": [(INF, NAN), (-INF, NAN), (0, math.pi / 2), (1, 0), (-1, math.pi), (-1.01, NAN)],
    "atan": [(INF, math.pi / 2), (-INF, -math.pi / 2), (0, 0), (1e30, math.pi / 2), (1, math.pi / 4)],
    "sinh": [(INF, INF), (-INF, -INF), (0, 0), (1e5, INF), (-1e5, -INF)],
    "cosh": [(INF, INF), (-INF, INF), (0, 1), (1e5, INF), (-1e5, INF)],
    "asinh": [(INF, INF), (-INF, -INF), (0, 0), (-1e30, math.asinh(-1e30))],
    "acosh": [(INF, INF), (-INF, NAN), (0, NAN), (1, 0), (1e30, math.acosh(1e30)), (-1e30, NAN)],
    "atanh": [(INF, NAN), (-INF, NAN), (0, 0), (1, INF), (-1, -INF), (1.01, NAN)],
    "erf": [(INF, 1), (-INF, -1), (0, 0), (30, 1), (-30, -1), (1e30, 1)],
    "erfc": [(INF, 0), (-INF, 2), (0, 1), (30, 0), (-30, 2), (1e30, 0)],
    "exp": [(INF, INF), (-INF, 0), (0, 1), (-0.0, 1), (1e30, INF), (-1e30, 0)],
    "expm1": [(INF, INF), (-INF, -1), (0, 0), (1e30, INF), (-1e30, -1)],
    "log": [(INF, INF), (0, -INF), (-0.0, -INF), (-1, NAN), (-INF, NAN), (1, 0)],
    "log1p": [(INF, INF), (0, 0), (-1, -INF), (-2, NAN), (-INF, NAN)],
    "sigmoid": [(INF, 1), (-INF, 0), (0, 0.5), (1e30, 1), (-1e30, 0), (1e5, 1), (-1e5, 0)],
    "tanh": [(INF, 1), (-INF, -1), (0, 0), (1e30, 1), (-1e30, -1), (20, 1), (-20, -1)],
    "softplus": [(INF, INF), (-INF, 0), (-1e30, 0), (1e30, 1e30), (25, 25)],
    "reciprocal": [(INF, 0), (-INF, 0), (0, INF), (-0.0, -INF), (1, 1), (-4, -0.25)],
    "sqrt": [(INF, INF), (0, 0), (-1, NAN), (-INF, NAN), (4, 2)],
    "rsqrt": [(INF, 0), (0, INF), (-1, NAN), (4, 0.5)],
}


def _arguments(op: str, double: bool) -> np.ndarray:
    """Any bits; and more where the functions have their steps and bends."""
    generator = np.random.default_rng(0)
    dtype, whole = (np.float64, np.uint64) if double else (np.float32, np.uint32)
    anything = generator.integers(0, np.iinfo(whole).max, 1 << 17, whole, endpoint=True).view(dtype)
    edge = 750 if double else 105
    some = [generator.uniform(-w, w, 1 << 15).astype(dtype) for w in (edge, 20, 3, 0.1)]
    near_one = (1 + generator.uniform(-0.01, 0.01, 1 << 12)).astype(dtype)
    by_quarters = (np.arange(1 << 12) * np.pi / 2).astype(dtype)  # as near to the zeros of sine and cosine as can be
    x = np.concatenate([anything, *some, near_one, -near_one, by_quarters])
    x = x[np.isfinite(x)]
    x = np.abs(x) if op in POSITIVE else x
    x = x[np.abs(x) <= 1] if op in WITHIN_ONE else x[x >= 1] if op == "acosh" else x
    return x[: x.size // 16 * 16]


def _ulps(result: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The error in units in the last place of the exact result; none where both are beneath the normal numbers or infinite."""
    near = exact.astype(result.dtype)
    least = np.finfo(result.dtype).tiny
    alike = (np.abs(near) < least) & (np.abs(result) <= least * 1.0001) | ~np.isfinite(near) & (near == result)
    alike |= np.isnan(near) & np.isnan(result)
    unit = np.spacing(np.where(np.isfinite(near), np.abs(near), 1)).astype(exact.dtype)
    return np.where(alike, 0, np.abs(np.where(alike, 0, result - exact)) / unit)


@pytest.mark.parametrize("machine", LESSER)
@pytest.mark.parametrize("op", WIDE)
def test_float32_is_within_four_units_in_the_last_place(op: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(LESSER[machine], monkeypatch)
    x = _arguments(op, False)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        if op in ("sin", "cos", "tan"):
            wide = wide.astype(np.longdouble)  # their zeros are nearer to float32s than float64 can tell
        errors = _ulps(run_op(op, Lanes(16), x), WIDE[op](wide))
    assert errors.max() <= ULPS, (x[errors.argmax()], errors.max())  # a NaN among the errors is no less than 4


@pytest.mark.parametrize("machine", LESSER)
@pytest.mark.parametrize("op", WIDE)
def test_float64_is_within_four_units_in_the_last_place(op: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(LESSER[machine], monkeypatch)
    x = _arguments(op, True)[::64]
    x = x[: x.size // 8 * 8]
    result = run_op(op, Lanes(8, double=True), x)
    least, largest = np.finfo(np.float64).tiny, np.finfo(np.float64).max
    for argument, value in zip(x.tolist(), result.tolist(), strict=True):
        if op == "log1p" and argument <= -1:
            continue  # among the special values
        exact = (
            PRECISE[op](mpmath.mpf(argument)) if argument or op not in {"log", "reciprocal", "rsqrt"} else mpmath.inf
        )
        if abs(exact) < least:
            assert abs(value) <= least * 1.0001
        elif abs(exact) > largest:
            assert value == (INF if exact > 0 else -INF)
        else:
            assert abs(value - exact) <= ULPS * np.spacing(abs(float(exact))), argument


@pytest.mark.parametrize("machine", LESSER)
@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("op", SPECIAL)
def test_special_values(op: str, double: bool, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(LESSER[machine], monkeypatch)
    cases = [(NAN, NAN), (-NAN, NAN), *SPECIAL[op]]
    cases += cases[:1] * (-len(cases) % 16)
    x, expected = np.array(cases).T
    result = run_op(op, Lanes(16, double), x)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_tanh_stays_within_one_and_sigmoid_between_zero_and_one(double: bool) -> None:
    x = np.linspace(-25, 25, 1 << 16)
    assert np.abs(run_op("tanh", Lanes(8, double), x)).max() <= 1
    sigmoid = run_op("sigmoid", Lanes(8, double), x)
    assert sigmoid.min() >= 0
    assert sigmoid.max() <= 1


@pytest.mark.parametrize("op", ["tanh", "expm1", "log1p"])
def test_small_arguments_come_through(op: str) -> None:
    x = np.geomspace(1e-36, 1e-8, 64).astype(np.float32)
    for sign in (1, -1):
        np.testing.assert_allclose(run_op(op, Lanes(16), sign * x), sign * x, rtol=2.4e-7)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("op", WIDE)
def test_every_count_of_lanes_gives_the_same_bits(op: str, double: bool) -> None:
    x = np.random.default_rng(1).uniform(-30, 30, 48 * 5)
    first, *others = [run_op(op, Lanes(count, double), x) for count in (16, 8, 4, 3, 2, 1, 48)]
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_no_division_is_left_in_the_gates_where_there_is_something_faster() -> None:
    lanes = Lanes(HOST.vector_bytes // 4)
    for op in ("sigmoid", "tanh"):
        text = assembly(module_of(lanes, 1, lambda builder, x, op=op: emit(builder, lanes, op, [x])))
        assert ("vdivps" in text) == (HOST.is_x86 and not HOST.has_avx2)
        assert ("vrcp14ps" in text) == HOST.has_avx512
