import io
import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest

from ostinato.errors import ConfigError, RunError
from ostinato.training.distributed import launch as distributed_launch
from ostinato.training.distributed.launch import OF_A_PEER, is_launched, is_watched, launch, rank

NAMES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "RANK", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_STEP_ID")


@pytest.fixture(autouse=True)
def nobody_launched_this(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_the_first_speaks_for_all(capfd):
    assert launch(["--version"], 3) == 0
    out, errors = capfd.readouterr()
    assert len(out.splitlines()) == 1
    assert errors == ""


def test_what_all_get_wrong_is_told_once(capfd):
    assert launch(["tarin"], 2) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "did you mean train?" in line


def test_several_machines_have_to_find_each_other(monkeypatch):
    with pytest.raises(ConfigError, match="expected MASTER_ADDR, MASTER_PORT, NODE_RANK in the environment"):
        launch(["--version"], 2, 2)
    for name, value in {"MASTER_ADDR": "node0", "MASTER_PORT": "1234", "NODE_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="NODE_RANK: expected a number from 0 to 1, got 2"):
        launch(["--version"], 2, 2)


def script(monkeypatch, code):
    """Lets the workers run `code` instead of ostinato."""
    started = distributed_launch.subprocess.Popen

    def popen(command, **more):
        return started([sys.executable, "-c", code], **more)

    monkeypatch.setattr(distributed_launch.subprocess, "Popen", popen)


def test_workers_are_told_who_they_are(monkeypatch, tmp_path):
    for name, value in {"MASTER_ADDR": "node0", "MASTER_PORT": "1234", "NODE_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE GROUP_RANK MASTER_ADDR MASTER_PORT"
    code = f"import os; print(*map(os.environ.get, {names.split()}), file=open({str(tmp_path)!r} + '/' + os.environ['RANK'], 'w'))"
    script(monkeypatch, code)
    assert launch([], 2, 2) == 0
    assert (tmp_path / "2").read_text().split() == ["2", "0", "4", "2", "1", "node0", "1234"]
    assert (tmp_path / "3").read_text().split() == ["3", "1", "4", "2", "1", "node0", "1234"]


def test_the_words_of_the_one_that_failed_are_shown(monkeypatch, capfd):
    script(monkeypatch, "import os, sys; sys.exit('only I' if os.environ['RANK'] == '1' else 3)")
    assert launch([], 2) == 1
    assert capfd.readouterr().err == "only I\n"


def test_those_that_do_not_notice_are_asked_and_then_killed(monkeypatch):
    monkeypatch.setattr(distributed_launch, "_GRACE_S", 0.2)
    monkeypatch.setattr(distributed_launch, "_KILL_S", 0.3)
    script(
        monkeypatch,
        "import os, signal, time\n"
        "if os.environ['RANK'] == '1': os.kill(os.getpid(), signal.SIGKILL)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "time.sleep(60)",
    )
    began = time.monotonic()
    with pytest.raises(
        RunError, match=r"process 1 of 2 was killed by SIGKILL \(as the system does when memory runs out\)"
    ):
        launch([], 2)
    assert time.monotonic() - began < 20


def worker(rank, code, words=b""):
    return SimpleNamespace(
        rank=rank, process=SimpleNamespace(returncode=code), errors=io.BytesIO(words) if rank else None
    )


@pytest.mark.parametrize(
    ("codes", "first", "expected"),
    [
        ((0, 0), (), 0),
        ((130, 130), (0, 1), 130),
        ((2, OF_A_PEER), (0,), 2),
        ((OF_A_PEER, 2), (0,), 2),
        ((OF_A_PEER, -signal.SIGKILL), (0,), "process 1 of 2 was killed by SIGKILL"),
        ((-signal.SIGTERM, -signal.SIGSEGV), (1,), "process 1 of 2 was killed by SIGSEGV;"),
        ((1, -signal.SIGKILL), (1,), "process 1 of 2 was killed by SIGKILL"),
        ((OF_A_PEER, OF_A_PEER), (0,), "a process on another machine is gone"),
    ],
)
def test_the_cause_is_told_and_not_what_it_led_to(codes, first, expected):
    workers = [worker(rank, code) for rank, code in enumerate(codes)]
    failed = [workers[rank] for rank in first]
    if isinstance(expected, int):
        assert distributed_launch._verdict(workers, failed, 2) == expected
    else:
        with pytest.raises(RunError, match=expected):
            distributed_launch._verdict(workers, failed, 2)


def test_what_the_first_has_said_is_not_said_again(capfd):
    workers = [worker(0, 2), worker(1, 2, b"the same")]
    assert distributed_launch._verdict(workers, workers[1:], 2) == 2
    assert capfd.readouterr().err == ""
    workers = [worker(0, OF_A_PEER), worker(1, 2, b"only I")]
    assert distributed_launch._verdict(workers, workers[:1], 2) == 2
    assert capfd.readouterr().err == "only I"


def test_signals_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGINT)
    launch(["--version"], 1)
    assert signal.getsignal(signal.SIGINT) is before


def test_slurm_and_torchrun_are_known(monkeypatch):
    assert not is_launched()
    assert not is_watched()
    assert rank() == 0
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert not is_launched()  # a batch script, not one of srun's tasks
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert is_launched()
    assert rank() == 3
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "1")
    assert rank() == 1


def test_starting_processes_needs_no_torch():
    code = "import sys, ostinato.training.distributed.launch; sys.exit('torch' in sys.modules)"
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", code) == 0
