"""Bodies and schemas, judged by a validator that others wrote."""

from __future__ import annotations

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.serving.http.document.schema import Schema, check_of
from ostinato.serving.http.refusals import InvalidError
from ostinato.serving.http.routes import ROUTES

BODIES = [route for route in ROUTES if route.body is not None]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.path)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_checks_take_what_json_schema_takes(route, data: st.DataObject) -> None:
    names = list(route.body["properties"])
    body = data.draw(st.dictionaries(st.sampled_from([*names, "other"]), values, max_size=4))
    judge = jsonschema_rs.validator_for(route.body)
    assert takes(route.body, body) == judge.is_valid(body)


def takes(schema: Schema, value: object) -> bool:
    try:
        check_of(schema)(value, "")
    except InvalidError:
        return False
    return True


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "integer"}, "x", "a: expected an integer, got 'x'"),
        ({"type": "integer"}, True, "a: expected an integer, got true"),
        ({"type": ["number", "null"]}, "x" * 99, "a: expected a number or null, got text of 99 characters"),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 4, "a: expected from 1 to 3, got 4"),
        ({"type": "array", "items": {"type": "string"}}, ["x", 1], "a[1]: expected text, got 1"),
        ({"type": "array", "maxItems": 1}, [1, 2], "a: expected at most 1 items, got 2"),
        ({"type": "string", "enum": ["x", "y"]}, "z", "a: expected one of x, y, got 'z'"),
        ({"type": "object", "required": ["b"]}, {}, "a.b: expected it to be given, as it is required"),
        (
            {"type": "object", "properties": {"b": {}}, "additionalProperties": False},
            {"c": 1},
            "a.c: is unknown; expected some of b",
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            ["x", 2],
            "a[1]: expected text, got 2",
        ),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, 2, "a: expected text or a list, got 2"),
    ],
)
def test_messages_say_what_was_expected_and_what_came(schema: dict, value: object, message: str) -> None:
    with pytest.raises(InvalidError) as raised:
        check_of(schema)(value, "a")
    assert raised.value.message == message
