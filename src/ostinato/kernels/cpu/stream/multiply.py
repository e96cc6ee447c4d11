"""The product of a vector and a matrix whose weights are stored in the order in which they are read: a stream's innermost loop."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from ostinato.kernels.cpu.code.builder import Code, Value
from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.stream.held import Entering, Exact

CHAINS = 8  # sums that are computed side by side, to hide the latency of a multiply-add
UNROLLED = 4  # steps of k in the body of a loop


def block_bytes(code: Code, shape: Shape, held: Exact, depth: Value, pieces: int) -> Value:
    """The bytes of the weights of one block of units, with what follows them."""
    groups = code.mul(code.ceil_div(depth, held.group), pieces * held.group_bytes(shape))
    return code.add(groups, pieces * held.tail_bytes(shape))


def chains_of(held: Exact, pieces: int) -> int:
    """The number of sums of each piece that are computed side by side."""
    return held.loads * max(1, min(CHAINS // held.loads, -(-CHAINS // (held.loads * pieces))))


def multiply(
    code: Code, shape: Shape, held: Exact, entering: Sequence[Entering], depth: Value, weights: Value, pieces: int
) -> list[list[Value]]:
    """The products of some rows with one block of units: for each row a vector for each piece.

    Each lane is summed in an order that depends on the depth and on `pieces` alone: a row gets the same bits whatever other rows
    there are.

    Args:
        code: the function that is written.
        shape: the shape of the vectors.
        held: how the weights are stored.
        entering: what is multiplied, `depth` numbers of each row.
        depth: K.
        weights: the address of the weights of this block.
        pieces: the number of vectors of units.
    """
    b, group = code.builder, held.group
    pieces_of_rows = [(row, piece) for row in range(len(entering)) for piece in range(pieces)]
    if held.most is None:
        sums = _sums(code, shape, held, entering, code.int(0), depth, weights, pieces)
        found = {key: held.float(code, shape, v) for key, v in sums.items()}
    else:
        # As many products at a time as a sum has room for.
        totals = {key: code.slot(shape.vector) for key in pieces_of_rows}
        for slot in totals.values():
            b.store(shape.zero(), slot)
        with code.loop(0, depth, held.most) as k:
            end = code.min(code.add(k, held.most), depth)
            for key, v in _sums(code, shape, held, entering, k, end, weights, pieces).items():
                total = b.load(totals[key], typ=shape.vector)
                b.store(b.fadd(total, held.float(code, shape, v)), totals[key])
        found = {key: b.load(slot, typ=shape.vector) for key, slot in totals.items()}
    behind = code.mul(code.ceil_div(depth, group), pieces * held.group_bytes(shape))
    tail, size = code.at(weights, behind), held.tail_bytes(shape)
    places = [code.at(tail, piece * size) for piece in range(pieces)]
    return [
        [held.result(code, shape, found[row, piece], entering[row], places[piece]) for piece in range(pieces)]
        for row in range(len(entering))
    ]


def _sums(
    code: Code,
    shape: Shape,
    held: Exact,
    entering: Sequence[Entering],
    begin: Value,
    end: Value,
    weights: Value,
    pieces: int,
) -> dict[tuple[int, int], Value]:
    """The sums over k from `begin`, the first of a group, to `end`, of each row and piece."""
    b, kind, group, loads, rows = code.builder, held.sums(shape), held.group, held.loads, range(len(entering))
    chains, step_bytes = chains_of(held, pieces), held.group_bytes(shape)
    sums = [[[code.slot(kind) for _ in range(pieces)] for _ in rows] for _ in range(chains)]
    for slot in (slot for chain in sums for row in chain for slot in row):
        b.store(ir.Constant(kind, None), slot)

    def steps(k: Value, count: int) -> None:
        at = code.at(weights, code.mul(code.div(k, group), pieces * step_bytes))
        for n in range(0, count, group):
            places = [code.at(at, (n // group * pieces + piece) * step_bytes) for piece in range(pieces)]
            loaded = zip(*(held.load(code, shape, place) for place in places), strict=True)
            for more, vectors in enumerate(loaded):
                if n + more >= count:
                    continue
                chain = sums[(n // group * loads + more) % chains]
                for row in rows:
                    number = held.number(code, shape, entering[row], k, n + more)
                    for slot, vector in zip(chain[row], vectors, strict=True):
                        total = b.load(slot, typ=kind)
                        b.store(held.multiply_add(code, shape, number, vector, total), slot)

    unrolled = max(UNROLLED, chains // loads * group)
    depth = code.sub(end, begin)
    whole = code.add(begin, code.mul(code.div(depth, unrolled), unrolled))
    with code.loop(begin, whole, unrolled) as k:
        steps(k, unrolled)
    groups = code.ceil_div(depth, group) if held.fills else code.div(depth, group)
    last = code.add(begin, code.mul(groups, group))
    with code.loop(whole, last, group) as k:
        steps(k, group)
    if group > 1 and not held.fills:
        with code.loop(last, end) as k:
            steps(k, 1)
    return {
        (row, piece): held.total(code, [b.load(chain[row][piece], typ=kind) for chain in sums])
        for row in rows
        for piece in range(pieces)
    }
