"""Signs of life: a process that is stopped, or whose machine has vanished from the network, closes no connection.

Each process of a run says every few seconds that it is there, from a thread of its own, whatever its other threads do: a first step
whose kernels are compiled, a long evaluation or a checkpoint are no silence. Each listens to the next one only, so that a thousand
processes send a thousand small messages in that time. One who hears nothing for too long ends, and all see its connections close.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage] - it is documented there

from ostinato.training.distributed.launch import OF_A_PEER

BEAT_S = 3.0
ANSWER_S = 10.0  # for the process that keeps the signs; torch does not always keep to it
SILENCE_S = 45.0
"""So long a process may say nothing; OSTINATO_SILENCE_S in the environment says otherwise."""
_OVER = b"over"


@contextmanager
def beating(rank: int, world: int) -> Iterator[None]:
    """Inside, the process says that it is there, and ends where the next one does not.

    Args:
        rank: of this process; all have met already, at MASTER_ADDR and MASTER_PORT.
        world: how many there are.
    """
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    if world == 1 or not host or not port:
        yield
        return

    def connect() -> TCPStore:
        return TCPStore(host, int(port), None, False, timedelta(seconds=ANSWER_S), wait_for_workers=False)

    heart = Heart(rank, world, connect, silence_s=float(os.environ.get("OSTINATO_SILENCE_S", SILENCE_S)))
    heart.start()
    try:
        yield
    finally:
        heart.stop()


def _end(rank: int, silence_s: float) -> None:
    print(
        f"ostinato: process {rank} has not been heard of for {silence_s:.0f} s: it, or its machine, is stopped or cut off",
        file=sys.stderr,
        flush=True,
    )
    os._exit(OF_A_PEER)  # the thread that trains waits for that process, inside of torch


class Heart:
    """The thread of one process.

    Args:
        rank: of the process.
        world: how many there are.
        connect: makes a key-value store that all share; it may fail or time out, as all that is done with it.
        silence_s: seconds that the next process may say nothing.
        beat_s: seconds between two signs.
        lost: called with the number of the next process, and how long it was silent.
    """

    def __init__(
        self,
        rank: int,
        world: int,
        connect: Callable[[], Any],
        *,
        silence_s: float = SILENCE_S,
        beat_s: float = BEAT_S,
        lost: Callable[[int, float], None] = _end,
    ):
        self._mine, self._next = rank, (rank + 1) % world
        self._connect, self._lost = connect, lost
        self._silence_s, self._beat_s = silence_s, beat_s
        self._silent_s = 0.0
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._talk, self._count)]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Tells the one that listens that no more is to be heard, and why that is right."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(self._beat_s + ANSWER_S)

    def _talk(self) -> None:
        store, beats, heard = None, 0, b""
        while not self._is_over.wait(self._beat_s if beats else 0.0):
            beats += 1
            with suppress(Exception):  # who keeps the signs may be the one that is gone: that is silence
                store = store or self._connect()
                store.set(_key(self._mine), f"{os.getpid()} {beats}")
                found = store.get(_key(self._next)) if store.check([_key(self._next)]) else heard
                if found != heard or found == _OVER:
                    heard, self._silent_s = found, 0.0
        with suppress(Exception):
            if store is not None:
                store.set(_key(self._mine), _OVER)

    def _count(self) -> None:
        # A thread of its own: to talk to one who is stopped can take for ever. It counts beats instead of looking at a clock: where
        # this process itself was stopped for an hour, the others have not been silent for an hour.
        while not self._is_over.wait(self._beat_s):
            self._silent_s += self._beat_s
            if self._silent_s > self._silence_s:
                self._lost(self._next, self._silent_s)
                return


def _key(rank: int) -> str:
    return f"ostinato/beat/{rank}"
