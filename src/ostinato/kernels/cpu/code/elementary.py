"""exp, log and functions made of them, on vectors, in as few instructions as their accuracy allows.

Results are within 4 units in the last place. NaN gives NaN, infinities give the right limits, and a result too small for a normal
number may be zero.

The polynomials are minimax fits (Remez' exchange) of the relative error. An argument is brought into their interval by
`exp(x) = 2^n exp(r)`, where `n` is the integer next to `x / ln 2`. Rounding to it costs one addition, of a constant so large that
the sum has no room for a fraction. The last bits of the sum are then `n`, and shifted up they are the exponent of `2^n`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from ostinato.kernels.cpu.code.lanes import Lanes, LaneWords, Value
from ostinato.kernels.cpu.code.target import host


@dataclass(frozen=True)
class Precision:
    """What differs between float32 and float64 in the same algorithm.

    Attributes:
        ln2_high: the first bits of ln 2, so few that its product with an exponent is exact.
        ln2_low: the rest of ln 2.
        exp_zero: exp of less than this is zero.
        exp_infinite: exp of more than this is infinite; a little larger than needed.
        expm1_one: expm1 of less than minus this is -1.
        tanh_one: tanh of more than this is 1.
        exp: exp(r), |r| <= ln 2 / 2.
        expm1: (exp(r) - 1 - r) / r^2, |r| <= ln 2 / 2.
        tanh: (tanh(r) - r) / r^3 in powers of r^2, |r| <= ln 2 / 4.
        log: float32: (log(1 + f) - f) / f^2, sqrt 1/2 <= 1 + f <= sqrt 2. float64: (2 artanh(s) - 2 s) / s^3 in powers of
            s^2, s = f / (2 + f).
        root_half: the bits of sqrt 1/2.
        least_normal: the smallest number with a full mantissa.
    """

    ln2_high: float
    ln2_low: float
    exp_zero: float
    exp_infinite: float
    expm1_one: float
    tanh_one: float
    exp: tuple[float, ...]
    expm1: tuple[float, ...]
    tanh: tuple[float, ...]
    log: tuple[float, ...]
    root_half: int
    least_normal: float


SINGLE = Precision(
    ln2_high=0.693145751953125,
    ln2_low=1.4286068203094173e-06,
    exp_zero=-104.0,
    exp_infinite=89.0,
    expm1_one=17.5,
    tanh_one=9.02,
    exp=(1.0, 0.9999997063132529, 0.49999147841202746, 0.16667638127849915, 0.04189815961285855, 0.008290272069549567),
    expm1=(0.499999996801595, 0.16666625768415375, 0.041667012101074444, 0.008355445490151806, 0.0013870048994524807),
    tanh=(-0.33331268878147324, 0.13110453509382677),
    log=(
        *(-0.49999991562299645, 0.33333951455108213, -0.2500176152837469, 0.19962021669634988),
        *(-0.1657030415172486, 0.14918345417307044, -0.14309318236532342, 0.08736050837910962),
    ),
    root_half=0x3F3504F3,
    least_normal=2.0**-126,
)
DOUBLE = Precision(
    ln2_high=0.693147180559663,
    ln2_low=2.8235290563031577e-13,
    exp_zero=-746.0,
    exp_infinite=710.0,
    expm1_one=37.5,
    tanh_one=19.1,
    exp=(
        *(1.0, 1.0, 0.5000000000000011, 0.1666666666666641, 0.041666666666529725, 0.008333333333494983),
        *(0.0013888888943760032, 0.00019841269505761484, 2.4801492949547103e-05, 2.755758681477062e-06),
        *(2.7630306284188605e-07, 2.500001540086693e-08),
    ),
    expm1=(
        *(0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321653, 0.0013888888888962604),
        *(0.00019841269886073534, 2.4801587172233105e-05, 2.7557244254078655e-06, 2.755740277224724e-07),
        *(2.5109024508030398e-08, 2.0875330092719773e-09),
    ),
    tanh=(
        *(-0.3333333333333248, 0.13333333332781566, -0.053968252778252186),
        *(0.021869370435249447, -0.008857299443502316, 0.003444722953161607),
    ),
    log=(
        *(0.6666666666666734, 0.3999999999941495, 0.28571428742363714, 0.222221985720674),
        *(0.18183564563489954, 0.15314040058343706, 0.1479609730009143),
    ),
    root_half=0x3FE6A09E667F3BCD,
    least_normal=2.0**-1022,
)


class Elementary(LaneWords):
    """Writes elementary functions where the builder is."""

    def __init__(self, builder: Any, lanes: Lanes) -> None:
        super().__init__(builder, lanes)
        self.precision = DOUBLE if lanes.double else SINGLE

    def power_of_two(self, x: Value, per_unit: float, shift: int = 0) -> tuple[Value, Value]:
        """The integer n next to x per_unit, as a float, and 2^(n + shift), which is zero or infinite at the ends of the range."""
        lanes = self.lanes
        magic = 1.5 * 2.0**lanes.mantissa + lanes.bias + shift
        rounded = self.fma(x, per_unit, magic)
        bits = self.b.shl(self.b.bitcast(rounded, lanes.whole), lanes.const_whole(lanes.mantissa))
        return self.b.fsub(rounded, self.const(magic)), self.b.bitcast(bits, lanes.type)

    def plus_ln2(self, x: Value, n: Value, sign: int) -> Value:
        """X + sign n ln 2, with more bits of ln 2 than one number has."""
        return self.fma(n, sign * self.precision.ln2_low, self.fma(n, sign * self.precision.ln2_high, x))

    def exp(self, x: Value, lost: Value | None = None) -> Value:
        """e^(x + lost), where `lost` is what rounding took from x."""
        x = self.at_most(self.at_least(x, self.precision.exp_zero), self.precision.exp_infinite)
        n, _ = self.power_of_two(x, 1 / math.log(2))
        r = self.plus_ln2(x, n, -1)
        if lost is not None:
            r = self.b.fadd(r, lost)
        return self.scale(self.polynomial(r, self.precision.exp), n)

    def expm1(self, x: Value) -> Value:
        """e^x - 1, exact to the last bits near zero too."""
        # Half of the result first: the result may be finite although 2^n is infinite.
        half = self.expm1_scaled(x, -1)
        return self.b.fadd(half, half)

    def expm1_scaled(self, x: Value, shift: int) -> Value:
        """2^shift (e^x - 1), for a negative shift."""
        x = self.at_most(
            self.at_least(x, -self.precision.expm1_one), self.precision.exp_infinite - (shift + 1) * math.log(2)
        )
        n, power = self.power_of_two(x, 1 / math.log(2), shift)
        r = self.plus_ln2(x, n, -1)
        near_zero = self.fma(self.b.fmul(r, r), self.polynomial(r, self.precision.expm1), r)
        return self.fma(power, near_zero, self.b.fsub(power, self.const(2.0**shift)))

    def sigmoid(self, x: Value) -> Value:
        """1 / (1 + exp(-x)); the minus sign is put into the constants."""
        b, one, infinite = self.b, self.const(1.0), self.precision.exp_infinite
        inside = self.at_most(x, infinite - 1)
        if self.lanes.double:
            inside = self.at_least(inside, -infinite)
        n, power = self.power_of_two(inside, -1 / math.log(2))
        mirrored = [-c if i % 2 else c for i, c in enumerate(self.precision.exp)]
        below = self.fma(power, self.polynomial(self.plus_ln2(inside, n, 1), mirrored), one)
        if self.lanes.double:
            return b.fdiv(one, below)
        result = self.reciprocal_between(below)
        # If the result is not a normal number, 2^n is out of range: masking it here costs no more than bounding x before.
        return b.select(b.fcmp_ordered("<", x, self.const(-87.34)), self.const(0.0), result)

    def tanh(self, x: Value) -> Value:
        """Tanh, with 2 x = n ln 2 + 2 r, as (2^n (1 + tanh r) - (1 - tanh r)) / (2^n (1 + tanh r) + (1 - tanh r)).

        This is (exp(2x) - 1) / (exp(2x) + 1) in a form in which nothing cancels near zero, and which is never above 1.
        """
        b, one = self.b, self.const(1.0)
        x = self.at_most(self.at_least(x, -self.precision.tanh_one), self.precision.tanh_one)
        n, power = self.power_of_two(x, 2 / math.log(2))
        r = self.fma(n, -math.log(2) / 2, x)  # the result depends on r only if n is small: one constant is enough
        square = b.fmul(r, r)
        t = self.fma(b.fmul(r, square), self.polynomial(square, self.precision.tanh), r)
        less, more = b.fsub(power, one), b.fadd(power, one)
        return self.quotient_between(self.fma(more, t, less), self.fma(less, t, more))

    def reciprocal_between(self, x: Value) -> Value:
        """1 / x, if neither x nor 1 / x is near the ends of the exponent's range."""
        estimate = self.estimate(x)
        if estimate is None:
            return self.b.fdiv(self.const(1.0), x)
        return self.fma(estimate, self.fma(self.b.fneg(x), estimate, 1.0), estimate)

    def quotient_between(self, a: Value, d: Value) -> Value:
        """A / d, if neither a, d nor 1 / d is near the ends of the exponent's range."""
        estimate = self.estimate(d)
        if estimate is None:
            return self.b.fdiv(a, d)
        first = self.b.fmul(a, estimate)
        return self.fma(self.fma(self.b.fneg(d), first, a), estimate, first)

    def reciprocal(self, x: Value) -> Value:
        """1 / x."""
        one = self.const(1.0)
        # AVX2's estimate does not handle denormal numbers, for some of which 1 / x is finite.
        estimate = self.estimate(x) if host().has_avx512 else None
        if estimate is None:
            return self.b.fdiv(one, x)
        wrong = self.fma(self.b.fneg(x), estimate, one)
        # If the estimate is zero or infinite it is right, and its correction would be NaN.
        usable = self.b.fcmp_ordered("<", self.intrinsic("fabs", wrong), one)
        return self.b.select(usable, self.fma(estimate, wrong, estimate), estimate)

    def log_of_normal(self, x: Value, lost: Value | None = None, base: float = math.e) -> Value:
        """Log(x + lost), for finite positive x with a full mantissa; `lost` is what rounding took from x."""
        b, lanes, precision = self.b, self.lanes, self.precision
        bits, mantissa = b.bitcast(x, lanes.whole), lanes.const_whole(lanes.mantissa)
        n = b.ashr(b.sub(bits, lanes.const_whole(precision.root_half)), mantissa)
        exponent = b.shl(n, mantissa)
        f = b.fsub(b.bitcast(b.sub(bits, exponent), lanes.type), self.const(1.0))
        if lost is not None:
            power, none = b.sub(lanes.const_whole(lanes.bias << lanes.mantissa), exponent), lanes.const_whole(0)
            power = b.select(b.icmp_signed("<", power, none), none, power)  # 2^-n is out of range for the largest x
            f = self.fma(lost, b.bitcast(power, lanes.type), f)
        n = b.sitofp(n, lanes.type)
        if not lanes.double:
            rest = self.fma(b.fmul(f, f), self.polynomial(f, precision.log), f)
        else:
            s = b.fdiv(f, b.fadd(f, self.const(2.0)))
            square = b.fmul(s, s)
            # 2 artanh(s) begins with 2 s = f - s f, in which the rounding of s hardly matters.
            rest = self.fma(s, b.fsub(b.fmul(square, self.polynomial(square, precision.log)), f), f)
        if base != math.e:  # the rest of a power of two is 0, so its logarithm to the base 2 is exact
            rest = b.fmul(rest, self.const(1 / math.log(base)))
        return self.fma(n, math.log(2) / math.log(base), rest)

    def log(self, x: Value, base: float = math.e) -> Value:
        """The logarithm to a base."""
        b, precision = self.b, self.precision
        bits = self.lanes.mantissa + 1
        denormal = b.fcmp_ordered("<", x, self.const(precision.least_normal))
        normal = self.log_of_normal(b.select(denormal, b.fmul(x, self.const(2.0**bits)), x), base=base)
        less = self.const(bits * (math.log(2) / math.log(base)))
        scaled_back = b.fsub(normal, b.select(denormal, less, self.const(0.0)))
        return self.log_at_ends(x, scaled_back)

    def log_at_ends(self, x: Value, result: Value) -> Value:
        """`result` for finite positive x; for all other x what log gives there."""
        b, zero, infinite = self.b, self.const(0.0), self.const(math.inf)
        inside = b.and_(b.fcmp_ordered(">", x, zero), b.fcmp_ordered("<", x, infinite))
        at_zero = b.select(b.fcmp_ordered("==", x, zero), self.const(-math.inf), x)
        outside = b.select(b.fcmp_ordered("<", x, zero), self.const(math.nan), at_zero)
        return b.select(inside, result, outside)

    def log1p_of_finite(self, x: Value) -> tuple[Value, Value]:
        """1 + x, rounded, and log(1 + x), for finite x above -1."""
        above = self.b.fadd(self.const(1.0), x)
        lost = self.b.fsub(x, self.b.fsub(above, self.const(1.0)))
        return above, self.log_of_normal(above, lost)

    def log1p(self, x: Value) -> Value:
        """Log(1 + x), exact to the last bits near zero too."""
        above, result = self.log1p_of_finite(x)
        return self.log_at_ends(above, result)

    def softplus(self, x: Value) -> Value:
        """Log(1 + exp(x)), or x itself above 20, as in torch."""
        _, result = self.log1p_of_finite(self.exp(x))
        return self.b.select(self.b.fcmp_unordered(">", x, self.const(20.0)), x, result)  # unordered: NaN gives x

    def rsqrt(self, x: Value) -> Value:
        """1 / sqrt(x)."""
        return self.b.fdiv(self.const(1.0), self.intrinsic("sqrt", x))

    def extreme(self, a: Value, b: Value, sign: str) -> Value:
        """The smaller (`sign` "<") or the larger (">") of two numbers; NaN if either is NaN."""
        if isinstance(a, ir.Constant):
            a, b = b, a
        chosen = self.b.select(self.b.fcmp_ordered(sign, b, a), b, a)  # a when either is NaN
        if isinstance(b, ir.Constant):
            return chosen
        return self.b.select(self.b.fcmp_unordered("uno", b, b), b, chosen)
