"""Matrix products in machine code: packed panels, tiles of accumulators, and the packing itself.

All products are C[m, n] (+)= sum over k of A[m, k] B[k, n], with B packed into *panels* of a few vectors:
`panel[k][vectors][lane]`, one panel right behind the other. Every element of C is summed over k in order, one fused multiply-add
after the other, however the work is divided; so no result depends on the number of threads or on what other rows are computed.

The functions of the module (addresses and byte strides, 64-bit integers):

- `multiply(a, row, runs, run, jump, panels, panel, c, c_row, rows, columns, add)`: A's element (m, k) is the k-th number from
  `a + m row` on, where after every `run` steps the address jumps by `jump` more; there are `runs` runs. Panels are `panel` bytes
  apart. `columns` are valid (stores past them are masked); with `add` the product is added to what C holds.
- `pack(to, sources, depth, columns, begin, end)`: make panels of rows: `sources[k]` is the address of row k of B, or 0 for a row of
  zeros. The panels from `begin` to `end` are made.
- `pack_transposed(...)`: make panels of columns: `sources[n]` is the address of column n of B, or 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llvmlite import ir

from ostinato.kernels.cpu.code.builder import I32, I64, POINTER, Code, Int, Value


@dataclass(frozen=True)
class Shape:
    """The shape of the vectors and tiles of one machine and one dtype.

    Attributes:
        lanes: numbers in a vector.
        double: whether numbers are float64; else they are float32.
        registers: the number of vector registers of the machine.
    """

    lanes: int
    double: bool
    registers: int

    @property
    def bytes(self) -> int:
        """The bytes of one number."""
        return 8 if self.double else 4

    @property
    def scalar(self) -> ir.Type:
        """The LLVM type of a number."""
        return ir.DoubleType() if self.double else ir.FloatType()

    @property
    def vector(self) -> ir.VectorType:
        """The LLVM type of a vector."""
        return ir.VectorType(self.scalar, self.lanes)

    @property
    def suffix(self) -> str:
        """The end of the names of LLVM's intrinsics on these vectors."""
        return f"v{self.lanes}f{64 if self.double else 32}"

    @property
    def rows(self) -> int:
        """The rows of the largest tile; it leaves registers for a row of the panel and a broadcast."""
        return 6 if self.registers >= 32 else 4

    @property
    def across(self) -> int:
        """The vectors in one row of a panel: many, so that each number of A that is loaded is multiplied by many of B."""
        return 4 if self.registers >= 32 else 2

    @property
    def panel(self) -> int:
        """The numbers in one row of a panel."""
        return self.across * self.lanes

    def zero(self) -> ir.Constant:
        """A vector of zeros."""
        return ir.Constant(self.vector, None)

    def splat(self, code: Code, number: Value) -> Value:
        """A vector that holds one number in every lane."""
        b = code.builder
        one = b.insert_element(ir.Constant(self.vector, ir.Undefined), number, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return b.shuffle_vector(one, ir.Constant(self.vector, ir.Undefined), zeros)

    def total(self, code: Code, vector: Value) -> Value:
        """The sum of all lanes, by halves: lane after lane, each of sixteen additions would wait for the one before."""
        kind = ir.FunctionType(self.scalar, [self.scalar, self.vector])
        name = f"llvm.vector.reduce.fadd.{self.suffix}"
        module = code.function.module
        function = module.globals.get(name) or ir.Function(module, kind, name)
        return code.builder.call(function, [ir.Constant(self.scalar, -0.0), vector], fastmath=("reassoc",))

    def mask(self, code: Code, valid: Int) -> Value:
        """`<lanes x i1>`: True in the first `valid` lanes (any number, also negative or more than there are)."""
        b, kind = code.builder, ir.VectorType(I32, self.lanes)
        clamped = b.trunc(code.max(code.min(valid, self.lanes), 0), I32)
        one = b.insert_element(ir.Constant(kind, ir.Undefined), clamped, ir.Constant(I32, 0))
        wide = b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(kind, [0] * self.lanes))
        return b.icmp_unsigned("<", ir.Constant(kind, list(range(self.lanes))), wide)

    def load(self, code: Code, address: Value, mask: Value | None = None) -> Value:
        """Load a vector from an address of any alignment; with a mask, the other lanes are zero and their memory is not read."""
        if mask is None:
            return code.load(address, self.vector, self.bytes)
        name = f"llvm.masked.load.{self.suffix}.p0"
        return code.call(name, self.vector, address, ir.Constant(I32, self.bytes), mask, self.zero())

    def store(self, code: Code, value: Value, address: Value, mask: Value | None = None) -> None:
        """Store a vector to an address of any alignment; with a mask, only the lanes for which it is true."""
        if mask is None:
            code.store(value, address, self.bytes)
        else:
            name = f"llvm.masked.store.{self.suffix}.p0"
            code.call(name, ir.VoidType(), value, address, ir.Constant(I32, self.bytes), mask)

    def fma(self, code: Code, a: Value, b: Value, c: Value) -> Value:
        """`a b + c`, rounded once."""
        return code.call(f"llvm.fma.{self.suffix}", self.vector, a, b, c)


