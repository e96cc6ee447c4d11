"""The functions that all cells share, beside numpy in float64, at every remainder of rows and columns."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

from ostinato.kernels.cpu.code.kernel import shape
from ostinato.kernels.cpu.code.product import DEPTH, scratch_bytes
from ostinato.kernels.cpu.run.library import library
from ostinato.kernels.cpu.threads.meeting import MET
from ostinato.kernels.cpu.threads.openmp import meeting_place

DTYPE = {False: np.float32, True: np.float64}
TOLERANCE = {False: 2e-6, True: 1e-14}


def call(double: bool, name: str, *numbers: int) -> None:
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(numbers))(library(double)[name])(*numbers)


def panels_of(matrix: np.ndarray, width: int) -> np.ndarray:
    depth, columns = matrix.shape
    count = -(-columns // width)
    padded = np.zeros((depth, count * width), matrix.dtype)
    padded[:, :columns] = matrix
    return np.ascontiguousarray(padded.reshape(depth, count, width).transpose(1, 0, 2))


def close(got: np.ndarray, expected: np.ndarray, double: bool, terms: int) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[double] * 8 * terms**0.5)


@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize("double", [False, True])
def test_multiply(double: bool, add: int) -> None:
    r, of, dtype = np.random.default_rng(0), shape(double), DTYPE[double]
    lanes, panel = of.lanes, of.panel
    sizes = sorted(
        {1, lanes - 1, lanes, lanes + 1, panel - 1, panel, panel + 1, 2 * panel + lanes + 3, 9 * panel} - {0}
    )
    for columns in sizes:
        for rows in (*range(1, 2 * of.rows + 2), 31):
            depth = int(r.integers(1, 20))
            a, b = r.standard_normal((rows, depth + 3)).astype(dtype), r.standard_normal((depth, columns)).astype(dtype)
            c = r.standard_normal((rows, columns + 2)).astype(dtype)
            expected = a[:, :depth].astype(np.float64) @ b + (c[:, :columns] if add else 0)
            beyond, packed = c[:, columns:].copy(), panels_of(b, panel)
            if not add:
                c[:, :columns] = np.nan
            call(
                double, "multiply", a.ctypes.data, a.strides[0], 1, depth, 0, packed.ctypes.data, packed.strides[0],
                c.ctypes.data, c.strides[0], rows, columns, add,
            )  # fmt: skip
            close(c[:, :columns], expected, double, depth)
            np.testing.assert_array_equal(c[:, columns:], beyond)


@pytest.mark.parametrize("double", [False, True])
def test_multiply_jumps_over_what_does_not_belong(double: bool) -> None:
    """A's numbers in runs, as the gates of a unit block lie among other vectors."""
    r, of, dtype = np.random.default_rng(1), shape(double), DTYPE[double]
    for runs, run, gap in ((3, 5, 2), (2, 8, 8), (4, 1, 3)):
        wide = r.standard_normal((5, runs, run + gap)).astype(dtype)
        a, b = wide[:, :, :run].reshape(5, -1), r.standard_normal((runs * run, 11)).astype(dtype)
        c, packed = np.full((5, 11), np.nan, dtype), panels_of(b, of.panel)
        call(
            double, "multiply", wide.ctypes.data, wide.strides[0], runs, run, gap * wide.itemsize, packed.ctypes.data,
            packed.strides[0], c.ctypes.data, c.strides[0], 5, 11, 0,
        )  # fmt: skip
        close(c, a.astype(np.float64) @ b, double, runs * run)


