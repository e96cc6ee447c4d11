"""What labels are."""

import math

import numpy as np
import pytest

from ostinato.data.records.targets import drawn_by, numbers_of, parts_of_label, sets_of, target_of
from ostinato.errors import DataError

MANY = [f"{at}.5" for at in range(20)]


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        (["a", "b", None], "class"),
        ([str(at) for at in range(100)], "class"),  # whole numbers are names
        (["0.5", "1.0", "1.5"] * 30, "class"),  # stars
        ([*MANY, None], "number"),
        (["1e-3", *MANY], "number"),
        ([*MANY, "x"], "class"),
        ([*MANY, "nan"], "class"),
        ([*MANY, "1_0"], "class"),
        (["a;b", "a", "b"], "several"),
        (["a;b", "b; c", "c", ""], "several"),
        (["Arts; Crafts", "Sport"], "class"),  # the name of a class
        ([None, None], "class"),
    ],
)
def test_labels_tell_what_they_are(labels, target):
    assert target_of(labels) == target
    assert target_of(labels, "number") == "number"
    assert drawn_by(labels) == (labels if target == "class" else [None] * len(labels))


def test_numbers_and_sets():
    np.testing.assert_array_equal(numbers_of(["1.5", None, "-2"]), [1.5, math.nan, -2])
    with pytest.raises(DataError, match=r"expected numbers as labels, got 'x'; .* --reading.target class"):
        numbers_of(["1", "x"])
    assert parts_of_label(" a ;b;;") == ["a", "b"]
    np.testing.assert_array_equal(
        sets_of(["b;a", "", None, "c;b"], ["a", "b"]), [[1, 1], [0, 0], [math.nan, math.nan], [0, 1]]
    )
