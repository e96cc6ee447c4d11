import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import Streams, Tokens
from ostinato.errors import ConfigError, DataError, RunError


def tokens(length, starts=(0,), dtype=np.uint16):
    return Tokens(np.arange(length, dtype=dtype), np.array(starts, dtype=np.int64), length, 1)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 60))
def test_every_stream_is_contiguous_and_nothing_is_skipped(batch_size, chunk_length, extra):
    N = batch_size * chunk_length + 1 + extra
    streams = Streams(tokens(N), batch_size, chunk_length)
    chunks = list(streams)
    assert len(chunks) == streams.chunks_per_epoch
    assert all(len(chunk.input) == chunk_length for chunk in chunks[:-1])
    length = (N - 1) // batch_size
    expected = torch.arange(batch_size) * length + torch.arange(length)[:, None]
    torch.testing.assert_close(torch.cat([chunk.input for chunk in chunks]), expected)
    torch.testing.assert_close(torch.cat([chunk.target for chunk in chunks]), expected + 1)
    assert all(chunk.input.dtype == chunk.target.dtype == torch.int64 for chunk in chunks)
    assert all(chunk.input.is_contiguous() and chunk.target.is_contiguous() for chunk in chunks)
    assert all(chunk.resets is None for chunk in chunks)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.sets(st.integers(1, 49), max_size=12))
def test_resets_are_where_documents_begin(batch_size, chunk_length, starts):
    corpus = tokens(50, sorted({0, *starts}))
    seen = 0
    for chunk in Streams(corpus, batch_size, chunk_length, reset_at_documents=True):
        assert chunk.resets is not None
        expected = np.isin(chunk.input.numpy(), corpus.document_starts)
        np.testing.assert_array_equal(chunk.resets.numpy(), expected)
        seen += len(chunk.input)
    assert seen == 49 // batch_size


def test_a_saved_place_goes_on_after_the_chunk_that_was_given():
    first = Streams(tokens(101), 3, 4)
    chunks = iter(first)
    given_before = [next(chunks).input for _ in range(3)]
    state = first.state_dict()
    assert state["position"] == first.position == 3
    second = Streams(tokens(101), 3, 4)
    second.load_state_dict(state)
    resumed = [*given_before, *(chunk.input for chunk in second)]
    torch.testing.assert_close(torch.cat(resumed), torch.cat([chunk.input for chunk in Streams(tokens(101), 3, 4)]))
    assert second.position == 0


def test_a_second_epoch_is_the_first_again():
    streams = Streams(tokens(30), 2, 5)
    torch.testing.assert_close([chunk.input for chunk in streams], [chunk.input for chunk in streams])


def test_a_place_in_other_streams_is_a_run_error():
    state = Streams(tokens(101), 3, 4).state_dict()
    for other in (Streams(tokens(101), 4, 4), Streams(tokens(101), 3, 5), Streams(tokens(100), 3, 4)):
        with pytest.raises(RunError, match="resume with the same data and sizes"):
            other.load_state_dict(state)


def test_seen_covers_what_the_chunks_have_shown():
    streams = Streams(tokens(101), 3, 4)
    assert streams.seen(0) == []
    for count, chunk in enumerate(streams, start=1):
        runs = streams.seen(count)
        if count < streams.chunks_per_epoch:
            assert [run[-1] for run in runs] == chunk.target[-1].tolist()
            assert [run.tolist() for run in runs] == [list(range(b * 33, b * 33 + 4 * count + 1)) for b in range(3)]
        else:
            assert [run.tolist() for run in runs] == [list(range(101))]
    assert len(streams.seen(10**6)) == 1


def test_a_memory_map_is_enough(tmp_path):
    np.arange(101, dtype=np.uint8).tofile(tmp_path / "ids")
    mapped = np.memmap(tmp_path / "ids", dtype=np.uint8, mode="r")
    streams = Streams(Tokens(mapped, np.zeros(1, np.int64), 101, 1), 3, 4)
    torch.testing.assert_close(next(iter(streams)).input, next(iter(Streams(tokens(101), 3, 4))).input)


def test_too_small_a_corpus_names_the_largest_batch_that_fits():
    with pytest.raises(DataError, match=r"100 tokens are too few for 34 streams of at least 3 steps.*batch_size is 33"):
        Streams(tokens(100), 34, 3)
    assert Streams(tokens(100), 33, 3).chunks_per_epoch == 1
    with pytest.raises(DataError, match="even one stream needs 8; give more text"):
        Streams(tokens(5), 2, 7)
    with pytest.raises(DataError, match="0 tokens"):
        Streams(tokens(0), 1, 1)


