from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from ostinato import cells
from ostinato.cells import options
from ostinato.kernels.compiler.graph import Graph, Unsupported
from ostinato.kernels.compiler.sized import Number, TracedSizes, Value, numbers, traced_sizes

graph = Graph()
A, B = (graph.leaf("x", (n,), "H") for n in range(2))
ROW = graph.sum(A)
WIDE = Value((A, ROW, B), (5, 10, 5))


def test_pieces_are_cut_where_they_meet_and_what_is_the_same_for_all_units_anywhere() -> None:
    assert WIDE.width == 20
    assert WIDE.cut((5, 4, 6, 5)).pieces == (A, ROW, ROW, B)
    assert WIDE.columns(5, 20) == Value((ROW, B), (10, 5))
    assert WIDE.columns(7, 9) == Value((ROW,), (2,))
    assert WIDE.columns(5, 5) == Value((), ())


@pytest.mark.parametrize(("start", "end"), [(0, 4), (1, 5), (4, 6), (14, 16), (16, 20)])
def test_a_piece_of_units_is_not_cut(start: int, end: int) -> None:
    with pytest.raises(Unsupported, match="some of the units"):
        WIDE.columns(start, end)


def test_zero_is_known() -> None:
    zero = graph.const(0)
    assert Value((zero, zero), (5, 5)).is_zero
    assert not Value((zero, A), (5, 5)).is_zero


SIZES = (TracedSizes(13, {"H": 101, "P": 97}), TracedSizes(17, {"H": 103, "P": 89}))


def explained(number: Callable[[int, int, int], float]) -> Any:
    """What `numbers` makes of a number in a recording that is given B, H and P."""
    recordings = []
    for sizes in SIZES:
        value = number(sizes.rows, sizes.hidden, sizes.projected)
        recordings.append((make_fx(partial(torch.mul, other=value))(torch.ones(2)), sizes))
    (found,) = numbers(recordings).values()
    return found


NUMBERS: dict[str, tuple[Callable[[int, int, int], float], Any]] = {
    "a number": (lambda b, h, p: 1e-5, Number(1e-5)),
    "H": (lambda b, h, p: h, Number(1, "H")),
    "4 H": (lambda b, h, p: 4 * h, Number(4, "H")),
    "1 / 3 H": (lambda b, h, p: 1 / (3 * h), Number(3, "H", -1)),
    "0.1 / H": (lambda b, h, p: 0.1 / h, Number(10, "H", -1)),
    "2 / P": (lambda b, h, p: 2 / p, Number(0.5, "P", -1)),
    "infinity": (lambda b, h, p: math.inf, Number(math.inf)),
    "the root of H": (lambda b, h, p: math.sqrt(h), None),
    "H P": (lambda b, h, p: h * p, None),
    "H - 1": (lambda b, h, p: h - 1, Number(1, "H", 1, -1)),
    "2 / (H - 3)": (lambda b, h, p: 2 / (h - 3), Number(0.5, "H", -1, -3)),
    "0.1 (P - 2)": (lambda b, h, p: 0.1 * (p - 2), Number(0.1, "P", 1, -2)),
    "H + 1": (lambda b, h, p: h + 1, None),
    "the logarithm of H": (lambda b, h, p: math.log(h), None),
    "H squared": (lambda b, h, p: h * h, None),
    "B": (lambda b, h, p: b, None),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_explained_by_the_sizes(name: str) -> None:
    number, expected = NUMBERS[name]
    found = explained(number)
    if expected is None:
        assert found is None
    else:
        assert (found.size, found.power, found.more) == (expected.size, expected.power, expected.more)
        assert found.value == pytest.approx(expected.value, rel=1e-14)


def test_recordings_of_different_steps_are_refused() -> None:
    functions = (lambda v: v * 2, lambda v: v + 2)
    recordings = [(make_fx(f)(torch.ones(2)), sizes) for f, sizes in zip(functions, SIZES, strict=True)]
    with pytest.raises(Unsupported, match="depends on the sizes"):
        numbers(recordings)


def test_without_projection_there_is_no_p() -> None:
    assert [set(sizes.letters) for sizes in traced_sizes(cells.lstm, False)] == [{"H", "I"}] * 2
    assert [set(sizes.letters) for sizes in traced_sizes(cells.lstm, True)] == [{"H", "P", "I"}] * 2
    of_heads = traced_sizes(options.num_heads(cells.lstm, 4), True)
    assert [sizes.hidden // sizes.letters["d"] for sizes in of_heads] == [4, 4]
    assert [sizes.projected % 4 for sizes in of_heads] == [0, 0]
