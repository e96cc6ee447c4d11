"""Powers, remainders, hyperbolic functions and the error function on vectors, which steps need less often."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ostinato.kernels.cpu.code.circular import Circular
from ostinato.kernels.cpu.code.lanes import Lanes, Value


@dataclass(frozen=True)
class Errors:
    """What differs between float32 and float64 in the error function.

    Attributes:
        most: erf of more than this is 1.
        centre: the k in the formula of t below.
        erf: erf(x) / x - 1 in powers of x^2, |x| <= 1/2.
        erfcx: exp(x^2) erfc(x) (x + k) in powers of t = (x - k) / (x + k), 1/2 <= x <= `most`.
    """

    most: float
    centre: float
    erf: tuple[float, ...]
    erfcx: tuple[float, ...]


SINGLE = Errors(
    most=4.0,
    centre=2.0,
    erf=(0.12837916556754236, -0.3761260857423014, 0.11282822824485793, -0.026757184654695315, 0.00471799006701762),
    erfcx=(1.0215838681640108, -0.6871590437254692, 0.27929215359589965, -0.037911514125345956, -0.026138282185983804),
)
DOUBLE = Errors(
    most=6.0,
    centre=3.0,
    erf=(
        *(0.12837916709551256, -0.37612638903183465, 0.11283791670924816, -0.026866170632716322, 0.005223977370332407),
        *(-0.0008548297524748091, 0.00012053324323883583, -1.4845583855073263e-05, 1.472321535284886e-06),
    ),
    erfcx=(
        *(1.0740069070879552, -0.8833944531741684, 0.5902283574189523, -0.31046725255585933, 0.11952788042448666),
        *(-0.02682633637694905, -0.0012079559884239969, 0.0030494041383860213, -0.000510912157141849),
        *(-0.00021191328225427913, 0.00018638245504298443, 9.446172891951396e-05, 1.3250836274363154e-05),
    ),
)


class Special(Circular):
    """Writes these functions where the builder is."""

    @property
    def errors(self) -> Errors:
        """The constants of this precision."""
        return DOUBLE if self.lanes.double else SINGLE

    # the error function

    def erf(self, x: Value) -> Value:
        """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
        b, errors = self.b, self.errors
        size = self.at_most(self.intrinsic("fabs", x), errors.most)
        square = b.fmul(size, size)
        small = self.fma(size, self.polynomial(square, errors.erf), size)
        lost = self.intrinsic("fma", size, size, b.fneg(square))
        power = self.exp(b.fneg(square), b.fneg(lost))
        below = b.fadd(size, self.const(errors.centre))
        t = b.fdiv(b.fsub(size, self.const(errors.centre)), below)
        erfc = b.fmul(power, b.fdiv(self.polynomial(t, errors.erfcx), below))
        is_small = b.fcmp_ordered("<=", size, self.const(0.5))
        return self.intrinsic("copysign", b.select(is_small, small, b.fsub(self.const(1.0), erfc)), x)

    # powers and remainders

    def exp2(self, x: Value) -> Value:
        """2^x."""
        octaves = 1 / math.log(2)
        x = self.at_most(self.at_least(x, self.precision.exp_zero * octaves), self.precision.exp_infinite * octaves)
        n, _ = self.power_of_two(x, 1.0)
        rest = self.b.fmul(self.b.fsub(x, n), self.const(math.log(2)))
        return self.scale(self.polynomial(rest, self.precision.exp), n)

    def pow(self, x: Value, y: Value) -> Value:
        """X^y, with the results of C if either is zero, negative or infinite."""
        if self.lanes.double:  # log(x) would need more bits than there are
            return self.each_lane("pow", x, y)
        wide = Special(self.b, Lanes(self.lanes.count, double=True))
        result = wide.pow_of_few_bits(*(self.b.fpext(v, wide.lanes.type) for v in (x, y)))
        return self.b.fptrunc(result, self.lanes.type)

    def pow_of_few_bits(self, x: Value, y: Value) -> Value:
        """X^y, to about 40 bits."""
        b, one, zero = self.b, self.const(1.0), self.const(0.0)
        size = self.intrinsic("fabs", x)
        exponent = b.fmul(y, self.log(size))
        # Also if y is infinite, when the product is infinity times zero.
        exponent = b.select(b.fcmp_ordered("==", size, one), zero, exponent)
        result = self.exp(exponent)
        # Odd powers of a negative number are negative, even ones positive; others exist for zero and infinity only.
        whole = b.fcmp_ordered("==", self.intrinsic("floor", y), y)
        half = b.fmul(y, self.const(0.5))
        odd = b.and_(whole, b.fcmp_ordered("!=", self.intrinsic("floor", half), half))
        result = b.select(odd, self.intrinsic("copysign", result, x), result)
        negative = b.and_(b.fcmp_ordered("<", x, zero), b.fcmp_ordered(">", x, self.const(-math.inf)))
        result = b.select(b.and_(negative, b.not_(whole)), self.const(math.nan), result)
        return b.select(b.or_(b.fcmp_ordered("==", x, one), b.fcmp_ordered("==", y, zero)), one, result)

    def fmod(self, x: Value, y: Value) -> Value:
        """X - n y, where the integer n is x / y rounded towards zero; the result is exact."""
        b, zero, infinite = self.b, self.const(0.0), self.const(math.inf)
        n = self.intrinsic("trunc", b.fdiv(x, y))
        rest = self.intrinsic("fma", b.fneg(n), y, x)
        # The quotient may have been rounded up to n: then n is one too large.
        size = self.intrinsic("fabs", y)
        beyond = b.or_(
            b.and_(b.fcmp_ordered("<", x, zero), b.fcmp_ordered(">", rest, zero)),
            b.and_(b.fcmp_ordered(">", x, zero), b.fcmp_ordered("<", rest, zero)),
        )
        rest = b.select(beyond, b.fadd(rest, self.intrinsic("copysign", size, x)), rest)
        finite = b.fcmp_ordered("<", self.intrinsic("fabs", x), infinite)
        rest = b.select(b.and_(finite, b.fcmp_ordered("==", size, infinite)), x, rest)
        many = b.fcmp_ordered(">=", self.intrinsic("fabs", n), self.const(2.0**self.lanes.mantissa))
        return self.rarely(many, self.intrinsic("copysign", rest, x), "fmod", x, y)

    def hypot(self, x: Value, y: Value) -> Value:
        """Sqrt(x^2 + y^2), even if the squares are out of range."""
        b, one, infinite = self.b, self.const(1.0), self.const(math.inf)
        x, y = self.intrinsic("fabs", x), self.intrinsic("fabs", y)
        larger = b.fcmp_ordered(">", x, y)
        more, less = b.select(larger, x, y), b.select(larger, y, x)
        quotient = b.fdiv(less, b.select(b.fcmp_ordered("==", more, self.const(0.0)), one, more))
        result = b.fmul(more, self.intrinsic("sqrt", self.fma(quotient, quotient, one)))
        infinitely = b.or_(b.fcmp_ordered("==", x, infinite), b.fcmp_ordered("==", y, infinite))
        return b.select(infinitely, infinite, result)

    # hyperbolic functions

    def sinh(self, x: Value) -> Value:
        """(exp(x) - exp(-x)) / 2."""
        b = self.b
        quarter = self.expm1_scaled(self.intrinsic("fabs", x), -2)
        half = b.fadd(quarter, b.fdiv(quarter, self.fma(quarter, 4.0, 1.0)))
        return self.intrinsic("copysign", b.fadd(half, half), x)

    def cosh(self, x: Value) -> Value:
        """(exp(x) + exp(-x)) / 2."""
        b = self.b
        quarter = self.expm1_scaled(self.intrinsic("fabs", x), -2)
        return b.fadd(self.fma(quarter, 2.0, 0.5), b.fdiv(self.const(0.5), self.fma(quarter, 4.0, 1.0)))

    def asinh(self, x: Value) -> Value:
        """The number whose sinh is x."""
        b, one, size = self.b, self.const(1.0), self.intrinsic("fabs", x)
        square = b.fmul(size, size)
        root = self.intrinsic("sqrt", b.fadd(square, one))
        above = b.fadd(size, b.fdiv(square, b.fadd(root, one)))
        return self.intrinsic("copysign", self._log1p_of(above, size), x)

    def acosh(self, x: Value) -> Value:
        """The number that is not negative and whose cosh is x."""
        b = self.b
        more = b.fsub(x, self.const(1.0))
        root = b.fmul(self.intrinsic("sqrt", more), self.intrinsic("sqrt", b.fadd(more, self.const(2.0))))
        return self._log1p_of(b.fadd(more, root), x)

    def _log1p_of(self, above: Value, size: Value) -> Value:
        """Log(1 + above), or log(2 size) if size is so large that its square is out of range."""
        b = self.b
        large = b.fcmp_ordered(">", size, self.const(1e150 if self.lanes.double else 1e18))
        return b.fadd(
            self.log1p(b.select(large, size, above)), b.select(large, self.const(math.log(2)), self.const(0.0))
        )

    def atanh(self, x: Value) -> Value:
        """The number whose tanh is x."""
        b, size = self.b, self.intrinsic("fabs", x)
        twice = self.log1p(b.fdiv(b.fadd(size, size), b.fsub(self.const(1.0), size)))
        return self.intrinsic("copysign", b.fmul(twice, self.const(0.5)), x)
