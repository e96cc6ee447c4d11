"""Matrix products in bfloat16 on the processor's matrix unit: Intel's AMX, tiles of 16 rows of 64 bytes.

`multiply_tiles` takes the arguments of `multiply` in `product` and is called instead of it. A, C and the sums are float32 as there,
but the numbers of A are rounded to bfloat16, and the panels of B are *paired*: instead of the rows k and k + 1 of a panel there is
one row of 32-bit words, with the number of row k in the lower half and that of row k + 1 in the upper half, and zeros up to a whole
number of tiles. They are stored in the first half of the memory that the panel had in float32.

Every element of C is summed over k in the order of the tiles, however the work is divided, as in `product`.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator

from llvmlite import ir

from ostinato.kernels.cpu.code.builder import I8, I32, I64, POINTER, Code, Int, Value
from ostinato.kernels.cpu.code.product import MULTIPLY, SHARE, Shape
from ostinato.kernels.cpu.code.target import host

ROWS = 16  # rows of a tile of A and C
DEPTH = 32  # numbers of A in a row of a tile
LINE = 64  # bytes in a row of any tile
TILE = ROWS * LINE
LEAST_DEPTH = 16  # with less, the tiles of a panel need more memory than the panel has
A_BYTES = 1 << 17  # of A in bfloat16, which stay in the second cache while they are multiplied by all panels
MOST_DEPTH = 1 << 14  # 32 rows of this depth are a megabyte of the thread's stack

_ARCH_REQ_XCOMP_PERM, _XTILEDATA = 0x1023, 18
_SYS_ARCH_PRCTL = 158


@functools.cache
def has_tiles() -> bool:
    """Whether this process may use the tiles; this asks the system for permission."""
    if not sys.platform.startswith("linux") or host().architecture != "x86_64":
        return False
    if not host().has_avx512 or not host().has("amx-tile", "amx-bf16", "avx512bf16"):
        return False
    # Linux saves these 8 KB of registers only for processes that have asked for them (its Documentation/arch/x86/xstate.rst).
    return ctypes.CDLL(None).syscall(_SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XTILEDATA) == 0


class _BFloat(ir.Type):
    """LLVM's type `bfloat`, which llvmlite lacks."""

    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


def _rounded(code: Code, shape: Shape, value: Value) -> Value:
    """A vector of float32 as bfloat16, `<lanes x i16>`."""
    b = code.builder
    return b.bitcast(
        b.fptrunc(value, ir.VectorType(_BFloat(), shape.lanes)), ir.VectorType(ir.IntType(16), shape.lanes)
    )


def _tile(number: int) -> ir.Constant:
    return ir.Constant(I8, number)


def _configuration() -> ir.Constant:
    """A configuration of eight tiles of 16 rows of 64 bytes (Intel, Software Developer's Manual, volume 1, 18.3, palette 1)."""
    numbers = [0] * 64
    numbers[0] = 1
    for tile in range(8):
        numbers[16 + 2 * tile], numbers[48 + tile] = LINE, ROWS
    return ir.Constant(ir.ArrayType(I8, 64), numbers)


@contextlib.contextmanager
def _configured(code: Code) -> Iterator[None]:
    """Configure the tiles, and release them at the end; other code in the process configures them for itself."""
    module = code.function.module
    configuration = ir.GlobalVariable(module, ir.ArrayType(I8, 64), "configuration")
    configuration.global_constant, configuration.linkage = True, "internal"
    configuration.initializer = _configuration()  # pyright: ignore[reportAttributeAccessIssue]
    code.call("llvm.x86.ldtilecfg", ir.VoidType(), configuration)
    yield
    code.call("llvm.x86.tilerelease", ir.VoidType())