_TILE = "*a row runs run jump *panels panel *c c_row columns add *ahead"
LOCAL_BLOCKS = 4  # unit blocks that are multiplied and used at once; with any number of gates, they fill whole panels
AHEAD = 4  # cache lines of the next panel that are prefetched meanwhile
UNROLLED = 4  # steps of k whose addresses are computed together


def tile_function(module: ir.Module, shape: Shape, rows: int, vectors: int, packed: bool) -> ir.Function:
    """Write a function for one tile, C[rows, vectors], whose accumulators stay in registers over all of k.

    The vectors are of one panel or of several. `packed`: A is stored as `[k][lane]`; if not, a row is contiguous. Either way most
    addresses differ by constants, which leaves the ports of the processor to the multiplications.
    """
    code = Code(module, f"tile_{rows}_{vectors}" + "_packed" * packed, _TILE)
    code.function.linkage = "internal"
    b, arg, panels = code.builder, code.arg, -(-vectors // shape.across)
    size = shape.lanes * shape.bytes
    step = size if packed else shape.bytes
    accumulators = [[code.slot(shape.vector) for _ in range(vectors)] for _ in range(rows)]
    whole = code.is_(arg.columns, ">=", vectors * shape.lanes)
    every = [
        (slot, code.at(arg.c, code.mul(arg.c_row, r), n * size), n)
        for r, row in enumerate(accumulators)
        for n, slot in enumerate(row)
    ]

    def masks() -> list[Value]:
        return [shape.mask(code, code.sub(arg.columns, n * shape.lanes)) for n in range(vectors)]

    for slot, _, _ in every:
        b.store(shape.zero(), slot)
    with code.when(code.is_(arg.add, "!=", 0)):
        with code.when(whole):
            for slot, address, _ in every:
                b.store(shape.load(code, address), slot)
        with code.when(b.not_(whole)):
            valid = masks()
            for slot, address, n in every:
                b.store(shape.load(code, address, valid[n]), slot)
    at_a, at_b = code.slot(I64, code.int(0)), code.slot(I64, code.int(0))

    def steps(count: int) -> None:
        offset_a, offset_b = b.load(at_a, typ=I64), b.load(at_b, typ=I64)
        starts = [
            code.at(code.at(arg.a, r * shape.bytes if packed else code.mul(arg.row, r)), offset_a) for r in range(rows)
        ]
        lines = [code.at(arg.panels, code.mul(arg.panel, n), offset_b) for n in range(panels)]
        if count > 1:
            for line in range(AHEAD):
                code.prefetch(
                    code.at(arg.ahead, code.div(offset_b, UNROLLED * shape.across * size // (64 * AHEAD)), line * 64)
                )
        for k in range(count):
            columns = [
                shape.load(code, code.at(lines[n // shape.across], (k * shape.across + n % shape.across) * size))
                for n in range(vectors)
            ]
            for r, row in enumerate(accumulators):
                wide = shape.splat(code, code.load(code.at(starts[r], k * step), shape.scalar, shape.bytes))
                for n, slot in enumerate(row):
                    b.store(shape.fma(code, wide, columns[n], b.load(slot, typ=shape.vector)), slot)
        b.store(code.add(offset_a, count * step), at_a)
        b.store(code.add(offset_b, count * shape.across * size), at_b)

    whole_steps = code.div(arg.run, UNROLLED)
    with code.loop(0, arg.runs):
        with code.loop(0, whole_steps):
            steps(UNROLLED)
        with code.loop(code.mul(whole_steps, UNROLLED), arg.run):
            steps(1)
        b.store(code.add(b.load(at_a, typ=I64), arg.jump), at_a)
    with code.when(whole):
        for slot, address, _ in every:
            shape.store(code, b.load(slot, typ=shape.vector), address)
    with code.when(b.not_(whole)):
        valid = masks()
        for slot, address, n in every:
            shape.store(code, b.load(slot, typ=shape.vector), address, valid[n])
    code.end()
    return code.function


def widths(shape: Shape) -> list[int]:
    """The numbers of vectors of a panel that a tile may have: a last panel may have few columns."""
    return [n for n in (1, 2, 4) if n < shape.across] + [shape.across]


def each_width(code: Code, shape: Shape, columns: Value) -> Iterator[int]:
    """Choose the fewest vectors that hold so many columns; yields each possible number where the code for it is to be written."""
    least = 0
    for vectors in widths(shape):
        fits = code.is_(columns, "<=", vectors * shape.lanes) if vectors < shape.across else code.is_(columns, ">", 0)
        with code.when(code.builder.and_(fits, code.is_(columns, ">", least * shape.lanes))):
            yield vectors
        least = vectors


def even_tiles(code: Code, shape: Shape, rows: Value) -> Iterator[tuple[Value, Value, int]]:
    """Divide rows into the fewest tiles, of sizes as even as possible: seven rows cost less as four and three than as six and one.

    Yields (number of the tile, its first row, its rows) where the code for that size is to be written.
    """
    count = code.ceil_div(rows, shape.rows)
    each, more = code.div(rows, count), code.builder.urem(rows, count)
    with code.loop(0, count) as t:
        first = code.add(code.mul(t, each), code.min(t, more))
        here = code.choose(code.is_(t, "<", more), code.add(each, 1), each)
        for size in code.cases(here, range(1, shape.rows + 1)):
            yield t, first, size


MULTIPLY = "*a row runs run jump *panels panel *c c_row rows columns add"


def _multiply(module: ir.Module, shape: Shape) -> None:
    """Write `multiply`, which computes all tiles of a product.

    The outer loop is over panels, so that a panel stays in the first cache while all rows are multiplied by it.
    """
    code = Code(module, "multiply", MULTIPLY)
    b = code.builder
    width = shape.panel
    # Few rows leave the multipliers idle unless several panels are worked on at once.
    together = {rows: 8 // (rows * shape.across) for rows in range(1, shape.rows) if rows * shape.across < 8}
    counts = {r: {*widths(shape), shape.across * together.get(r, 1)} for r in range(1, shape.rows + 1)}
    tiles = {(r, n): tile_function(module, shape, r, n, False) for r, each in counts.items() for n in sorted(each)}
    panels = code.ceil_div(code.arg.columns, width)
    # Each tile prefetches a part of the next panel, so that it is there when its turn comes.
    each_part = code.mul(code.div(code.arg.panel, UNROLLED * shape.panel * shape.bytes), 64 * AHEAD)
    parts = code.int(UNROLLED * shape.panel * shape.bytes // (64 * AHEAD) - 1)

    def tile(rows: int, vectors: int, panel: Value, row: Value, part: Value) -> None:
        count = -(-vectors // shape.across)
        following = code.add(panel, count)
        following = code.choose(code.is_(following, "<", panels), following, 0)
        ahead = code.at(code.arg.panels, code.mul(following, code.arg.panel), code.mul(part, each_part))
        b.call(
            tiles[rows, vectors],
            [
                code.at(code.arg.a, code.mul(row, code.arg.row)),
                *(code.arg.row, code.arg.runs, code.arg.run, code.arg.jump),
                code.at(code.arg.panels, code.mul(panel, code.arg.panel)),
                code.arg.panel,
                code.at(code.arg.c, code.mul(row, code.arg.c_row), code.mul(panel, width * shape.bytes)),
                code.arg.c_row,
                code.sub(code.arg.columns, code.mul(panel, width)),
                code.arg.add,
                ahead,
            ],
        )

    for few, count in together.items():
        with code.when(code.is_(code.arg.rows, "==", few)):
            grouped = code.mul(code.div(panels, count), count)
            with code.loop(0, grouped, count) as panel:
                tile(few, count * shape.across, panel, code.int(0), code.int(0))
            with code.loop(grouped, panels) as panel:
                for vectors in each_width(code, shape, code.sub(code.arg.columns, code.mul(panel, width))):
                    tile(few, vectors, panel, code.int(0), code.int(0))
            b.ret_void()
    with code.loop(0, panels) as panel:
        for vectors in each_width(code, shape, code.sub(code.arg.columns, code.mul(panel, width))):
            for t, row, rows in even_tiles(code, shape, code.arg.rows):
                tile(rows, vectors, panel, row, code.min(t, parts))
    code.end()


_PACK = "*to *sources depth columns begin end"
SHARE = "*fields thread threads"
# Which half of the backward pass to run: the time loop, what comes behind it (which needs all rows), or both.
BOTH, TIME, BEHIND = range(3)


def _pack(module: ir.Module, shape: Shape) -> None:
    """Write `pack`, which packs rows into panels: a copy of a panel's width for every row and panel."""
    code = Code(module, "pack", _PACK)
    b, size = code.builder, shape.lanes * shape.bytes
    wide = shape.across * size
    with code.loop(code.arg.begin, code.arg.end) as panel:
        left = code.sub(code.arg.columns, code.mul(panel, shape.panel))
        whole = code.is_(left, ">=", shape.panel)
        valid = [shape.mask(code, code.sub(left, n * shape.lanes)) for n in range(shape.across)]
        first = code.at(code.arg.to, code.mul(panel, code.arg.depth, wide))
        for masks in (None, valid):
            with code.when(whole if masks is None else b.not_(whole)), code.loop(0, code.arg.depth) as k:
                source = code.load(code.at(code.arg.sources, code.mul(k, 8)))
                row = b.inttoptr(code.add(source, code.mul(panel, wide)), POINTER)
                to = code.at(first, code.mul(k, wide))
                nothing = code.is_(source, "==", 0)
                with code.when(nothing):
                    for n in range(shape.across):
                        shape.store(code, shape.zero(), code.at(to, n * size))
                with code.when(b.not_(nothing)):
                    for n in range(shape.across):
                        value = shape.load(code, code.at(row, n * size), None if masks is None else masks[n])
                        shape.store(code, value, code.at(to, n * size))
    code.end()


def _transposed(code: Code, shape: Shape, rows: list[Value]) -> list[Value]:
    """Transpose a square matrix of as many vectors as lanes: blocks of half its size change places, then blocks within these."""
    b, kind = code.builder, ir.VectorType(I32, shape.lanes)
    lanes, distance = shape.lanes, shape.lanes // 2
    while distance:
        low = [j if not j & distance else lanes + j - distance for j in range(lanes)]
        high = [j + distance if not j & distance else lanes + j for j in range(lanes)]
        for i in range(lanes):
            if not i & distance:
                pair = rows[i], rows[i + distance]
                rows[i] = b.shuffle_vector(*pair, ir.Constant(kind, low))
                rows[i + distance] = b.shuffle_vector(*pair, ir.Constant(kind, high))
        distance //= 2
    return rows


def _pack_transposed(module: ir.Module, shape: Shape) -> None:
    """Write `pack_transposed`, which packs columns into panels: squares of as many columns as lanes are transposed in registers."""
    code = Code(module, "pack_transposed", _PACK)
    b, arg, lanes = code.builder, code.arg, shape.lanes
    wide = shape.panel * shape.bytes

    def source_of(column: Value) -> Value:
        inside = code.is_(column, "<", arg.columns)
        at = code.choose(inside, column, 0)
        return code.choose(inside, code.load(code.at(arg.sources, code.mul(at, 8))), 0)

    with code.loop(arg.begin, arg.end) as panel, code.loop(0, shape.across) as vector:
        first = code.at(arg.to, code.mul(panel, arg.depth, wide), code.mul(vector, lanes * shape.bytes))
        columns = [source_of(code.add(code.mul(panel, shape.panel), code.mul(vector, lanes), n)) for n in range(lanes)]
        there = [code.is_(source, "!=", 0) for source in columns]
        all_there = there[0]
        for each in there[1:]:
            all_there = b.and_(all_there, each)
        squares = code.choose(all_there, code.mul(code.div(arg.depth, lanes), lanes), 0)
        with code.loop(0, squares, lanes) as k:
            rows = [shape.load(code, b.inttoptr(code.add(c, code.mul(k, shape.bytes)), POINTER)) for c in columns]
            for n, row in enumerate(_transposed(code, shape, rows)):
                shape.store(code, row, code.at(first, code.mul(code.add(k, n), wide)))
        # The rest: the last steps of k, and columns past the last one.
        with code.loop(0, lanes) as n:
            source = source_of(code.add(code.mul(panel, shape.panel), code.mul(vector, lanes), n))
            to = code.at(first, code.mul(n, shape.bytes))
            with code.when(code.is_(source, "==", 0)), code.loop(squares, arg.depth) as k:
                code.store(ir.Constant(shape.scalar, 0.0), code.at(to, code.mul(k, wide)), shape.bytes)
            with code.when(code.is_(source, "!=", 0)), code.loop(squares, arg.depth) as k:
                number = b.inttoptr(code.add(source, code.mul(k, shape.bytes)), POINTER)
                code.store(code.load(number, shape.scalar, shape.bytes), code.at(to, code.mul(k, wide)), shape.bytes)
    code.end()


def _share(module: ir.Module, shape: Shape, name: str) -> None:
    """Write a packing function to be run by `region`: each thread packs some panels. Fields: to, sources, depth, columns."""
    code = Code(module, f"{name}_share", SHARE)
    arg = code.arg
    to, sources = (code.load(code.at(arg.fields, 8 * n), POINTER) for n in range(2))
    depth, columns = (code.load(code.at(arg.fields, 8 * n)) for n in (2, 3))
    panels = code.ceil_div(columns, shape.panel)
    begin, end = (code.div(code.mul(panels, n), arg.threads) for n in (arg.thread, code.add(arg.thread, 1)))
    code.builder.call(module.globals[name], [to, sources, depth, columns, begin, end])
    code.end()


def module(shape: Shape) -> ir.Module:
    """Make the module of these functions for one dtype."""
    made = ir.Module(f"product_{shape.suffix}")
    _multiply(made, shape)
    _pack(made, shape)
    _pack_transposed(made, shape)
    for name in ("pack", "pack_transposed"):
        _share(made, shape, name)
    return made
