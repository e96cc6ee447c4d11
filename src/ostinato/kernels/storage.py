"""Checks that the memory of a tensor exists: machine code reads addresses, and must not be given one without its numbers."""

from __future__ import annotations

from collections.abc import Iterable

from ostinato.types import Tensor


def missing(v: Tensor) -> str | None:
    """What is wrong with the memory of a tensor on the CPU; None if all of its numbers are there.

    Resizing the storage of a tensor (`untyped_storage().resize_`, as FSDP does) leaves its shape as it was.
    """
    there = v.untyped_storage().nbytes()
    if there == v.nbytes and not v.storage_offset() and v.is_contiguous():
        return None
    last = sum((size - 1) * stride for size, stride in zip(v.shape, v.stride(), strict=True))
    needed = (v.storage_offset() + last + 1) * v.itemsize if v.numel() else 0
    if there >= needed:
        return None
    return (
        f"expected memory for the numbers of its shape {tuple(v.shape)}, {needed} bytes, got a storage of {there} bytes, "
        "which somebody has resized (`untyped_storage().resize_`); give it its memory and its numbers back before the call"
    )


def check_storage(named: Iterable[tuple[str, Tensor]]) -> None:
    """Raise `RuntimeError` for the first tensor whose numbers are not all in memory; the message has its name."""
    for name, v in named:
        if (wrong := missing(v)) is not None:
            raise RuntimeError(f"{name} {wrong}")
