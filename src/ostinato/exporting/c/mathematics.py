"""The C functions that a step calls: those of the C library, or those of this file, which need no library."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

from ostinato.errors import ConfigError

Mathematics: TypeAlias = Literal["libm", "own"]

# The largest errors of the functions of this file over all float32 numbers, in units in the last place; tests measure
# them.
OWN_ERRORS = {"exp": 2, "expm1": 4, "log": 2, "log1p": 2, "tanh": 3, "sigmoid": 3, "sqrt": 1, "rsqrt": 2}

# The C function of each operation, by the operation's name in `kernels.compiler.graph`. Those in `_HELPERS` are written
# to the file.
CALLS = {
    **{op: f"{op}f" for op in ("exp", "log", "log1p", "expm1", "sqrt", "tanh", "exp2", "log2", "log10", "sin", "cos")},
    **{
        op: f"{op}f" for op in ("tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "erf", "erfc")
    },
    **{op: f"{op}f" for op in ("floor", "ceil", "trunc", "pow", "fmod", "atan2", "hypot", "copysign")},
    "abs": "fabsf",
    "round": "rintf",  # rounds halves to even numbers
    "rsqrt": "inverse_root",
    **{op: op for op in ("sigmoid", "minimum", "maximum")},
}
_OWN = {f"{op}f": f"own_{op}" for op in ("exp", "log", "log1p", "expm1", "sqrt", "tanh", "floor", "ceil", "trunc")}
_OWN |= {"fabsf": "own_abs"}

_HELPERS = {
    # As in torch, and unlike fmaxf and fminf, the result is NaN if an argument is.
    "maximum": "static float maximum(float a, float b) { return a > b || a != a ? a : b; }",
    "minimum": "static float minimum(float a, float b) { return a < b || a != a ? a : b; }",
    "sigmoid": """\
static float sigmoid(float v)
{
    const float e = expf(-fabsf(v)); /* which never overflows */
    return (v < 0.0f ? e : 1.0f) / (1.0f + e);
}
""",
    "softplus": "static float softplus(float v) { return v > 20.0f ? v : log1pf(expf(v)); }",
    "inverse_root": "static float inverse_root(float v) { return 1.0f / sqrtf(v); }",
}
_OWN_HELPERS = {
    "bits_of": """\
typedef union {
    float number;
    uint32_t bits;
} bits_of;
""",
    "from_bits": """\
static float from_bits(uint32_t bits)
{
    bits_of v;
    v.bits = bits;
    return v.number;
}
""",
    "own_abs": "static float own_abs(float v) { return v < 0.0f ? -v : v + 0.0f; }",
    "own_trunc": """\
/* Towards zero; from 2^23 on every float is a whole number. */
static float own_trunc(float v) { return v > -8388608.0f && v < 8388608.0f ? (float)(int32_t)v : v; }
""",
    "own_floor": """\
static float own_floor(float v)
{
    const float whole = own_trunc(v);
    return whole > v ? whole - 1.0f : whole;
}
""",
    "own_ceil": """\
static float own_ceil(float v)
{
    const float whole = own_trunc(v);
    return whole < v ? whole + 1.0f : whole;
}
""",
    "own_expm1_small": """\
/* e^r - 1 for |r| <= ln(2) / 2, by its series. */
static float own_expm1_small(float r)
{
    float sum = 1.0f / 5040.0f;
    sum = sum * r + 1.0f / 720.0f;
    sum = sum * r + 1.0f / 120.0f;
    sum = sum * r + 1.0f / 24.0f;
    sum = sum * r + 1.0f / 6.0f;
    sum = sum * r + 0.5f;
    return r + r * r * sum;
}
""",
    "own_exp": """\
/* e^v = 2^n e^r with n whole and |r| <= ln(2) / 2. */
static float own_exp(float v)
{
    float n, r;
    int32_t whole;
    if (v != v)
        return v;
    if (v > 88.7228394f)
        return from_bits(0x7f800000u); /* infinity */
    if (v < -103.972084f)
        return 0.0f;
    whole = (int32_t)(v * 1.44269504f + (v < 0.0f ? -0.5f : 0.5f));
    n = (float)whole;
    r = v - n * 0.693145752f - n * 1.42860677e-06f;
    r = 1.0f + own_expm1_small(r);
    if (whole < -126) { /* a number too small for its exponent, in two steps */
        r *= from_bits(0x00800000u);
        whole += 126;
    }
    if (whole > 127) {
        r *= 2.0f;
        whole -= 1;
    }
    return r * from_bits((uint32_t)(whole + 127) << 23);
}
""",
    "own_expm1": """\
static float own_expm1(float v)
{
    if (v > -0.346573591f && v < 0.346573591f)
        return own_expm1_small(v);
    return own_exp(v) - 1.0f;
}
""",
    "own_tanh": """\
