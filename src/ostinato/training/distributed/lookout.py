"""Detect that the agent waits for a machine that does not answer."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from ostinato.training.distributed.endings import say

_ALONE_SINCE = "OSTINATO_ALONE_SINCE"


class Lookout(threading.Thread):
    """A thread that detects that the agent waits for ever: torch does so if the rendezvous machine is stopped or cut off.

    Such a wait cannot be interrupted. So the workers are killed, and this process is replaced by a new start of the program.

    Args:
        command: the command that starts the program.
    """

    def __init__(self, command: Sequence[str]):
        super().__init__(name="ostinato-lookout", daemon=True)
        self._command = list(command)
        self._environment = dict(os.environ)
        since = self._environment.pop(_ALONE_SINCE, None)
        self.alone_since = None if since is None else float(since)
        self._left_s: float | None = None
        self._is_over = threading.Event()
        self.workers: list[int] = []

    def wait_at_most(self, seconds: float | None) -> None:
        """Set how many seconds the agent's next action may take; None for any time."""
        self._left_s = seconds

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *error: object) -> None:
        self._is_over.set()

    def run(self) -> None:
        """Count seconds instead of reading a clock, because this process may itself have been stopped in between."""
        while not self._is_over.wait(1.0):
            left_s = self._left_s
            if left_s is None:
                continue
            self._left_s = left_s - 1.0
            if left_s < 1.0:
                self._begin_again()

    def _begin_again(self) -> None:
        say("the machine where all meet does not answer; beginning again, to wait for it or for one in its place")
        for pid in self.workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        since = str(self.alone_since or time.time())
        os.execve(self._command[0], self._command, {**self._environment, _ALONE_SINCE: since})
