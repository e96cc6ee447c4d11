"""How a stream holds its weights and multiplies by them: as they are, in bfloat16, or in int8 with a scale for each row.

Weights are stored as `[k][piece][lane]` for each block of units. The weights of one k or of two, which are loaded together, are a
*group*.

Sums are float32 or float64, and so is what enters. For int8 they are integers if the processor multiplies pairs of 16-bit numbers
and adds them up in 32 bits (x86's `pmaddwd`): four times as fast, since the weights need not be converted to float32 one by one.
What enters is then rounded to 16 bits, scaled by its largest number, and is thus 258 times finer than the weights. 512 products of
127 and 32767 fit in 32 bits; sums of that many are added up in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from llvmlite import ir
from torch.nn import functional as F

from ostinato.kernels.cpu.code.builder import I32, Code, Value
from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.code.target import host
from ostinato.types import Tensor

LARGEST = 127  # of int8, the same on both sides of zero
STEPS = 32767  # of 16 bits, the same on both sides of zero
FITTING = 512  # products of the two whose sum fits in 32 bits
SHIFT = 12582912.0  # 1.5 * 2^23: added to a float32 of less than 2^22, it leaves the rounded number in the lowest bits
I8, I16 = ir.IntType(8), ir.IntType(16)


@dataclass(frozen=True)
class Entering:
    """What is multiplied by the weights.

    Attributes:
        address: the address of the numbers.
        unit: the factor of a sum of these numbers, the same in every lane; None for 1.
    """

    address: Value
    unit: Value | None = None


class Exact:
    """Holds the weights as they are; the base of the other ways to hold them.

    Attributes:
        group: how many steps of k are loaded together.
        loads: the number of vectors in which a group is multiplied.
        fills: whether what enters is prepared by `enter`, and filled up to whole groups.
        most: the number of products that a sum has room for; None for any number.
    """

    group, loads, fills = 1, 1, False
    most: int | None = None

    def packed(self, weights: Tensor) -> Tensor:
        """Pack weights, from `(blocks, K, pieces, lanes)` to `(blocks, numbers)`."""
        return weights.reshape(len(weights), -1)

    def group_bytes(self, shape: Shape) -> int:
        """The bytes of the weights of one piece in one group."""
        return shape.lanes * shape.bytes

    def tail_bytes(self, shape: Shape) -> int:
        """The bytes that follow all groups, for each piece."""
        return 0

    def sums(self, shape: Shape) -> ir.Type:
        """The type of the sums."""
        return shape.vector

    def enter(self, code: Code, shape: Shape, address: Value, depth: Value, room: Value) -> Value | None:
        """Prepare `depth` numbers at an address, in `room`, and return their unit, one number. Only if it `fills`."""
        return None

    def number(self, code: Code, shape: Shape, entering: Entering, k: Value, more: int) -> Value:
        """The number that enters at k + more, in every lane."""
        place = code.at(entering.address, code.mul(k, shape.bytes), more * shape.bytes)
        return shape.splat(code, code.load(place, shape.scalar, shape.bytes))

    def load(self, code: Code, shape: Shape, address: Value) -> Sequence[Value]:
        """The weights of a group, a vector for each of `loads`."""
        return [shape.load(code, address)]

    def multiply_add(self, code: Code, shape: Shape, number: Value, weights: Value, total: Value) -> Value:
        """A sum to which one more product is added."""
        return shape.fma(code, number, weights, total)

    def total(self, code: Code, parts: Sequence[Value]) -> Value:
        """The total of sums that were computed side by side."""
        first, *rest = parts
        for each in rest:
            first = code.builder.fadd(first, each)
        return first

    def float(self, code: Code, shape: Shape, total: Value) -> Value:
        """A sum, converted to float."""
        return total

    def result(self, code: Code, shape: Shape, total: Value, entering: Entering, tail: Value) -> Value:
        """The product, given its sum as float; `tail` is the address of what follows the weights for this piece."""
        return total


class Halves(Exact):
    """Holds weights in bfloat16, the upper half of a float32: that of k in the low 16 of 32 bits, that of k + 1 in the high 16."""

    group, loads = 2, 2

    def packed(self, weights: Tensor) -> Tensor:
        """See `Exact`."""
        weights = F.pad(weights, (0, 0, 0, 0, 0, weights.shape[1] % 2))
        bits = weights.to(torch.bfloat16).view(torch.int16).to(torch.int32)
        return ((bits[:, 0::2] & 0xFFFF) | (bits[:, 1::2] << 16)).reshape(len(weights), -1)

    def load(self, code: Code, shape: Shape, address: Value) -> Sequence[Value]:
        """See `Exact`."""
        b, kind = code.builder, ir.VectorType(I32, shape.lanes)
        both = code.load(address, kind, shape.bytes)
        low = b.shl(both, ir.Constant(kind, [16] * shape.lanes))
        high = b.and_(both, ir.Constant(kind, [0xFFFF0000] * shape.lanes))
        return [b.bitcast(low, shape.vector), b.bitcast(high, shape.vector)]


class Bytes(Exact):
    """Holds weights in int8: w = q s, with s = max |w| / 127 of the row; the scales follow the block's weights, `[piece][lane]`."""

    def packed(self, weights: Tensor) -> Tensor:
        """See `Exact`."""
        whole, scale = scaled(weights, 1)
        parts = [self._grouped(whole), scale.contiguous().view(torch.int8)]
        return torch.cat([part.reshape(len(weights), -1) for part in parts], 1)

    def _grouped(self, whole: Tensor) -> Tensor:
        return whole

    def group_bytes(self, shape: Shape) -> int:
        """See `Exact`."""
        return self.group * shape.lanes

    def tail_bytes(self, shape: Shape) -> int:
        """See `Exact`."""
        return shape.lanes * shape.bytes

    def load(self, code: Code, shape: Shape, address: Value) -> Sequence[Value]:
        """See `Exact`."""
        small = code.load(address, ir.VectorType(I8, shape.lanes), 1)
        return [code.builder.sitofp(code.builder.sext(small, ir.VectorType(I32, shape.lanes)), shape.vector)]

    def result(self, code: Code, shape: Shape, total: Value, entering: Entering, tail: Value) -> Value:
        """See `Exact`."""
        return code.builder.fmul(total, shape.load(code, tail))


