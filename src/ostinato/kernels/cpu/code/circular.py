"""Trigonometric functions and their inverses, on vectors.

`sin(x)` and `cos(x)` bring x into a quarter turn by subtracting whole quarters. A quarter turn, pi / 2, is stored as the sum of
three numbers with a full mantissa each, so that no digits are lost if x is close to a multiple of it. For a vector with a number
that has too many turns for that, C's library is called.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ostinato.kernels.cpu.code.elementary import Elementary
from ostinato.kernels.cpu.code.lanes import Value


@dataclass(frozen=True)
class Turns:
    """What differs between float32 and float64.

    Attributes:
        quarter: pi / 2 as a sum of three numbers.
        most: the largest argument from which whole quarters are subtracted.
        sin: (sin(r) - r) / r^3 in powers of r^2, |r| <= pi / 4.
        cos: (cos(r) - 1 + r^2 / 2) / r^4 in powers of r^2, |r| <= pi / 4.
        atan: (atan(r) - r) / r^3 in powers of r^2, |r| <= tan(pi / 8).
    """

    quarter: tuple[float, float, float]
    most: float
    sin: tuple[float, ...]
    cos: tuple[float, ...]
    atan: tuple[float, ...]


SINGLE = Turns(
    quarter=(1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    most=2.0**15,
    sin=(-0.1666665386548059, 0.008332113061005487, -0.0001950873927245515),
    cos=(0.04166664436785566, -0.0013887251486887904, 2.4425681666480228e-05),
    atan=(-0.33332949129178047, 0.1997770408484508, -0.13877569667789064, 0.08053264458688779),
)
DOUBLE = Turns(
    quarter=(1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
    most=2.0**30,
    sin=(
        *(-0.16666666666666627, 0.008333333333320954, -0.00019841269828628217),
        *(2.7557313278660314e-06, -2.505069280199647e-08, 1.5892976455719786e-10),
    ),
    cos=(
        *(0.04166666666666658, -0.0013888888888871375, 2.480158728778254e-05),
        *(-2.7557313865407585e-07, 2.0875657551374814e-09, -1.1356265452400508e-11),
    ),
    atan=(
        *(-0.333333333333332, 0.19999999999953164, -0.14285714280157633, 0.11111110781688865),
        *(-0.09090897711342211, 0.07692059461869068, -0.06663096214183165, 0.05847836952362706),
        *(-0.05039087472517617, 0.03805946762063743, -0.01790205482841151),
    ),
)


class Circular(Elementary):
    """Writes trigonometric functions where the builder is."""

    @property
    def turns(self) -> Turns:
        """The constants of this precision."""
        return DOUBLE if self.lanes.double else SINGLE

    def quarters(self, x: Value) -> tuple[Value, Value, Value]:
        """For x >= 0: a number whose last bits count the quarter turns that are subtracted; sine and cosine of what is left."""
        b, lanes, turns = self.b, self.lanes, self.turns
        magic = 1.5 * 2.0**lanes.mantissa
        rounded = self.fma(x, 2 / math.pi, magic)
        count = b.fneg(b.fsub(rounded, self.const(magic)))
        rest = x
        # The first difference is exact, as its last bit is worth no less than that of the quarter.
        for part in turns.quarter:
            rest = self.intrinsic("fma", count, self.const(part), rest)
        square = b.fmul(rest, rest)
        sine = self.fma(b.fmul(rest, square), self.polynomial(square, turns.sin), rest)
        near_one = self.fma(square, -0.5, 1.0)
        cosine = self.fma(b.fmul(square, square), self.polynomial(square, turns.cos), near_one)
        return b.bitcast(rounded, lanes.whole), sine, cosine

    def bit(self, whole: Value, number: int) -> Value:
        """Whether a bit of each integer is set."""
        masked = self.b.and_(whole, self.lanes.const_whole(1 << number))
        return self.b.icmp_unsigned("!=", masked, self.lanes.const_whole(0))

    def negated(self, x: Value, condition: Value) -> Value:
        """-x if the condition holds, else x; lane by lane."""
        return self.b.select(condition, self.b.fneg(x), x)

    def beyond(self, size: Value) -> Value:
        """Whether a number has too many turns; lane by lane."""
        return self.b.fcmp_ordered(">", size, self.const(self.turns.most))

    def sin(self, x: Value) -> Value:
        """The sine."""
        size = self.intrinsic("fabs", x)
        count, sine, cosine = self.quarters(size)
        result = self.negated(self.b.select(self.bit(count, 0), cosine, sine), self.bit(count, 1))
        signed = self.b.fmul(result, self.intrinsic("copysign", self.const(1.0), x))
        return self.rarely(self.beyond(size), signed, "sin", x)

    def cos(self, x: Value) -> Value:
        """The cosine."""
        size = self.intrinsic("fabs", x)
        count, sine, cosine = self.quarters(size)
        turned = self.b.add(count, self.lanes.const_whole(1))
        result = self.negated(self.b.select(self.bit(count, 0), sine, cosine), self.bit(turned, 1))
        return self.rarely(self.beyond(size), result, "cos", x)

    def tan(self, x: Value) -> Value:
        """The tangent."""
        b, size = self.b, self.intrinsic("fabs", x)
        count, sine, cosine = self.quarters(size)
        odd = self.bit(count, 0)
        quotient = b.fdiv(b.select(odd, cosine, sine), b.select(odd, b.fneg(sine), cosine))
        signed = b.fmul(quotient, self.intrinsic("copysign", self.const(1.0), x))
        return self.rarely(self.beyond(size), signed, "tan", x)

    def angle(self, y: Value, x: Value) -> Value:
        """Atan(y / x) of two numbers that are not negative, and not both zero or both infinite."""
        b = self.b
        steep = b.fcmp_ordered(">", y, x)
        less, more = b.select(steep, x, y), b.select(steep, y, x)
        # Above an eighth of a half turn: atan(q) = pi / 4 + atan((q - 1) / (q + 1)).
        turned = b.fcmp_ordered(">", less, b.fmul(more, self.const(math.sqrt(2) - 1)))
        above = b.select(turned, b.fsub(less, more), less)
        below = b.select(turned, b.fadd(less, more), more)
        q = b.fdiv(above, below)
        square = b.fmul(q, q)
        result = self.fma(b.fmul(q, square), self.polynomial(square, self.turns.atan), q)
        result = b.select(turned, b.fadd(result, self.const(math.pi / 4)), result)
        return b.select(steep, b.fsub(self.const(math.pi / 2), result), result)

    def atan(self, x: Value) -> Value:
        """The angle whose tangent is x."""
        return self.intrinsic("copysign", self.angle(self.intrinsic("fabs", x), self.const(1.0)), x)

    def atan2(self, y: Value, x: Value) -> Value:
        """The angle of the point (x, y)."""
        b, one, infinite = self.b, self.const(1.0), self.const(math.inf)
        up, along = self.intrinsic("fabs", y), self.intrinsic("fabs", x)
        both = b.and_(b.fcmp_ordered("==", up, infinite), b.fcmp_ordered("==", along, infinite))
        nowhere = b.fcmp_ordered("==", b.fadd(up, along), self.const(0.0))
        result = self.angle(b.select(both, one, up), b.select(b.or_(both, nowhere), one, along))
        backwards = b.fcmp_ordered("<", self.intrinsic("copysign", one, x), self.const(0.0))
        result = b.select(backwards, b.fsub(self.const(math.pi), result), result)
        return self.intrinsic("copysign", result, y)

    def asin(self, x: Value) -> Value:
        """The angle whose sine is x."""
        b, size = self.b, self.intrinsic("fabs", x)
        product = b.fmul(b.fsub(self.const(1.0), size), b.fadd(self.const(1.0), size))
        return self.intrinsic("copysign", self.angle(size, self.intrinsic("sqrt", product)), x)

    def acos(self, x: Value) -> Value:
        """The angle whose cosine is x."""
        b, one = self.b, self.const(1.0)
        half = self.angle(self.intrinsic("sqrt", b.fsub(one, x)), self.intrinsic("sqrt", b.fadd(one, x)))
        return b.fadd(half, half)
