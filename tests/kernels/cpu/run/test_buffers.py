from __future__ import annotations

import gc
import threading

import pytest
import torch

from ostinato.kernels.cpu.run import buffers
from ostinato.kernels.cpu.run.buffers import Pool


@pytest.mark.parametrize("shape", [(3,), (7, 5), (1024,), (33, 100, 3), (0, 4), (1025, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_handed_out_has_the_shape_and_can_be_written(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    given = Pool().take(*shape, dtype=dtype)
    assert (tuple(given.shape), given.dtype) == (shape, dtype)
    assert given.is_contiguous()
    assert given.fill_(1).sum() == given.numel()


def test_memory_comes_back_when_nobody_holds_it() -> None:
    pool = Pool()
    first = pool.take(1 << 16, dtype=torch.float32)
    address, view = first.data_ptr(), first[4:].view(3, -1)
    other = pool.take(1 << 16, dtype=torch.float32)
    assert other.data_ptr() != address
    del first
    assert pool.take(1 << 16, dtype=torch.float32).data_ptr() != address, "a view still holds it"
    del view
    gc.collect()
    assert address in {pool.take(1 << 16, dtype=torch.float32).data_ptr() for _ in range(3)}


def test_sizes_that_are_almost_the_same_share_memory() -> None:
    pool = Pool()
    address = pool.take(10_000, 10, dtype=torch.float32).data_ptr()
    assert pool.take(100_001, dtype=torch.float32).data_ptr() == address
    assert pool.take(1 << 20, dtype=torch.float32).data_ptr() != address


def test_poison_is_nan_throughout_and_nothing_without() -> None:
    pool = Pool()
    pool.poison = True
    for numbers in (3, 50_000):
        assert pool.take(numbers, dtype=torch.float64).isnan().all()
    kept = pool.take(50_000, dtype=torch.float64).fill_(2)
    address = kept.data_ptr()
    del kept
    assert pool.take(50_000, dtype=torch.float64).isnan().all()
    pool.poison = False
    again = pool.take(50_000, dtype=torch.float64)
    assert again.data_ptr() == address


def test_no_more_is_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "KEPT_BYTES", 1 << 20)
    pool = Pool()
    held = [pool.take(1 << 19, dtype=torch.uint8) for _ in range(4)]
    addresses = {v.data_ptr() for v in held}
    held.clear()
    assert pool._kept == 1 << 20
    assert sum(len(waiting) for waiting in pool._free.values()) == 2
    again = [pool.take(1 << 19, dtype=torch.uint8) for _ in range(2)]
    assert {v.data_ptr() for v in again} <= addresses
    assert pool._kept == 0


def test_what_is_kept_can_be_given_back() -> None:
    pool = Pool()
    pool.take(1 << 19, dtype=torch.uint8)
    assert pool._kept > 0
    pool.clear()
    assert (pool._kept, pool._free) == (0, {})


def test_threads_never_hold_the_same_memory() -> None:
    pool = Pool()
    wrong: list[int] = []

    def work(mark: int) -> None:
        for _ in range(200):
            mine = [pool.take(100_000 + 20_000 * n, dtype=torch.float32).fill_(mark) for n in range(3)]
            if any((v != mark).any() for v in mine):
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 0 < pool._kept == sum(size * len(waiting) for size, waiting in pool._free.items())
