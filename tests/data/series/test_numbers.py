import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data.series.numbers import MISSING_WORDS, is_numeric, read_numbers
from ostinato.errors import DataError

NAN = float("nan")


def read(*cells, **options):
    return read_numbers("a.csv", polars.DataFrame({"v": list(cells)}), ["v"], **options)[:, 0].tolist()


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1,003", "2"], [1003, 2]),
        (["1,000,000", "0.5"], [1_000_000, 0.5]),
        (["12,5", "1.003"], [12.5, 1003]),
        (["1.234,5", "-2"], [1234.5, -2]),
        (["1.000.000"], [1_000_000]),
        (["1 003", "2\u202f000,5"], [1003, 2000.5]),
        (["1'003.5"], [1003.5]),
        (["$1,003.50", "$2.5"], [1003.5, 2.5]),
        (["12,5 %", "3%"], [12.5, 3]),
        (["5 €", "6 €"], [5, 6]),
        (["-$1,003.50", "$-2", "$5"], [-1003.5, -2, 5]),
        (["-5 %", "5%"], [-5, 5]),
        (["\u22125", "+3"], [-5, 3]),
        (["1e5", "1E-3"], [1e5, 1e-3]),
        (["1,5e3"], [1500]),
        ([" 7 ", "8\t"], [7, 8]),
        (["1.003", "0.12"], [1.003, 0.12]),
        (["true", "FALSE"], [1, 0]),
        ([".5", "5."], [0.5, 5]),
    ],
)
def test_numbers_are_what_a_person_reads(cells, numbers):
    assert read(*cells, separator=",") == numbers


@given(st.integers(-(10**12), 10**12), st.integers(1, 99), st.sampled_from([",.", ".,", " .", "\u00a0,", "'."]))
def test_grouped_numbers_are_those_without_groups(whole, cents, marks):
    group, sign = marks
    cell = f"{whole:,}".replace(",", group) + f"{sign}{cents:02}"
    expected = (abs(whole) + cents / 100) * (-1 if whole < 0 else 1)
    assert read(cell, decimal=sign) == [pytest.approx(expected)]


@pytest.mark.parametrize("word", MISSING_WORDS)
def test_words_for_missing_values_are_missing(word):
    np.testing.assert_array_equal(read("1", word.upper(), f" {word} ", None), [1, NAN, NAN, NAN])


def test_a_sign_is_told_by_any_column_of_the_table():
    table = polars.DataFrame({"a": ["1.003", "2.000"], "b": ["0,5", "1,25"]})
    np.testing.assert_array_equal(read_numbers("a.csv", table, ["a", "b"], separator=";"), [[1003, 0.5], [2000, 1.25]])


def test_what_may_be_two_numbers_is_asked_for_where_commas_do_not_separate_cells():
    with pytest.raises(DataError, match=r"'1,003' may be 1.003 or 1003, .* --reading.decimal"):
        read("1,003", "2", separator=";")
    assert read("1,003", "2", separator=";", decimal=",") == [1.003, 2]
    assert read("1,003", "2", separator=";", decimal=".") == [1003, 2]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["3", "rain"], "row 2 after the header: expected a number in column 'v', got 'rain'; leave the cell empty"),
        (["1,23,456"], "got '1,23,456'"),
        (["inf"], "got 'inf'"),
        (["1e999"], "got '1e999'"),
        (["5", "5%"], "row 2 .*'5%' beside numbers of another unit"),
        (["$5", "5 €"], "beside numbers of another unit"),
        (["0,5", "1,000,000"], "'1,000,000' has a decimal point, but '0,5' a decimal comma"),
    ],
)
def test_what_is_no_number_is_told(cells, message):
    with pytest.raises(DataError, match=message):
        read(*cells, separator=",")


@pytest.mark.parametrize(
    ("cells", "is_so"),
    [
        (["1,003", "-", "2"], True),
        (["$5", "6"], True),
        (["12 %", None], True),
        (["rain", "sun", "3"], False),
        (["3", "4", "closed"], True),  # to be told of
        (["", None, "NA"], False),
        ([1, 2], True),
        ([True, False], False),
    ],
)
def test_which_columns_hold_numbers(cells, is_so):
    assert is_numeric(polars.Series("v", cells)) == is_so
