import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import Tokens
from ostinato.errors import DataError
from ostinato.recipes.lm.reading import TextReading


def tokens(length):
    return Tokens(np.arange(length, dtype=np.uint32), np.zeros(1, dtype=np.int64), length, 1)


@settings(deadline=None)
@given(st.integers(2, 9000), st.integers(1, 8), st.integers(1, 100), st.none() | st.integers(1, 5000))
def test_it_says_what_it_reads(length, batch_size, chunk_length, most):
    reading = TextReading(tokens(length), batch_size, chunk_length, most)
    read = [chunk.input.shape for chunk in reading()]
    assert sum(T * B for T, B in read) == reading.predicted
    assert sum(len(run) - 1 for run in reading.runs()) in (reading.predicted, length - 1)
    assert len({B for _, B in read}) == 1
    if read[0][1] > 1:  # streams are long, or there is one
        assert length // read[0][1] >= 1024
    if most is None:
        assert length - 1 - reading.predicted < read[0][1]  # all, but less than a token a stream
    else:
        assert reading.predicted <= max(most, chunk_length * read[0][1])


def test_it_can_be_read_again():
    reading = TextReading(tokens(100), 4, 7)
    assert len(list(reading())) == len(list(reading())) == 15


def test_too_little_text_is_refused():
    with pytest.raises(DataError, match="at least 2 tokens of text to evaluate on, got 1"):
        TextReading(tokens(1), 4, 7)


@pytest.mark.parametrize(("batch_size", "world"), [(4, 2), (4, 4), (3, 2), (1, 2)])
def test_processes_read_all_of_it_once_or_each_all_of_it(batch_size, world):
    reading = TextReading(tokens(4 * 1024 + 1), batch_size, 32)
    whole = [chunk.input for chunk in reading()]
    shares = [[chunk.input for chunk in reading.share(rank, world)()] for rank in range(world)]
    if batch_size % world == 0:
        assert all(
            np.array_equal(np.concatenate(parts, axis=1), all_rows)
            for all_rows, *parts in zip(whole, *shares, strict=True)
        )
    else:
        assert all(np.array_equal(np.concatenate(share), np.concatenate(whole)) for share in shares)
