import threading
import time

import pytest
from torch.distributed import HashStore

from ostinato.training.distributed.heartbeat import Heart, beating


class Lost(list):
    """Who was lost to whom."""

    def __init__(self):
        super().__init__()
        self.came = threading.Event()

    def to(self, rank):
        def lost(other, silence_s):
            self.append((rank, other))
            self.came.set()

        return lost


def hearts(store, lost, ranks, world, **options):
    return [
        Heart(rank, world, lambda: store, beat_s=0.02, lost=lost.to(rank), **{"silence_s": 1.0, **options})
        for rank in ranks
    ]


class Cut:
    """A store that one process cannot reach any more."""

    def __init__(self, store):
        self.store, self.is_cut = store, False

    def __getattr__(self, name):
        if self.is_cut:
            raise RuntimeError("no route to host")
        return getattr(self.store, name)


def test_who_falls_silent_is_lost_to_the_one_before():
    store, lost = HashStore(), Lost()
    cut = Cut(store)
    (first, third), (second,) = hearts(store, lost, (0, 2), 3), hearts(cut, lost, [1], 3)
    for heart in (first, second, third):
        heart.start()
    while not all(store.check([f"ostinato/beat/{rank}"]) for rank in range(3)):
        time.sleep(0.01)
    assert lost == []
    cut.is_cut = True
    until = time.monotonic() + 60
    while len(lost) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(lost) == [(0, 1), (1, 2)]  # the second has lost all others as well; the third hears the first
    first.stop()
    third.stop()


def test_who_never_said_anything_is_lost_too():
    store, lost = HashStore(), Lost()
    (first,) = hearts(store, lost, [0], 2, silence_s=0.1)
    first.start()
    assert lost.came.wait(60)
    assert lost == [(0, 1)]


def test_who_is_over_is_not_missed():
    store, lost = HashStore(), Lost()
    first, second = hearts(store, lost, range(2), 2, silence_s=0.2)
    for heart in (first, second):
        heart.start()
    second.stop()
    assert store.get("ostinato/beat/1") == b"over"
    assert not lost.came.wait(1.0)
    first.stop()
    assert lost == []


def test_a_store_that_never_answers_is_silence():
    lost, never = Lost(), threading.Event()
    heart = Heart(0, 2, never.wait, silence_s=0.1, beat_s=0.02, lost=lost.to(0))
    heart.start()
    assert lost.came.wait(60)
    never.set()
    assert lost == [(0, 1)]


def test_a_store_that_fails_for_a_moment_is_none():
    store, lost, calls = HashStore(), Lost(), []

    def connect():
        calls.append(time.monotonic())
        if len(calls) < 4:
            raise RuntimeError("Connection reset by peer")
        return store

    first = Heart(0, 2, connect, silence_s=30.0, beat_s=0.02, lost=lost.to(0))
    (second,) = hearts(store, lost, [1], 2, silence_s=30.0)
    first.start()
    second.start()
    while not store.check(["ostinato/beat/0"]):
        time.sleep(0.01)
    first.stop()
    second.stop()
    assert len(calls) == 4
    assert lost == []


@pytest.mark.parametrize("world", [1, 2])
def test_one_process_and_one_that_nobody_has_told_where_the_others_are_have_no_heart(monkeypatch, world):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    before = threading.active_count()
    with beating(0, world):
        assert threading.active_count() == before
