"""The parent process of several workers that answer at one address."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead

from ostinato.errors import RunError
from ostinato.serving.http.metrics import SHARED
from ostinato.serving.http.server.settings import Settings
from ostinato.serving.stores.file_lock import FileLock, lock_of

LOOK_S = 0.1
LEAST_LIFE_S = 5.0  # a worker that dies sooner has failed to start
MOST_DEATHS = 3  # failed starts in a row, for each worker, after which the server ends
WRONG = 2  # the status of a worker that has reported an error that the user can correct


class Workers:
    """Starter of workers, which restarts those that die and passes signals on.

    A worker ends with this process: it reads from a pipe that is never written to, and that is closed when this
    process, which holds the other end, ends.

    Args:
        settings: the settings of the server.
        listening: the socket that the workers share.
    """

    def __init__(self, settings: Settings, listening: socket.socket):
        self._settings, self._listening = settings, listening
        self._children: list[subprocess.Popen[bytes]] = []
        self._begun: list[float] = []
        self._deaths = 0
        self._signal: int | None = None
        self._lock: FileLock | None = None  # workers inherit the lock, as they may drain after this process has ended

    def run(self, on_ready: Callable[[], None]) -> int:
        """Run the workers until SIGTERM or SIGINT; return 0 when all have ended.

        Raises:
            RunError: workers die as soon as they start.
            StateError: another server uses the file of sessions.
        """
        with lock_of(self._settings.sessions) or contextlib.nullcontext() as self._lock:
            return self._run(on_ready)

    def _run(self, on_ready: Callable[[], None]) -> int:
        self._listening.listen(2048)
        folder = tempfile.mkdtemp(prefix="ostinato-metrics-")
        reading, writing = os.pipe()
        handled = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        before = {number: signal.signal(number, self._note) for number in handled}
        try:
            for _ in range(self._settings.workers):
                self._begin(reading, folder)
            on_ready()
            while not self._signal:
                self._look_after(reading, folder)
                time.sleep(LOOK_S)
            return self._end()
        finally:
            for child in self._children:
                if child.poll() is None:
                    child.kill()
                child.wait()
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(writing)
            os.close(reading)
            shutil.rmtree(folder, ignore_errors=True)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if hasattr(signal, "SIGHUP") and number == signal.SIGHUP:
            self._pass_on(number)
        else:
            self._signal = number

    def _begin(self, reading: int, folder: str) -> None:
        words = [
            sys.executable,
            "-m",
            "ostinato.serving.http.server.worker",
            str(self._listening.fileno()),
            str(reading),
            self._settings.to_json(),
        ]
        files = (self._listening.fileno(), reading, *(() if self._lock is None else (self._lock.fileno(),)))
        environment = {**os.environ, SHARED: folder}
        # Workers are in sessions of their own, so that Ctrl-C in a terminal reaches only this process, which passes it
        # on once.
        self._children.append(
            subprocess.Popen(words, pass_fds=files, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        )
        self._begun.append(time.monotonic())

    def _look_after(self, reading: int, folder: str) -> None:
        for number, child in enumerate(self._children):
            if child.poll() is None:
                continue
            mark_process_dead(child.pid, folder)
            early = time.monotonic() - self._begun[number] < LEAST_LIFE_S
            self._deaths = self._deaths + 1 if early else 0
            if self._deaths >= MOST_DEATHS * self._settings.workers or child.returncode == WRONG:
                raise RunError(
                    f"workers end as soon as they begin, the last with status {child.returncode}; see what they said"
                )
            del self._children[number], self._begun[number]
            self._begin(reading, folder)
            return  # the lists have changed; the next look comes soon

    def _pass_on(self, number: int) -> None:
        for child in self._children:
            if child.poll() is None:
                child.send_signal(number)

    def _end(self) -> int:
        self._pass_on(signal.SIGTERM)
        until = time.monotonic() + self._settings.drain_seconds + 10
        while any(child.poll() is None for child in self._children) and time.monotonic() < until:
            time.sleep(LOOK_S / 2)
        return 0
