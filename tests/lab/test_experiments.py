"""Every experiment, at the sizes of a quick run."""

import math

import pytest

from ostinato.lab import NAMES, find

QUICK = {}


def quick(name):
    if name not in QUICK:
        QUICK[name] = find(name).run(seed=0, quick=True)
    return QUICK[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_gives_a_table_of_finite_numbers(name):
    result = quick(name)
    assert result.table.rows
    numbers = [value for row in result.table.rows for value in row if isinstance(value, int | float)]
    assert numbers
    assert all(map(math.isfinite, numbers))


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_says_two_sentences_with_numbers(name):
    for sentence in quick(name).sentences:
        assert sentence.endswith(".")
        assert "nan" not in sentence
    assert any(character.isdigit() for character in "".join(quick(name).sentences))


@pytest.mark.parametrize("name", NAMES)
def test_every_axis_that_is_shown_has_a_name_with_a_unit(name):
    for axis in quick(name).figure.axes:
        if axis.axison and axis.get_label() != "<colorbar>":
            names = [each for each in (axis.get_xlabel(), axis.get_ylabel()) if each]
            assert names
            assert all(
                "(" in each or "norm" in each or "/" in each or "of" in each or "error" in each for each in names
            )


@pytest.mark.parametrize("name", ["clipping", "teacher_forcing", "truncated_bptt", "state_tracking", "elapsed_time"])
def test_the_same_seed_gives_the_same_table(name):
    assert find(name).run(seed=0, quick=True).table == quick(name).table
