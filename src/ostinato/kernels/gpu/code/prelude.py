"""The beginning of every generated module: functions that Triton's own language lacks.

The interpreter has no libdevice, so all functions are made of the few that both it and the compiler have. `ACC` is the dtype of
everything but what enters products: float32, or float64.
"""

from __future__ import annotations

PRELUDE = '''\
"""Made by ostinato.kernels.gpu of {about}."""

import triton
import triton.language as tl

{constants}


@triton.jit
def multiply(a, b, c):
    a = a.to(b.dtype)
    if INTERPRETED:  # its tl.dot takes the bits of a bfloat16 for a whole number
        a, b = a.to(ACC), b.to(ACC)
    return tl.dot(a, b, c, input_precision=PRECISION, out_dtype=ACC)


@triton.jit
def meet(flags, all, tick):  # every program of a group of rows, each of which has a flag and comes here once a tick
    tl.debug_barrier()
    tl.atomic_xchg(flags + tl.program_id(0), tick, sem="release", scope="gpu")
    each = tl.arange(0, PROGRAMS)
    slowest = tick - 1
    while slowest < tick:
        seen = tl.atomic_add(flags + each, each * 0, mask=each < all, sem="acquire", scope="gpu")
        slowest = tl.min(tl.where(each < all, seen, tick))
    tl.debug_barrier()
'''

