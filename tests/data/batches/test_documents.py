import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.batches.documents import Documents
from ostinato.errors import ConfigError, DataError, RunError


def documents(lengths):
    """Documents of tokens that tell which document and which step they are."""
    return [torch.arange(n + 1) + 1000 * i for i, n in enumerate(lengths)]


def by_steps(lengths, batch_size):
    """(document, step) of each row at each step, by going through time one step after the other."""
    left, rows, table = list(range(len(lengths))), [None] * batch_size, []
    while True:
        for row in range(batch_size):
            if rows[row] is not None and rows[row][1] + 1 < lengths[rows[row][0]]:
                rows[row] = (rows[row][0], rows[row][1] + 1)
            else:
                rows[row] = (left.pop(0), 0) if left else None
        if not any(rows):
            return table
        table.append(list(rows))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 7))
def test_each_row_takes_the_next_document_when_its_own_ends(lengths, batch_size, chunk_length):
    chunks = list(Documents(documents(lengths), batch_size, chunk_length))
    assert all(len(chunk.input) == chunk_length for chunk in chunks[:-1])
    input, target, resets, mask = (
        torch.cat([getattr(chunk, name) for chunk in chunks]) for name in ("input", "target", "resets", "mask")
    )
    table = by_steps(lengths, batch_size)
    assert len(input) == len(table)
    for t, rows in enumerate(table):
        for b, place in enumerate(rows):
            assert mask[t, b] == (place is not None)
            assert resets[t, b] == (place is not None and place[1] == 0)
            assert target[t, b] == (-100 if place is None else 1000 * place[0] + place[1] + 1)
            assert place is None or input[t, b] == 1000 * place[0] + place[1]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 3), st.integers(1, 2), st.none() | st.just(4)
)
def test_the_shares_of_all_processes_are_the_batch_of_one(lengths, world, each, seed):
    make = {"batch_size": world * each, "chunk_length": 4, "shuffle_seed": seed}
    whole = Documents(documents(lengths), **make)
    shares = [Documents(documents(lengths), **make, rank=rank, world=world) for rank in range(world)]
    for chunk, *parts in zip(whole, *shares, strict=True):
        for name in ("input", "target", "resets", "mask"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts], dim=1), getattr(chunk, name))
        assert all(share.state_dict() == whole.state_dict() for share in shares)


def test_a_shuffle_is_another_one_in_every_epoch_and_the_same_for_a_seed():
    def order(rows):
        return [int(token) // 1000 for chunk in rows for token in chunk.input[chunk.resets]]

    lengths = [3] * 30
    rows = Documents(documents(lengths), 1, 4, shuffle_seed=7)
    first, second = order(rows), order(rows)
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second
    assert order(Documents(documents(lengths), 1, 4, shuffle_seed=7)) == first
    assert order(Documents(documents(lengths), 1, 4)) == list(range(30))


def test_a_saved_place_goes_on_in_its_epoch():
    make = {"batch_size": 2, "chunk_length": 4, "shuffle_seed": 1}
    rows = Documents(documents([5, 9, 2, 7, 4]), **make)
    list(rows)
    iterator = iter(rows)
    next(iterator)
    state, rest = rows.state_dict(), [chunk.input for chunk in iterator]
    again = Documents(documents([5, 9, 2, 7, 4]), **make)
    again.load_state_dict(state)
    torch.testing.assert_close([chunk.input for chunk in again], rest)
    with pytest.raises(RunError, match="resume with the same data and sizes"):
        Documents(documents([5, 9, 2, 7, 5]), **make).load_state_dict(state)


def test_pairs_keep_their_features_and_types():
    pairs = [(torch.randn(n, 2, 3), torch.randn(n, dtype=torch.float64)) for n in (4, 2)]
    (chunk,) = Documents(pairs, 2, 9)
    torch.testing.assert_close(chunk.input[:, 0], pairs[0][0])
    torch.testing.assert_close(chunk.target[:2, 1], pairs[1][1])
    assert not chunk.input[2:, 1].any()
    assert not chunk.target[2:, 1].any()


def test_slips_are_told():
    with pytest.raises(DataError, match="at least one document"):
        Documents([], 1, 1)
    with pytest.raises(DataError, match="document 1: expected at least one step"):
        Documents(documents([3, 0]), 1, 1)
    with pytest.raises(DataError, match="document 0: expected as many steps of y as of x, got 3 and 2"):
        Documents([(torch.zeros(3), torch.zeros(2))], 1, 1)
    with pytest.raises(ConfigError, match="chunk_length must be at least 1; got 0"):
        Documents(documents([3]), 1, 0)
    with pytest.raises(ConfigError, match="share evenly, got 3"):
        Documents(documents([3]), 3, 1, world=2)
