from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from llvmlite import ir

from ostinato.kernels.cpu.code.lanes import Lanes
from tests.kernels.cpu.compiled import run


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("count", [16, 5, 1])
def test_a_number_of_the_program_fills_every_lane(count: int, double: bool) -> None:
    lanes = Lanes(count, double)

    def body(builder: ir.IRBuilder, x: Any) -> Any:
        last = builder.extract_element(x, ir.Constant(ir.IntType(32), count - 1))
        return lanes.splat(builder, last)

    x = np.arange(3.0 * count)
    np.testing.assert_array_equal(run(lanes, body, x), np.repeat(x[count - 1 :: count], count))


@pytest.mark.parametrize("value", [0.1, -0.0, 1e-40, np.inf, -np.inf, np.nan])
def test_a_constant_is_the_nearest_number_of_its_precision(value: float) -> None:
    for lanes, dtype in ((Lanes(4), np.float32), (Lanes(4, double=True), np.float64)):
        got = run(
            lanes, lambda builder, x, lanes=lanes: builder.fadd(lanes.const(value), lanes.const(-0.0)), np.zeros(4)
        )
        np.testing.assert_array_equal(got, np.full(4, value, dtype))
        assert (np.signbit(got) == np.signbit(np.float64(value))).all()


def test_what_a_vector_is_made_of() -> None:
    single, double = Lanes(8), Lanes(2, double=True)
    assert (str(single.type), str(single.whole), single.bits) == ("<8 x float>", "<8 x i32>", 256)
    assert (str(double.type), str(double.whole), double.bits) == ("<2 x double>", "<2 x i64>", 128)
    assert (double.mantissa, double.bias) == (np.finfo(np.float64).nmant, np.finfo(np.float64).maxexp - 1)
    assert (single.mantissa, single.bias) == (np.finfo(np.float32).nmant, np.finfo(np.float32).maxexp - 1)
