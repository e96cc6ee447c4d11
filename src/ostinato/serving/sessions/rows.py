"""The allocation of the rows of a bank."""

from __future__ import annotations

import logging

from ostinato.serving.stepping.stepper import Stepper

_LOG = logging.getLogger("ostinato.serving")


class Rows:
    """The free rows of a bank, which grows when there are none.

    Args:
        stepper: the stepping thread of the bank.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        self._count = stepper.bank.rows
        self._next = 0
        self._free: list[int] = []

    def take(self, state: bytes | None = None) -> int:
        """Take a free row, which begins anew or from a state."""
        if self._free:
            row = self._free.pop()
        else:
            row, self._next = self._next, self._next + 1
            if row >= self._count:
                self._count += max(64, self._count // 8)
                count = self._count
                self._stepper.call(lambda bank: bank.grow(count)).add_done_callback(_told)
        self._stepper.fresh(row, state)
        return row

    def give(self, row: int) -> None:
        """Give back a row."""
        self._free.append(row)


def _told(future: object) -> None:
    error = getattr(future, "exception", lambda: None)()
    if error is not None:
        _LOG.error("there is no room for more sessions: %s", error)
