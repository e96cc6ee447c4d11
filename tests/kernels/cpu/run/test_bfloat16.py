"""What the backward pass does once for all time steps, in bfloat16; for float32 and float64 see `test_recurrence`."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ostinato.kernels import compiled
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu.code import tiles
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.reference import Reference
from tests.kernels.cpu.against import Example, outcome
from tests.kernels.cpu.run.test_bound import CELLS, LENGTHS, example_of

ROUNDED = 2.0**-7  # bfloat16 has 8 bits; relative to the norm, as sums have small values of large terms
EXACT = 1e-5


@pytest.fixture(autouse=True)
def _as_with_a_matrix_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(tiles, "has_tiles", lambda: False)  # with them the time loop multiplies in bfloat16 too
    # Outputs in bfloat16, as autocast gives them, would round the gradients that come back through them.
    monkeypatch.setattr(
        compiled, "_shown_dtypes", lambda request, computed: dict.fromkeys(request.cell.states, computed)
    )
    monkeypatch.setattr(pool, "poison", True)


def errors(example: Example, segment: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """How far results and gradients are from those of the reference in float64, relative to their norm."""
    expected = outcome(example, Reference().run, example.request())
    with torch.autocast("cpu", torch.bfloat16):
        found = outcome(example, Compiled().run, replace(example.request(dtype, poison=True), segment=segment))
    return {
        name: float((found[name].double() - v).norm() / v.norm().clamp(min=1e-30))
        for name, v in expected.items()
        if v.any() or found[name].any()
    }


def is_late(name: str, example: Example) -> bool:
    """Whether it is the gradient of the input or of a matrix."""
    name = name.removeprefix("d ")
    sizes = example.cell.parameter_sizes(example.inputs, example.hidden, example.proj, example.bias)
    return name == "input" or len(sizes.get(name, ())) == 2


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("name", CELLS)
def test_under_autocast_weights_and_input_have_gradients_of_bfloat16_and_all_else_of_float32(
    name: str, lengths: str
) -> None:
    for reverse, segment in ((False, 0), (True, 0), (False, 3)):
        example = example_of(name, LENGTHS[lengths], reverse=reverse)
        found = errors(example, segment)
        late = {n: error for n, error in found.items() if is_late(n, example)}
        assert max(late.values()) < ROUNDED
        assert min(late.values()) > EXACT, "or nothing was computed in bfloat16"
        assert max(error for n, error in found.items() if n not in late) < EXACT


def test_what_is_frozen_has_no_gradient_and_the_others_have_theirs() -> None:
    for frozen in ({"input"}, {"weight_ih"}, {"weight_hh"}, {"input", "weight_ih"}, {"weight_ih", "weight_hh"}):
        example = replace(example_of("lstm"), frozen=frozenset(frozen))
        found = errors(example)
        assert not frozen & {name.removeprefix("d ") for name in found}
        assert max(found.values()) < ROUNDED


def test_float64_stays_float64() -> None:
    assert max(errors(example_of("lstm"), dtype=torch.float64).values()) < 1e-12


def test_without_bfloat16_allowed_or_a_unit_for_it_all_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    example = example_of("lstm")
    with torch.autocast("cpu", torch.float16):
        half = outcome(example, Compiled().run, example.request(torch.float32))
    monkeypatch.setattr(compiled, "has_fast_bf16", lambda: False)
    with torch.autocast("cpu", torch.bfloat16):
        none = outcome(example, Compiled().run, example.request(torch.float32))
    exact = outcome(example, Compiled().run, example.request(torch.float32))
    for name, v in exact.items():
        assert torch.equal(half[name], v), name
        assert torch.equal(none[name], v), name
