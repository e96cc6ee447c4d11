"""A tensor that was changed has other numbers, however the change is patterned: nothing of it cancels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir

from ostinato.kernels.cpu.code import target
from ostinato.kernels.cpu.run import checksum as module
from ostinato.kernels.cpu.run.checksum import Checksum, Checksums
from ostinato.kernels.cpu.run.library import library
from tests.kernels.cpu.compiled import LESSER

Tensor = torch.Tensor
DTYPES = (torch.float32, torch.float64)
MAKE: dict[str, Callable[[int], Tensor]] = {
    "normal": torch.randn,
    "uniform": lambda n: torch.rand(n) / 8,
    "zeros": torch.zeros,
    "ones": torch.ones,
    "signs": lambda n: torch.randn(n).sign(),
    "powers of two": lambda n: torch.randint(-9, 9, (n,)).float().exp2(),
    "integers": lambda n: torch.randint(-3, 4, (n,)).float(),
}


def checksum(v: torch.Tensor, functions: Mapping[str, int]) -> bytes:
    alone = Checksum(v, functions).taken()
    if len(alone) == module.STATE:  # by one thread
        assert Checksums([v[:1], v], functions).taken()[-len(alone) :] == alone
    return alone


def bits(v: Tensor) -> Tensor:
    return v.view(torch.int32 if v.dtype is torch.float32 else torch.int64)


def part(v: Tensor, draw: Any) -> Tensor:
    """Some of the numbers that lie together, or every so many."""
    begin = draw.randrange(len(v))
    return v[begin : begin + draw.choice([1, 2, 4, 16, 64, 4096]) : draw.choice([1, 1, 2, 3, 16])]


def swap_halves(v: Tensor) -> None:
    half = len(v) // 2
    v[: 2 * half] = v[: 2 * half].roll(half)


def swap_blocks(v: Tensor, draw: Any) -> None:
    size = draw.choice([1, 2, 8, 16, 256])
    if len(v) >= 2 * size:
        first, second = draw.sample(range(len(v) // size), 2)
        one = v[first * size : (first + 1) * size].clone()
        v[first * size : (first + 1) * size] = v[second * size : (second + 1) * size]
        v[second * size : (second + 1) * size] = one


def second_difference(v: Tensor, draw: Any) -> None:
    """+1, -2, +1 in the last place: what sums weighted by the position do not see."""
    step = draw.choice([1, 2, 8, 16, 32, 256])
    if len(v) > 2 * step:
        at = draw.randrange(len(v) - 2 * step)
        bits(v)[at : at + 2 * step + 1 : step] += torch.tensor([1, -2, 1])


EDITS: dict[str, Callable[[Tensor, Any], Any]] = {
    "signs": lambda v, draw: part(v, draw).neg_(),
    "all signs": lambda v, draw: v.neg_(),
    "powers of two": lambda v, draw: part(v, draw).mul_(2.0 ** draw.choice([-8, -2, -1, 1, 2, 16])),
    "all by a power of two": lambda v, draw: v.mul_(2.0 ** draw.choice([-8, -2, -1, 1, 2, 16])),
    "a constant": lambda v, draw: part(v, draw).fill_(draw.choice([0.0, 1.0, -1.0, 0.5, 2.0**-20])),
    "one bit": lambda v, draw: bits(v)[draw.randrange(len(v)) :][:1].bitwise_xor_(1 << draw.randrange(31)),
    "a bit of many": lambda v, draw: bits(part(v, draw)).bitwise_xor_(1 << draw.randrange(31)),
    "a permutation": lambda v, draw: v.copy_(v[torch.randperm(len(v))]),
    "a roll": lambda v, draw: v.copy_(v.roll(draw.choice([1, 2, 16, 32, 256, 512]))),
    "swapped halves": lambda v, draw: swap_halves(v),
    "swapped blocks": swap_blocks,
    "a second difference": second_difference,
    "backwards": lambda v, draw: v.copy_(v.flip(0)),
    "added": lambda v, draw: bits(part(v, draw)).add_(draw.choice([1, -1, 1 << 16, -(1 << 23)])),
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(MAKE)), st.sampled_from(DTYPES), st.integers(1, 700) | st.just(40_000), st.data(), st.randoms()
)
def test_two_tensors_have_the_same_numbers_where_their_bits_are_the_same_only(
    kind: str, dtype: torch.dtype, size: int, data: st.DataObject, draw: Any
) -> None:
    torch.manual_seed(draw.randrange(1 << 30))
    weight = MAKE[kind](size).to(dtype)
    changed = weight.clone()
    for name in data.draw(st.lists(st.sampled_from(list(EDITS)), max_size=3)):
        EDITS[name](changed, draw)
    functions = library(dtype is torch.float64)
    same = torch.equal(bits(weight), bits(changed))
    assert (checksum(weight, functions) == checksum(changed, functions)) == same


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("edit", ["all signs", "all by a power of two", "swapped halves", "backwards"])
def test_shares_of_several_threads_do_not_cancel(edit: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    monkeypatch.setattr(module, "threads_for", lambda bytes_: threads)
    weight = torch.randn(threads * 32 * 1024 + 5)
    changed = weight.clone()
    EDITS[edit](changed, random.Random(0))
    assert checksum(weight.clone(), library(False)) == checksum(weight, library(False))
    assert checksum(changed, library(False)) != checksum(weight, library(False))


@pytest.mark.parametrize("size", [1, 15, 16, 17, 256, 259, 272])
def test_a_half_that_its_key_takes_to_zero_hides_nothing(size: int) -> None:
    """What is multiplied by zero, whatever it is; also where such halves are all there is."""
    keys = torch.tensor(module._keys(), dtype=torch.int64)[torch.arange(size) % 256]
    hiding = (-keys).to(torch.int32)
    before = checksum(hiding, library(False))
    for at in range(size):
        changed = hiding.clone()
        changed[at] += 1
        assert checksum(changed, library(False)) != before


@pytest.mark.parametrize("size", [0, 1, 3, 16, 63, 256, 300, 1000])
def test_every_bit_counts_and_nothing_beside_the_tensor(size: int) -> None:
    whole = torch.arange(size + 34, dtype=torch.int32)
    v = whole[17 : 17 + size]
    before = checksum(v, library(False))
    whole[:17], whole[17 + size :] = -1, -1
    assert checksum(v, library(False)) == before
    seen = {before}
    for at in range(size):
        for bit in (0, 15, 31):
            v[at] ^= torch.tensor(1 << bit).to(torch.int32)
            seen.add(checksum(v, library(False)))
            v[at] ^= torch.tensor(1 << bit).to(torch.int32)
    assert len(seen) == 1 + 3 * size


def test_every_processor_has_the_same_numbers() -> None:
    """Vectors of other widths, and masked loads that are branches."""
    numbers = np.random.default_rng(0).integers(0, 256, 16 * 64 * 3 + 5 * 64 + 12, dtype=np.uint8)
    found = set()
    for machine in LESSER.values():
        made = ir.Module()
        module.write(made)
        loaded = target.load(target.compile(made, machine), ["checksum_share"])
        sums = ctypes.create_string_buffer(module.STATE)
        fields = (ctypes.c_int64 * 3)(numbers.ctypes.data, numbers.nbytes, ctypes.addressof(sums))
        share = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        share(loaded.address("checksum_share"))(ctypes.addressof(fields), 0, 1)
        found.add(sums.raw)
    assert len(found) == 1
