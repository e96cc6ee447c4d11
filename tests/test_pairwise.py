from __future__ import annotations

from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from tests.pairwise import covering

pytest_plugins = ["pytester"]
FULL: list[dict[str, Any]] = [
    dict(zip("abcd", row, strict=True)) for row in product("xyz", (1, 2), (False, True), range(4))
]


def pairs(rows: list[dict[str, Any]]) -> set[Any]:
    return {pair for row in rows for pair in combinations(row.items(), 2)}


@pytest.mark.parametrize(
    "rows",
    [
        FULL,
        FULL[::-1],
        [row for row in FULL if row["a"] != "x" or not row["c"]],  # two values that do not go together
        [row for row in FULL if row["b"] + row["d"] != 4],
        FULL[:5],
        [],
    ],
    ids=len,
)
def test_every_pair_of_values_that_meets_in_any_row_meets_in_what_is_chosen(rows: list[dict[str, Any]]) -> None:
    assert pairs([rows[at] for at in covering(rows)]) == pairs(rows)


def test_a_cross_of_many_factors_needs_few_rows_and_always_the_same() -> None:
    rows = [dict(enumerate(row)) for row in product(range(3), repeat=6)]
    chosen = covering(rows)
    assert 9 <= len(chosen) <= 20  # of 729; no selection can do with fewer than 3 * 3
    assert chosen == sorted(set(chosen)) == covering(rows)


def test_nothing_of_two_factors_or_one_is_left_out() -> None:
    assert covering([{"a": a, "b": b} for a, b in product(range(3), range(4))]) == list(range(12))
    assert covering([{"a": a} for a in (1, 2, 1)]) == [0, 1]


def test_where_it_is_enough_that_there_is_each_value_few_rows_do() -> None:
    rows = [{"a": a, "b": b} for a, b in product(range(7), range(4))]
    chosen = covering(rows, 1)
    assert len(chosen) == 7
    assert {rows[at]["a"] for at in chosen} == set(range(7))
    assert {rows[at]["b"] for at in chosen} == set(range(4))


TESTS = """
import dataclasses, pytest
A, B = {"a": 1}, {"b": 2}  # without a hash

@dataclasses.dataclass(frozen=True)
class Both:
    first: str
    second: str

@pytest.mark.cross
@pytest.mark.parametrize("one", [True, 1, 1.0])
@pytest.mark.parametrize("two", [A, B], ids=str)
@pytest.mark.parametrize("both", [Both(first, second) for first in "xy" for second in "pq"], ids=str)
def test_cross(one, two, both): pass

@pytest.mark.cross(of=1)
@pytest.mark.parametrize("one", [1, 2])
@pytest.mark.parametrize("two", [1, 2])
def test_each(one, two): pass

@pytest.mark.parametrize("one", [1, 2])
@pytest.mark.parametrize("two", [1, 2])
@pytest.mark.parametrize("three", [1, 2])
def test_all(one, two, three): pass
"""


# Of the plugins that are installed, without those that take seconds to import.
@pytest.mark.parametrize("processes", [("-p", "xdist"), ("-p", "xdist", "-n", "2")], ids=["one process", "two"])
def test_what_is_left_out_is_counted(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest("from tests.conftest import *")
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nmarkers = ['cross']")
    pytester.makepyfile(TESTS)
    whole = pytester.runpytest_subprocess(*processes)
    whole.assert_outcomes(passed=24 + 4 + 8)
    whole.stdout.no_fnmatch_line("*left to*")
    part = pytester.runpytest_subprocess("--pairs", *processes)
    passed = part.parseoutcomes()["passed"]
    assert 6 + 2 + 8 <= passed <= 9 + 2 + 8
    part.stdout.fnmatch_lines([f"{24 + 4 + 8 - passed} more tests of crosses are left to `make test-all`"])
