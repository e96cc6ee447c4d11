"""The locks of this package. A fork waits until it holds all of them: a child has no thread that could release a lock.

So the work under a lock is finished before the fork too. That matters because PyTorch's tracer leaves switches set while it
records, and LLVM has locks of its own.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - what registers later is asked first: its lock may be wanted under one of ours
import os
import threading
import weakref
from typing import Any

_WAIT_S = 30.0  # for one lock, because its holder may wait for something that the forking thread holds
_made: weakref.WeakSet[Any] = weakref.WeakSet()
_held: list[Any] = []
RECORDER = "ostinato-trace"  # the name of the thread that records: its caller holds the lock for it


def lock() -> Any:
    """Make a reentrant lock that is free in every child process."""
    made = threading.RLock()
    _made.add(made)
    return made


def _before() -> None:
    if threading.current_thread().name.startswith(RECORDER):
        return
    _held.extend(each for each in list(_made) if each.acquire(timeout=_WAIT_S))


def _after() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)

# Held while recording or compiling, which only one thread at a time can do anyway.
compiling = lock()
