"""Vectors in LLVM, and the short operations of which functions on vectors are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from ostinato.kernels.cpu.code.target import host

I32 = ir.IntType(32)
Value = Any  # a value in the function that is being written; llvmlite has no types


@dataclass(frozen=True)
class Lanes:
    """How many numbers are worked on at once, and in which precision.

    Attributes:
        count: numbers in a vector, at least 1; LLVM splits vectors that are wider than a register.
        double: whether numbers are float64 rather than float32.
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
        """The type of a vector of integers of the same size, for operations on the bits."""
        return ir.VectorType(ir.IntType(64 if self.double else 32), self.count)

    @property
    def mantissa(self) -> int:
        """The number of bits of the mantissa that are stored."""
        return 52 if self.double else 23

    @property
    def bias(self) -> int:
        """The bias: what is added to an exponent when it is stored."""
        return 1023 if self.double else 127

    @property
    def bits(self) -> int:
        """The bits of a vector."""
        return self.count * (64 if self.double else 32)

    @property
    def every(self) -> ir.Constant:
        """The mask of all lanes in the form of AVX-512's intrinsics."""
        return ir.Constant(ir.IntType(max(self.count, 8)), -1)

    def const(self, value: float) -> ir.Constant:
        """The same number in every lane."""
        return ir.Constant(self.type, [float(value)] * self.count)

    def const_whole(self, value: int) -> ir.Constant:
        """The same integer in every lane."""
        return ir.Constant(self.whole, [value] * self.count)

    def splat(self, builder: Any, scalar: Value) -> Value:
        """A number that is computed at run time, in every lane."""
        first = builder.insert_element(ir.Constant(self.type, ir.Undefined), scalar, ir.Constant(I32, 0))
        where = ir.Constant(ir.VectorType(I32, self.count), [0] * self.count)
        return builder.shuffle_vector(first, ir.Constant(self.type, ir.Undefined), where)


