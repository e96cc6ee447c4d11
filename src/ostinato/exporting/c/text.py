"""Basic pieces of C text: names, numbers, arrays, comments."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Sequence

import numpy as np

from ostinato.errors import ConfigError

INDENT = "    "
_WIDTH = 110  # the limit for a comment on one line
_FLOATS, _WHOLE = 8, 24  # the number of values on a line

# Reserved names of C99 and C++ (C++ code may include the header), and macros of the included headers and of compilers.
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
    """Check the name of a network, with which every name of its header begins.

    Raises:
        ConfigError: the name is not an identifier of C, begins with an underscore (such names are the compiler's), is a
            reserved word or the name of a header of C, or is too long.
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
    """Make a Python name a name of C: non-ASCII letters become their codes; reserved or taken names get underscores."""
    found = "".join(c if c.isascii() else f"_u{ord(c):x}" for c in name)
    while found in _KEYWORDS or found in taken:
        found += "_"
    return found


def number(value: float) -> str:
    """Write a constant of the type float, exact to the last bit.

    >>> number(1.0), number(-0.1)
    ('1.0f', '-0.100000001f')
    """
    try:
        (v,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:  # too large for a float
        v = math.copysign(math.inf, value)
    if v != v:
        return "NAN"
    if math.isinf(v):
        return "INFINITY" if v > 0 else "-INFINITY"
    text = f"{v:.9g}"
    return text + ("f" if any(c in text for c in ".e") else ".0f")


def array(name: str, values: np.ndarray, kind: str) -> str:
    """Write a constant array of numbers of the type `kind`: "float" or "signed char"."""
    flat = values.reshape(-1).tolist()
    items = [number(v) for v in flat] if kind == "float" else [str(v) for v in flat]
    count = _FLOATS if kind == "float" else _WHOLE
    lines = [INDENT + ", ".join(items[n : n + count]) + "," for n in range(0, len(items), count)]
    return "\n".join([f"static const {kind} {name}[{len(items)}] = {{", *lines, "};"])


def comment(lines: Iterable[str], indent: str = "") -> str:
    """Write lines of any text as a comment."""
    safe = [_harmless(line) for line in lines]
    if not safe:
        return ""
    if len(safe) == 1 and len(safe[0]) < _WIDTH:
        return f"{indent}/* {safe[0]} */"
    first, *rest = safe
    return "\n".join([f"{indent}/* {first}", *(f"{indent} * {line}".rstrip() for line in rest), f"{indent} */"])


def _harmless(line: str) -> str:
    """Change text so that it neither ends nor begins a comment, and does not continue a line (backslash, trigraph)."""
    text = "".join(c if c.isprintable() or c == " " else "?" for c in line.expandtabs())
    text = text.replace("*/", "* /").replace("/*", "/ *").replace("??/", "? ?/").rstrip()
    return text + " ." if text.endswith("\\") else text


def block(lines: Sequence[str], depth: int = 1) -> list[str]:
    """Indent lines."""
    return [INDENT * depth + line if line else line for line in lines]


def state(name: str) -> str:
    """Return the name of a state in C."""
    return identifier(name)


def extra(name: str) -> str:
    """Return the name of an extra in a layer's function."""
    return f"extra_{identifier(name)}"


def counted(count: int, noun: str, many: str = "") -> str:
    """Return a count with its noun, such as "3 layers"."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"
