"""Steps of all kinds as Triton kernels in the interpreter: operations, a user's own, random ones, heads, units that move."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ostinato
from ostinato import Recurrent, backend, explain
from ostinato.cells import Cell
from ostinato.cells import options as option
from ostinato.errors import ConfigError
from ostinato.kernels.gpu.code.blocks import Blocks
from ostinato.kernels.gpu.run.ways import Way, way
from ostinato.kernels.on_gpu import OnGPU
from tests.cells import language
from tests.contracts.menu import CATALOGUE, layer
from tests.contracts.test_compiled import LENGTHS, many_states, no_loop, scan, several_products, two_tracks
from tests.kernels.compiler.test_trace import POINTWISE, of_one, with_parameters
from tests.kernels.cpu.against import Example, assert_right, changed
from tests.kernels.cpu.random_cells import random_cell
from tests.kernels.test_heads import OPERATIONS, of_heads
from tests.kernels.test_units import MOVES, moving
from tests.support import tensors

D = torch.float64
# Several programs for few units, so that what goes from one to another is seen.
SMALL = Way("persistent", Blocks(4, 8, 32, 1), Blocks(4, 8, 64, 1))
RESIDENT = Way("steps", Blocks(4, 8, 16, 2, resident=True), Blocks(2, 16, 32, 2, resident=True))


@pytest.fixture(autouse=True, params=[SMALL], ids=["small"])
def _several_programs(request: pytest.FixtureRequest) -> Iterator[None]:
    with way(request.param):
        yield


def right(example: Example, dtype: torch.dtype = D) -> None:
    assert_right(example, dtype, OnGPU().run)


@pytest.mark.parametrize("first", range(0, len(POINTWISE), 7))
def test_every_pointwise_operation_in_a_users_own_cell(first: int) -> None:
    some = [POINTWISE[name] for name in sorted(POINTWISE)[first : first + 7]]

    def together(v: Tensor) -> Tensor:
        total = v * 0.5
        for function in some:
            total = total + torch.tanh(function(torch.tanh(v)))
        return total / len(some)

    with way("auto"):
        right(Example(of_one(together), 2, 3, 3, 17, seed=first))


@pytest.mark.parametrize("made", [many_states, several_products, no_loop, scan, two_tracks], ids=lambda c: c.name)
def test_cells_of_a_users_own(made: Cell) -> None:
    example = Example(made, 3, 4, 3, 19, every_state=True)
    right(example)
    with way(RESIDENT):
        right(changed(example, lengths=[2, 3, 0, 3], reverse=True), torch.float32)


@pytest.mark.parametrize("made", [many_states, several_products, two_tracks], ids=lambda c: c.name)
def test_more_of_a_users_own_with_a_norm(made: Cell) -> None:
    right(Example(option.layer_norm(made), 3, 3, 3, 19))


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_of_a_users_own_cell(bias: bool) -> None:
    right(Example(with_parameters, 4, 3, 3, 21, bias=bias, every_state=True))


@pytest.mark.parametrize("moves", [False, True], ids=["", "moves"])
@pytest.mark.parametrize("seed", range(6))
def test_cells_that_nobody_would_write(seed: int, moves: bool) -> None:
    nobody_would_write(seed, moves)


@pytest.mark.parametrize("moves", [False, True], ids=["", "moves"])
@pytest.mark.parametrize("seed", range(6, 60))
def test_more_cells_that_nobody_would_write(seed: int, moves: bool) -> None:
    nobody_would_write(seed, moves)


def nobody_would_write(seed: int, moves: bool) -> None:
    r = random.Random(seed)
    lengths = LENGTHS[r.choice(("whole", "ragged"))](r, 3, 3)
    hidden = r.choice((3, 9, 16, 21))
    example = Example(random_cell(seed, moves), 3, 3, 2, hidden, lengths=lengths, every_state=True, seed=seed)
    with way(r.choice((SMALL, RESIDENT))):
        right(changed(example, reverse=r.random() < 0.5))


def outcome(made: Recurrent, by: str, **more: Any) -> dict[str, Tensor]:
    """Results and gradients of a layer."""
    made.zero_grad()
    x = torch.randn(4, 3, made.input_size, dtype=D, generator=torch.Generator().manual_seed(1)).requires_grad_()
    torch.manual_seed(5)
    with backend(by):
        output, last, states = made(x, lengths=[4, 0, 3], return_states=True, **more)
    found = tensors({"output": output, "last": last})
    found |= {f"every {name} {n}": v for name, layers in states.items() for n, v in enumerate(layers)}
    generator = torch.Generator().manual_seed(2)
    loss = [(v * torch.randn(v.shape, dtype=v.dtype, generator=generator)).sum() for v in found.values()]
    torch.stack(loss).sum().backward()
    gradients = {f"d {name}": p.grad for name, p in [("input", x), *made.named_parameters()] if p.grad is not None}
    return {name: v.detach().clone() for name, v in (found | gradients).items()}


def layer_is_right(made: Recurrent, **more: Any) -> None:
    got, expected = (outcome(made, by, **more) for by in ("triton", "reference"))
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


FEW_MOVES = ("roll back", "flip", "the last two", "a softmax of some", "conditions")
HEADS = [(name, (1, 2, 3, 13)[n % 4]) for n, name in enumerate(OPERATIONS)]


@pytest.mark.parametrize("name", FEW_MOVES)
def test_units_that_move(name: str) -> None:
    layer_is_right(Recurrent(moving(MOVES[name]), 4, 21, dtype=D))


@pytest.mark.parametrize("name", [name for name in MOVES if name not in FEW_MOVES])
def test_more_units_that_move(name: str) -> None:
    layer_is_right(Recurrent(moving(MOVES[name]), 4, 21, dtype=D))


@pytest.mark.parametrize(("name", "heads"), [each for each in HEADS[::3] if each[1] < 13])
def test_heads(name: str, heads: int) -> None:
    layer_is_right(Recurrent(of_heads(name), 4, heads * 5, num_heads=heads, dtype=D))


@pytest.mark.parametrize(("name", "heads"), HEADS)
def test_more_heads(name: str, heads: int) -> None:
    layer_is_right(Recurrent(of_heads(name), 4, heads * 5, num_heads=heads, dtype=D))


@pytest.mark.parametrize("by", [SMALL, RESIDENT], ids=["streaming", "resident"])
def test_recurrent_matrices_of_blocks(by: Way) -> None:
    with way(by):
        layer_is_right(ostinato.LSTM(3, 15, num_heads=3, proj_size=6, dtype=D))


@pytest.mark.parametrize("units", [1, 3, 8, 10])
@pytest.mark.parametrize("by", [SMALL, RESIDENT], ids=["streaming", "resident"])
def test_more_recurrent_matrices_of_blocks(units: int, by: Way) -> None:
    with way(by):
        layer_is_right(ostinato.LSTM(3, 4 * units, num_heads=4, dtype=D, bidirectional=units == 3))
        if units > 1:
            layer_is_right(ostinato.LSTM(3, 4 * units, num_heads=4, proj_size=4, dtype=D))


@pytest.mark.parametrize("name", ["decaying", "gating", "skipping", "timed", "remembering", "counting", "stabilised"])
def test_cells_that_say_more_than_gates_and_states(name: str) -> None:
    made = Recurrent(getattr(language, name), 3, 10, dtype=D)
    layer_is_right(made, **language.extras(made, 4, 3))


@pytest.mark.parametrize("name", CATALOGUE)
def test_more_cells_of_the_catalogue(name: str) -> None:
    made = layer(name, 3, 10, dtype=D)
    if name == "mlstm":
        with pytest.raises(ConfigError, match=r"triton.*states of several dimensions"):
            outcome(made, "triton", **language.extras(made, 4, 3))
        return
    layer_is_right(made, **language.extras(made, 4, 3))


def test_the_cell_of_the_documentation() -> None:
    """The first snippet of docs/cells.md, as it stands there."""
    text = Path(__file__).parents[4].joinpath("docs/cells.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    space: dict[str, Any] = {"__name__": "docs"}
    exec(compile(code, "docs/cells.md", "exec"), space)
    cell_of_docs = space["minimal_gated_unit"]
    with way("auto"):
        for hidden, rows, steps in ((1, 1, 1), (7, 3, 5), (63, 17, 5)):
            right(Example(cell_of_docs, steps, rows, 3, hidden))
            right(Example(cell_of_docs, steps, rows, 3, hidden, reverse=True, every_state=True), torch.float32)
    right(Example(cell_of_docs, 3, 3, 3, 21, lengths=[3, 0, 1]))


def test_it_says_what_it_runs() -> None:
    x = torch.zeros(2, 1, 3)
    made = Recurrent(several_products, 3, 5, backend="triton")
    said = (
        "Recurrent: triton (the step of 'several_products' compiled by Triton, matrices in float32; asked for by name)"
    )
    assert str(explain(made, x)) == said


def test_what_it_cannot_do_is_told() -> None:
    def sorted_units(v: Tensor) -> Tensor:
        return torch.sort(v, -1).values

    with pytest.raises(ConfigError, match=r"'triton' was asked for by name, but the step uses aten\.sort"):
        Recurrent(of_one(sorted_units), 3, 5, backend="triton")(torch.zeros(2, 1, 3))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "min": lambda v: v + v.amin(-1, keepdim=True),
    "softmax": lambda v: torch.softmax(v, -1),
    "logsumexp": lambda v: v - torch.logsumexp(v, -1, keepdim=True),
    "the largest unit": lambda v: v * v.max(-1, keepdim=True).indices,
    "norm": lambda v: v / (1 + v.norm(dim=-1, keepdim=True)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_of_a_row(name: str) -> None:
    right(Example(of_one(FUNCTIONS[name]), 3, 3, 3, 21))


@torch.no_grad()
def test_the_largest_of_numbers_with_nan_is_nan() -> None:
    made = Recurrent(of_one(lambda v: v.amax(-1, keepdim=True) + 0 * v), 3, 21, dtype=D)
    x = torch.randn(1, 4, 3, dtype=D)
    with torch.no_grad():
        made.get_parameter("bias_ih_l0")[13] = torch.nan
    with backend("triton"):
        assert made(x)[0].isnan().all()
