from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from ostinato import cells
from ostinato.cells import Cell, Gates, Parameter, State, cell, identity
from ostinato.cells import options as option
from ostinato.errors import CellError
from ostinato.kernels.compiler.observed import Observed
from ostinato.kernels.compiler.sized import traced_sizes
from ostinato.kernels.compiler.trace import Program, Unsupported, _Recording, alone, trace
from tests.kernels.programs import Example, nodes_of

CELLS = {c.name: c for c in (*vars(cells).values(), cells.rhn(1), cells.rhn(3)) if isinstance(c, Cell)}
# In the order in which a layer applies them.
OPTIONS: dict[str, Callable[[Cell], Cell]] = {
    "coupled_gates": option.coupled_gates,
    "peephole": option.peephole,
    "layer_norm": option.layer_norm,
    "recurrent_dropout": partial(option.recurrent_dropout, rate=0.5),
    "variational_dropout": partial(option.variational_dropout, rate=0.5),
    "projection": option.projection,
    "zoneout": lambda c: option.zoneout(c, dict.fromkeys(c.states, 0.5)),
}


def with_options(name: str, *names: str) -> Cell | None:
    """The cell with these options, or None where they are not for it."""
    made = CELLS[name]
    try:
        for each in names:
            made = OPTIONS[each](made)
    except CellError:
        return None
    return made


SINGLE = [(name, each) for name in CELLS for each in OPTIONS if with_options(name, each) is not None]
TOGETHER = [
    ("lstm", *OPTIONS),
    ("lstm", "peephole", "layer_norm"),
    ("lstm", "coupled_gates", "layer_norm", "zoneout"),
    ("lstm", "coupled_gates", "peephole", "projection"),
    ("lstm", "layer_norm", "variational_dropout", "projection", "zoneout"),
    ("gru", "layer_norm", "recurrent_dropout", "variational_dropout", "zoneout"),
    ("gru_reset_before", "layer_norm", "recurrent_dropout", "variational_dropout", "zoneout"),
    ("rhn_3", "layer_norm", "recurrent_dropout", "variational_dropout", "zoneout"),
    ("min_lstm", "coupled_gates", "layer_norm", "recurrent_dropout", "zoneout"),
]


def assert_right(made: Cell, bias: bool = True, projected: bool = False, **sizes: int) -> Program:
    """A program must give what the step and PyTorch's derivative of it give."""
    program = trace(made, bias, projected)
    example = Example(made, bias, projected, **sizes)
    got, expected = example.by_program(program), example.by_autograd()
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-11, atol=1e-12, msg=lambda text, n=name: f"{n}: {text}")
    return program


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_every_cell(name: str, bias: bool) -> None:
    assert_right(CELLS[name], bias)


@pytest.mark.parametrize(("name", "each"), SINGLE)
def test_every_cell_with_every_option(name: str, each: str) -> None:
    made = with_options(name, each)
    assert made is not None
    assert_right(made, projected=each == "projection")


@pytest.mark.parametrize(("name", "names"), [(name, names) for name, *names in TOGETHER])
def test_options_together(name: str, names: list[str]) -> None:
    made = with_options(name, *names)
    assert made is not None
    assert_right(made, bias=False, projected="projection" in names)


def test_one_row_of_one_unit() -> None:
    made = with_options("lstm", "layer_norm", "projection")
    assert made is not None
    assert_right(made, projected=True, rows=1, hidden=1, proj=1)


def test_a_projection_of_full_width() -> None:
    assert_right(option.projection(cells.lstm), projected=False)


# Cells of a user's own

GLOBAL = 0.75


def of_one(function: Callable[[Tensor], Tensor]) -> Cell:
    """A cell that puts its one sum through this function."""

    @cell(gates="a", states="h")
    def made(x: Gates, s: State, U: Any) -> State:
        return State(h=function(x.a + U(s.h).a))

    return made


POINTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "arithmetic": lambda v: 2 - v * v / (1 + v * v) + -v * 3 - v / 3 + (v + 1.5) / 2,
    "exp, log": lambda v: torch.log(1 + torch.exp(v)) + torch.log1p(v * v) + torch.expm1(-v),
    "softplus": lambda v: F.softplus(v) + F.softplus(v, beta=2.0, threshold=1.0),
    "logsigmoid": F.logsigmoid,
    "silu": F.silu,
    "mish": F.mish,
    "relu": torch.relu,
    "leaky_relu": lambda v: F.leaky_relu(v, 0.2),
    "elu": F.elu,
    "selu": F.selu,
    "hardtanh": F.hardtanh,
    "celu": F.celu,
    "hardswish": F.hardswish,
    "logit of a clamp": lambda v: torch.logit(torch.sigmoid(v).clamp(0.1, 0.9)),
    "a change of its own": lambda v: torch.tanh((v * 2).add_(1).sub_(v)),
    "clone and fill": lambda v: torch.empty_like(v).copy_(v * 2) + v.clone().zero_(),
    "relu6": F.relu6,
    "softsign": F.softsign,
    "clamp": lambda v: v.clamp(-0.5, 0.7) + v.clamp(min=0.1) + v.clamp(max=-0.1),
    "minimum, maximum": lambda v: torch.minimum(v, v * v) - torch.maximum(v, 0.3 - v),
    "abs, sqrt": lambda v: torch.sqrt(v.abs() + 1) + torch.rsqrt(v * v + 1) + torch.reciprocal(v * v + 2),
    "powers": lambda v: v**2 + v**3 + (v * v + 1) ** 0.5 + (v * v + 1) ** -0.5 + (v * v + 1) ** -2,
    "where": lambda v: torch.where(v > 0, v * 2, torch.exp(v) - 1),
    "masked_fill": lambda v: v.masked_fill(v < 0.2, 0.5),
    "comparisons": lambda v: v * (v > 0.1) + v * (v <= 0.1) * 0.5 + (v >= 0) * v - (v < 0) * v,
    "conditions": lambda v: torch.where((v > -1) & ~(v > 1) | (v == 3) | (v != v), v, 0.0 * v),
    "to a float": lambda v: v * (v > 0).to(v.dtype) + (v > 0.5).double() * v,
    "sums of conditions": lambda v: v * ((v > 0) + (v > -1)) + v * ((v > 0) * (v < 1)) + v * (v > 0).long() * 3,
    "sign": lambda v: v * torch.sign(v) * 0.5,
    "softmax by hand": lambda v: torch.exp(v) / torch.exp(v).sum(-1, keepdim=True),
    "mean, var": lambda v: (v - v.mean(-1, keepdim=True)) / (v.var(-1, unbiased=False, keepdim=True) + 0.1).sqrt(),
    "rms": lambda v: v * torch.rsqrt(v.square().mean(-1, keepdim=True) + 1e-6),
    "a sum without its dimension": lambda v: v * v.sum(-1).unsqueeze(-1) + v.sum(1)[:, None],
    "size": lambda v: v / v.shape[-1] + v * v.shape[-1] + v.new_full((), 2.0),
    "layer_norm": lambda v: F.layer_norm(v, v.shape[-1:]),
    "rms_norm": lambda v: F.rms_norm(v, v.shape[-1:], eps=1e-5),
    "detach": lambda v: v * v.detach() + torch.tanh(v).detach(),
    "a number made a tensor": lambda v: v * torch.tensor(0.5) + torch.tensor(0.25, dtype=torch.float64),
    "zeros and ones": lambda v: torch.ones_like(v) * v + torch.zeros_like(v) + torch.full_like(v, 3.0),
    "a global": lambda v: v * GLOBAL,
    "addcmul, lerp": lambda v: torch.addcmul(v, v, v, value=0.5) + torch.lerp(v, v * v, 0.3),
    "add with alpha": lambda v: torch.add(v, v * v, alpha=0.3) - torch.sub(v, v * v, alpha=0.2) + torch.rsub(v, 2.0),
    "a pass in a shape": lambda v: v.view(v.shape).reshape(-1, v.shape[-1]).contiguous().clone().expand_as(v),
    "square": torch.square,
    "sin, cos": lambda v: torch.sin(v) * torch.cos(2 * v) + torch.sinc(v),
    "tan": lambda v: torch.tan(torch.tanh(v)),
    "atan": torch.atan,
    "asin, acos": lambda v: torch.asin(0.9 * torch.tanh(v)) + torch.acos(0.9 * torch.tanh(v)) * v,
    "atan2": lambda v: torch.atan2(v, v * v - 1),
    "sinh, cosh": lambda v: torch.sinh(v) - torch.cosh(v) * v,
    "asinh": torch.asinh,
    "acosh, atanh": lambda v: torch.acosh(1.1 + v * v) + torch.atanh(0.9 * torch.tanh(v)),
    "erf, erfc": lambda v: torch.erf(v) + torch.erfc(v) * v,
    "gelu": lambda v: F.gelu(v) + F.gelu(v * v, approximate="tanh"),
    "elu with alpha": lambda v: F.elu(v, 0.3) + F.celu(v, 0.7),
    "tanhshrink, hardshrink": lambda v: F.tanhshrink(v) + F.hardshrink(v, 0.3),
    "softshrink, threshold": lambda v: F.softshrink(v, 0.3) + F.threshold(v, 0.1, 0.7),
    "glu": lambda v: F.glu(torch.cat([v, 2 * v], -1), -1),
    "exp2, log2, log10": lambda v: torch.exp2(v) + torch.log2(1 + v * v) - torch.log10(2 + v * v),
    "any power": lambda v: (v.abs() + 0.1) ** 1.7 + (v * v + 1) ** -2.3 + v**11,
    "a power of a tensor": lambda v: (v.abs() + 1) ** v,
    "a power of a number": lambda v: 2.0**v + 0.7**v + torch.ldexp(v, v),
    "whole numbers": lambda v: v.floor() + 2 * v.ceil() + 3 * v.round() + 4 * v.trunc() + v.frac() * v,
    "remainder": lambda v: v.remainder(0.7) + v.remainder(-0.7) * v + torch.remainder(v, v * v + 0.3),
    "fmod": lambda v: v.fmod(0.7) + v.fmod(-0.7) * v + torch.fmod(v, v * v + 0.3),
    "a whole division": lambda v: (
        v * torch.div(v, 0.3, rounding_mode="floor") + torch.div(v, -0.3, rounding_mode="trunc")
    ),
    "hypot": lambda v: torch.hypot(v, 1 - v),
    "logaddexp": lambda v: torch.logaddexp(v, 1 - v) + torch.logaddexp2(v, 2 - v),
    "xlogy": lambda v: torch.xlogy(v, v * v + 1) + torch.special.xlog1py(v, v * v),
    "copysign": lambda v: torch.copysign(v * v, v - 0.5) + torch.where(torch.signbit(v), v, v * v),
    "not finite": lambda v: torch.where(torch.isnan(v) | torch.isinf(v) | ~torch.isfinite(v), 0.5, v).nan_to_num(
        1, 2, 3
    ),
    "clamp by tensors": lambda v: torch.clamp(v, v * v - 1, v * v) + torch.clamp(v, min=-v * v),
    "amax, amin": lambda v: v - v.amax(-1, keepdim=True) + v * v.amin(-1, keepdim=True),
    "amax of equals": lambda v: v.round().amax(-1, keepdim=True) * v + v.clamp(-0.1, 0.1).amax(-1, keepdim=True) * v,
    "max, min": lambda v: v * v.max(-1, keepdim=True).values + v.min(-1).values[:, None],
    "max of equals": lambda v: v * v.clamp(-0.1, 0.1).max(-1, keepdim=True).values,
    "max of gates": lambda v: v + torch.cat([v, 2 * v], -1).amax(-1, keepdim=True),
    "softmax": lambda v: v.softmax(-1) + F.log_softmax(v, -1) + F.softmin(v, -1),
    "logsumexp": lambda v: v - v.logsumexp(-1, keepdim=True),
    "norms": lambda v: v / v.norm(dim=-1, keepdim=True) + v * v.norm(1, -1, True) + v * v.norm(torch.inf, -1, True),
    "another norm": lambda v: v / torch.linalg.vector_norm(v, 3, -1, keepdim=True),
    "normalize": lambda v: F.normalize(v, dim=-1) + v * F.cosine_similarity(v, v * v, dim=-1)[:, None],
    "std": lambda v: v / v.std(-1, unbiased=False, keepdim=True),
    "fmax, fmin": lambda v: torch.fmax(v, 1 - v) + 2 * torch.fmin(v, v * v),
    "glu in two": lambda v: torch.cat([v, v * 2], -1)[..., v.shape[-1] :] * torch.cat([v, -v], -1)[:, : v.shape[-1]],
}


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_operations_of_a_users_own_cell(name: str) -> None:
    assert_right(of_one(POINTWISE[name]))


