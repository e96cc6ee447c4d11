"""What a step of a user's own may compute, compiled beside the reference: results, states and all gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.cells import Cell, Gates, State, cell
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.reference import Reference
from tests.kernels.cpu.against import Example, assert_right


def of_one(function: Callable[[Tensor], Tensor]) -> Cell:
    """A cell that puts its one sum through this function; what comes out may be large."""

    @cell(gates="a", states="h m")
    def made(x: Gates, s: State, U: Any) -> State:
        new = function(x.a + U(s.h).a)
        return State(h=torch.tanh(new), m=0.5 * s.m + new * s.h)

    return made


STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "sin, cos, tan": lambda v: torch.sin(3 * v) + torch.cos(v * v) + torch.tan(torch.tanh(v)),
    "sines of many turns": lambda v: v + torch.sin(v.round() * 1e7) + torch.cos(v.round() * 1e12),
    "atan, atan2": lambda v: torch.atan(3 * v) + torch.atan2(v, 0.3 - v),
    "asin, acos": lambda v: torch.asin(0.9 * torch.tanh(v)) + torch.acos(0.9 * torch.tanh(v)),
    "hyperbolic": lambda v: torch.sinh(v) - torch.cosh(v) + torch.asinh(v) * torch.acosh(1.1 + v * v),
    "atanh": lambda v: torch.atanh(0.9 * torch.tanh(v)),
    "erf, erfc": lambda v: torch.erf(v) + torch.erfc(2 * v),
    "gelu": lambda v: F.gelu(v) + F.gelu(2 * v, approximate="tanh"),
    "softplus and elu": lambda v: F.softplus(v, 2.0, 1.0) + F.elu(v, 0.3) + F.selu(v) + F.celu(v, 0.7),
    "silu, mish": lambda v: F.silu(v) + F.mish(v) + F.logsigmoid(v) + F.softsign(v) + F.tanhshrink(v),
    "bends": lambda v: F.hardswish(v) + F.hardtanh(v) + F.relu6(v) + F.leaky_relu(v, 0.2) + F.hardshrink(v, 0.3),
    "powers": lambda v: (v.abs() + 0.1) ** 1.7 + v**11 * 1e-3 + (v.abs() + 1) ** v + 2.0**v + 0.7**v,
    "powers of the negative": lambda v: torch.where(v > 0, v, v.round() - 1) ** -3.0 + (v.round() - 0.5) ** 9.0 * 1e-3,
    "exp2, log2, log10": lambda v: torch.exp2(v) + torch.log2(1 + v * v) - torch.log10(2 + v * v),
    "whole numbers": lambda v: v * v.floor() + v.ceil() + v.round() + v.trunc() + v.frac() * v,
    "remainders": lambda v: v.remainder(0.7) + v.fmod(-0.7) * v + torch.remainder(v, v * v + 0.3),
    "quotients": lambda v: v * torch.div(v, 0.3, rounding_mode="floor") + torch.div(v, -0.3, rounding_mode="trunc"),
    "hypot, logaddexp": lambda v: torch.hypot(v, 1 - v) + torch.logaddexp(v, 1 - v) + torch.logaddexp2(v, -v),
    "xlogy, sinc": lambda v: torch.xlogy(v, v * v + 1) + torch.sinc(v),
    "copysign": lambda v: torch.copysign(v * v, v - 0.5) + torch.clamp(v, -v * v, v * v),
    "amax, amin": lambda v: v - v.amax(-1, keepdim=True) + v * v.amin(-1, keepdim=True),
    "amax of equals": lambda v: v * v.clamp(-0.1, 0.1).amax(-1, keepdim=True) + v.relu().amin(-1, keepdim=True),
    "max of equals": lambda v: v * v.clamp(-0.1, 0.1).max(-1, keepdim=True).values + v.min(-1).values[:, None],
    "softmax": lambda v: 5 * v.softmax(-1) + v.log_softmax(-1) + v.logsumexp(-1, keepdim=True),
    "norms": lambda v: F.normalize(v, dim=-1) + v.norm(1, -1, True) + v.norm(torch.inf, -1, True),
    "std": lambda v: v / v.std(-1, unbiased=False, keepdim=True),
    "not finite": lambda v: torch.where(v > 1, torch.nan, torch.where(v > 0, v, -torch.inf)).nan_to_num(0.5, neginf=-2),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_uses_it(name: str, dtype: torch.dtype) -> None:
    if dtype is torch.float32 and name in ("sines of many turns", "whole numbers", "quotients", "remainders"):
        return  # what is rounded otherwise may be another whole number
    assert_right(Example(of_one(STEPS[name]), hidden=19, lengths=[5, 3, 5, 1]), dtype)


OVER_UNITS = ("amax, amin", "amax of equals", "max of equals", "softmax", "norms")


@pytest.mark.parametrize("hidden", [1, 16, 33])
@pytest.mark.parametrize("name", OVER_UNITS)
def test_reductions_at_other_widths(name: str, hidden: int) -> None:
    assert_right(Example(of_one(STEPS[name]), hidden=hidden, rows=2, reverse=True))


def test_a_reduction_of_a_projected_state() -> None:
    def step(x: Gates, s: State, U: Any) -> State:
        c = torch.tanh(x.a + U(s.h).a)
        return State(h=s.h - s.h.amax(-1, keepdim=True) + s.h.softmax(-1), c=c * c.max(-1, keepdim=True).values)

    assert_right(Example(Cell("projected", step, ("a",), {"h": "P", "c": "H"}), hidden=9, proj=5))


def test_the_largest_is_nan_where_a_unit_is() -> None:
    request = Example(
        of_one(lambda v: v * (v + 1).log().amax(-1, keepdim=True).nan_to_num(2)), rows=9, hidden=21
    ).request()
    with torch.no_grad():
        got, expected = Compiled().run(request).output, Reference().run(request).output
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


SCRIPT = """
import sys
import torch
import ostinato
from ostinato.kernels.cpu.code import kernel
if "--found" in sys.argv:
    def fail(*given): raise AssertionError("compiled again")
    kernel.machine_code = fail

@ostinato.cell(gates="a", states="h")
def far(x, s, U):
    v = x.a + U(s.h).a
    return ostinato.State(h=torch.sin(1e12 * v) * torch.erfc(v) + (v.abs() + 1) ** v + v.fmod(1e-12))

torch.manual_seed(0)
layer = ostinato.Recurrent(far, 3, 5, backend="compiled", dtype=torch.float64)
output, _ = layer(torch.randn(4, 2, 3, dtype=torch.float64))
output.sum().backward()
print(output.tolist(), [p.grad.tolist() for p in layer.parameters()])
"""


def test_code_that_calls_the_library_of_c_is_found_by_a_later_process(tmp_path: Path) -> None:
    (tmp_path / "far.py").write_text(SCRIPT)
    environment = {**os.environ, "OSTINATO_CACHE_DIR": str(tmp_path / "cache")}
    first, second = (
        subprocess.run(
            [sys.executable, "-W", "error", str(tmp_path / "far.py"), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for arguments in ([], ["--found"])
    )
    assert first == second
    assert "nan" not in first
