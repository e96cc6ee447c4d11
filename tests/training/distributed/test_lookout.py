import os
import subprocess
import sys
import time

from ostinato.training.distributed import lookout
from ostinato.training.distributed.lookout import Lookout


class Quick(Lookout):
    """Counts seconds in no time, and does not begin again."""

    def __init__(self):
        super().__init__(["nothing"])
        self._is_over.wait = lambda seconds: time.sleep(0.001) or self._is_over.is_set()
        self.began_again = 0

    def _begin_again(self):
        self.began_again += 1
        self.wait_at_most(None)


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


def test_who_waits_too_long_begins_again():
    watching = Quick()
    with watching:
        watching.wait_at_most(20)
        wait_for(lambda: watching.began_again == 1)


def test_who_goes_on_in_time_does_not():
    watching = Quick()
    with watching:
        for _ in range(50):
            watching.wait_at_most(10_000)
            watching.wait_at_most(None)
        time.sleep(0.2)
    assert watching.began_again == 0


def test_beginning_again_ends_the_workers_and_is_the_same_command_with_the_same_surroundings(monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setenv("OSTINATO_ALONE_SINCE", "12.5")
    monkeypatch.setenv("A", "before")
    watching = Lookout([sys.executable, "-m", "a"])
    monkeypatch.setenv("A", "in between")
    asked = []
    monkeypatch.setattr(lookout.os, "execve", lambda *given: asked.append(given))
    watching.workers = [child.pid]
    watching._begin_again()
    assert child.wait(60) < 0
    ((program, words, environment),) = asked
    assert (program, words) == (sys.executable, [sys.executable, "-m", "a"])
    assert environment == {**os.environ, "A": "before", "OSTINATO_ALONE_SINCE": "12.5"}
