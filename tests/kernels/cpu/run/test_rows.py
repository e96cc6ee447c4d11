"""The flat order of rows, beside one that is made row by row."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

from ostinato.kernels.cpu.run.rows import Rows, full, ragged

LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=7)


def by_hand(lengths: list[int], reverse: bool) -> list[list[tuple[int, int]]]:
    """For each step of the recurrence the (time, row) that are worked on, longest sequences first."""
    order = sorted(range(len(lengths)), key=lambda b: -lengths[b])
    return [[(lengths[b] - 1 - s if reverse else s, b) for b in order if s < lengths[b]] for s in range(max(lengths))]


def check(rows: Rows, lengths: list[int], reverse: bool) -> None:
    batch, expected = len(lengths), by_hand(lengths, reverse)
    assert (rows.steps, rows.batch, rows.total) == (len(expected), batch, sum(lengths))
    assert rows.counts.tolist() == [len(step) for step in expected]
    order = list(range(batch)) if rows.order is None else rows.order.tolist()
    for step, (offset, count) in enumerate(zip(rows.offsets.tolist(), rows.counts.tolist(), strict=True)):
        for place in range(count):
            at = offset + place
            time, b = expected[step][place]
            assert order[place] == b
            assert (at if rows.gather is None else int(rows.gather[at])) == time * batch + b
            before = int(rows.before[at])
            assert before == (place if step == 0 else batch + int(rows.offsets[step - 1]) + place)
    for place, b in enumerate(order):
        end = lengths[b] - 1
        assert int(rows.last[place]) == (-1 if end < 0 else int(rows.offsets[end]) + place)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=7), st.booleans())
def test_packed_rows(lengths: list[int], reverse: bool) -> None:
    lengths = sorted(lengths, reverse=True)
    packed = pack_padded_sequence(torch.arange(max(lengths) * len(lengths)).view(max(lengths), -1, 1), lengths)
    rows = ragged(torch.tensor(lengths), reverse, None)
    assert rows.order is None
    places = packed.data[:, 0]
    found = places if rows.gather is None else places[rows.gather]
    assert found.tolist() == [time * len(lengths) + b for step in by_hand(lengths, reverse) for time, b in step]
    assert (rows.scatter is None) == (rows.gather is None)
    if rows.scatter is not None:
        assert found[rows.scatter].tolist() == places.tolist()


@given(LENGTHS, st.booleans())
def test_rows_of_several_lengths(lengths: list[int], reverse: bool) -> None:
    check(ragged(torch.tensor(lengths), reverse, max(lengths)), lengths, reverse)


@given(st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_rows_of_one_length(steps: int, batch: int, reverse: bool) -> None:
    rows = full(steps, batch, reverse)
    assert rows.gather is None
    assert rows.order is None
    assert rows.offsets.tolist() == [batch * (steps - 1 - s if reverse else s) for s in range(steps)]
    if not reverse:
        check(rows, [steps] * batch, False)


@settings(max_examples=50)
@given(LENGTHS, st.booleans(), st.integers(1, 8))
def test_segments_are_the_whole_in_parts(lengths: list[int], reverse: bool, length: int) -> None:
    for rows in (ragged(torch.tensor(lengths), reverse, max(lengths)), full(max(1, lengths[0]), len(lengths), reverse)):
        found = rows.segments(length)
        assert sum(part.steps for part, _ in found) == rows.steps
        assert all(part.steps == length for part, _ in found[:-1])
        flat = torch.arange(rows.total)
        assert sorted(n for _, cut in found for n in flat[cut].tolist()) == flat.tolist()
        step = 0
        for part, cut in found:
            assert part.total == cut.stop - cut.start
            for s in range(part.steps):
                assert int(part.counts[s]) == int(rows.counts[step])
                assert int(part.offsets[s]) + cut.start == int(rows.offsets[step])
                step += 1


@given(LENGTHS, st.booleans(), st.integers(0, 3))
def test_scatter_is_the_way_back(lengths: list[int], reverse: bool, more: int) -> None:
    rows = ragged(torch.tensor(lengths), reverse, max(lengths) + more)
    assert rows.gather is not None
    assert rows.scatter is not None
    assert rows.scatter.numel() == (max(lengths) + more) * len(lengths)
    assert rows.scatter[rows.gather].tolist() == list(range(sum(lengths)))
    assert int((rows.scatter < 0).sum()) == rows.scatter.numel() - sum(lengths)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 5))
def test_shares_cover_all_places_and_differ_by_no_more_than_a_row(lengths: list[int], threads: int) -> None:
    shares = ragged(torch.tensor(lengths), False, max(lengths)).shares(threads)
    places = sorted(lengths, reverse=True)
    assert len(shares) == threads + 1
    assert (shares[0], shares[-1]) == (0, len(lengths))
    assert shares == sorted(shares)
    work = [sum(places[begin:end]) for begin, end in pairwise(shares)]
    assert max(work) <= sum(places) / threads + places[0]


@pytest.mark.parametrize(
    ("batch", "pieces", "expected"), [(13, 2, [0, 6, 13]), (5, 3, [0, 1, 3, 5]), (64, 1, [0, 64]), (32, 2, [0, 16, 32])]
)
def test_shares_of_one_length_are_even(batch: int, pieces: int, expected: list[int]) -> None:
    assert full(3, batch, False).shares(pieces) == expected
