import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data import Prefetch, Streams, Tokens


def streams():
    return Streams(Tokens(np.arange(60, dtype=np.uint8), np.array([0]), 60, 10), 2, 4)


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


class Ten:
    """Counts to ten."""

    chunk_length, chunks_per_epoch = 1, 10

    def __init__(self, fails_at=None):
        self.position, self.fails_at = 0, fails_at

    def __iter__(self):
        while self.position < 10:
            if self.position == self.fails_at:
                raise OSError("the disk is gone")
            self.position += 1
            yield self.position - 1
        self.position = 0

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.lists(st.integers(0, 9), max_size=4))
def test_chunks_and_places_are_those_without_it(depth, pauses):
    """Read some chunks, give the iteration up, go on from the place as another process would; then a whole epoch."""
    plain, ahead = streams(), Prefetch(streams(), depth)
    for count in pauses:
        for _, ours, theirs in zip(range(count), ahead, plain, strict=False):
            assert ours.input.equal(theirs.input)
            assert ours.target.equal(theirs.target)
            assert ahead.state_dict() == plain.state_dict()
        # zip asks the first for one more than it gives; both are taken back to the same place
        place = plain.state_dict()
        ahead = Prefetch(streams(), depth)
        ahead.load_state_dict(place)
    rest = [chunk.input.tolist() for chunk in plain]
    assert [chunk.input.tolist() for chunk in ahead] == rest
    assert ahead.state_dict() == plain.state_dict()
    assert len(list(ahead)) == plain.chunks_per_epoch


def test_an_iteration_that_is_given_up_takes_back_what_it_read_ahead():
    ahead = Prefetch(Ten(), depth=5)
    first = iter(ahead)
    assert [next(first), next(first)] == [0, 1]
    first.close()
    assert ahead.state_dict() == {"position": 2} == ahead.source.state_dict()
    assert list(ahead) == list(range(2, 10))
    assert ahead.state_dict() == {"position": 0}


def reaches(source, position):
    deadline = time.monotonic() + 10
    while source.position < position and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.01)  # would it go further?
    return source.position


def test_it_reads_while_nobody_asks_but_not_further_than_its_depth():
    source = Ten()
    items = iter(Prefetch(source, depth=4))
    next(items)
    assert reaches(source, 4) in (4, 5)  # four are held ready
    next(items)
    next(items)
    assert reaches(source, 6) in (6, 7)  # and it wakes when two of them are left
    items.close()


def test_no_thread_is_left_behind():
    ahead = Prefetch(Ten(), depth=1)
    list(ahead)
    items = iter(ahead)
    next(items)
    assert len(readers()) == 1
    items.close()
    assert readers() == []


def test_what_fails_in_the_thread_is_raised_where_it_is_read():
    ahead = Prefetch(Ten(fails_at=3))
    items = iter(ahead)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)
    assert ahead.state_dict() == {"position": 3}
    assert readers() == []


def test_the_length_of_an_epoch_is_that_of_the_chunk_given():
    """With random lengths each epoch has its own number of chunks, and the reader is in the next one already."""

    def varied():
        return Streams(Tokens(np.zeros(3000, np.uint8), np.array([0]), 3000, 10), 2, 20, vary_length=True)

    plain, ahead = varied(), Prefetch(varied(), depth=100)
    places = [[], []]
    for _ in range(3):
        for found, source in zip(places, (plain, ahead), strict=True):
            for _ in source:
                found.append((source.position, source.chunks_per_epoch))
            found.append((source.position, source.chunks_per_epoch))
    assert places[0] == places[1]
    assert len({chunks for _, chunks in places[0]}) > 1


def test_setting_the_place_ends_an_iteration():
    ahead = Prefetch(Ten())
    items = iter(ahead)
    assert [next(items), next(items)] == [0, 1]
    ahead.load_state_dict({"position": 7})
    with pytest.raises(RuntimeError, match="the place was set"):
        next(items)
    assert list(ahead) == [7, 8, 9]


def test_the_depth_is_at_least_one():
    with pytest.raises(ValueError, match="depth must be at least 1; got 0"):
        Prefetch(Ten(), 0)
