"""The functions that all cells share, beside numpy in float64, at every remainder of rows and columns."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

from ostinato.kernels.cpu.code.kernel import shape
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