def _multiply_tiles(module: ir.Module, shape: Shape) -> None:
    """Write `multiply_tiles`.

    The outer loop is over groups of rows, which stay in the second cache; then come panels, and in a panel blocks of four tiles of
    C.
    """
    code = Code(module, "multiply_tiles", MULTIPLY)
    b, arg = code.builder, code.arg
    depth = code.mul(arg.runs, arg.run)
    tiles = code.ceil_div(depth, DEPTH)  # the number of tiles in a row of A
    group = code.max(code.mul(code.div(A_BYTES // (2 * ROWS * TILE), tiles), 2 * ROWS), 2 * ROWS)
    group = code.min(group, code.mul(code.ceil_div(arg.rows, 2 * ROWS), 2 * ROWS))
    a, c = (_memory(b, size) for size in (code.mul(code.div(group, ROWS), tiles, TILE), code.int(4 * TILE)))
    with _configured(code), code.loop(0, arg.rows, group) as first:
        rows = code.min(code.sub(arg.rows, first), group)
        _round_rows(code, shape, a, first, rows, tiles)
        with code.loop(0, code.ceil_div(arg.columns, shape.panel)) as panel:
            columns = code.sub(arg.columns, code.mul(panel, shape.panel))
            panel_at = code.at(arg.panels, code.mul(panel, arg.panel))
            c_at = code.at(arg.c, code.mul(first, arg.c_row), code.mul(panel, shape.panel * shape.bytes))
            pairs = code.div(rows, 2 * ROWS)
            more = code.is_(code.sub(rows, code.mul(pairs, 2 * ROWS)), ">", ROWS)
            pairs = code.choose(more, code.add(pairs, 1), pairs)
            with code.loop(0, code.min(code.ceil_div(columns, 2 * ROWS), 2)) as half:
                b_at, offset = code.at(panel_at, code.mul(half, 2 * LINE)), code.mul(half, 2 * ROWS)
                with code.loop(0, pairs) as pair:
                    row = code.mul(pair, 2 * ROWS)
                    to = code.at(c_at, code.mul(row, arg.c_row), code.mul(offset, shape.bytes))
                    left = code.sub(columns, offset)
                    a_at = code.at(a, code.mul(pair, tiles, 2 * TILE))
                    _block(code, shape, (2, 2), a_at, b_at, tiles, c, to, code.sub(rows, row), left)
            row = code.mul(pairs, 2 * ROWS)
            with code.when(code.is_(row, "<", rows)):
                to, a_at = code.at(c_at, code.mul(row, arg.c_row)), code.at(a, code.mul(pairs, tiles, 2 * TILE))
                _block(code, shape, (1, 4), a_at, panel_at, tiles, c, to, code.sub(rows, row), columns)
    code.end()


def _memory(builder: ir.IRBuilder, bytes_: Value) -> Value:
    """Memory on the stack, aligned to cache lines."""
    made = builder.alloca(I8, bytes_)
    made.align = LINE  # pyright: ignore[reportAttributeAccessIssue]
    # llvmlite's pointer has the type of what it points to; ours have none.
    return builder.inttoptr(builder.ptrtoint(made, I64), POINTER)


def _round_rows(code: Code, shape: Shape, a: Value, first: Value, rows: Value, tiles: Value) -> None:
    """Write rows of A as tiles: `[rows / 16][tile][row][32]`, with zeros behind the last number."""
    arg, half = code.arg, shape.lanes * 2
    with code.loop(0, rows) as r:
        source = code.at(arg.a, code.mul(code.add(first, r), arg.row))
        to = code.at(a, code.mul(code.div(r, ROWS), tiles, TILE), code.mul(code.builder.urem(r, code.int(ROWS)), LINE))
        at = code.slot(I64, code.int(0))  # vectors that are done
        jumps = code.add(code.mul(arg.run, shape.bytes), arg.jump)

        def store(value: Value, vector: Value, to: Value = to) -> None:
            place = code.add(
                code.mul(code.div(vector, 2), TILE), code.mul(code.builder.urem(vector, code.int(2)), half)
            )
            code.store(_rounded(code, shape, value), code.at(to, place), 2)

        # Only if there is a single run may it end in the middle of a vector.
        with code.loop(0, arg.runs) as run:
            begin = code.at(source, code.mul(run, jumps))
            whole = code.div(arg.run, shape.lanes)
            done = code.load(at)
            with code.loop(0, whole) as n:
                store(shape.load(code, code.at(begin, code.mul(n, shape.lanes * shape.bytes))), code.add(done, n))
            left = code.sub(arg.run, code.mul(whole, shape.lanes))
            end = code.add(done, whole)
            with code.when(code.is_(left, ">", 0)):
                rest = code.at(begin, code.mul(whole, shape.lanes * shape.bytes))
                store(shape.load(code, rest, shape.mask(code, left)), end)
            code.store(code.add(end, code.choose(code.is_(left, ">", 0), 1, 0)), at)
        with code.loop(code.load(at), code.mul(tiles, DEPTH // shape.lanes)) as n:
            store(shape.zero(), n)


def _block(code: Code, shape: Shape, size: tuple[int, int], a: Value, b: Value, tiles: Value, c: Value, to: Value,
           rows: Value, columns: Value) -> None:  # fmt: skip
    """Compute a block of `size` (down, across) tiles of C, summed over all of k, and store it in C."""
    down, across = size
    a_tiles = list(range(down * across, down * across + down))
    b_tiles = [7 - n % 2 for n in range(across)]

    def load(tile: int, address: Value, stride: Int) -> None:
        code.call("llvm.x86.tileloadd64", ir.VoidType(), _tile(tile), address, code.int(stride))

    for n in range(down * across):
        code.call("llvm.x86.tilezero", ir.VoidType(), _tile(n))
    with code.loop(0, tiles) as k:
        for n, tile in enumerate(a_tiles):
            load(tile, code.at(a, code.mul(code.add(k, code.mul(tiles, n)), TILE)), LINE)
        for n, tile in enumerate(b_tiles):
            wide = shape.across * LINE
            load(tile, code.at(b, code.mul(k, ROWS * wide), n * LINE), wide)
            for m in range(down):
                code.call("llvm.x86.tdpbf16ps", ir.VoidType(), *map(_tile, (m * across + n, a_tiles[m], tile)))
    row_bytes = across * LINE
    for m in range(down):
        for n in range(across):
            place = code.at(c, m * ROWS * row_bytes + n * LINE)
            code.call("llvm.x86.tilestored64", ir.VoidType(), _tile(m * across + n), place, code.int(row_bytes))
    valid = [shape.mask(code, code.sub(columns, n * shape.lanes)) for n in range(across)]
    with code.loop(0, code.min(rows, down * ROWS)) as r:
        for n, mask in enumerate(valid):
            address = code.at(to, code.mul(r, code.arg.c_row), n * LINE)
            value = shape.load(code, code.at(c, code.mul(r, row_bytes), n * LINE))
            before = code.slot(shape.vector, shape.zero())
            with code.when(code.is_(code.arg.add, "!=", 0)):
                code.store(shape.load(code, address, mask), before)
            shape.store(code, code.builder.fadd(code.load(before, shape.vector), value), address, mask)


def _pair(module: ir.Module, shape: Shape) -> None:
    """Write `pair_share`, to be run by `region`: panels of float32 become paired, in place. Fields: panels, how many, depth."""
    code = Code(module, "pair_share", SHARE)
    b, arg = code.builder, code.arg
    panels = code.load(arg.fields, POINTER)
    count, depth = (code.load(code.at(arg.fields, 8 * n)) for n in (1, 2))
    size = shape.lanes * shape.bytes
    wide = shape.across * size
    words = ir.VectorType(I32, shape.lanes)
    begin, end = (code.div(code.mul(count, n), arg.threads) for n in (arg.thread, code.add(arg.thread, 1)))
    with code.loop(begin, end) as panel:
        first = code.at(panels, code.mul(panel, depth, wide))
        with code.loop(0, code.ceil_div(depth, 2)) as k:
            row = code.at(first, code.mul(k, 2 * wide))
            # Past the last row, the last one is read again, and its half is set to zero.
            is_pair = code.is_(code.add(code.mul(k, 2), 1), "<", depth)
            next_row = code.choose(is_pair, code.at(row, wide), row)
            halves = [
                [
                    b.zext(_rounded(code, shape, shape.load(code, code.at(at, n * size))), words)
                    for n in range(shape.across)
                ]
                for at in (row, next_row)
            ]
            for n, (low, high) in enumerate(zip(*halves, strict=True)):
                high = b.select(is_pair, b.shl(high, ir.Constant(words, [16] * shape.lanes)), ir.Constant(words, None))
                code.store(b.or_(low, high), code.at(first, code.mul(k, wide), n * size), 4)
        with code.loop(code.ceil_div(depth, 2), code.mul(code.ceil_div(depth, DEPTH), DEPTH // 2)) as k:
            for n in range(shape.across):
                shape.store(code, shape.zero(), code.at(first, code.mul(k, wide), n * size))
    code.end()


def module(shape: Shape) -> ir.Module:
    """Make the module of these functions."""
    made = ir.Module("tiles")
    _multiply_tiles(made, shape)
    _pair(made, shape)
    return made
