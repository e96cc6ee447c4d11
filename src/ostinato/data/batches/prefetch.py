"""Reading ahead: a thread fetches the next chunks while the model works on this one.

It hides a cost of mapped corpora: a page that is not in memory is read from a disk or over a network, in the middle of
a step. The place in the text stays exact: it is the place after the chunk given last, not after the last one read.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

Item = TypeVar("Item", covariant=True)


class Source(Protocol[Item]):
    """A source that can be read ahead, such as `Streams`: it gives chunks from a place that can be saved and set."""

    chunk_length: int
    position: int

    @property
    def chunks_per_epoch(self) -> int:
        """Chunks in the current epoch."""
        ...

    def __iter__(self) -> Iterator[Item]: ...

    def state_dict(self) -> dict[str, Any]:
        """Return the place, which is after the chunk given last."""
        ...

    def load_state_dict(self, state: Any, /) -> None:
        """Go to a place."""
        ...


class _Place(NamedTuple):
    position: int
    chunks_per_epoch: int
    state: dict[str, Any]


class Prefetch(Generic[Item]):
    """The chunks of `source` in their order, read by a thread up to `depth` ahead.

    The thread ends with the iteration. Until then nothing else may use `source`; afterwards `source` is at the place of
    this object.

    Args:
        source: Iterates from its place to the end of its epoch.
        depth: Chunks that are held ready, at most; at least 1.
    """

    def __init__(self, source: Source[Item], depth: int = 16):
        if depth < 1:
            raise ValueError(f"depth must be at least 1; got {depth}")
        self.source, self.depth = source, depth
        self._place = _place_of(source)
        self._reader: _Reader | None = None

    @property
    def chunk_length(self) -> int:
        """The chunk length of the source."""
        return self.source.chunk_length

    @property
    def position(self) -> int:
        """Chunks given of this epoch."""
        return self._place.position

    @property
    def chunks_per_epoch(self) -> int:
        """Chunks in this epoch."""
        return self._place.chunks_per_epoch

    def __iter__(self) -> Iterator[Item]:
        self.close()
        reader = self._reader = _Reader(self.source, self.depth)
        try:
            while reader is self._reader:
                item, place, error = reader.take()
                if error is not None:
                    raise error
                assert place is not None
                self._place = place
                if item is _END:
                    return
                yield item
            raise RuntimeError("the place was set while chunks were read; iterate anew")
        finally:
            if reader is self._reader:
                self.close()

    def close(self) -> None:
        """End the thread and take back what it has read ahead."""
        if self._reader is not None:
            self._reader.stop()
            self._reader = None
            self.source.load_state_dict(self._place.state)

    def state_dict(self) -> dict[str, Any]:
        """Return the place after the chunk given last: the place that `source` would have without reading ahead."""
        return dict(self._place.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a place; the next iteration begins there."""
        self.close()
        self.source.load_state_dict(state)
        self._place = _place_of(self.source)


_END = object()


def _place_of(source: Source[Any]) -> _Place:
    return _Place(source.position, source.chunks_per_epoch, source.state_dict())


class _Reader:
    """The reading thread. It reads `depth` items, then sleeps until half are taken: a wake-up may delay the model."""

    def __init__(self, source: Source[Any], depth: int):
        self._ready: deque[tuple[Any, _Place | None, BaseException | None]] = deque()
        self._source, self._depth = source, depth
        self._filled, self._wanted = threading.Event(), threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._read, daemon=True, name="prefetch")
        self._thread.start()

    def take(self) -> tuple[Any, _Place | None, BaseException | None]:
        """Return the next item, its place, and the error if reading failed; wait if no item is ready."""
        while not self._ready:
            self._filled.clear()
            if not self._ready:  # an item may have come just before `clear`
                self._wanted.set()
                self._filled.wait()
        taken = self._ready.popleft()
        if len(self._ready) <= self._depth // 2 and not self._wanted.is_set():
            self._wanted.set()
        return taken

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._wanted.set()
        self._thread.join()

    def _read(self) -> None:
        try:
            for item in self._source:
                self._give(item, _place_of(self._source), None)
                while len(self._ready) >= self._depth and not self._stopped:
                    self._wanted.clear()
                    if len(self._ready) > self._depth // 2 and not self._stopped:
                        self._wanted.wait()
                if self._stopped:
                    return
            self._give(_END, _place_of(self._source), None)
        except BaseException as error:
            self._give(None, None, error)

    def _give(self, item: Any, place: _Place | None, error: BaseException | None) -> None:
        self._ready.append((item, place, error))
        if not self._filled.is_set():
            self._filled.set()
