"""Queues for the pieces of a text between the stepping thread and their reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ostinato.serving.generating import Piece

_MOST, _FEW = 256, 64


class Pieces:
    """A queue of pieces, filled and emptied on the event loop.

    Attributes:
        on_full: called with True when too many pieces wait, so that writing should pause, and later with False.
    """

    def __init__(self) -> None:
        self.on_full: Callable[[bool], None] = lambda _: None
        self._is_full = False
        self._waiting: deque[Piece] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._is_over = False

    def put(self, piece: Piece) -> None:
        """Add a piece."""
        self._waiting.append(piece)
        if len(self._waiting) >= _MOST and not self._is_full:
            self._is_full = True
            self.on_full(True)
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """End the queue; `error` is the reason if the text failed."""
        self._error, self._is_over = error, True
        self._wake()

    async def next(self) -> Piece | None:
        """Wait for the next piece; None at the end.

        Raises:
            ServingError: the text failed.
        """
        while not self._waiting:
            if self._is_over:
                if self._error is not None:
                    raise self._error
                return None
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        piece = self._waiting.popleft()
        if self._is_full and len(self._waiting) <= _FEW:
            self._is_full = False
            self.on_full(False)
        return piece

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Held:
    """Pieces that are held back until the state after them is stored.

    Args:
        tell: called with each piece that may be sent.

    Attributes:
        before: how many inputs are read before the first token is drawn.
    """

    def __init__(self, tell: Callable[[Piece], None]) -> None:
        self._tell, self.before = tell, 0
        self._waiting: deque[Piece] = deque()
        self._told = 0

    def put(self, piece: Piece) -> None:
        """Add a piece."""
        self._waiting.append(piece)

    def reach(self, at: int) -> None:
        """Give the pieces whose tokens were read within the first `at` steps; the state after these is now stored."""
        while self._waiting and self.before + self._told < at:
            self._told += 1
            self._tell(self._waiting.popleft())

    @property
    def text(self) -> str:
        """The text of the pieces that are held back."""
        return "".join(piece.text for piece in self._waiting)
