"""Checksums of the bits of a tensor, which show a write that leaves no other trace, such as one through `.data`.

Weights change in patterns: a sign is flipped, numbers are multiplied by a power of two, rows change places, a constant is added. So
a plain sum is not enough: such changes cancel each other in any sum modulo a power of two, whatever the weights of its terms. Two
sums over words of 64 bits are kept for each of eight lanes:

- A sum of products. To each half of a word a key of its own is added, modulo 2^32, and the two halves are multiplied to 64 bits
(NH,
  of UMAC: Black et al. 1999; with random keys two sequences have equal sums with a probability of 2^-32, in each lane in which they
  differ). Every 1 KB the sum itself is mixed by a bijection, so that the keys can be used again.
- A sum of the words themselves. If the key takes one half to zero, the product does not depend on the other half, but this sum
does:
  a single word that changes is always seen.

The sums of all lanes and of all threads' shares are stored side by side and compared one by one; adding them up would lose
information.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from llvmlite import ir

from ostinato.kernels.cpu.code.builder import I8, I32, I64, POINTER, Code, Value
from ostinato.kernels.cpu.threads.cores import threads_for
from ostinato.kernels.cpu.threads.openmp import InTurn, run
from ostinato.types import Tensor

LANES = 8  # of 64 bits
STRIPE = 8 * LANES  # bytes that are read at once
STRIPES = 16  # stripes that have different keys; then the keys begin again
STATE = 2 * STRIPE  # bytes of the two sums
_WORDS, _SUMS = ir.VectorType(I32, 2 * LANES), ir.VectorType(I64, LANES)
_MIXED, _FACTOR = 29, 0x9E3779B97F4A7C15  # a shift and an odd number, for the bijection


def _keys() -> list[int]:
    """Pseudorandom keys, the same in every process."""
    drawn = hashlib.shake_256(b"keys of the checksum").digest(STRIPES * STRIPE)
    return [int.from_bytes(drawn[at : at + 4], "little") for at in range(0, len(drawn), 4)]


def write(module: ir.Module) -> None:
    """Write `checksum_share`, to be run by `region`.

    Fields: the address of the bits, how many bytes (whole words of 32 bits), and where to write; each thread writes `STATE` bytes.
    """
    code = Code(module, "checksum_share", "*fields thread threads")
    b, arg, keys = code.builder, code.arg, _keys()
    source, to = (code.load(code.at(arg.fields, 8 * n), POINTER) for n in (0, 2))
    bytes_ = code.load(code.at(arg.fields, 8))
    begin, end = (
        code.div(code.mul(code.ceil_div(bytes_, STRIPE), n), arg.threads) for n in (arg.thread, code.add(arg.thread, 1))
    )
    products, words = (code.slot(_SUMS, ir.Constant(_SUMS, None)) for _ in range(2))

    def add(read: Value, key: Value) -> None:
        moved = b.bitcast(b.add(read, key), _SUMS)
        low = b.and_(moved, _all(0xFFFFFFFF))
        product = b.mul(low, b.lshr(moved, _all(32)))
        code.store(b.add(code.load(products, _SUMS), product), products)
        code.store(b.add(code.load(words, _SUMS), b.bitcast(read, _SUMS)), words)

    whole = code.sub(code.min(end, code.div(bytes_, STRIPE)), begin)
    rest = code.add(begin, code.mul(code.div(whole, STRIPES), STRIPES))
    with code.loop(begin, rest, STRIPES) as first:
        for n in range(STRIPES):
            key = ir.Constant(_WORDS, keys[2 * LANES * n : 2 * LANES * (n + 1)])
            add(code.load(code.at(source, code.mul(first, STRIPE), n * STRIPE), _WORDS, 4), key)
        mixed = code.load(products, _SUMS)
        mixed = b.xor(mixed, b.lshr(mixed, _all(_MIXED)))
        code.store(b.mul(mixed, _all(_FACTOR)), products)
    table = ir.GlobalVariable(module, ir.ArrayType(I32, len(keys)), "checksum_keys")
    table.linkage, table.global_constant = "internal", True
    table.initializer = ir.Constant(table.value_type, keys)  # pyright: ignore[reportAttributeAccessIssue]
    with code.loop(rest, end) as n:
        at = code.mul(n, STRIPE)
        read = code.call(
            "llvm.masked.load.v16i32.p0",
            _WORDS,
            *(code.at(source, at), ir.Constant(I32, 4), _first(code, code.div(code.sub(bytes_, at), 4))),
            ir.Constant(_WORDS, None),
        )
        key = b.gep(table, [code.mul(code.sub(n, rest), STRIPE)], source_etype=I8)
        add(read, code.load(key, _WORDS, 4))
    for n, each in enumerate((products, words)):
        code.store(code.load(each, _SUMS), code.at(to, code.mul(arg.thread, STATE), n * STRIPE))
    code.end()


def _all(number: int) -> ir.Constant:
    return ir.Constant(_SUMS, [number] * LANES)


def _first(code: Code, count: Value) -> Value:
    """A mask of the first `count` words of a stripe, or of all if it has fewer."""
    b = code.builder
    clamped = b.trunc(code.min(count, 2 * LANES), I32)
    one = b.insert_element(ir.Constant(_WORDS, ir.Undefined), clamped, ir.Constant(I32, 0))
    wide = b.shuffle_vector(one, ir.Constant(_WORDS, ir.Undefined), ir.Constant(_WORDS, [0] * 2 * LANES))
    return b.icmp_unsigned("<", ir.Constant(_WORDS, list(range(2 * LANES))), wide)


class Checksum:
    """The checksum of one tensor of 32-bit or 64-bit numbers.

    It depends on the number of threads too, so compare it only within a process.

    Args:
        v: the tensor, contiguous; the caller keeps it alive, at the same address.
        functions: addresses of the functions that all cells share.
    """

    def __init__(self, v: Tensor, functions: Mapping[str, int]) -> None:
        self._bytes = v.numel() * v.itemsize
        self._region, self._share = functions["region"], functions["checksum_share"]
        self._from = v.data_ptr()
        self._place: tuple[int, Any, Any] = (0, None, None)

    def taken(self) -> bytes:
        """The checksum of the bits as they are now."""
        threads = threads_for(self._bytes)
        if threads != self._place[0]:
            made = ctypes.create_string_buffer(STATE * threads)
            self._place = threads, made, (ctypes.c_int64 * 3)(self._from, self._bytes, ctypes.addressof(made))
        # Python threads that get here at the same time write the same numbers.
        _, sums, fields = self._place
        run(self._region, self._share, ctypes.addressof(fields), threads)
        return sums.raw


class Checksums:
    """The checksums of several tensors, taken in one call by one thread."""

    def __init__(self, tensors: Sequence[Tensor], functions: Mapping[str, int]) -> None:
        count = len(tensors)
        self._sums = ctypes.create_string_buffer(STATE * count)
        start = ctypes.addressof(self._sums)
        numbers = [n for at, v in enumerate(tensors) for n in (v.data_ptr(), v.nbytes, start + STATE * at)]
        self._fields = (ctypes.c_int64 * (3 * count))(*numbers)
        fields, share = ctypes.addressof(self._fields), functions["checksum_share"]
        self._run = InTurn(functions, [(share, fields + 24 * at) for at in range(count)])

    def taken(self) -> bytes:
        """The checksums of the bits as they are now."""
        self._run()
        return self._sums.raw
