from typing import Any, Literal

import pytest

from ostinato.recipes.typed import fits, in_words


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int, [0, -3], [True, 1.0, "1", None, float("nan")]),
        (float, [0, 1.5, float("inf")], [True, "1", None, float("nan")]),
        (bool, [True, False], [0, 1, "yes", None]),
        (str, ["", "a"], [1, None, b"a", {}]),
        (int | None, [None, 1], ["a", 1.5]),
        (Literal["a", "b"], ["a"], ["c", None, {"a": 1}, ["a"]]),
        (Literal["a"] | None, ["a", None], ["b"]),
        (int | list[int], [1, [1, 2], (1, 2)], [[1, "a"], "12", {1: 2}]),
        (dict[str, Any], [{}, {"a": [1]}], [{1: 2}, [], "a"]),
    ],
)
def test_values_and_types(kind, good, bad):
    assert all(fits(kind, value) for value in good)
    assert not any(fits(kind, value) for value in bad)


def test_types_in_words():
    assert in_words(int | list[int] | None) == "an integer or a list of integers or null"
    assert in_words(Literal["a", "b"]) == "one of a, b"
    assert in_words(dict[str, Any]) == "settings by name"