class LaneWords:
    """Writes short operations on vectors of one kind where the builder is."""

    def __init__(self, builder: Any, lanes: Lanes) -> None:
        self.b = builder
        self.lanes = lanes

    def const(self, value: float) -> ir.Constant:
        """The same number in every lane."""
        return self.lanes.const(value)

    def intrinsic(self, name: str, *args: Value) -> Value:
        """Call an intrinsic of LLVM from vectors to a vector, which exists for any processor."""
        kind = "f64" if self.lanes.double else "f32"
        return _call(self.b, f"llvm.{name}.v{self.lanes.count}{kind}", self.lanes.type, args)

    def fma(self, a: Value, b: Value | float, c: Value | float) -> Value:
        """A b + c, rounded once if the processor can do that."""
        b, c = (self.const(v) if isinstance(v, float) else v for v in (b, c))
        return self.intrinsic("fmuladd", a, b, c)

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """A polynomial of x; the first coefficient is the constant."""
        *rest, leading = coefficients
        total: Value = self.const(leading)
        for coefficient in reversed(rest):
            total = self.fma(x, total, coefficient)
        return total

    def each_lane(self, name: str, *args: Value) -> Value:
        """Call a function of C's library for one lane after the other; `name` is that of the function for float64."""
        lanes, module = self.lanes, self.b.module
        own = f"{name}.v{lanes.count}f{64 if lanes.double else 32}"
        function = module.globals.get(own)
        if function is None:
            # A function of its own, as it is called seldom: the registers of the code around it are then the function's concern.
            function = ir.Function(module, ir.FunctionType(lanes.type, [lanes.type] * len(args)), own)
            function.linkage = "internal"
            function.attributes.add("noinline")
            inner = ir.IRBuilder(function.append_basic_block())
            result: Value = ir.Constant(lanes.type, ir.Undefined)
            for lane in range(lanes.count):
                at = ir.Constant(I32, lane)
                numbers = [inner.extract_element(a, at) for a in function.args]
                one = _call(inner, name if lanes.double else f"{name}f", lanes.scalar, numbers)
                result = inner.insert_element(result, one, at)
            inner.ret(result)
        return self.b.call(function, args)

    def rarely(self, where: Value, usual: Value, name: str, *args: Value) -> Value:
        """`usual`, or the result of C's library in lanes where the condition holds; if it holds in none, that is not called."""
        somewhere = _call(self.b, f"llvm.vector.reduce.or.v{self.lanes.count}i1", ir.IntType(1), [where])
        before = self.b.block
        with self.b.if_then(somewhere, likely=False):
            slow = self.b.select(where, self.each_lane(name, *args), usual)
            inside = self.b.block
        result = self.b.phi(self.lanes.type)
        result.add_incoming(usual, before)
        result.add_incoming(slow, inside)
        return result

    # A comparison with NaN is false and chooses x, so that NaN is kept; and x86 has exactly this choice as one instruction.

    def at_least(self, x: Value, low: float) -> Value:
        """X, or `low` if x is below it."""
        bound = self.const(low)
        return self.b.select(self.b.fcmp_ordered("<", x, bound), bound, x)

    def at_most(self, x: Value, high: float) -> Value:
        """X, or `high` if x is above it."""
        bound = self.const(high)
        return self.b.select(self.b.fcmp_ordered(">", x, bound), bound, x)

    def estimate(self, x: Value) -> Value | None:
        """1 / x to 13 bits or more; None unless the processor has an instruction for it that is much faster than a division."""
        builder = self.b
        if self.lanes.double or not host().has_avx2:
            return None
        if host().has_avx512:

            def one(lanes: Lanes, x: Value) -> Value:
                every = lanes.every
                return _call(
                    builder, f"llvm.x86.avx512.rcp14.ps.{lanes.bits}", lanes.type, [x, lanes.const(0.0), every]
                )

            return _by_width(builder, self.lanes, (4, 8, 16), one, [x])

        def one_of_few_bits(lanes: Lanes, x: Value) -> Value:
            return _call(builder, f"llvm.x86.{'avx.rcp.ps.256' if lanes.count == 8 else 'sse.rcp.ps'}", lanes.type, [x])

        few = _by_width(builder, self.lanes, (4, 8), one_of_few_bits, [x])
        return self.fma(few, self.fma(builder.fneg(x), few, 1.0), few)  # 11 bits become 22

    def scale(self, x: Value, n: Value) -> Value:
        """X 2^n for an integer n; 2^n itself may be out of range if the product is not."""
        builder, lanes = self.b, self.lanes
        if host().has_avx512:

            def one(lanes: Lanes, x: Value, n: Value) -> Value:
                name = f"llvm.x86.avx512.mask.scalef.p{'d' if lanes.double else 's'}.{lanes.bits}"
                rounding = [ir.Constant(I32, 4)] if lanes.bits == 512 else []
                return _call(builder, name, lanes.type, [x, n, lanes.const(0.0), lanes.every, *rounding])

            return _by_width(builder, lanes, (2, 4, 8) if lanes.double else (4, 8, 16), one, [x, n])
        whole = builder.fptosi(n, lanes.whole)
        half = builder.ashr(whole, lanes.const_whole(1))
        for part in (half, builder.sub(whole, half)):
            exponent = builder.add(part, lanes.const_whole(lanes.bias))
            power = builder.bitcast(builder.shl(exponent, lanes.const_whole(lanes.mantissa)), lanes.type)
            x = builder.fmul(x, power)
        return x


def _call(builder: Any, name: str, type: ir.Type, args: Sequence[Value]) -> Value:
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(type, [a.type for a in args]), name)
    return builder.call(function, args)


def _by_width(
    builder: Any, lanes: Lanes, widths: Sequence[int], one: Callable[..., Value], args: Sequence[Value]
) -> Value:
    """Apply an operation that exists for certain widths only to vectors of any width: filled up to one, or cut into the widest."""
    width = min((w for w in widths if w >= lanes.count), default=max(widths))
    if width == lanes.count:
        return one(lanes, *args)

    def take(vector: Value, chosen: Sequence[int | None]) -> Value:
        # Indices past the vector's end take from the second vector, which is undefined.
        places = ir.Constant(ir.VectorType(I32, len(chosen)), [vector.type.count if i is None else i for i in chosen])
        return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), places)

    result: Value = ir.Constant(lanes.type, ir.Undefined)
    for start in range(0, lanes.count, width):
        inside = range(start, min(start + width, lanes.count))
        parts = [take(a, [*inside, *[None] * (width - len(inside))]) for a in args]
        part = one(Lanes(width, lanes.double), *parts)
        spread = take(part, [i - start if i in inside else None for i in range(lanes.count)])
        places = [lanes.count + i if i in inside else i for i in range(lanes.count)]
        result = builder.shuffle_vector(result, spread, ir.Constant(ir.VectorType(I32, lanes.count), places))
    return result
