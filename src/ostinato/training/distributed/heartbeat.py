"""Heartbeats, to detect a process that is stopped, or whose machine has left the network: such a process closes no connection.

Each process of a run sends a sign of life every few seconds from a separate thread, whatever its other threads do: the compilation
in a first step, a long evaluation or a checkpoint does not silence it. Each process listens only to the next one, so that a
thousand processes send a thousand small messages in that time. A process that hears nothing for too long ends, and all others see
its connections close.
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
ANSWER_S = 10.0  # time for the process with the key-value store to answer; torch does not always respect it
SILENCE_S = 45.0
"""So long a process may say nothing; OSTINATO_SILENCE_S in the environment says otherwise."""
_OVER = b"over"


@contextmanager
def beating(rank: int, world: int) -> Iterator[None]:
    """Inside, this process sends signs of life, and ends if the next process sends none.

    Args:
        rank: the rank of this process; all processes have connected already, at MASTER_ADDR and MASTER_PORT.
        world: the number of processes.
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
    """The two threads of one process that send its signs of life and check those of the next process.

    Args:
        rank: the rank of the process.
        world: the number of processes.
        connect: makes a key-value store that all share; it may fail or time out, as may every operation of the store.
        silence_s: seconds that the next process may be silent.
        beat_s: seconds between two signs.
        lost: called with the rank of the next process and the seconds of its silence, if it was silent for too long.
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
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads, and tell the process that listens to this one that its silence is intended."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(self._beat_s + ANSWER_S)

    def _talk(self) -> None:
        store, beats, heard = None, 0, b""
        while not self._is_over.wait(self._beat_s if beats else 0.0):
            beats += 1
            with suppress(Exception):  # the process with the store may be the one that is gone: that counts as silence
                store = store or self._connect()
                store.set(_key(self._mine), f"{os.getpid()} {beats}")
                found = store.get(_key(self._next)) if store.check([_key(self._next)]) else heard
                if found != heard or found == _OVER:
                    heard, self._silent_s = found, 0.0
        with suppress(Exception):
            if store is not None:
                store.set(_key(self._mine), _OVER)

    def _count(self) -> None:
        # In a separate thread, because a call to a store whose process is stopped can block for ever. It counts beats and does not
        # read a clock: if this process itself was stopped for an hour, the others have not been silent for an hour.
        while not self._is_over.wait(self._beat_s):
            self._silent_s += self._beat_s
            if self._silent_s > self._silence_s:
                self._lost(self._next, self._silent_s)
                return


def _key(rank: int) -> str:
    return f"ostinato/beat/{rank}"
