"""Every cell with every option, as Triton kernels in the interpreter, beside the reference in float64: results, every gradient.

All of it: TRITON_INTERPRET=1 python -m pytest tests/kernels/gpu/interpreted/check_*.py
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch

from ostinato.kernels.gpu.code.blocks import Blocks
from ostinato.kernels.gpu.run.ways import Way, way
from ostinato.kernels.on_gpu import OnGPU
from tests.contracts.test_compiled import LENGTHS, NAMES, deck, identified
from tests.kernels.compiler.test_trace import with_options
from tests.kernels.cpu.against import Example, assert_right, changed

HIDDEN, ROWS, STEPS, INPUTS = (1, 7, 63, 130), (1, 3, 17), (1, 5), (1, 3)
PROJECTED = (1, 5, 16)
EXAMPLES = 8  # of each cell with its options
# One program or several, all ticks in one launch or one each, weights that stay or are read anew.
WAYS: dict[str, Way | str] = {
    "alone": "auto",
    "several": Way("persistent", Blocks(16, 64, 32, 2), Blocks(16, 32, 64, 2)),
    "resident": Way("persistent", Blocks(4, 64, 16, 4, resident=True), Blocks(16, 64, 64, 1, resident=True)),
    "whole": Way("steps", Blocks(32, 256, 128, 2), Blocks(32, 256, 256, 1, resident=True)),
}


def drawn() -> Iterator[tuple[tuple[str, ...], Example, torch.dtype, str]]:
    r = random.Random(3)
    hidden, rows, steps, inputs = (deck(of, r) for of in (HIDDEN, ROWS, STEPS, INPUTS))
    proj, flag, bias = deck(PROJECTED, r), deck((True, False), r), deck((True, True, False), r)
    lengths = deck((*LENGTHS, "whole", "ragged"), r)
    ways, dtypes = deck(tuple(WAYS), r), deck((torch.float64, torch.float64, torch.float32), r)
    for name, *options in NAMES:
        made = with_options(name, *options)
        assert made is not None
        for _ in range(EXAMPLES):
            T, B, H = next(steps), next(rows), next(hidden)
            if "layer_norm" in options:
                H = max(H, 7)  # of fewer, a norm leaves differences of numbers that are all but equal
            at = LENGTHS[next(lengths)](r, B, T)
            P = next(proj) if "projection" in options else 0
            size_in = max(3, next(inputs)) if "layer_norm" in options else next(inputs)
            example = Example(made, T, B, size_in, H, P, next(bias), at, seed=r.randrange(100))
            example = changed(example, reverse=next(flag), every_state=next(flag))
            yield (name, *options), example, next(dtypes), next(ways)


CASES = list(drawn())


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 400


@pytest.mark.parametrize(("names", "example", "dtype", "by"), CASES[::EXAMPLES], ids=identified)
def test_every_cell_with_every_option(names: tuple[str, ...], example: Example, dtype: torch.dtype, by: str) -> None:
    with way(WAYS[by]):
        assert_right(example, dtype, OnGPU().run)


@pytest.mark.parametrize(
    ("names", "example", "dtype", "by"), [c for n, c in enumerate(CASES) if n % EXAMPLES], ids=identified
)
def test_more_sizes(names: tuple[str, ...], example: Example, dtype: torch.dtype, by: str) -> None:
    with way(WAYS[by]):
        assert_right(example, dtype, OnGPU().run)