@pytest.mark.parametrize(("batch_size", "chunk_length", "name"), [(0, 5, "batch_size"), (5, -1, "chunk_length")])
def test_a_size_below_one_is_a_config_error(batch_size, chunk_length, name):
    with pytest.raises(ConfigError, match=f"{name} must be at least 1"):
        Streams(tokens(100), batch_size, chunk_length)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.booleans(), st.integers(2, 9))
def test_the_shares_of_all_processes_are_the_batch_of_one(world, each, vary, chunk_length):
    corpus = tokens(200, range(0, 200, 7))
    make = {"reset_at_documents": True, "vary_length": vary, "seed": 5}
    whole = Streams(corpus, world * each, chunk_length, **make)
    shares = [Streams(corpus, world * each, chunk_length, **make, rank=rank, world=world) for rank in range(world)]
    for chunk, *parts in zip(whole, *shares, strict=True):
        for name in ("input", "target", "resets"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts], dim=1), getattr(chunk, name))
        assert all(part.input.shape[1] == each for part in parts)
        assert all(share.state_dict() == whole.state_dict() for share in shares)
    assert all(len(share.seen(1)) == world * each or whole.chunks_per_epoch == 1 for share in shares)


def test_a_place_is_gone_on_from_by_any_number_of_processes():
    first = Streams(tokens(200), 6, 4, rank=1, world=2)
    iterator = iter(first)
    for _ in range(3):
        next(iterator)
    one = Streams(tokens(200), 6, 4)
    one.load_state_dict(first.state_dict())
    expected = next(iter(one)).input
    parts = [next(iter(one.share(rank, 3))).input for rank in range(3)]
    assert one.position == 4
    del parts
    one.load_state_dict(first.state_dict())
    parts = [next(iter(one.share(rank, 3))).input for rank in range(3)]
    torch.testing.assert_close(torch.cat(parts, dim=1), expected)


def test_rows_that_cannot_be_shared_evenly_are_a_config_error():
    with pytest.raises(ConfigError, match=r"3 processes can share evenly, got 7; take 6 or 9"):
        Streams(tokens(200), 7, 4, rank=0, world=3)
    with pytest.raises(ConfigError, match=r"share evenly, got 2; take 4"):
        Streams(tokens(200), 2, 4).share(0, 4)
    with pytest.raises(ConfigError, match=r"0 <= rank < world = 2, got 2"):
        Streams(tokens(200), 4, 4, rank=2, world=2)


def test_varied_lengths_cover_the_stream_and_are_drawn_as_in_the_paper():
    streams = Streams(tokens(200_001, dtype=np.uint32), 1, 70, vary_length=True, seed=1)
    chunks = list(streams)
    torch.testing.assert_close(torch.cat([chunk.input for chunk in chunks])[:, 0], torch.arange(200_000))
    lengths = np.array([len(chunk.input) for chunk in chunks[:-1]])
    assert lengths.min() >= 5
    short = lengths < 52  # between the two bases, 35 and 70, 3.5 deviations of 5 from either
    n = len(lengths)
    assert abs(short.mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / n)
    # A length is a normal number without its fraction: half a step less on average.
    for base, found in ((70, lengths[~short]), (35, lengths[short])):
        assert abs(found.mean() + 0.5 - base) < 4 * 5 / np.sqrt(len(found))
        assert found.std() == pytest.approx(5, rel=0.25)


def test_varied_lengths_differ_by_epoch_and_seed_and_resume_exactly():
    def lengths(streams):
        return [len(chunk.input) for chunk in streams]

    streams = Streams(tokens(2001), 2, 20, vary_length=True, seed=1)
    first, second = lengths(streams), lengths(streams)
    again = Streams(tokens(2001), 2, 20, vary_length=True, seed=1)
    assert lengths(again) == first != second
    assert first != lengths(Streams(tokens(2001), 2, 20, vary_length=True, seed=2))
    iterator = iter(again)
    head = [len(next(iterator).input) for _ in range(4)]
    resumed = Streams(tokens(2001), 2, 20, vary_length=True, seed=1)
    resumed.load_state_dict(again.state_dict())
    assert head + lengths(resumed) == second
    with pytest.raises(RunError, match="length_seed"):
        Streams(tokens(2001), 2, 20, vary_length=True, seed=2).load_state_dict(again.state_dict())


def test_what_was_seen_follows_the_varied_lengths():
    streams = Streams(tokens(2001, dtype=np.uint16), 2, 20, vary_length=True)
    for count, chunk in enumerate(streams, start=1):
        if count < streams.chunks_per_epoch:
            assert [run[-1] for run in streams.seen(count)] == chunk.target[-1].tolist()