FUNCTIONS: dict[str, str] = {
    "tanh": """\
@triton.jit
def tanh(v):
    e = tl.exp(-2 * tl.abs(v))
    s = v * v  # near zero the quotient would lose the last bits
    near = v * (1 + s * (-1 / 3 + s * (2 / 15 + s * (-17 / 315 + s * (62 / 2835)))))
    return tl.where(tl.abs(v) < 0.05, near, tl.where(v < 0, e - 1, 1 - e) / (1 + e))
""",
    "log1p": """\
@triton.jit
def log1p(v):  # Kahan: the rounding of 1 + v cancels out
    w = 1 + v
    found = tl.log(w) * (v / tl.where(w == 1, 1.0, w - 1))
    return tl.where(w == 1, v, tl.where(w == float("inf"), v, found))
""",
    "expm1": """\
@triton.jit
def expm1(v):
    e = tl.exp(v)
    near = (e - 1) * (v / tl.where(e == 1, 1.0, tl.log(e)))
    return tl.where(e == 1, v, tl.where(tl.abs(v) > 30, e - 1, near))
""",
    "trunc": """\
@triton.jit
def trunc(v):
    return copysign(tl.floor(tl.abs(v)), v)
""",
    "round_even": """\
@triton.jit
def round_even(v):  # halves to even numbers
    low = tl.floor(v)
    rest = v - low
    odd = low - 2 * tl.floor(low * 0.5)
    found = tl.where((rest > 0.5) | ((rest == 0.5) & (odd == 1)), low + 1, low)
    return copysign(found, v)
""",
    "copysign": """\
@triton.jit
def copysign(v, sign):
    bits = sign.to(tl.int64 if ACC == tl.float64 else tl.int32, bitcast=True)
    return tl.where(bits < 0, -tl.abs(v), tl.abs(v))
""",
    "fmod": """\
@triton.jit
def fmod(v, by):
    return copysign(tl.abs(v) % tl.abs(by), v)
""",
    "hypot": """\
@triton.jit
def hypot(v, w):
    v, w = tl.abs(v), tl.abs(w)
    large = tl.maximum(v, w, propagate_nan=tl.PropagateNan.ALL)
    small = tl.minimum(v, w, propagate_nan=tl.PropagateNan.ALL)
    q = small / tl.where(large == 0, 1.0, large)
    found = large * tl.sqrt(1 + q * q)
    return tl.where((v == float("inf")) | (w == float("inf")), float("inf"), found)
""",
    "power": """\
@triton.jit
def power(v, by):
    size = tl.exp(by * tl.log(tl.where(v == 0, 1.0, tl.abs(v))))
    size = tl.where(v == 0, tl.where(by > 0, 0.0, float("inf")), size)
    whole = tl.floor(by) == by
    odd = whole & (by - 2 * tl.floor(by * 0.5) == 1)
    size = tl.where((v < 0) & odd, -size, size)
    size = tl.where((v < 0) & (whole == 0), float("nan"), size)
    return tl.where((by == 0) | (v == 1), 1.0, size)
""",
    "angle": """\
@triton.jit
def angle(y, x):  # atan(y / x) of numbers that are not negative, and not both zero or infinite
    steep = y > x
    less, more = tl.where(steep, x, y), tl.where(steep, y, x)
    turned = less > more * 0.41421356237309503  # above an eighth of a half turn
    q = tl.where(turned, less - more, less) / tl.where(turned, less + more, more)
    s = q * q
    p = -0.01790205482841151 * s + 0.03805946762063743
    p = p * s - 0.05039087472517617
    p = p * s + 0.05847836952362706
    p = p * s - 0.06663096214183165
    p = p * s + 0.07692059461869068
    p = p * s - 0.09090897711342211
    p = p * s + 0.11111110781688865
    p = p * s - 0.14285714280157633
    p = p * s + 0.19999999999953164
    p = p * s - 0.333333333333332
    r = q + q * s * p
    r = tl.where(turned, r + 0.7853981633974483, r)
    return tl.where(steep, 1.5707963267948966 - r, r)
""",
    "atan": """\
@triton.jit
def atan(v):
    a = tl.abs(v)
    return copysign(angle(a, tl.full(a.shape, 1.0, ACC)), v)
""",
    "asin": """\
@triton.jit
def asin(v):
    a = tl.abs(v)
    return copysign(angle(a, tl.sqrt((1 - a) * (1 + a))), v)
""",
    "acos": """\
@triton.jit
def acos(v):
    return 2 * angle(tl.sqrt(1 - v), tl.sqrt(1 + v))
""",
    "atan2": """\
@triton.jit
def atan2(y, x):
    up, along = tl.abs(y), tl.abs(x)
    both = (up == float("inf")) & (along == float("inf"))
    nowhere = up + along == 0
    found = angle(tl.where(both, 1.0, up), tl.where(both | nowhere, 1.0, along))
    one = tl.full(found.shape, 1.0, ACC)
    backwards = copysign(one, x) < 0
    return copysign(tl.where(backwards, 3.141592653589793 - found, found), y)
""",
    "tan": """\
@triton.jit
def tan(v):
    return tl.sin(v) / tl.cos(v)
""",
    "sinh": """\
@triton.jit
def sinh(v):
    e = expm1(tl.abs(v))
    return copysign(tl.where(tl.abs(v) > 30, 0.5 * e, 0.5 * (e + e / (e + 1))), v)
""",
    "cosh": """\
@triton.jit
def cosh(v):
    return 0.5 * tl.exp(v) + 0.5 * tl.exp(-v)
""",
    "asinh": """\
@triton.jit
def asinh(v):
    a = tl.abs(v)
    return copysign(log1p(a + a * (a / (1 + tl.sqrt(1 + a * a)))), v)
""",
    "acosh": """\
@triton.jit
def acosh(v):
    u = v - 1
    return log1p(u + tl.sqrt(u * 2 + u * u))
""",
    "atanh": """\
@triton.jit
def atanh(v):
    a = tl.abs(v)
    return copysign(0.5 * log1p(2 * a / (1 - a)), v)
""",
}
# For each function, the other ones that it calls.
NEEDS = {
    "atan": ("copysign", "angle"),
    "asin": ("copysign", "angle"),
    "acos": ("angle",),
    "atan2": ("copysign", "angle"),
    "trunc": ("copysign",),
    "round_even": ("copysign",),
    "fmod": ("copysign",),
    "sinh": ("copysign", "expm1"),
    "asinh": ("copysign", "log1p"),
    "acosh": ("log1p",),
    "atanh": ("copysign", "log1p"),
}
