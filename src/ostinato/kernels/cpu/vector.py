"""Pointwise operations on LLVM vectors, in as few instructions as their accuracy allows.

float32 results are within 4 units in the last place, float64 within 4 as well; NaN in gives NaN out, infinities go where they
should. Results too small for a normal number may be zero.

The polynomials are minimax fits (Remez' exchange) of the relative error on the interval that each comment names. How a
number is brought into it: `exp(x) = 2^n exp(r)` with `n` the whole number next to `x / ln 2`. That whole number comes from adding a
constant so large that the sum has no room for a fraction; its last bits are then `n`, and shifted up they are the exponent of `2^n`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llvmlite import ir

from ostinato.kernels.cpu.target import host

Value = ir.Value
Builder = ir.IRBuilder


@dataclass(frozen=True)
class Lanes:
    """How many numbers are worked on at once, and in which precision.

    Attributes:
        count: numbers in a vector, at least 1; LLVM splits what is wider than a register.
        double: float64 rather than float32.
    """

    count: int
    double: bool = False

    @property
    def scalar(self) -> ir.Type:
        """The type of one number."""
        return ir.DoubleType() if self.double else ir.FloatType()

    @property
    def type(self) -> ir.VectorType:
        """The type of a vector."""
        return ir.VectorType(self.scalar, self.count)

    @property
    def whole(self) -> ir.VectorType:
        """The type of a vector of whole numbers of the same size, for work on the bits."""
        return ir.VectorType(ir.IntType(64 if self.double else 32), self.count)

    @property
    def bits(self) -> int:
        """Of a vector."""
        return self.count * (64 if self.double else 32)

    @property
    def every(self) -> ir.Constant:
        """The mask of all lanes in the form of AVX-512's intrinsics."""
        return ir.Constant(ir.IntType(max(self.count, 8)), -1)

    def const(self, value: float) -> ir.Constant:
        """The same number in every lane."""
        return ir.Constant(self.type, [float(value)] * self.count)

    def const_whole(self, value: int) -> ir.Constant:
        """The same whole number in every lane."""
        return ir.Constant(self.whole, [value] * self.count)

    def splat(self, builder: Builder, scalar: Value) -> Value:
        """A number of the program in every lane."""
        first = builder.insert_element(ir.Constant(self.type, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        where = ir.Constant(ir.VectorType(ir.IntType(32), self.count), [0] * self.count)
        return builder.shuffle_vector(first, ir.Constant(self.type, ir.Undefined), where)


@dataclass(frozen=True)
class _Precision:
    """What differs between float32 and float64 in the same algorithm.

    Attributes:
        mantissa: bits of the mantissa that are stored.
        bias: of the exponent.
        ln2_high: the first bits of ln 2, so few that its product with an exponent is exact.
        ln2_low: the rest.
        exp_zero: below it exp is zero.
        exp_infinite: above it exp is infinite, with a little room.
        expm1_one: below minus this, expm1 is -1.
        tanh_one: above it tanh is 1.
        exp: exp(r), |r| <= ln 2 / 2.
        expm1: (exp(r) - 1 - r) / r^2, |r| <= ln 2 / 2.
        tanh: (tanh(r) - r) / r^3 in powers of r^2, |r| <= ln 2 / 4.
        log: float32: (log(1 + f) - f) / f^2, sqrt 1/2 <= 1 + f <= sqrt 2. float64: (2 artanh(s) - 2 s) / s^3 in powers of
            s^2, s = f / (2 + f).
        root_half: the bits of sqrt 1/2.
        least_normal: the smallest number with a full mantissa.
    """

    mantissa: int
    bias: int
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


_SINGLE = _Precision(
    mantissa=23,
    bias=127,
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
_DOUBLE = _Precision(
    mantissa=52,
    bias=1023,
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


class _Emitter:
    """Writes operations on vectors of one kind at the builder's place."""

    def __init__(self, builder: Builder, lanes: Lanes):
        self.b = builder
        self.lanes = lanes
        self.precision = _DOUBLE if lanes.double else _SINGLE

    # The words of which the functions are made.

    def const(self, value: float) -> ir.Constant:
        return self.lanes.const(value)

    def intrinsic(self, name: str, *args: Value) -> Value:
        """An intrinsic of LLVM from vectors to a vector, for any processor."""
        kind = "f64" if self.lanes.double else "f32"
        return _call(self.b, f"llvm.{name}.v{self.lanes.count}{kind}", self.lanes.type, args)

    def fma(self, a: Value, b: Value | float, c: Value | float) -> Value:
        """A b + c, rounded once where the processor can."""
        b, c = (self.const(v) if isinstance(v, float) else v for v in (b, c))
        return self.intrinsic("fmuladd", a, b, c)

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        *rest, leading = coefficients
        total: Value = self.const(leading)
        for coefficient in reversed(rest):
            total = self.fma(x, total, coefficient)
        return total

    def at_least(self, x: Value, low: float) -> Value:
        # A comparison with NaN is false and chooses x: NaN stays, and x86 has this very choice as one instruction.
        bound = self.const(low)
        return self.b.select(self.b.fcmp_ordered("<", x, bound), bound, x)

    def at_most(self, x: Value, high: float) -> Value:
        bound = self.const(high)
        return self.b.select(self.b.fcmp_ordered(">", x, bound), bound, x)

    def power_of_two(self, x: Value, per_unit: float, shift: int = 0) -> tuple[Value, Value]:
        """The whole number n next to x per_unit, as a number, and 2^(n + shift): zero and infinite at the exponent's ends."""
        precision = self.precision
        magic = 1.5 * 2.0**precision.mantissa + precision.bias + shift
        rounded = self.fma(x, per_unit, magic)
        bits = self.b.shl(self.b.bitcast(rounded, self.lanes.whole), self.lanes.const_whole(precision.mantissa))
        return self.b.fsub(rounded, self.const(magic)), self.b.bitcast(bits, self.lanes.type)

    def plus_ln2(self, x: Value, n: Value, sign: int) -> Value:
        """X + sign n ln 2, as if ln 2 had more bits than it has room for."""
        return self.fma(n, sign * self.precision.ln2_low, self.fma(n, sign * self.precision.ln2_high, x))

    def estimate(self, x: Value) -> Value | None:
        """1 / x to 12 bits or more, if the processor has an instruction for it that is much faster than a division."""
        target, b, lanes = host(), self.b, self.lanes
        if target.has_avx512:
            widths = (2, 4, 8) if lanes.double else (4, 8, 16)

            def rcp14(lanes: Lanes, x: Value) -> Value:
                name = f"llvm.x86.avx512.rcp14.p{'d' if lanes.double else 's'}.{lanes.bits}"
                return _call(b, name, lanes.type, [x, lanes.const(0.0), lanes.every])

            return _by_width(b, lanes, widths, rcp14, [x])
        if target.has_avx2 and not lanes.double:

            def rcp(lanes: Lanes, x: Value) -> Value:
                name = "llvm.x86.avx.rcp.ps.256" if lanes.count == 8 else "llvm.x86.sse.rcp.ps"
                return _call(b, name, lanes.type, [x])

            return _by_width(b, lanes, (4, 8), rcp, [x])
        return None

    def scale(self, x: Value, n: Value) -> Value:
        """X 2^n for a whole n of any size."""
        b, lanes, precision = self.b, self.lanes, self.precision
        if host().has_avx512:

            def scalef(lanes: Lanes, x: Value, n: Value) -> Value:
                name = f"llvm.x86.avx512.mask.scalef.p{'d' if lanes.double else 's'}.{lanes.bits}"
                nearest = [ir.Constant(ir.IntType(32), 4)] if lanes.bits == 512 else []
                return _call(b, name, lanes.type, [x, n, lanes.const(0.0), lanes.every, *nearest])

            return _by_width(b, lanes, (2, 4, 8) if lanes.double else (4, 8, 16), scalef, [x, n])
        # In two halves: 2^n itself may be too large or too small for an exponent where the result is not.
        whole = b.fptosi(n, lanes.whole)
        half = b.ashr(whole, lanes.const_whole(1))
        for part in (half, b.sub(whole, half)):
            exponent = b.add(part, lanes.const_whole(precision.bias))
            power = b.bitcast(b.shl(exponent, lanes.const_whole(precision.mantissa)), lanes.type)
            x = b.fmul(x, power)
        return x

    # The functions.

    def exp(self, x: Value) -> Value:
        x = self.at_most(self.at_least(x, self.precision.exp_zero), self.precision.exp_infinite)
        n, _ = self.power_of_two(x, 1 / math.log(2))
        return self.scale(self.polynomial(self.plus_ln2(x, n, -1), self.precision.exp), n)

    def expm1(self, x: Value) -> Value:
        x = self.at_most(self.at_least(x, -self.precision.expm1_one), self.precision.exp_infinite)
        # Half of the result, which has room where 2^n alone would be infinite already.
        n, half = self.power_of_two(x, 1 / math.log(2), shift=-1)
        r = self.plus_ln2(x, n, -1)
        near_zero = self.fma(self.b.fmul(r, r), self.polynomial(r, self.precision.expm1), r)
        result = self.fma(half, near_zero, self.b.fsub(half, self.const(0.5)))
        return self.b.fadd(result, result)

    def sigmoid(self, x: Value) -> Value:
        """1 / (1 + exp(-x)), with the minus in the constants."""
        b, one, infinite = self.b, self.const(1.0), self.precision.exp_infinite
        inside = self.at_most(x, infinite - 1)
        if self.lanes.double:
            inside = self.at_least(inside, -infinite)
        n, power = self.power_of_two(inside, -1 / math.log(2))
        mirrored = [-c if i % 2 else c for i, c in enumerate(self.precision.exp)]
        below = self.fma(power, self.polynomial(self.plus_ln2(inside, n, 1), mirrored), one)
        if self.lanes.double:
            return b.fdiv(one, below)
        estimate = self.estimate(below)
        if estimate is None:
            result = b.fdiv(one, below)
        else:
            result = self.fma(estimate, self.fma(b.fneg(below), estimate, one), estimate)
        # Where the result is no normal number, 2^n has left its range: a mask there costs no more than a bound before.
        return b.select(b.fcmp_ordered("<", x, self.const(-87.34)), self.const(0.0), result)

    def tanh(self, x: Value) -> Value:
        """With 2 x = n ln 2 + 2 r: (2^n (1 + tanh r) - (1 - tanh r)) / (2^n (1 + tanh r) + (1 - tanh r)).

        It is (exp(2x) - 1) / (exp(2x) + 1), put so that nothing cancels near zero, and that it is never above 1.
        """
        b, one = self.b, self.const(1.0)
        x = self.at_most(self.at_least(x, -self.precision.tanh_one), self.precision.tanh_one)
        n, power = self.power_of_two(x, 2 / math.log(2))
        r = self.fma(n, -math.log(2) / 2, x)  # n is small where the result depends on r: one constant is enough
        square = b.fmul(r, r)
        t = self.fma(b.fmul(r, square), self.polynomial(square, self.precision.tanh), r)
        less, more = b.fsub(power, one), b.fadd(power, one)
        return self.quotient(self.fma(more, t, less), self.fma(less, t, more))

    def quotient(self, a: Value, d: Value) -> Value:
        """A / d for finite numbers far from the ends of the exponent."""
        estimate = None if self.lanes.double else self.estimate(d)
        if estimate is None:
            return self.b.fdiv(a, d)
        first = self.b.fmul(a, estimate)
        return self.fma(self.fma(self.b.fneg(d), first, a), estimate, first)

    def reciprocal(self, x: Value) -> Value:
        one = self.const(1.0)
        # AVX2's estimate knows no denormal numbers, and 1 / x is finite for some of them.
        estimate = self.estimate(x) if host().has_avx512 and not self.lanes.double else None
        if estimate is None:
            return self.b.fdiv(one, x)
        wrong = self.fma(self.b.fneg(x), estimate, one)
        # Where the estimate is zero or infinite it is right, and what would correct it is NaN.
        usable = self.b.fcmp_ordered("<", self.intrinsic("fabs", wrong), one)
        return self.b.select(usable, self.fma(estimate, wrong, estimate), estimate)

    def log_of_normal(self, x: Value, lost: Value | None = None) -> Value:
        """Log(x + lost), for finite positive numbers with a full mantissa, and what was lost when x was rounded."""
        b, lanes, precision = self.b, self.lanes, self.precision
        bits = b.bitcast(x, lanes.whole)
        mantissa = lanes.const_whole(precision.mantissa)
        n = b.ashr(b.sub(bits, lanes.const_whole(precision.root_half)), mantissa)
        exponent = b.shl(n, mantissa)
        f = b.fsub(b.bitcast(b.sub(bits, exponent), lanes.type), self.const(1.0))
        if lost is not None:
            power = b.sub(lanes.const_whole(precision.bias << precision.mantissa), exponent)
            power = b.select(
                b.icmp_signed("<", power, lanes.const_whole(0)), lanes.const_whole(0), power
            )  # of the largest x
            f = self.fma(lost, b.bitcast(power, lanes.type), f)
        n = b.sitofp(n, lanes.type)
        if not lanes.double:
            rest = self.fma(b.fmul(f, f), self.polynomial(f, precision.log), f)
            return self.fma(n, math.log(2), rest)
        s = b.fdiv(f, b.fadd(f, self.const(2.0)))
        square = b.fmul(s, s)
        # 2 artanh(s) begins with 2 s = f - s f: the rounding of s does not count.
        rest = self.fma(s, b.fsub(b.fmul(square, self.polynomial(square, precision.log)), f), f)
        return self.fma(n, math.log(2), rest)

    def log(self, x: Value) -> Value:
        b, precision = self.b, self.precision
        bits = precision.mantissa + 1
        denormal = b.fcmp_ordered("<", x, self.const(precision.least_normal))
        normal = self.log_of_normal(b.select(denormal, b.fmul(x, self.const(2.0**bits)), x))
        scaled_back = b.fsub(normal, b.select(denormal, self.const(bits * math.log(2)), self.const(0.0)))
        return self.log_at_ends(x, scaled_back)

    def log_at_ends(self, x: Value, result: Value) -> Value:
        """The result for finite positive x; what log gives for the others."""
        b, zero, infinite = self.b, self.const(0.0), self.const(math.inf)
        inside = b.and_(b.fcmp_ordered(">", x, zero), b.fcmp_ordered("<", x, infinite))
        at_zero = b.select(b.fcmp_ordered("==", x, zero), self.const(-math.inf), x)
        outside = b.select(b.fcmp_ordered("<", x, zero), self.const(math.nan), at_zero)
        return b.select(inside, result, outside)

    def log1p_of_finite(self, x: Value) -> tuple[Value, Value]:
        """1 + x as it is rounded, and log(1 + x), for finite x above -1."""
        above = self.b.fadd(self.const(1.0), x)
        lost = self.b.fsub(x, self.b.fsub(above, self.const(1.0)))
        return above, self.log_of_normal(above, lost)

    def log1p(self, x: Value) -> Value:
        above, result = self.log1p_of_finite(x)
        return self.log_at_ends(above, result)

    def softplus(self, x: Value) -> Value:
        """Log(1 + exp(x)), and x itself above 20, as torch has it."""
        _, result = self.log1p_of_finite(self.exp(x))
        return self.b.select(self.b.fcmp_unordered(">", x, self.const(20.0)), x, result)  # unordered: NaN gives x

    def rsqrt(self, x: Value) -> Value:
        return self.b.fdiv(self.const(1.0), self.intrinsic("sqrt", x))

    def extreme(self, a: Value, b: Value, sign: str) -> Value:
        """The one that is `sign` the other, or NaN if either is."""
        if isinstance(a, ir.Constant):
            a, b = b, a
        chosen = self.b.select(self.b.fcmp_ordered(sign, b, a), b, a)  # a when either is NaN
        if isinstance(b, ir.Constant):
            return chosen
        return self.b.select(self.b.fcmp_unordered("uno", b, b), b, chosen)


_OPERATIONS: dict[str, Callable[..., Value]] = {
    "add": lambda e, a, b: e.b.fadd(a, b),
    "sub": lambda e, a, b: e.b.fsub(a, b),
    "mul": lambda e, a, b: e.b.fmul(a, b),
    "div": lambda e, a, b: e.b.fdiv(a, b),
    "neg": lambda e, a: e.b.fneg(a),
    "abs": lambda e, a: e.intrinsic("fabs", a),
    "sqrt": lambda e, a: e.intrinsic("sqrt", a),
    "rsqrt": _Emitter.rsqrt,
    "reciprocal": _Emitter.reciprocal,
    "exp": _Emitter.exp,
    "expm1": _Emitter.expm1,
    "log": _Emitter.log,
    "log1p": _Emitter.log1p,
    "sigmoid": _Emitter.sigmoid,
    "tanh": _Emitter.tanh,
    "softplus": _Emitter.softplus,
    "minimum": lambda e, a, b: e.extreme(a, b, "<"),
    "maximum": lambda e, a, b: e.extreme(a, b, ">"),
    "where": lambda e, condition, a, b: e.b.select(condition, a, b),
    "lt": lambda e, a, b: e.b.fcmp_ordered("<", a, b),
    "le": lambda e, a, b: e.b.fcmp_ordered("<=", a, b),
    "gt": lambda e, a, b: e.b.fcmp_ordered(">", a, b),
    "ge": lambda e, a, b: e.b.fcmp_ordered(">=", a, b),
    "eq": lambda e, a, b: e.b.fcmp_ordered("==", a, b),
    "ne": lambda e, a, b: e.b.fcmp_unordered("!=", a, b),
    "and": lambda e, a, b: e.b.and_(a, b),
    "or": lambda e, a, b: e.b.or_(a, b),
    "not": lambda e, a: e.b.not_(a),
}
OPERATIONS = frozenset(_OPERATIONS)


def emit(builder: Builder, lanes: Lanes, op: str, args: Sequence[Value]) -> Value:
    """Write an operation at the builder's place.

    Args:
        builder: inside a function of a module for the host: where the host has an instruction for it, it is used.
        lanes: of the arguments.
        op: one of `OPERATIONS`, with torch's meaning. A comparison gives a vector of single bits; "and", "or", "not" take
            such, and so does "where" first.
        args: vectors of `lanes.type`, as many as the operation takes.

    Raises:
        NotImplementedError: there is no such operation.
    """
    if op not in _OPERATIONS:
        raise NotImplementedError(f"expected one of {', '.join(sorted(OPERATIONS))}, got {op!r}")
    return _OPERATIONS[op](_Emitter(builder, lanes), *args)


def _call(builder: Builder, name: str, type: ir.Type, args: Sequence[Value]) -> Value:
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(type, [a.type for a in args]), name)
    return builder.call(function, args)


def _by_width(
    builder: Builder, lanes: Lanes, widths: Sequence[int], one: Callable[..., Value], args: Sequence[Value]
) -> Value:
    """An operation that exists for vectors of certain widths only, on vectors of any: filled up to one, or cut into the widest."""
    index = ir.IntType(32)
    width = min((w for w in widths if w >= lanes.count), default=max(widths))
    if width == lanes.count:
        return one(lanes, *args)

    def take(vector: Value, chosen: Sequence[int | None]) -> Value:
        places = [ir.Constant(index, ir.Undefined if i is None else i) for i in chosen]
        undefined = ir.Constant(vector.type, ir.Undefined)
        return builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(index, len(places)), places))

    result: Value = ir.Constant(lanes.type, ir.Undefined)
    for start in range(0, lanes.count, width):
        inside = range(start, min(start + width, lanes.count))
        parts = [take(a, [*inside, *[None] * (width - len(inside))]) for a in args]
        part = one(Lanes(width, lanes.double), *parts)
        spread = take(part, [i - start if i in inside else None for i in range(lanes.count)])
        places = [lanes.count + i if i in inside else i for i in range(lanes.count)]
        result = builder.shuffle_vector(result, spread, ir.Constant(ir.VectorType(index, lanes.count), places))
    return result