class PairsOfBytes(Bytes):
    """Holds weights in int8 and sums integers: those of k and k + 1 are side by side in a lane; a zero follows an odd last one."""

    group, fills, most = 2, True, FITTING

    def _grouped(self, whole: Tensor) -> Tensor:
        whole = F.pad(whole, (0, 0, 0, 0, 0, whole.shape[1] % 2))
        return torch.stack([whole[:, 0::2], whole[:, 1::2]], -1)  # (blocks, K / 2, pieces, lanes, 2)

    def sums(self, shape: Shape) -> ir.Type:
        """See `Exact`."""
        return ir.VectorType(I32, shape.lanes)

    def enter(self, code: Code, shape: Shape, address: Value, depth: Value, room: Value) -> Value | None:
        """See `Exact`. NaN and infinity make the unit NaN or infinite, and with it every product."""
        b, bits = code.builder, ir.VectorType(I32, shape.lanes)
        largest = code.slot(bits, ir.Constant(bits, None))
        blocks = code.ceil_div(depth, shape.lanes)

        def numbers(i: Value) -> Value:
            mask = shape.mask(code, code.sub(depth, code.mul(i, shape.lanes)))
            return shape.load(code, code.at(address, code.mul(i, shape.lanes * shape.bytes)), mask)

        with code.loop(0, blocks) as i:
            # The bits of absolute values, read as integers, have the same order as the values, with NaN above all.
            size = b.and_(b.bitcast(numbers(i), bits), ir.Constant(bits, [0x7FFFFFFF] * shape.lanes))
            b.store(_larger(code, shape, b.load(largest, typ=bits), size), largest)
        size = b.bitcast(_largest(code, shape, b.load(largest, typ=bits)), shape.scalar)
        steps = ir.Constant(shape.scalar, float(STEPS))
        zero = ir.Constant(shape.scalar, 0.0)
        per_unit = b.select(b.fcmp_ordered(">", size, zero), b.fdiv(steps, size), zero)
        wide, shift = shape.splat(code, per_unit), ir.Constant(shape.vector, [SHIFT] * shape.lanes)
        with code.loop(0, blocks) as i:
            moved = b.bitcast(b.fadd(b.fmul(numbers(i), wide), shift), bits)
            small = b.trunc(moved, ir.VectorType(I16, shape.lanes))
            code.store(small, code.at(room, code.mul(i, shape.lanes * 2)), 2)
        return b.fdiv(size, steps)

    def number(self, code: Code, shape: Shape, entering: Entering, k: Value, more: int) -> Value:
        """See `Exact`."""
        b, kind = code.builder, ir.VectorType(I32, shape.lanes)
        pair = code.load(code.at(entering.address, code.mul(k, 2), 2 * more), I32, 4)
        one = b.insert_element(ir.Constant(kind, ir.Undefined), pair, ir.Constant(I32, 0))
        wide = b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(kind, [0] * shape.lanes))
        return b.bitcast(wide, ir.VectorType(I16, 2 * shape.lanes))

    def load(self, code: Code, shape: Shape, address: Value) -> Sequence[Value]:
        """See `Exact`."""
        small = code.load(address, ir.VectorType(I8, 2 * shape.lanes), 1)
        return [code.builder.sext(small, ir.VectorType(I16, 2 * shape.lanes))]

    def multiply_add(self, code: Code, shape: Shape, number: Value, weights: Value, total: Value) -> Value:
        """See `Exact`."""
        name = _MULTIPLY_PAIRS[shape.lanes]
        return code.builder.add(total, code.call(name, ir.VectorType(I32, shape.lanes), number, weights))

    def total(self, code: Code, parts: Sequence[Value]) -> Value:
        """See `Exact`."""
        first, *rest = parts
        for each in rest:
            first = code.builder.add(first, each)
        return first

    def float(self, code: Code, shape: Shape, total: Value) -> Value:
        """See `Exact`."""
        return code.builder.sitofp(total, shape.vector)

    def result(self, code: Code, shape: Shape, total: Value, entering: Entering, tail: Value) -> Value:
        """See `Exact`."""
        return code.builder.fmul(code.builder.fmul(total, entering.unit), shape.load(code, tail))


