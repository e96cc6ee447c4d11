"""Data of lines that are on every machine: the rows of digits, and the drawn lines."""

import hashlib

import numpy as np
import pytest

from ostinato.data.recordings.digit_rows import _SHEETS, digit_rows
from ostinato.data.recordings.drawn import drawn_lines
from ostinato.data.sources.builtin import all_digits, digits

ROWS = "8e8316af7fc61e69"


@pytest.fixture(scope="module")
def rows():
    return digit_rows()


def test_rows_of_digits_are_the_same_everywhere(rows):
    assert [len(part) for part in (rows.train, rows.validation, rows.test)] == [3000, 200, 500]
    digest = hashlib.sha256()
    for part in (rows.train, rows.validation, rows.test):
        for each in part.items:
            digest.update(each.label.encode() + each.values.tobytes())
    assert digest.hexdigest()[:16] == ROWS


def test_sheets_begin_with_all_digits_in_order():
    """So they are told apart in the file, which says nothing of who wrote what."""
    _, labels = all_digits()
    for begin in _SHEETS[:-1]:
        assert labels[begin : begin + 14].tolist() == [*range(10), *range(4)]
    assert len(labels) == _SHEETS[-1]


def test_no_hand_is_in_two_parts_and_rows_are_made_of_digits(rows):
    groups = [{each.group for each in part.items} for part in (rows.train, rows.validation, rows.test)]
    assert [len(each) for each in groups] == [9, 2, 3]
    assert len(set().union(*groups)) == 14
    pixels, labels = all_digits()
    first = rows.train[0]
    ink = float(first.values.sum())
    assert 0 < ink < 64 * len(first.label)
    assert set(np.unique(first.values * 16)) <= set(range(17))
    assert (
        3 <= min(len(each.label) for each in rows.test.items) <= max(len(each.label) for each in rows.test.items) <= 9
    )
    assert len(pixels) == len(labels) == 1797
    assert sum(len(part) for part in (digits().train, digits().validation, digits().test)) == 1797


def test_drawn_lines_are_the_same_each_time_and_no_text_is_in_two_parts():
    counts = {"train": 40, "validation": 10, "test": 10}
    one, other = drawn_lines(counts), drawn_lines(counts)
    parts = one.train, one.validation, one.test
    assert [len(part) for part in parts] == [40, 10, 10]
    for a, b in zip(one.train.items, other.train.items, strict=True):
        assert a.label == b.label
        np.testing.assert_array_equal(a.values, b.values)
    said = [each.label for part in parts for each in part.items]
    assert len(set(said)) == len(said)
    assert all(text == " ".join(text.split()) and text.isascii() for text in said)
    for each in one.train.items:
        assert each.values.shape[1] == 20
        assert len(each) > 3 * len(each.label)
        assert np.median(each.values) == pytest.approx(0.0, abs=0.1)
        assert 0.8 < np.quantile(each.values, 0.99) < 1.6
    assert [each.label for each in drawn_lines(counts, seed=1).train.items] != [each.label for each in one.train.items]
