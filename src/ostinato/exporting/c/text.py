"""The small change of C: names, numbers, arrays, comments."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Sequence

import numpy as np

from ostinato.errors import ConfigError

INDENT = "    "
_WIDTH = 110  # of a comment in a line
_FLOATS, _WHOLE = 8, 24  # numbers in a line

# Names that mean something already, in C99 and in C++, which may include the header; and the macros of what is included.
_KEYWORDS = frozenset(
    " ".join(
        [
            "auto break case char const continue default do double else enum extern float for goto if inline int",
            "long register restrict return short signed sizeof static struct switch typedef union unsigned void",
            "volatile while alignas alignof and and_eq asm bitand bitor bool catch char16_t char32_t class compl",
            "concept const_cast constexpr decltype delete dynamic_cast explicit export false friend mutable",
            "namespace new noexcept not not_eq nullptr operator or or_eq private protected public reinterpret_cast",
            "requires static_assert static_cast template this thread_local throw true try typeid typename using",
            "virtual wchar_t xor xor_eq NAN INFINITY HUGE_VAL HUGE_VALF HUGE_VALL MATH_ERRNO MATH_ERREXCEPT FP_NAN",
            "FP_INFINITE FP_ZERO FP_NORMAL FP_SUBNORMAL errno signgam unix linux",
        ]
    ).split()
)


def check_name(name: str) -> None:
    """Whether a network may have this name, with which every name of its header begins.

    Raises:
        ConfigError: it is no identifier of C, is a word of the language, or begins as only the compiler's own names may.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"name expected a C identifier: a letter from A to Z, then letters, digits and underscores; got {name!r}"
        )
    if name in _KEYWORDS:
        raise ConfigError(f"name expected a C identifier, got {name!r}, which is a word of C or C++; try {name}_net")
    if name.lower() in _HEADERS:
        raise ConfigError(f"name expected another than that of a header of C, got {name!r}; try {name}_net")
    if len(name) > _LONGEST:
        raise ConfigError(f"name expected at most {_LONGEST} characters, got {len(name)}")


_LONGEST = 64
_HEADERS = frozenset(
    " ".join(
        [
            "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdarg stdbool stddef stdint",
            "stdio stdlib string tgmath time wchar wctype",
        ]
    ).split()
)


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """A Python name as one of C: other letters by their numbers, and a word of the language with an underscore behind it."""
    found = "".join(c if c.isascii() else f"_u{ord(c):x}" for c in name)
    while found in _KEYWORDS or found in taken:
        found += "_"
    return found


def number(value: float) -> str:
    """A constant of the type float, exact to the last bit.

    >>> number(1.0), number(-0.1)
    ('1.0f', '-0.100000001f')
    """
    try:
        (v,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:  # more than a float can be
        v = math.copysign(math.inf, value)
    if v != v:
        return "NAN"
    if math.isinf(v):
        return "INFINITY" if v > 0 else "-INFINITY"
    text = f"{v:.9g}"
    return text + ("f" if any(c in text for c in ".e") else ".0f")


def array(name: str, values: np.ndarray, kind: str) -> str:
    """A constant of many numbers, of the type `kind`: "float" or "signed char"."""
    flat = values.reshape(-1).tolist()
    items = [number(v) for v in flat] if kind == "float" else [str(v) for v in flat]
    count = _FLOATS if kind == "float" else _WHOLE
    lines = [INDENT + ", ".join(items[n : n + count]) + "," for n in range(0, len(items), count)]
    return "\n".join([f"static const {kind} {name}[{len(items)}] = {{", *lines, "};"])


def comment(lines: Iterable[str], indent: str = "") -> str:
    """Lines of text as a comment, whatever is in them."""
    safe = [_harmless(line) for line in lines]
    if not safe:
        return ""
    if len(safe) == 1 and len(safe[0]) < _WIDTH:
        return f"{indent}/* {safe[0]} */"
    first, *rest = safe
    return "\n".join([f"{indent}/* {first}", *(f"{indent} * {line}".rstrip() for line in rest), f"{indent} */"])


def _harmless(line: str) -> str:
    """Text that neither ends a comment nor begins another, and that no compiler takes for the end of a line."""
    text = "".join(c if c.isprintable() or c == " " else "?" for c in line.expandtabs())
    text = text.replace("*/", "* /").replace("/*", "/ *").replace("??/", "? ?/").rstrip()
    return text + " ." if text.endswith("\\") else text


def block(lines: Sequence[str], depth: int = 1) -> list[str]:
    """Lines further to the right."""
    return [INDENT * depth + line if line else line for line in lines]


def state(name: str) -> str:
    """A state's name in C."""
    return identifier(name)


def extra(name: str) -> str:
    """An extra's name within a layer."""
    return f"extra_{identifier(name)}"


def counted(count: int, noun: str, many: str = "") -> str:
    """So many of them."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"
