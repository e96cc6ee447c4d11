"""Reading ahead: a thread fetches the next chunks while the model works on this one.

What it hides is what mapped corpora cost: a page that is not in memory is read from a disk or over a network, in the
middle of a step. The place in the text stays exact: `state_dict` is that of the chunk given last, not of the last read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from queue import Queue
from typing import Any, Generic, Protocol, TypeVar

Item = TypeVar("Item", covariant=True)


class Resumable(Protocol[Item]):
    """What can be read ahead: it gives items from its place on, and its place can be saved and set."""

    def __iter__(self) -> Iterator[Item]: ...

    def state_dict(self) -> dict[str, Any]:
        """The place, after the item given last."""
        ...

    def load_state_dict(self, state: Any, /) -> None:
        """Go to a place."""
        ...


class Prefetch(Generic[Item]):
    """The items of `source` in their order, read by a thread up to `depth` ahead.

    Args:
        source: Iterates from its place to its end. While an iteration goes on, nobody else may use it.
        depth: Items that are held ready, at most; at least 1.
    """

    def __init__(self, source: Resumable[Item], depth: int = 4):
        if depth < 1:
            raise ValueError(f"depth must be at least 1; got {depth}")
        self.source, self.depth = source, depth
        self.waited_s = 0.0
        """Seconds that the reader of this was kept waiting, in all."""
        self._place = source.state_dict()

    def __iter__(self) -> Iterator[Item]:
        self.source.load_state_dict(self._place)  # takes back what an iteration that was given up had read ahead
        queue: Queue[tuple[Any, dict[str, Any] | None, BaseException | None]] = Queue(self.depth)
        stopped = threading.Event()
        thread = threading.Thread(target=_read, args=(self.source, queue, stopped), daemon=True, name="prefetch")
        thread.start()
        try:
            while True:
                began = time.perf_counter()
                item, place, error = queue.get()
                self.waited_s += time.perf_counter() - began
                if error is not None:
                    raise error
                assert place is not None
                self._place = place
                if item is _END:
                    return
                yield item
        finally:
            stopped.set()
            while thread.is_alive():  # it may be waiting for room
                while not queue.empty():
                    queue.get_nowait()
                thread.join(0.001)

    def state_dict(self) -> dict[str, Any]:
        """The place after the item given last: what `source.state_dict` would be without reading ahead."""
        return dict(self._place)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a place; the next iteration begins there."""
        self.source.load_state_dict(state)
        self._place = self.source.state_dict()


_END = object()


def _read(source: Resumable[Any], queue: Queue[Any], stopped: threading.Event) -> None:
    try:
        for item in source:
            queue.put((item, source.state_dict(), None))
            if stopped.is_set():
                return
        queue.put((_END, source.state_dict(), None))
    except BaseException as error:
        queue.put((None, None, error))
