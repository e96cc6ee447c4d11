"""The section `ragged`: rows of different length, beside the same batch with all rows full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from benchmarks.case import Case, Subject, make_subject
from benchmarks.plain import our_layer, torch_layer
from benchmarks.sizes import GATES, RAGGED, Mode, Size

BASELINE = "full batch"
# torch.nn's training step of a PackedSequence takes 29 s at T=1000.
LONGEST_FOR_TORCH = 200


def uniform_lengths(size: Size) -> torch.Tensor:
    """`(B,)`: evenly spread over 1..T in random order, so that no lucky draw has less work than half."""
    lengths = torch.linspace(1, size.T, size.B).round().long()
    return lengths[torch.randperm(size.B, generator=torch.Generator().manual_seed(0))]


def ragged(sizes: Sequence[Size] = RAGGED, cells: Sequence[str] = tuple(GATES)) -> Iterator[Case]:
    """Training and inference of each cell."""
    for mode in ("training", "inference"):
        for cell in cells:
            for size in sizes:
                yield Case("ragged", cell, mode, size, tuple(_subjects(cell, size, mode)), (BASELINE,))


def _subjects(cell: str, size: Size, mode: Mode) -> Iterator[Subject]:
    theirs = torch_layer(cell, size)
    ours = our_layer(theirs)
    x = torch.randn(size.T, size.B, size.I)
    lengths = uniform_lengths(size)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    full, valid = (size.flops(GATES[cell], mode, row_steps=n) for n in (size.T * size.B, int(lengths.sum())))

    def over(layer: Any, data: torch.Tensor) -> torch.Tensor:
        return layer(PackedSequence(data, *packed[1:]))[0].data

    yield make_subject(BASELINE, ours, lambda x: ours(x)[0], x, mode, full)
    yield make_subject("lengths=", ours, lambda x: ours(x, lengths=lengths)[0], x, mode, valid)
    yield make_subject("PackedSequence", ours, lambda d: over(ours, d), packed.data, mode, valid)
    yield make_subject("torch.nn, full batch", theirs, lambda x: theirs(x)[0], x, mode, full, same_as=BASELINE)
    if size.T <= LONGEST_FOR_TORCH:
        yield make_subject(
            *("torch.nn, PackedSequence", theirs, lambda d: over(theirs, d), packed.data, mode, valid),
            same_as="PackedSequence",
        )
