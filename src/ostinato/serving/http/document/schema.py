"""Checks of request bodies by the schemas that the OpenAPI document shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ostinato.serving.http.refusals import InvalidError

Schema = Mapping[str, Any]
Check = Callable[[Any, str], None]

_WORDS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "an object",
}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda v: v is None,
    "boolean": lambda v: v is True or v is False,
    "integer": lambda v: type(v) is int or (type(v) is float and v.is_integer()),
    "number": lambda v: type(v) is int or type(v) is float,
    "string": lambda v: type(v) is str,
    "array": lambda v: type(v) is list,
    "object": lambda v: type(v) is dict,
}


def check_of(schema: Schema) -> Check:
    """Make a function that raises `InvalidError` for a value that does not fit a schema.

    Args:
        schema: JSON Schema with type, enum, minimum, maximum, minLength, maxLength, pattern, items, minItems, maxItems, properties,
            required, additionalProperties (false or a schema) and anyOf; other keys are ignored.
    """
    makers = dict.fromkeys(make for key, make in _MAKERS.items() if key in schema)  # each once, the type first
    checks = [make(schema) for make in makers]

    def check(value: Any, param: str) -> None:
        for each in checks:
            each(value, param)

    return checks[0] if len(checks) == 1 else check


def _type(schema: Schema) -> Check:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    tests = [_TYPES[kind] for kind in kinds]
    expected = " or ".join(_WORDS[kind] for kind in kinds)

    def check(value: Any, param: str) -> None:
        for test in tests:
            if test(value):
                return
        raise InvalidError(param, f"expected {expected}, got {shown(value)}")

    return check


def _enum(schema: Schema) -> Check:
    allowed = schema["enum"]

    def check(value: Any, param: str) -> None:
        if value not in allowed:
            raise InvalidError(param, f"expected one of {', '.join(map(str, allowed))}, got {shown(value)}")

    return check


def _range(schema: Schema) -> Check:
    low, high = schema.get("minimum"), schema.get("maximum")
    words = f"at least {low}" if high is None else f"at most {high}" if low is None else f"from {low} to {high}"

    def check(value: Any, param: str) -> None:
        if type(value) not in (int, float):
            return
        if (low is not None and value < low) or (high is not None and value > high):
            raise InvalidError(param, f"expected {words}, got {shown(value)}")

    return check


def _length(schema: Schema) -> Check:
    low, high = schema.get("minLength", 0), schema.get("maxLength")

    def check(value: Any, param: str) -> None:
        if type(value) is not str:
            return
        if len(value) < low:
            raise InvalidError(param, f"expected text of at least {low} characters, got {len(value)}")
        if high is not None and len(value) > high:
            raise InvalidError(param, f"expected text of at most {high} characters, got {len(value)}")

    return check


def _pattern(schema: Schema) -> Check:
    pattern = re.compile(schema["pattern"])

    def check(value: Any, param: str) -> None:
        if type(value) is str and not pattern.search(value):
            raise InvalidError(param, f"expected text of the form {schema['pattern']}")

    return check


def _items(schema: Schema) -> Check:
    low, high = schema.get("minItems", 0), schema.get("maxItems")
    item = check_of(schema["items"]) if schema.get("items") else None

    def check(value: Any, param: str) -> None:
        if type(value) is not list:
            return
        if len(value) < low or (high is not None and len(value) > high):
            words = f"at least {low}" if high is None or len(value) < low else f"at most {high}"
            raise InvalidError(param, f"expected {words} items, got {len(value)}")
        if item is not None:
            for number, each in enumerate(value):
                item(each, f"{param}[{number}]")

    return check


def _properties(schema: Schema) -> Check:
    checks = {name: check_of(each) for name, each in schema.get("properties", {}).items()}
    required, others = schema.get("required", ()), schema.get("additionalProperties", True)
    other = check_of(others) if isinstance(others, Mapping) else None

    def check(value: Any, param: str) -> None:
        if type(value) is not dict:
            return
        dot = f"{param}." if param else ""
        for name in required:
            if name not in value:
                raise InvalidError(dot + name, "expected it to be given, as it is required")
        for name, each in value.items():
            if (known := checks.get(name, other)) is not None:
                known(each, dot + name)
            elif others is False:
                raise InvalidError(dot + name[:64], f"is unknown; expected some of {', '.join(sorted(checks))}")

    return check


def _any_of(schema: Schema) -> Check:
    checks = [check_of(each) for each in schema["anyOf"]]
    words = " or ".join(_in_words(each) for each in schema["anyOf"])

    def check(value: Any, param: str) -> None:
        deepest = None
        for each in checks:
            try:
                return each(value, param)
            except InvalidError as error:
                if error.param != (param or None):  # the value has this kind, with an error inside
                    deepest = error
        raise deepest or InvalidError(param, f"expected {words}, got {shown(value)}")

    return check


def _in_words(schema: Schema) -> str:
    kinds = schema.get("type", "object")
    words = " or ".join(_WORDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    return f"{words} with {', '.join(schema['required'])}" if schema.get("required") else words


def shown(value: Any) -> str:
    """Write a value for a message; only its kind if it is long or nested, so that no message repeats a body."""
    if isinstance(value, str):
        return f"text of {len(value)} characters" if len(value) > 32 else repr(value)
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)[:32]


_MAKERS: dict[str, Callable[[Schema], Check]] = {
    "anyOf": _any_of,
    "type": _type,
    "enum": _enum,
    "minimum": _range,
    "maximum": _range,
    "minLength": _length,
    "maxLength": _length,
    "pattern": _pattern,
    "items": _items,
    "maxItems": _items,
    "properties": _properties,
    "required": _properties,
    "additionalProperties": _properties,
}
