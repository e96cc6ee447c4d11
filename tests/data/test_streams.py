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
