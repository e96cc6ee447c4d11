"""The gradients of weights, beside numpy in float64."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from ostinato.kernels.cpu.code.kernel import shape
from ostinato.kernels.cpu.code.weight_gradients import DEPTH, scratch_bytes, whole_panels
from tests.kernels.cpu.code.test_product import DTYPE, call, close


@dataclass
class Product:
    """What entered, `(depth, columns)`, in which order, and the gradient that is made."""

    entered: np.ndarray
    order_of_rows: np.ndarray
    c: np.ndarray
    gate: int
    order: np.ndarray
    units: int
    first: int = 0
    end: int = 0
    add: int = 0
    gate_rows: np.ndarray = field(init=False)
    sources: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.sources = self.entered.ctypes.data + self.order_of_rows * self.entered.strides[0]
        self.end = self.end or self.units
        self.gate_rows = (self.order * self.units).astype(np.int64)

    @property
    def entry(self) -> tuple[int, ...]:
        return (
            *(self.sources.ctypes.data, self.entered.shape[1], self.c.ctypes.data, self.c.strides[0], self.gate),
            *(len(self.order), self.gate_rows.ctypes.data, self.first, self.end, self.add),
        )

    def expected(self, plain: np.ndarray) -> np.ndarray:
        """Of gradients `(depth, slots, units)`."""
        found = self.c.astype(np.float64)
        for g, gate in enumerate(self.order):
            rows = slice(gate * self.units + self.first, gate * self.units + self.end)
            product = plain[:, self.gate + g, self.first : self.end].T @ self.entered[self.order_of_rows]
            found[rows] = product + (found[rows] if self.add else 0)
        return found


def run(double: bool, a: np.ndarray, gates: int, products: list[Product], ranges: list[tuple[int, int]]) -> None:
    """Of `a`, `(depth, blocks, slots, lanes)`, the first slots are packed; each range of blocks as a thread would."""
    of, dtype, depth = shape(double), DTYPE[double], len(a)
    table = np.array([each.entry for each in products], np.int64)
    columns = sum(whole_panels(of, each.entered.shape[1]) for each in products)
    work = np.full(scratch_bytes(of, depth, columns, gates) // dtype().itemsize, np.nan, dtype)
    for begin, end in ranges:
        call(
            double, "weight_gradients", a.ctypes.data, a.strides[0], depth, begin, end, a.strides[1], gates,
            table.ctypes.data, len(products), work.ctypes.data,
        )  # fmt: skip


def product(
    r: np.random.Generator, double: bool, depth: int, units: int, columns: int, gate: int, gates: int, add: int
) -> Product:
    entered = r.standard_normal((depth, columns)).astype(DTYPE[double])
    c = r.standard_normal((gates * units, columns)).astype(DTYPE[double])
    # Sources may lie anywhere.
    return Product(entered, r.permutation(depth), c, gate, r.permutation(gates), units, add=add)


def plain_of(a: np.ndarray, units: int) -> np.ndarray:
    return a.transpose(0, 2, 1, 3).reshape(len(a), a.shape[2], -1)[:, :, :units].astype(np.float64)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("depth", [1, 7, DEPTH - 1, DEPTH, 2 * DEPTH + 3])
def test_of_several_products_that_share_gates(double: bool, depth: int) -> None:
    r, of = np.random.default_rng(depth), shape(double)
    for units, slots, several in (
        (1, 1, [(1, 0, 1, 0)]),
        (17, 4, [(40, 0, 4, 0), (3, 0, 4, 1), (17, 1, 3, 0)]),
        (33, 5, [(5, 0, 3, 1), (33, 0, 2, 0), (33, 2, 1, 0)]),
        (70, 45, [(65, 0, 2, 0), (1, 40, 1, 0), (9, 1, 41, 0)]),
    ):
        blocks = -(-units // of.lanes)
        a = r.standard_normal((depth, blocks, slots, of.lanes)).astype(DTYPE[double])
        products = [product(r, double, depth, units, *each) for each in several]
        expected = [each.expected(plain_of(a, units)) for each in products]
        gates = max(gate + own for _, gate, own, _ in several)
        run(double, a, gates, products, [(0, blocks // 2), (blocks // 2, blocks)])
        for each, right in zip(products, expected, strict=True):
            close(each.c, right, double, depth)


@pytest.mark.parametrize("double", [False, True])
def test_a_second_product_adds_to_what_the_first_one_writes(double: bool) -> None:
    r, of, depth, units = np.random.default_rng(1), shape(double), DEPTH + 5, 20
    a = r.standard_normal((depth, -(-units // of.lanes), 2, of.lanes)).astype(DTYPE[double])
    first, second = (product(r, double, depth, units, 6, 0, 2, add) for add in (0, 1))
    second.c = first.c
    expected = first.expected(plain_of(a, units))
    first.c[:] = np.nan
    second.c = expected.astype(DTYPE[double])
    expected = second.expected(plain_of(a, units))
    second.c = first.c
    run(double, a, 2, [first, second], [(0, a.shape[1])])
    close(first.c, expected, double, 2 * depth)


@pytest.mark.parametrize("double", [False, True])
def test_of_some_units_leaves_the_others_alone(double: bool) -> None:
    """As of a head, whose units may begin and end within a block."""
    r, of = np.random.default_rng(0), shape(double)
    depth, units = 9, 50
    a = r.standard_normal((depth, -(-units // of.lanes), 2, of.lanes)).astype(DTYPE[double])
    for first, end in ((0, 50), (0, 10), (10, 20), (3, 37), (of.lanes, 2 * of.lanes), (49, 50)):
        each = product(r, double, depth, units, 7, 0, 2, 0)
        each.first, each.end = first, end
        expected = each.expected(plain_of(a, units))
        run(double, a, 2, [each], [(first // of.lanes, -(-end // of.lanes))])
        close(each.c, expected, double, depth)
