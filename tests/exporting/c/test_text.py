"""Names, numbers and comments of C."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import ConfigError
from ostinato.exporting.c.step import Room, arrange
from ostinato.exporting.c.text import check_name, comment, identifier, number
from ostinato.exporting.c.weights import Constants


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_number_is_exact(value: float) -> None:
    text = number(value)
    assert text.endswith("f")
    assert "." in text or "e" in text, "1f is no C"
    assert struct.pack("f", float(text[:-1])) == struct.pack("f", value)


def test_numbers_that_are_none() -> None:
    assert [number(v) for v in (float("nan"), float("inf"), -1e300)] == ["NAN", "INFINITY", "-INFINITY"]


@pytest.mark.parametrize("name", ["net", "Net_2", "x"])
def test_names_of_c(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "2net", "a-b", "_net", "Größe", "int", "class", "math", "net\n", "a" * 65])
def test_other_names_are_told(name: str) -> None:
    with pytest.raises(ConfigError, match="name expected"):
        check_name(name)


def test_names_of_python_become_names_of_c() -> None:
    assert identifier("h") == "h"
    assert identifier("int") == "int_"
    assert identifier("ß") == "_udf"
    assert identifier("x", taken={"x", "x_"}) == "x__"


@pytest.mark.parametrize("text", ["ends */ here", "begins /* here", "a line \\", "??/", "tab\tand\rreturn\x00"])
def test_whatever_is_in_a_comment_it_ends_where_it_should(text: str) -> None:
    for lines in ([text], ["first", text, "last"]):
        found = comment(lines)
        assert found.count("*/") == found.count("/*") == 1
        assert not any(line.endswith("\\") or "??/" in line for line in found.splitlines())
        assert len(found.splitlines()) == (1 if len(lines) == 1 else 4)


rooms = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)), max_size=12)


@given(rooms)
def test_what_is_needed_at_the_same_time_lies_at_different_places(drawn: list[tuple[int, int, int]]) -> None:
    found = [Room(f"r{n}", size, min(a, b), max(a, b)) for n, (size, a, b) in enumerate(drawn)]
    total = arrange(found)
    for now in range(10):
        taken = [place for r in found if r.first <= now <= r.last for place in range(r.offset, r.offset + r.size)]
        assert len(set(taken)) == len(taken)
        assert all(0 <= place < total for place in taken)
    assert total <= sum(r.size for r in found)


def test_rows_are_rounded_each_by_its_largest_number() -> None:
    given = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [1e-42, 0.0, 0.0], [300.0, 1.0, -300.0]])
    made = Constants("int8").matrix("w", given)
    assert made.whole is not None
    assert made.scale is not None
    assert made.whole.tolist()[0] == [64, -127, 32]
    assert made.whole.tolist()[1:3] == [[0, 0, 0]] * 2
    error = (made.values - given).abs().amax(1)
    assert bool((error <= given.abs().amax(1) / 127 / 2 + 1e-40).all())
    np.testing.assert_array_equal(made.values.numpy(), (made.whole * made.scale[:, None]).numpy())


def test_numbers_that_are_not_finite_cannot_be_rounded() -> None:
    with pytest.raises(ConfigError, match="expected finite numbers, and w has others"):
        Constants("int8").matrix("w", torch.tensor([[1.0, torch.inf]]))