_MULTIPLY_PAIRS = {
    4: "llvm.x86.sse2.pmadd.wd",
    8: "llvm.x86.avx2.pmadd.wd",
    16: "llvm.x86.avx512.pmaddw.d.512",
}


def _has_pairs() -> bool:
    """Whether the processor multiplies pairs of 16-bit numbers, in vectors of the size that is used."""
    machine = host()
    return machine.is_x86 and (not machine.has_avx512 or machine.has("avx512bw"))


def _larger(code: Code, shape: Shape, a: Value, b: Value) -> Value:
    return code.builder.select(code.builder.icmp_unsigned(">", a, b), a, b)


def _largest(code: Code, shape: Shape, vector: Value) -> Value:
    kind = ir.VectorType(I32, shape.lanes)
    assert vector.type == kind
    return code.call(f"llvm.vector.reduce.umax.v{shape.lanes}i32", I32, vector)


def scaled(weights: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Weights in int8, and their scales: max |w| / 127 over `dim`, which stays as a dimension of 1. Rows of zeros have scale 0."""
    scale = weights.abs().amax(dim, keepdim=True) / LARGEST
    return (weights / scale.where(scale > 0, 1.0)).round().to(torch.int8), scale


def rounded(matrix: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A matrix, `(rows, K)`, rounded as in a stream that holds it in `dtype`; None leaves it as it is."""
    if dtype is torch.int8:
        whole, scale = scaled(matrix, 1)
        return whole * scale
    return matrix if dtype is None else matrix.to(dtype).to(matrix.dtype)


def held_as(dtype: torch.dtype | None, heads: int = 1) -> Exact:
    """The way to hold a product's weights in `dtype`: None for as they are, or bfloat16, or int8.

    Args:
        dtype: the dtype in which to hold them.
        heads: the heads of the product. With heads, a block of units reads a part of what enters; a pair of k could cross its
            border.
    """
    if dtype is None:
        return Exact()
    if dtype is torch.bfloat16:
        return Halves()
    return PairsOfBytes() if heads == 1 and _has_pairs() else Bytes()
