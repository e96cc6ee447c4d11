"""The gradients of weights in machine code: transposed gradients of gates times what entered, over all rows of a sequence.

`weight_gradients(a, a_row, depth, begin, end, block, gates, table, count, scratch)` computes several products that share the same
gradients of gates, which are packed once for all: if what entered is narrow, packing takes as long as multiplying.
"""

from __future__ import annotations

from collections.abc import Iterator

from llvmlite import ir

from ostinato.kernels.cpu.code.builder import I64, POINTER, Code, Value
from ostinato.kernels.cpu.code.product import Shape, each_width, even_tiles, tile_function, widths

_ARGUMENTS = "*a a_row depth begin end block gates *table count *scratch"
# The numbers of an entry of the table, in order.
ENTRY = ("sources", "columns", "c", "c_row", "gate", "gates", "gate_rows", "first", "units", "add")
DEPTH = 512  # time steps times rows that a block of a weight gradient sums over: packed, they stay in the second cache
WIDTH = 256  # rows of the weight in such a block
COLUMNS = 1024  # of what entered: products with up to so many are computed together; with more, memory grows and little is gained
ROWS_AHEAD = 8  # how many rows ahead the gradients of a sequence are prefetched


def whole_panels(shape: Shape, columns: int) -> int:
    """Round a number of columns up to whole panels."""
    return -(-columns // shape.panel) * shape.panel


def scratch_bytes(shape: Shape, depth: int, columns: int, gates: int) -> int:
    """The bytes of `scratch` that `weight_gradients` needs for each thread.

    Args:
        shape: the shape of the vectors.
        depth: time steps times rows.
        columns: the columns of all products that are computed together, each in whole panels.
        gates: the largest number of gates.
    """
    return min(depth, DEPTH) * shape.bytes * (max(WIDTH, gates * shape.lanes) + columns)


def _tiles_of(code: Code, shape: Shape, columns: Value, count: Value) -> Iterator[tuple[int, Value, Value]]:
    """Loop over every panel, and for each over `count` vectors of A; yields (vectors in the panel, panel, number of the vector)."""
    with code.loop(0, code.ceil_div(columns, shape.panel)) as panel:
        for vectors in each_width(code, shape, code.sub(columns, code.mul(panel, shape.panel))):
            with code.loop(0, count) as n:
                yield vectors, panel, n


def write(module: ir.Module, shape: Shape) -> None:
    """Write `weight_gradients`: dW = A^T B over all rows of a sequence, for each entry of a table.

    `a` holds `depth` rows, `a_row` bytes apart. In a row, unit block v (`lanes` units) begins at `v block` and has `gates` vectors;
    an entry uses those from its `gate` on, as many as its own `gates`. `gate_rows[g]` is the first row of that gate in C, which has
    a row for each unit; the rows of the units from `first` up to `units` are written. `sources[k]` is the address of row k of B.
    The unit blocks from `begin` to `end` are computed.
    """
    code = Code(module, "weight_gradients", _ARGUMENTS)
    b, arg, size = code.builder, code.arg, shape.lanes * shape.bytes
    tiles = {(r, n): tile_function(module, shape, r, n, True) for r in range(1, shape.rows + 1) for n in widths(shape)}
    pack = module.globals["pack"]
    # The number of unit blocks that are packed together, at least one.
    together = code.max(code.div(WIDTH // shape.lanes, arg.gates), 1)
    most = code.min(arg.depth, DEPTH)
    packed = code.at(arg.scratch, code.mul(together, arg.gates, most, size))

    def every_entry(depth: Value) -> Iterator[tuple[dict[str, Value], Value]]:
        """Loop over the entries; yields the numbers of each, and the address of its packed B."""
        behind = code.slot(I64)
        b.store(code.int(0), behind)
        with code.loop(0, arg.count) as n:
            at = code.at(arg.table, code.mul(n, 8 * len(ENTRY)))
            entry = {name: code.load(code.at(at, 8 * k)) for k, name in enumerate(ENTRY)}
            here = b.load(behind, typ=I64)
            yield entry, code.at(packed, here)
            panels = code.ceil_div(entry["columns"], shape.panel)
            b.store(code.add(here, code.mul(panels, depth, shape.panel * shape.bytes)), behind)

    def address(number: Value) -> Value:
        return b.inttoptr(number, POINTER)

    with code.loop(0, arg.depth, DEPTH) as first:
        depth = code.min(code.sub(arg.depth, first), DEPTH)
        for entry, packed_b in every_entry(depth):
            sources = code.at(address(entry["sources"]), code.mul(first, 8))
            panels = code.ceil_div(entry["columns"], shape.panel)
            b.call(pack, [packed_b, sources, depth, entry["columns"], code.int(0), panels])
        is_later = b.zext(code.is_(first, ">", 0), I64)
        with code.loop(arg.begin, arg.end, together) as v0:
            blocks = code.min(code.sub(arg.end, v0), together)
            # Row by row, in the order of memory: column by column, each vector would be in another page.
            with code.loop(0, depth) as k, code.loop(0, blocks) as v:
                row = code.mul(code.add(first, k), arg.a_row)
                source = code.at(arg.a, row, code.mul(code.add(v0, v), arg.block))
                with code.loop(0, arg.gates) as g:
                    n = code.add(code.mul(v, arg.gates), g)
                    code.prefetch(code.at(source, code.mul(arg.a_row, ROWS_AHEAD), code.mul(g, size)))
                    to = code.at(arg.scratch, code.mul(n, depth, size), code.mul(k, size))
                    shape.store(code, shape.load(code, code.at(source, code.mul(g, size))), to)
            for entry, packed_b in every_entry(depth):
                columns, gates = entry["columns"], entry["gates"]
                for vectors, panel, n in _tiles_of(code, shape, columns, code.mul(blocks, gates)):
                    v, g = code.div(n, gates), b.urem(n, gates)
                    packed_a = code.add(code.mul(v, arg.gates), entry["gate"], g)
                    unit = code.mul(code.add(v0, v), shape.lanes)
                    row = code.add(code.load(code.at(address(entry["gate_rows"]), code.mul(g, 8))), unit)
                    before = code.max(code.sub(entry["first"], unit), 0)
                    count = code.sub(code.min(code.sub(entry["units"], unit), shape.lanes), before)
                    line = code.mul(panel, shape.panel * shape.bytes)
                    packed_panel = code.at(packed_b, code.mul(line, depth))
                    for _, start, rows in even_tiles(code, shape, count):
                        begin = code.add(start, before)
                        b.call(
                            tiles[rows, vectors],
                            [
                                code.at(arg.scratch, code.mul(packed_a, depth, size), code.mul(begin, shape.bytes)),
                                *(code.int(0), code.int(1), depth, code.int(0)),
                                packed_panel,
                                code.int(0),
                                code.at(address(entry["c"]), code.mul(code.add(row, begin), entry["c_row"]), line),
                                entry["c_row"],
                                code.sub(columns, code.mul(panel, shape.panel)),
                                b.or_(is_later, entry["add"]),
                                packed_panel,
                            ],
                        )
    code.end()