def test_hardsigmoid_has_the_slope_of_a_sixth_which_torch_rounds_to_float32() -> None:
    made = of_one(F.hardsigmoid)
    example = Example(made)
    got, expected = example.by_program(trace(made, True, False)), example.by_autograd()
    torch.testing.assert_close(got["h'"], expected["h'"], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(got["dx"], expected["dx"], rtol=1e-7, atol=0)


@cell(gates="a b", states="h m", parameters={"decay": "H", "gain": "G", "slope": "P"})
def with_parameters(x: Gates, s: State, U: Any, decay: Tensor, gain: Tensor, slope: Tensor) -> State:
    """Parameters used by rows, by each other, in a sum over units, and by halves."""
    rate = torch.exp(-torch.exp(decay)) * torch.sigmoid(slope)
    first, second = gain.chunk(2)
    u = U(s.h)
    m = rate * s.m + (1 - rate) * torch.tanh(x.a + u.a * first)
    return State(h=m * torch.sigmoid(x.b + second * u.b) + decay / decay.square().mean().sqrt(), m=m)


def test_parameters_of_a_users_own_cell() -> None:
    program = assert_right(with_parameters)
    assert [len(nodes) for nodes in program.dparameters.values()] == [2, 2, 1, 2, 1]


def test_a_parameter_that_nothing_depends_on_has_a_gradient_of_zero() -> None:
    @cell(gates="a", states="h k", parameters={"unused": "H"})
    def idle(x: Gates, s: State, U: Any, unused: Tensor) -> State:
        return State(h=torch.tanh(x.a + U(s.h).a), k=s.k)

    program = assert_right(idle)
    (node,) = program.dparameters["unused"]
    assert (node.op, node.key) == ("const", (0.0, None, 1))


def test_a_cell_that_multiplies_the_same_twice_has_one_product() -> None:
    @cell(gates="a b", states="h")
    def twice(x: Gates, s: State, U: Any) -> State:
        a = torch.tanh(x.a + U(s.h).a)
        b = torch.sigmoid(x.b + U(s.h).b)
        return State(h=a * b + U(a).a)

    program = assert_right(twice)
    assert [product.gates for product in program.products] == [(0, 1), (0, 1)]
    masked = assert_right(option.layer_norm(option.variational_dropout(twice, 0.5)))
    assert len(masked.products) == 2


def test_products_of_some_gates() -> None:
    @cell(gates="a b c", states="h")
    def scattered(x: Gates, s: State, U: Any) -> State:
        u = U.only("a c")(s.h)
        return State(h=torch.tanh(x.a + u.a) * u.c + U.only("b")(u.c * x.b).b + x.c)

    program = assert_right(scattered)
    assert [product.gates for product in program.products] == [(0, 2), (1,)]


def test_matrices_of_a_cells_own() -> None:
    def step(x: Gates, s: State, U: Any, weight_in: Tensor, weight_out: Tensor, shift: Tensor) -> State:
        inner = torch.tanh(F.linear(U(s.h).a + x.a, weight_in, shift))
        return State(h=F.linear(input=inner, weight=weight_out), c=s.c + inner)

    own = (Parameter("weight_in", ("H", "H")), Parameter("weight_out", ("P", "H")), Parameter("shift", ("H",)))
    made = Cell("inner", step, ("a",), {"h": "P", "c": "H"}, own)
    program = assert_right(made, projected=True)
    assert [(product.matrix, product.space) for product in program.products] == [
        ("weight_hh", "H"),
        ("weight_in", "H"),
        ("weight_out", "P"),
    ]


def test_a_state_that_is_a_number_or_one_number_a_row() -> None:
    @cell(gates="a", states="h k one")
    def counting(x: Gates, s: State, U: Any) -> State:
        energy = (s.h * s.h).sum(-1, keepdim=True).expand_as(s.h)
        return State(h=torch.tanh(x.a + U(s.h).a), k=energy, one=torch.ones_like(s.one))

    program = assert_right(counting)
    assert (program.states["k"].space, program.states["one"].space) == ("row", "one")


# What is there once


def uses(program: Program) -> Counter[str]:
    return Counter(node.op for node in nodes_of(program))


def test_nothing_is_computed_twice() -> None:
    assert uses(trace(cells.lstm, True, False)) >= Counter(sigmoid=3, tanh=2)
    for made in (cells.lstm, option.peephole(cells.lstm)):
        count = uses(trace(made, True, False))
        assert (count["sigmoid"], count["tanh"]) == (3, 2)


def test_peephole_adds_what_it_must_and_no_more() -> None:
    """Three products with a weight forward; backward three into gates' sums and three gradients of the weights."""
    plain, peeped = (uses(trace(made, True, False)) for made in (cells.lstm, option.peephole(cells.lstm)))
    assert peeped["mul"] - plain["mul"] == 9
    assert peeped["add"] - plain["add"] == 6


def test_both_biases_have_one_gradient() -> None:
    program = trace(cells.lstm, True, False)
    assert program.dparameters["bias_ih"] == program.dparameters["bias_hh"] == program.dx == program.du[0]


def test_coupled_gates_evaluate_one_gate_for_two() -> None:
    program = assert_right(option.coupled_gates(cells.lstm))
    assert len(program.dx) == 3


def test_a_program_can_be_read() -> None:
    assert str(trace(cells.rnn_tanh, False, False)) == (
        "forward\n"
        "  u0 = weight_hh[0] h\n"
        "  v0 = x[0] + u0[0]\n"
        "  v1 = tanh(v0)\n"
        "  h' = v1\n"
        "backward\n"
        "  v2 = v1 * v1\n"
        "  v3 = 1.0 - v2\n"
        "  v4 = dh' * v3\n"
        "  du0[0] = v4\n"
        "  dx[0] = v4\n"
        "  dv0 = weight_hh[0]^T du0\n"
        "  dh = dv0"
    )


def test_a_listing_tells_sizes_spaces_and_sums() -> None:
    listing = str(trace(option.layer_norm(cells.rnn_tanh), True, False))
    assert "v1 = v0 * (1.0 / H)  # row" in listing
    assert "dnorm_hh[0] += " in listing


# What is refused


def shifted(v: Tensor) -> Tensor:
    v[:, 0] = 0
    return v


CAPTURED = torch.tensor([0.5], dtype=torch.float64)


class Flip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        return v

    @staticmethod
    def backward(ctx: Any, *dv: Tensor) -> Tensor:
        return -dv[0]


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "an unknown operation": (lambda v: v.cumsum(-1), "aten.cumsum, which the compiler does not know"),
    "a sorted state": (lambda v: v.sort(-1).values, "aten.sort"),
    "a transform of Fourier": (lambda v: torch.fft.rfft(v).abs().sum(-1, keepdim=True) + v, "aten._fft_r2c"),
    "a gamma function": (lambda v: torch.lgamma(v.abs() + 1), "aten.lgamma"),
    "a random number": (lambda v: v * torch.rand_like(v), "aten.rand"),
    "a matrix product": (lambda v: v @ torch.ones(v.shape[-1], v.shape[-1], dtype=v.dtype), "aten.mm"),
    "a tensor from outside": (lambda v: v * CAPTURED, "a tensor that it did not get as an argument"),
    "a tensor of numbers": (lambda v: v * torch.tensor([[1.0], [2.0]])[:1].double(), "a tensor of several numbers"),
    "a value as a number": (lambda v: v * float(v.sum()), "cannot be recorded"),
    "a branch": (lambda v: v if v.sum() > 0 else -v, "cannot be recorded"),
    "the batch's mean": (lambda v: v - v.mean(0), "rows of a batch"),
    "the batch's sum": (lambda v: v / (1 + (v * v).sum(0)), "rows of a batch"),
    "the batch's largest": (lambda v: v - v.amax(0), "rows of a batch"),
    "the largest of all": (lambda v: v / v.abs().max(), "rows of a batch"),
    "a shuffle of rows": (lambda v: torch.cat([v[1:], v[:1]]), "rows of a batch"),
    "every other unit": (lambda v: torch.cat([v[:, ::2], v[:, 1::2]], -1), "every so many units"),
    "a roll of everything": (lambda v: torch.roll(v, 1), "rolls other than its units"),
    "a transposition": (lambda v: v.T.T * 1.0, "aten."),
    "three dimensions": (lambda v: (v[:, None, :] * v[:, :, None]).sum(1), "other shapes"),
    "a number by the root of H": (lambda v: v / v.shape[-1] ** 0.5, "depends on the sizes"),
    "a number by the batch": (lambda v: v / v.shape[0], "depends on the sizes"),
    "steps by the width": (lambda v: v if v.shape[-1] > 102 else v * 2, "depends on the sizes"),
    "another dtype": (lambda v: (v.float() * 2).double(), "torch.float32"),
    "a variance of a sample": (lambda v: v / (v.var(-1, keepdim=True) + 0.1), "another correction than 0"),
    "bits": (lambda v: v * ((v > 0).long() & 3), "aten.bitwise_and on numbers"),
    "a whole number": (lambda v: v * v.long(), "rounds to whole numbers"),
    "a unit set in place": (shifted, "aten."),
    "decimals": (lambda v: torch.round(v, decimals=2), "aten.round with decimals"),
    "an unsplit median": (lambda v: v - v.median(-1, keepdim=True).values, "aten."),
    "a function of the old kind": (Flip.apply, "cannot be recorded"),
    "pairs of units": (lambda v: v.unflatten(-1, (-1, 2)).flip(-1).flatten(-2), "don't multiply up to the size"),
    "half of the units": (lambda v: torch.cat(v.chunk(2, -1)[::-1], -1), "depends on the sizes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_why(name: str) -> None:
    function, reason = REFUSED[name]
    with pytest.raises(Unsupported) as caught:
        trace(of_one(function), True, False)
    assert reason in str(caught.value)
    assert re.search(r"\(test_trace\.py:\d+\)|, test_trace\.py:\d+\)", str(caught.value))  # the line of the step
    assert "\n" not in str(caught.value)


def of_lines(v: Tensor) -> Tensor:
    v = F.mish(v)  # is decomposed, and changes something in place
    v = torch.sin(v + 0.25)
    return v * 2


def test_every_operation_has_its_line_and_a_derivative_that_of_what_it_is_of() -> None:
    made = of_one(of_lines)
    module = _Recording(made, True, traced_sizes(made, False)[0], {}).module
    first = of_lines.__code__.co_firstlineno
    lines = {str(node.target): node.stack_trace for node in module.graph.nodes}
    assert lines["aten.log1p.default"] == f"test_trace.py:{first + 1}"
    assert lines["aten.sin.default"] == lines["aten.cos.default"] == f"test_trace.py:{first + 2}"


def test_a_refusal_names_the_line_also_within_an_option() -> None:
    refused = option.zoneout(of_one(lambda v: (v * 0.7).cumsum(-1)), {"h": 0.5})
    with pytest.raises(Unsupported, match=r"aten\.cumsum.*\(test_trace\.py:\d+\)$") as caught:
        trace(refused, True, False)
    number = int(str(caught.value).rpartition(":")[2][:-1])
    assert "cumsum" in Path(__file__).read_text().splitlines()[number - 1]


def test_a_step_that_changes_its_state_is_refused() -> None:
    @cell(gates="a", states="h")
    def careless(x: Gates, s: State, U: Any) -> State:
        return State(h=torch.tanh(x.a + U(s.h.mul_(0.5)).a))

    with pytest.raises(Unsupported, match="in-place operation"):
        trace(careless, True, False)


def test_what_enters_a_product_must_have_its_width() -> None:
    @cell(gates="a", states="h m:M", widths={"M": 2})
    def wide(x: Gates, s: State, U: Any) -> State:
        return State(h=torch.tanh(x.a + U(s.m).a), m=s.m)

    with pytest.raises(
        Unsupported, match=r"what enters the product with weight_hh has the shape .* \(test_trace\.py:\d+\)$"
    ):
        trace(wide, True, False)


def test_a_recording_that_another_thread_may_have_disturbed_is_done_again() -> None:
    """Torch's own recordings change global names while they last, and what is refused stays refused."""
    calls: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def record(v: Tensor) -> Tensor:
        begun.set()
        go_on.wait()
        return v

    def recording() -> str:
        calls.append("again" if calls else "first")
        if len(calls) < 4:
            raise AssertionError("CURRENT_PATCHER is None in finally block")
        go_on.set()
        return "recorded"

    thread = threading.Thread(target=lambda: make_fx(record)(torch.ones(2)))
    thread.start()
    try:
        begun.wait()
        assert alone(recording) == "recorded"
    finally:
        go_on.set()
        thread.join()


def test_what_fails_alone_is_tried_twice() -> None:
    calls: list[int] = []

    def recording() -> None:
        calls.append(0)
        raise ValueError("no")

    with pytest.raises(Unsupported, match="the step cannot be recorded: ValueError: no"):
        alone(recording)
    assert len(calls) == 2


def test_a_matrix_outside_a_product_is_refused() -> None:
    @cell(gates="a", states="h")
    def peeks(x: Gates, s: State, U: Any) -> State:
        return State(h=x.a + U(s.h).a * U.weight.mean())

    with pytest.raises(
        Unsupported,
        match=r"the matrix weight_hh otherwise than in a product, U\(v\), in aten\.\w+ \(test_trace\.py:\d+\)",
    ):
        trace(peeks, True, False)

    @cell(gates="a", states="h", parameters={"T": "H H"})
    def scores(x: Gates, s: State, U: Any, T: Tensor) -> State:
        return State(h=x.a + torch.logsumexp(s.h.unsqueeze(-2) + T, -1))

    with pytest.raises(Unsupported, match=r"the matrix T .*linear\(v, T\), in aten\.add \(test_trace\.py:\d+\)"):
        trace(scores, True, False)


@pytest.mark.parametrize(("described", "shape"), [("S:H,M", r"\(B, H, M\)"), ("S:d", r"\(B, d\)")])
def test_a_state_that_the_compiler_has_no_memory_for_is_named_before_the_step_is_run(
    described: str, shape: str
) -> None:
    @cell(gates="a", states=f"h {described}", widths={"M": 4})
    def remembers(x: Gates, s: State, U: Any) -> State:
        return State(h=torch.tanh(x.a + U(s.h).a), S=s.S + x.a.unsqueeze(-1))

    with pytest.raises(Unsupported, match=f"its state S has the shape {shape}"):
        trace(remembers, True, False)
    with pytest.raises(Unsupported, match=f"its state S has the shape {shape}"):
        Observed(remembers, True, False, frozenset())


def test_a_mixture_of_h_and_p_units_is_refused() -> None:
    @cell(gates="a", states="h c")
    def mixes(x: Gates, s: State, U: Any) -> State:
        return State(h=s.h * torch.tanh(x.a + U(s.h).a), c=s.c)

    with pytest.raises(Unsupported, match="cannot be recorded"):
        trace(replace(mixes, states={"h": "P", "c": "H"}), True, True)


def test_a_step_that_gives_another_shape_is_refused() -> None:
    @cell(gates="a", states="h")
    def narrow(x: Gates, s: State, U: Any) -> State:
        return State(h=(x.a + U(s.h).a).sum(-1, keepdim=True))

    with pytest.raises(Unsupported, match="the shape"):
        trace(narrow, True, False)


def test_more_gates_than_sizes_can_tell_apart_are_refused() -> None:
    @cell(gates=" ".join(f"g{n}" for n in range(100)), states="h")
    def many(x: Gates, s: State, U: Any) -> State:
        return State(h=x.g0 + U(s.h).g1)

    with pytest.raises(Unsupported, match="100 gates"):
        trace(many, True, False)


# Where it is called


def test_the_callers_modes_do_not_matter() -> None:
    expected = str(trace(cells.gru, True, False))
    state = torch.get_rng_state()
    found: list[str] = []

    def again(v: Tensor) -> Tensor:
        found.append(str(trace(cells.gru, True, False)))
        return v * v

    for mode in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta")):
        with mode:
            again(torch.ones(()))
    torch.func.vmap(again)(torch.ones(3))
    torch.func.grad(again)(torch.ones(()))
    assert found == [expected] * 6
    assert torch.equal(torch.get_rng_state(), state)


def test_a_step_that_draws_numbers_has_drawn_none_when_it_is_refused() -> None:
    state = torch.get_rng_state()
    with pytest.raises(Unsupported):
        trace(of_one(lambda v: v * torch.rand_like(v)), True, False)
    assert torch.equal(torch.get_rng_state(), state)


def test_threads_do_not_disturb_each_other() -> None:
    made = {name: with_options("lstm", name) for name in ("peephole", "layer_norm", "coupled_gates")}
    expected = {name: str(trace(c, True, False)) for name, c in made.items() if c is not None}
    found: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda n=name, c=c: found.update({n: str(trace(c, True, False))}))
        for name, c in made.items()
        if c is not None
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_seams_and_wraps_of_a_users_own() -> None:
    @cell(gates="a", states="h")
    def seamed(x: Gates, s: State, U: Any, candidate: Callable[[Tensor], Tensor] = identity) -> State:
        scaled = replace(U, before=(*U.before, lambda v: v * 0.5), then=(*U.then, lambda u: u.with_(a=u.a * 2)))
        return State(h=candidate(torch.tanh(x.a + scaled(s.h).a)))

    assert_right(option.recurrent_dropout(seamed, 0.3))
