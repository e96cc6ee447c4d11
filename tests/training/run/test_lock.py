import os
import signal
import subprocess
import sys

import pytest

from ostinato.errors import RunError
from ostinato.training.run.lock import Lock

HOLD = """
import sys, time
from pathlib import Path
from ostinato.training.run.lock import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "run" / "state"
    folder.mkdir(parents=True)
    return folder / "lock"


def test_one_at_a_time(path):
    with Lock(path):
        with pytest.raises(
            RunError, match=rf"another run \(process {os.getpid()} on .*\) is at work in .*run; wait"
        ) as error:
            Lock(path).__enter__()
        assert "\n" not in str(error.value)
    with Lock(path):
        pass


def test_the_kernel_frees_it_when_the_process_is_killed(path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=rf"process {other.pid} on "):
        Lock(path).__enter__()
    other.send_signal(signal.SIGKILL)
    other.communicate()
    with Lock(path):
        pass


def test_a_file_that_was_removed_meanwhile_is_no_lock(path, monkeypatch):
    """The one before removes its file after ours was opened and before it is locked: another would make, and lock, a new one."""
    taken = Lock._take
    opened = []

    def take(self, file):
        opened.append(file)
        if len(opened) == 1:
            path.unlink()
        taken(self, file)

    monkeypatch.setattr(Lock, "_take", take)
    with Lock(path):
        assert len(opened) == 2
        with pytest.raises(RunError, match="is at work"):
            Lock(path).__enter__()
