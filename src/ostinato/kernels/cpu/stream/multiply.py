"""A vector by a matrix whose weights lie in the order in which they are read: the innermost loop of a stream."""

from __future__ import annotations

from llvmlite import ir

from ostinato.kernels.cpu.code.builder import Code, Value
from ostinato.kernels.cpu.code.product import Shape
from ostinato.kernels.cpu.stream.held import Entering, Exact

CHAINS = 8  # sums that are added up side by side, to hide the latency of a multiply-add
UNROLLED = 4  # steps of k in the body of a loop


def block_bytes(code: Code, shape: Shape, held: Exact, depth: Value, pieces: int) -> Value:
    """Of the weights in one block of units, and of what follows them."""
    groups = code.mul(code.ceil_div(depth, held.group), pieces * held.group_bytes(shape))
    return code.add(groups, pieces * held.tail_bytes(shape))


def multiply(
    code: Code, shape: Shape, held: Exact, entering: Entering, depth: Value, weights: Value, pieces: int
) -> list[Value]:
    """The products of one block of units: a vector for each piece. Each lane is summed in an order that depends on the depth alone.

    Args:
        code: what it is written in.
        shape: of the vectors.
        held: how the weights lie in memory.
        entering: what is multiplied, `depth` numbers.
        depth: K.
        weights: the address of this block's.
        pieces: how many vectors of units there are.
    """
    b, kind, group, loads = code.builder, held.sums(shape), held.group, held.loads
    chains = loads * max(1, min(CHAINS // loads, -(-CHAINS // (loads * pieces))))
    step_bytes = held.group_bytes(shape)
    sums = [[code.slot(kind) for _ in range(pieces)] for _ in range(chains)]
    for slot in (slot for chain in sums for slot in chain):
        b.store(ir.Constant(kind, None), slot)

    def steps(k: Value, count: int) -> None:
        row = code.at(weights, code.mul(code.div(k, group), pieces * step_bytes))
        for n in range(0, count, group):
            places = [code.at(row, (n // group * pieces + piece) * step_bytes) for piece in range(pieces)]
            loaded = zip(*(held.load(code, shape, place) for place in places), strict=True)
            for more, vectors in enumerate(loaded):
                if n + more < count:
                    number = held.number(code, shape, entering, k, n + more)
                    chain = sums[(n // group * loads + more) % chains]
                    for slot, vector in zip(chain, vectors, strict=True):
                        total = b.load(slot, typ=kind)
                        b.store(held.multiply_add(code, shape, number, vector, total), slot)

    unrolled = max(UNROLLED, chains // loads * group)
    steps_made = code.mul(code.div(depth, unrolled), unrolled)
    with code.loop(0, steps_made, unrolled) as k:
        steps(k, unrolled)
    last = code.mul(code.ceil_div(depth, group), group) if held.fills else code.mul(code.div(depth, group), group)
    with code.loop(steps_made, last, group) as k:
        steps(k, group)
    if group > 1 and not held.fills:
        with code.loop(last, depth) as k:
            steps(k, 1)
    tail = code.at(weights, code.mul(code.ceil_div(depth, group), pieces * step_bytes))
    totals = [held.total(code, [b.load(chain[piece], typ=kind) for chain in sums]) for piece in range(pieces)]
    size = held.tail_bytes(shape)
    return [held.result(code, shape, v, entering, code.at(tail, at * size)) for at, v in enumerate(totals)]