@pytest.mark.parametrize("double", [False, True])
def test_multiply_sums_in_order_so_that_rows_and_columns_beside_change_no_bit(double: bool) -> None:
    r, of, dtype = np.random.default_rng(2), shape(double), DTYPE[double]
    a, b = r.standard_normal((23, 37)).astype(dtype), r.standard_normal((37, 3 * of.panel + 5)).astype(dtype)

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, packed = np.ascontiguousarray(a), panels_of(b, of.panel)
        c = np.empty((len(a), b.shape[1]), dtype)
        call(
            double, "multiply", a.ctypes.data, a.strides[0], 1, 37, 0, packed.ctypes.data, packed.strides[0],
            c.ctypes.data, c.strides[0], len(a), b.shape[1], 0,
        )  # fmt: skip
        return c

    whole = product(a, b)
    for rows in range(1, 23):
        np.testing.assert_array_equal(product(a[:rows], b), whole[:rows])
    for columns in range(1, b.shape[1]):
        np.testing.assert_array_equal(product(a[5:9], b[:, :columns]), whole[5:9, :columns])


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("depth", [1, 7, DEPTH - 1, DEPTH, 2 * DEPTH + 3])
def test_weight_gradient(double: bool, depth: int) -> None:
    r, of, dtype = np.random.default_rng(depth), shape(double), DTYPE[double]
    for units, columns, gates, slots, add in ((1, 1, 1, 1, 0), (17, 40, 4, 4, 0), (33, 5, 3, 5, 1), (70, 65, 2, 6, 0)):
        blocks = -(-units // of.lanes)
        a = r.standard_normal((depth, blocks, slots, of.lanes)).astype(dtype)
        order = r.permutation(gates)
        b = r.standard_normal((depth, columns)).astype(dtype)
        shuffled = r.permutation(depth)  # sources may lie anywhere
        sources = b.ctypes.data + shuffled * b.strides[0]
        c = np.zeros((gates * units, columns), dtype) + add
        expected = np.empty(c.shape)
        plain = a.transpose(0, 2, 1, 3).reshape(depth, slots, -1)[:, :, :units].astype(np.float64)
        for g, gate in enumerate(order):
            expected[gate * units : (gate + 1) * units] = plain[:, 1 * (slots > gates) + g].T @ b[shuffled] + add
        gate_rows = (order * units).astype(np.int64)
        work = np.full(scratch_bytes(of, depth, columns, gates) // dtype().itemsize, np.nan, dtype)
        first = a[:, :, 1 * (slots > gates) :].ctypes.data
        for begin, end in ((0, blocks // 2), (blocks // 2, blocks)):  # as two threads would
            call(
                double, "weight_gradient", first, a.strides[0], depth, sources.ctypes.data, columns, c.ctypes.data,
                c.strides[0], begin, end, a.strides[1], gates, gate_rows.ctypes.data, 0, units, work.ctypes.data, add,
            )  # fmt: skip
        close(c, expected, double, depth)


@pytest.mark.parametrize("double", [False, True])
def test_weight_gradient_of_some_units_leaves_the_others_alone(double: bool) -> None:
    """As of a head, whose units may begin and end within a block."""
    r, of, dtype = np.random.default_rng(0), shape(double), DTYPE[double]
    depth, units, columns, gates = 9, 50, 7, 2
    blocks = -(-units // of.lanes)
    a = r.standard_normal((depth, blocks, gates, of.lanes)).astype(dtype)
    b = r.standard_normal((depth, columns)).astype(dtype)
    sources = b.ctypes.data + np.arange(depth) * b.strides[0]
    plain = a.transpose(0, 2, 1, 3).reshape(depth, gates, -1)[:, :, :units].astype(np.float64)
    work = np.full(scratch_bytes(of, depth, columns, gates) // dtype().itemsize, np.nan, dtype)
    for first, end in ((0, 50), (0, 10), (10, 20), (3, 37), (of.lanes, 2 * of.lanes), (49, 50)):
        c = np.full((gates * units, columns), 7.0, dtype)
        expected = np.full(c.shape, 7.0)
        for g in range(gates):
            expected[g * units + first : g * units + end] = plain[:, g, first:end].T @ b
        gate_rows = (np.arange(gates) * units).astype(np.int64)
        call(
            double, "weight_gradient", a.ctypes.data, a.strides[0], depth, sources.ctypes.data, columns, c.ctypes.data,
            c.strides[0], first // of.lanes, -(-end // of.lanes), a.strides[1], gates, gate_rows.ctypes.data, first, end,
            work.ctypes.data, 0,
        )  # fmt: skip
        close(c, expected, double, depth)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_threads_meet(count: int) -> None:
    """Nobody goes on before all have come: each writes its turn, and sees that all have written it."""
    place = meeting_place()
    turns = np.zeros(count, np.int64)
    early: list[int] = []

    def go(thread: int) -> None:
        for turn in range(1, 60):
            turns[thread] = turn
            call(False, "meet", ctypes.addressof(place), count)
            if turns.min() < turn:
                early.append(thread)
            call(False, "meet", ctypes.addressof(place), count)

    threads = [threading.Thread(target=go, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not early
    assert place[0] == 0
    assert place[MET] == (2 * 59 if count > 1 else 0)
