import os
import signal
import socket
import sys
import threading
import time

import pytest
from torch.distributed.elastic.multiprocessing.api import PContext
from torch.distributed.elastic.rendezvous.dynamic_rendezvous import DynamicRendezvousHandler

from ostinato.errors import RunError
from ostinato.training.distributed import agent
from ostinato.training.distributed.agent import launch
from ostinato.training.distributed.plan import Plan
from tests.training.distributed.test_launch import NAMES


@pytest.fixture(autouse=True)
def nobody_launched_this(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def script(monkeypatch, code):
    """Lets the workers run `code` instead of ostinato."""
    monkeypatch.setattr(agent, "_COMMAND", (sys.executable, "-c", code))


def test_the_first_speaks_for_all(capfd):
    assert launch(["--version"], Plan(3)) == 0
    out, errors = capfd.readouterr()
    assert len(out.splitlines()) == 1
    assert errors == ""


def test_what_all_get_wrong_is_told_once(capfd):
    assert launch(["tarin"], Plan(2)) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "did you mean train?" in line


def test_workers_are_told_who_they_are_and_get_every_word(monkeypatch, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE GROUP_RANK MASTER_ADDR MASTER_PORT"
    code = (
        f"import os, sys; print(*map(os.environ.get, {names.split()}), *sys.argv[1:], "
        f"file=open({str(tmp_path)!r} + '/' + os.environ['RANK'], 'w'))"
    )
    script(monkeypatch, code)
    place = f"127.0.0.1:{port}"
    pid = os.fork()
    if pid == 0:  # the other machine
        os._exit(launch(["$$a", "${local_rank}"], Plan(2, 2, 2, place=place, node=1)))
    assert launch(["$$a", "${local_rank}"], Plan(2, 2, 2, place=place, node=0)) == 0
    assert os.waitpid(pid, 0)[1] == 0
    said = [(tmp_path / str(rank)).read_text().split() for rank in range(4)]
    told = ["127.0.0.1", str(port), "$$a", "${local_rank}"]
    assert said == [[str(rank), str(rank % 2), "4", "2", str(rank // 2), *told] for rank in range(4)]


def test_the_words_of_the_one_that_failed_are_shown(monkeypatch, capfd):
    script(monkeypatch, "import os, sys; sys.exit('only I' if os.environ['RANK'] == '1' else 3)")
    assert launch([], Plan(2)) == 1
    assert capfd.readouterr().err == "only I\n"


def test_those_that_do_not_notice_are_killed(monkeypatch):
    monkeypatch.setattr(agent, "_GRACE_S", 0.2)
    script(
        monkeypatch,
        "import os, signal, time\n"
        "if os.environ['RANK'] == '1': os.kill(os.getpid(), signal.SIGKILL)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "time.sleep(600)",
    )
    with pytest.raises(
        RunError, match=r"process 1 of 2 was killed by SIGKILL \(as the system does when memory runs out\)"
    ):
        launch([], Plan(2))


ELASTIC = Plan(2, max_restarts=2, is_elastic=True)
EACH_TRY = """
import os, pathlib, signal, sys, time
folder, rank = pathlib.Path(sys.argv[1]), os.environ["RANK"]
tried = len(list(folder.glob(rank + "-*")))
(folder / f"{rank}-{tried}").touch()
"""


def test_who_is_killed_is_started_again_with_all_others(monkeypatch, tmp_path, capfd):
    script(
        monkeypatch, EACH_TRY + "if rank == '1' and tried < 2: os.kill(os.getpid(), 9)\nsys.exit(3 if tried < 2 else 0)"
    )
    assert launch([str(tmp_path)], ELASTIC, kept=lambda: "step 7") == 0
    assert len(list(tmp_path.iterdir())) == 6
    lines = capfd.readouterr().err.splitlines()
    assert [line.rpartition("; ")[2] for line in lines] == [
        f"going on from step 7 (restart {each} of 2)" for each in (1, 2)
    ]
    assert all("process 1 of 2 was killed by SIGKILL" in line for line in lines)


def test_restarts_come_to_an_end(monkeypatch, tmp_path):
    script(monkeypatch, EACH_TRY + "if rank == '1': os.kill(os.getpid(), 11)\nsys.exit(3)")
    with pytest.raises(RunError, match="process 1 of 2 was killed by SIGSEGV; training has stopped in all"):
        launch([str(tmp_path)], Plan(2, max_restarts=1, is_elastic=True))
    assert len(list(tmp_path.iterdir())) == 4


def test_what_no_try_would_change_is_not_tried_again(monkeypatch, tmp_path, capfd):
    script(
        monkeypatch,
        EACH_TRY + "print('wrong', file=sys.stderr) if rank == '0' else None\nsys.exit(2 if rank == '0' else 3)",
    )
    assert launch([str(tmp_path)], ELASTIC) == 2
    assert len(list(tmp_path.iterdir())) == 2
    assert capfd.readouterr().err == "wrong\n"


def test_a_worker_that_was_asked_to_stop_costs_no_restart(monkeypatch, tmp_path):
    script(monkeypatch, EACH_TRY + "sys.exit(130 if tried < 3 else 0)")
    assert launch([str(tmp_path)], Plan(1, max_restarts=0, is_elastic=True)) == 0
    assert len(list(tmp_path.iterdir())) == 4


def test_memory_that_is_not_there_may_be_there_later(monkeypatch, tmp_path):
    script(monkeypatch, EACH_TRY + "sys.exit(0 if tried else 4)")
    assert launch([str(tmp_path)], Plan(1, max_restarts=1, is_elastic=True)) == 0


def test_a_signal_reaches_the_workers_once_and_they_take_their_time(monkeypatch, tmp_path):
    script(
        monkeypatch,
        EACH_TRY + "signal.signal(signal.SIGTERM, lambda *_: (folder / f'told-{rank}-{time.time()}').touch())\n"
        "(folder / f'ready-{rank}').touch()\nsignal.pause()\ntime.sleep(1)\n(folder / f'saved-{rank}').touch()\nsys.exit(130)",
    )

    def ask():
        while len(list(tmp_path.glob("ready-*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=ask).start()
    assert launch([str(tmp_path)], ELASTIC) == 130
    assert len(list(tmp_path.glob("told-*"))) == len(list(tmp_path.glob("saved-*"))) == 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_who_joins_waits_until_the_workers_have_saved(monkeypatch, tmp_path):
    script(
        monkeypatch,
        EACH_TRY + "signal.signal(signal.SIGTERM, lambda *_: (folder / f'told-{rank}').touch())\n"
        "if tried: sys.exit()\n(folder / f'ready-{rank}').touch()\nsignal.pause()\ntime.sleep(1)\n"
        "(folder / f'saved-{rank}').touch()\nsys.exit(130)",
    )
    close, joined = PContext.close, []

    def waiting(handler):
        if not joined and len(list(tmp_path.glob("ready-*"))) == 2:
            joined.append(True)
            return 1
        return 0

    monkeypatch.setattr(DynamicRendezvousHandler, "num_nodes_waiting", waiting)
    monkeypatch.setattr(PContext, "close", lambda self, death_sig=None, timeout=30: close(self, death_sig, 0.1))
    assert launch([str(tmp_path)], ELASTIC) == 0
    assert len(list(tmp_path.glob("told-*"))) == len(list(tmp_path.glob("saved-*"))) == 2


def test_afterwards_all_is_as_before(tmp_path):
    before = dict(os.environ), signal.getsignal(signal.SIGINT), os.fstat(0).st_ino
    launch(["--version"], Plan(1))
    assert (dict(os.environ), signal.getsignal(signal.SIGINT), os.fstat(0).st_ino) == before


def test_the_address_of_this_machine_is_the_one_on_the_way():
    assert agent._own_address("127.0.0.1:1234") == "127.0.0.1"
    assert agent._own_address("no.such.machine.invalid:1") == socket.getfqdn()


def test_an_agent_that_finds_nobody_says_so(monkeypatch):
    monkeypatch.setattr(agent, "_MEETING_S", 0)
    monkeypatch.setattr(agent, "_ANSWER_S", 1)
    with pytest.raises(RunError, match=r"the other machines could not be met at 127\.0\.0\.1:9"):
        launch([], Plan(1, 1, 2, is_elastic=True, place="127.0.0.1:9", node=1))