static float own_tanh(float v)
{
    const float size = own_abs(v);
    float e;
    if (size > 9.1f)
        return v > 0.0f ? 1.0f : -1.0f;
    e = own_expm1(2.0f * size);
    e = e / (e + 2.0f);
    return v < 0.0f ? -e : e;
}
""",
    "own_log": """\
/* log(v) = n log(2) + 2 atanh(s), s = (m - 1) / (m + 1), with v = 2^n m and m from sqrt(1/2) to sqrt(2). */
static float own_log(float v)
{
    bits_of parts;
    float n = 0.0f, s, square, sum;
    if (v != v || v < 0.0f)
        return from_bits(0x7fc00000u); /* NaN */
    if (!(v > 0.0f))
        return from_bits(0xff800000u);
    if (v > 3.40282347e+38f)
        return v;
    if (v < 1.17549435e-38f) {
        v *= 8388608.0f;
        n = -23.0f;
    }
    parts.number = v;
    parts.bits += 0x3f800000u - 0x3f3504f3u;
    n += (float)((int32_t)(parts.bits >> 23) - 127);
    parts.bits = (parts.bits & 0x007fffffu) + 0x3f3504f3u;
    v = parts.number - 1.0f;
    s = v / (2.0f + v);
    square = s * s;
    sum = 2.0f / 9.0f;
    sum = sum * square + 2.0f / 7.0f;
    sum = sum * square + 2.0f / 5.0f;
    sum = sum * square + 2.0f / 3.0f;
    /* 2 atanh(s) = v - s (v - square sum), which keeps the digits of v. */
    return n * 0.693145752f + (v - s * (v - square * sum) + n * 1.42860677e-06f);
}
""",
    "own_log1p": """\
/* log(1 + v), with what is lost in 1 + v put right. */
static float own_log1p(float v)
{
    const float sum = 1.0f + v;
    if (!(v > -1.0f && v < 3.40282347e+38f) || sum - 1.0f == v)
        return own_log(sum);
    return own_log(sum) + (v < 1.0f ? v - (sum - 1.0f) : 1.0f - (sum - v)) / sum;
}
""",
    "own_sqrt": """\
/* Newton's method from a guess of half the exponent. */
static float own_sqrt(float v)
{
    bits_of guess;
    float scale = 1.0f, y;
    if (v != v || v < 0.0f)
        return from_bits(0x7fc00000u); /* NaN */
    if (!(v > 0.0f) || v > 3.40282347e+38f)
        return v;
    if (v < 1.17549435e-38f) {
        v *= 16777216.0f;
        scale = 1.0f / 4096.0f;
    }
    guess.number = v;
    guess.bits = (guess.bits >> 1) + 0x1fbd1df5u;
    y = guess.number;
    y = 0.5f * (y + v / y);
    y = 0.5f * (y + v / y);
    y = 0.5f * (y + v / y);
    return y * scale;
}
""",
}


def infinity(text: str, mathematics: Mathematics) -> str:
    """Replace the macros of math.h in a body, unless the library is used."""
    if mathematics == "libm":
        return text
    text = re.sub(r"\bINFINITY\b", "from_bits(0x7f800000u)", text)
    return re.sub(r"\bNAN\b", "from_bits(0x7fc00000u)", text)


def own(text: str, name: str) -> str:
    """Return a body that calls the functions of this file in place of those of math.h.

    Raises:
        ConfigError: the body calls a function that this file does not have.
    """
    called = set(re.findall(r"\b([a-z]\w*f)\(", text)) & set(CALLS.values())
    if missing := sorted(called - _OWN.keys()):
        raise ConfigError(
            f"math='own' has {', '.join(sorted(op.removesuffix('f') for op in _OWN))}, and {name} calls "
            f"{', '.join(missing)}; use math='libm'"
        )
    for library, ours in _OWN.items():
        text = re.sub(rf"\b{library}\(", f"{ours}(", text)
    return text


def helpers(bodies: Iterable[str], mathematics: Mathematics, name: str) -> tuple[list[str], list[str]]:
    """Return the definitions that bodies need, each before its callers, and the bodies with the right calls.

    Args:
        bodies: the texts of functions.
        mathematics: "libm" for functions of the library, "own" for those of this file.
        name: the name of the network, for the error.

    Raises:
        ConfigError: "own" is wanted, and a body calls a function that this file does not have.
    """
    known, written = dict(_HELPERS), [infinity(body, mathematics) for body in bodies]
    if mathematics == "own":
        known = _OWN_HELPERS | {helper: own(text, name) for helper, text in known.items()}
        written = [own(body, name) for body in written]
    found: dict[str, str] = {}

    def visit(text: str, itself: str = "") -> None:
        for helper, definition in known.items():
            if helper not in found and helper != itself and re.search(rf"\b{helper}\b", text):
                visit(definition, helper)
                found[helper] = definition.rstrip()

    for body in written:
        visit(body)
    return list(found.values()), written
