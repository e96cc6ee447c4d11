"""Rows that change places, beside torch's indexing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.kernels.cpu.run import gather_rows
from ostinato.kernels.cpu.run.buffers import pool
from ostinato.kernels.cpu.run.gather_rows import moved
from ostinato.kernels.cpu.run.library import library


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([torch.float32, torch.float64]), st.integers(1, 150), st.integers(1, 9))
def test_rows_are_copied_and_the_others_are_zero(
    data: st.DataObject, dtype: torch.dtype, width: int, rows: int
) -> None:
    places = torch.tensor(data.draw(st.lists(st.integers(-1, rows - 1), max_size=12)), dtype=torch.int64)
    v = torch.randn(rows, width, dtype=dtype)
    expected = torch.where(places[:, None] < 0, torch.zeros((), dtype=dtype), v[places.clamp(min=0)])
    torch.testing.assert_close(moved(v, places, library(dtype is torch.float64)), expected, rtol=0, atol=0)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_large_one_is_the_same_with_any_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_rows, "threads_for", lambda bytes_: threads)
    v, places = torch.randn(500, 257), torch.randint(-1, 500, (999,))
    monkeypatch.setattr(pool, "poison", True)
    found = moved(v, places, library(False))
    torch.testing.assert_close(found, torch.where(places[:, None] < 0, 0, v[places.clamp(min=0)]), rtol=0, atol=0)
