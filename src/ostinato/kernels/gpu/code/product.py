"""Products within the step: what enters, with all its units, times the columns of a matrix that a program owns.

One `tl.dot` of three dimensions multiplies `split` runs of columns side by side; Triton gives each to a warp. So no warp repeats
the work of another, although few rows and units are multiplied at once. With heads, a matrix has blocks on the diagonal only: a
program sums over the columns of those heads only to which its units belong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ostinato.kernels.gpu.code.blocks import Blocks, power
from ostinato.kernels.gpu.code.memory import Memory, matrix_rows
from ostinato.kernels.gpu.code.writer import Writer


class ProductText:
    """Writes one product of one part.

    Args:
        memory: the memories of the part.
        number: the number of the product.
        widths: the number of units by letter.
        blocks: the tiles.

    Attributes:
        number: the number of the product.
        pieces: the number of tiles that it gives.
        space: the space of the result.
    """

    def __init__(self, memory: Memory, number: int, widths: Mapping[str, int], blocks: Blocks) -> None:
        self._memory, self._blocks, self.number = memory, blocks, number
        plan = memory.plan
        self._product = product = plan.program.products[number]
        self.is_forward, self._heads = memory.is_forward, product.heads
        self._gates, self._rows = matrix_rows(plan, number, widths)
        self._given, self._entered = widths[product.space], widths[product.entered]
        self._columns = self._entered // self._heads  # columns of the stored matrix
        self.pieces = product.pieces if self.is_forward else 1
        self.space = product.space if self.is_forward else product.entered
        self._order = (0,) if self.is_forward else tuple(plan.du[number].order)

    @property
    def _summed(self) -> int:
        """How many units of a piece are summed over: all, or those of the heads to which a program's units may belong."""
        given, entered = (self._given, self._entered) if self.is_forward else (self._entered, self._given)
        if self._heads == 1:
            return entered
        of_head = given // self._heads
        heads = min(self._heads, (self._blocks.units - 1) // of_head + 2)
        return heads * (entered // self._heads)

    @property
    def total(self) -> int:
        """The number of columns that it sums over."""
        return len(self._order) * self._summed

    @property
    def starts(self) -> list[int]:
        """The columns at which the tiles of the weights begin."""
        return list(range(0, self.total, self._blocks.depth))

    @property
    def depth(self) -> int:
        """The number of columns of a tile that it sums over."""
        return self._blocks.depth

    @property
    def tile_columns(self) -> int:
        """The width of a tile of the weights, with all pieces side by side."""
        return power(self.pieces) * self._blocks.units

    def names(self) -> list[str]:
        """The names of the tiles of weights that stay."""
        return [f"w{self.number}_{n}" for n in range(len(self.starts))]

    def _first(self) -> str:
        """The expression for the first unit of a piece that is summed over."""
        if self._heads == 1:
            return "0"
        given, entered = (self._given, self._entered) if self.is_forward else (self._entered, self._given)
        return f"(tl.program_id(0) * BLOCK_U // {given // self._heads}) * {entered // self._heads}"

    def setup(self, writer: Writer) -> None:
        """Write the expressions that all tiles share, before a loop over them begins."""
        for at in ("None, None, :", "None, :, None"):
            self._columns_of_tile(writer, at)
        if self.is_forward:
            self._own(writer)
        else:
            writer.shared("cols[None, :, :]", "own")

    @staticmethod
    def _columns_of_tile(writer: Writer, at: str) -> str:
        run = writer.shared("tl.arange(0, SPLIT)[:, None, None] * BLOCK_K", "run")
        return writer.shared(f"{run} + tl.arange(0, BLOCK_K)[{at}]", "k")

    def _own(self, writer: Writer) -> tuple[str, str]:
        """For the columns of the result of a tile: the piece of each, and its unit."""
        columns = f"tl.arange(0, {self.tile_columns})[None, None, :]"
        own = f"tl.program_id(0) * BLOCK_U + {columns} % BLOCK_U"
        return writer.shared(f"{columns} // BLOCK_U", "gate"), writer.shared(own, "own")

    def _k(self, writer: Writer, start: str, at: str) -> tuple[str, str, str]:
        """For the columns that a tile sums over: the number of each, its piece, and its unit in that; `at` gives the axes."""
        k = self._columns_of_tile(writer, at)
        k = k if start == "0" else writer.new(f"{k} + {start}", "k")
        if len(self._order) == 1:
            unit, piece = k, "0"
        else:
            piece = writer.new(f"{k} // {self._summed}", "piece")
            unit = writer.new(f"{k} % {self._summed}", "unit")
        if self._heads > 1:
            unit = writer.new(f"{unit} + {self._first()}", "unit")
        return k, piece, unit

    def weight(self, writer: Writer, start: str) -> str:
        """Write a load of the weights from the column `start` on: (SPLIT, BLOCK_K, columns of a tile)."""
        base = self._memory.pointer(f"matrix_{self._product.matrix}")
        k, piece, unit = self._k(writer, start, "None, :, None")
        inside = f"({k} < {self.total})"
        if self.is_forward:
            gate, own = self._own(writer)
            row, column = f"{_picked(self._gates, gate)} * {self._rows} + {own}", unit
            inside += f" & ({gate} < {self.pieces}) & ({own} < {self._given})"
            of_own, of_unit = self._given // self._heads, self._columns
        else:
            own = writer.shared("cols[None, :, :]", "own")
            gates = [self._gates[n] for n in self._order]
            row, column = f"{_picked(gates, piece)} * {self._rows} + {unit}", own
            inside += f" & ({own} < {self._entered})"
            of_own, of_unit = self._columns, self._given // self._heads
        if self._heads > 1:
            inside += f" & ({unit} // {of_unit} == {own} // {of_own})"
            column = f"{column} % {self._columns}"
        return writer.new(f"tl.load({base} + ({row}) * {self._columns} + {column}, mask={inside}, other=0.0)", "w")

    def write(self, writer: Writer) -> list[str]:
        """Write the product. Returns the names of its tiles, (BLOCK_B, BLOCK_U) each."""
        memory, blocks = self._memory, self._blocks
        self.setup(writer)
        base, row, first = memory.operand(writer, self.number)
        rows = writer.shared(
            f"rows[None, :, :] * {row} + {first}" if first != "0" else f"rows[None, :, :] * {row}", "a"
        )
        here = writer.shared("rows[None, :, :] < B", "here")
        total = writer.new(f"tl.zeros((SPLIT, BLOCK_B, {self.tile_columns}), ACC)", "sum")
        summed = self._given if not self.is_forward else self._entered

        def multiply(start: str, weight: str) -> None:
            k, piece, unit = self._k(writer, start, "None, None, :")
            place, inside = k, f"{here} & ({k} < {self.total})"
            if self._heads > 1:
                place = f"{piece} * {summed} + {unit}"
                inside += f" & ({unit} < {summed})"
            writer.line(f'entered = tl.load({base} + {rows} + {place}, mask={inside}, other=0.0, cache_modifier=".cg")')
            writer.line(f"{total} = multiply(entered, {weight}, {total})")

        if blocks.resident:
            for start, name in zip(self.starts, self.names(), strict=True):
                multiply(str(start), name)
        elif len(self.starts) == 1:
            multiply("0", self.weight(writer, "0"))
        else:
            with writer.block(f"for start in range(0, {self.total}, {blocks.depth}):"):
                multiply("start", self.weight(writer, "start"))
        # Not by tl.sum over the warps, which has a barrier for every few numbers; this changes the layout once.
        runs = taken_apart(writer, f"tl.permute({total}, (1, 2, 0))", f"BLOCK_B, {self.tile_columns}", blocks.split)
        whole = writer.new(" + ".join(runs))
        count = power(self.pieces)
        parts = f"tl.permute(tl.reshape({whole}, (BLOCK_B, {count}, BLOCK_U)), (0, 2, 1))"
        return taken_apart(writer, parts, "BLOCK_B, BLOCK_U", count)[: self.pieces]


def taken_apart(writer: Writer, value: str, shape: str, count: int) -> list[str]:
    """Take a value apart into slices along its last dimension, whose size `count` is a power of two."""
    parts = [writer.new(f"tl.reshape({value}, ({shape}{', 2' * (count.bit_length() - 1)}))")]
    while len(parts) < count:  # the last dimension stands for the lowest bit of a slice's number
        for part in parts:
            writer.line(f"{part}a, {part}b = tl.split({part})")
        parts = [f"{part}{half}" for half in "ab" for part in parts]
    return parts


def _picked(numbers: Sequence[int], index: str) -> str:
    """The expression for `numbers[index]`."""
    if len(numbers) == 1 or index == "0":
        return str(numbers[0])
    if list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"({index} + {numbers[0]})" if numbers[0] else index
    return f"({_chosen(list(enumerate(numbers)), index)})"


def _chosen(numbers: list[tuple[int, int]], index: str) -> str:
    (at, number), *others = numbers
    return str(number) if not others else f"tl.where({index} == {at}, {number}, {_chosen(others, index)})"


def of_stage(memory: Memory, at: int, widths: Mapping[str, int], blocks: Blocks) -> Iterator[ProductText]:
    """The products of a stage."""
    for number in memory.schedule.stages[at].products:
        yield ProductText(memory, number, widths, blocks)
