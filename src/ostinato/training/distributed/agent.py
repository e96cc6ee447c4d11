"""`--devices N --nodes M --elastic MIN:MAX`: torch's elastic agent starts the processes of a run on this machine, and watches them.

The process that the user started is the agent, and does not train. When one of its workers dies, the agent ends the others. In an
elastic run it then joins the agents of the other machines again, and all continue from the last checkpoint; an error that a restart
cannot mend ends the whole run at once. When the agent itself dies, the workers notice that their standard input has closed, save
and stop. torchrun and SLURM do all this themselves, and nothing here is used under them.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import socket
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec, WorkerState
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import LogsDest, LogsSpecs, SignalException
from torch.distributed.elastic.rendezvous import (
    RendezvousClosedError,
    RendezvousConnectionError,
    RendezvousParameters,
    RendezvousTimeoutError,
)
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from ostinato.errors import RunError
from ostinato.training.distributed.endings import INTERRUPTED, WRONG, End, cause_of, repeat, say, told, verdict
from ostinato.training.distributed.launch import WATCHED
from ostinato.training.distributed.lookout import Lookout
from ostinato.training.distributed.plan import Plan

_COMMAND = (sys.executable, "-m", "ostinato.cli.main")
_GRACE_S = 8.0  # time for the other workers to notice that one is gone; without it they cannot save anything
_SAVING_S = 600.0  # time to write a checkpoint when a machine joins
_POLL_S = 0.05
_MEETING_S = 600  # time for all machines to join, and for a lost rendezvous machine to come back
_LAST_CALL_S = 10  # time for more machines to join once there are enough
_LOST_S = 45  # a machine that does not answer for so long counts as lost
_ANSWER_S = 20  # time for the rendezvous machine to answer


def launch(words: Sequence[str], plan: Plan, *, kept: Callable[[], str] = str) -> int:
    """Run `ostinato WORDS` in the processes of this machine.

    Args:
        words: the arguments after the program's name.
        plan: the processes to start.
        kept: returns a text that says from which checkpoint an elastic run continues.

    Returns:
        The exit status of the processes, if none died.

    Raises:
        RunError: a process was killed, or a process on another machine is gone, and the run cannot continue.
    """
    lookout = Lookout([*_COMMAND, *words])
    with (
        _environment(plan),
        _watching(),
        _files_closed(),
        lookout,
        tempfile.TemporaryDirectory(prefix="ostinato-") as folder,
    ):
        said = _Said(Path(folder))
        while True:
            try:
                ends, world = _run(words, plan, said, kept, lookout)
                break
            except RendezvousClosedError:
                raise RunError("another machine has ended the run, and tells why") from None
            except (RendezvousConnectionError, RendezvousTimeoutError) as error:
                # The rendezvous machine is gone. It, or one in its place, may come back.
                lookout.alone_since = lookout.alone_since or time.time()
                if not plan.is_elastic or time.time() >= lookout.alone_since + _MEETING_S:
                    raise RunError(
                        f"the other machines could not be met at {plan.place} within {_MEETING_S // 60} minutes "
                        f"({' '.join(str(error).split())}); see that the first is there, and start the same command again"
                    ) from error
                say(f"nobody answers at {plan.place}, where the machines meet; trying again")
                time.sleep(1.0)
        return verdict(ends, world, said.by) if ends else 0


def _run(
    words: Sequence[str], plan: Plan, said: _Said, kept: Callable[[], str], lookout: Lookout
) -> tuple[list[End], int]:
    """Run the workers once; returns those that did not end well, and the number of workers on all machines."""
    lookout.wait_at_most(_LOST_S if plan.is_elastic and plan.place else None)
    handler = get_rendezvous_handler(_meeting(plan))
    spec = WorkerSpec(
        role="ostinato",
        local_world_size=plan.devices,
        rdzv_handler=handler,
        entrypoint=_COMMAND[0],
        # Escape `$`: the agent replaces ${local_rank} and the like in arguments.
        args=tuple(word.replace("$", "$$") for word in (*_COMMAND[1:], *words)),
        max_restarts=plan.max_restarts if plan.is_elastic else 0,
        monitor_interval=0.1 if plan.most == 1 else 0.5,
    )
    agent = _Agent(spec, said, plan, kept, lookout)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        result: Any = agent.run()
    except _EndedError as ended:
        result = ended.result
    except SignalException:  # this machine leaves; others may go on
        return [End(0, INTERRUPTED, is_first=True)], agent.world
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)
    lookout.wait_at_most(None)
    with suppress(Exception):  # tells the other machines that the run is over; the rendezvous machine may be gone
        handler.shutdown()
    return ([] if result is None else agent.ends(result)), agent.world


def _meeting(plan: Plan) -> RendezvousParameters:
    if plan.place is None:
        name, here = uuid.uuid4().hex, "127.0.0.1"
        return RendezvousParameters("c10d", f"{here}:0", name, 1, 1, here, is_host=True, join_timeout=_MEETING_S)
    if not plan.is_elastic:
        return RendezvousParameters(
            "static", plan.place, plan.place, plan.least, plan.most, rank=plan.node, timeout=_MEETING_S
        )
    config: dict[str, Any] = {} if plan.node is None else {"is_host": plan.node == 0}
    return RendezvousParameters(
        "c10d",
        plan.place,
        plan.place,
        plan.least,
        plan.most,
        _own_address(plan.place),
        join_timeout=_MEETING_S,
        last_call_timeout=_LAST_CALL_S,
        read_timeout=_ANSWER_S,
        **config,
    )


def _own_address(place: str) -> str:
    """The address that this machine uses to reach `place`; other machines may not know this one's name."""
    host, _, port = place.rpartition(":")
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))  # sends nothing
        return probe.getsockname()[0]
    return socket.getfqdn()


@contextmanager
def _environment(plan: Plan) -> Iterator[None]:
    """Inside, set the environment that the workers inherit, and silence the agent's log."""
    elastic = logging.getLogger("torch.distributed.elastic")
    elastic.propagate = False  # it reports every death in many lines
    elastic.addHandler(quiet := logging.NullHandler())
    threads = max(1, (os.cpu_count() or 1) // plan.devices)
    before = dict(os.environ)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # otherwise every process would use all cores
    os.environ.update({WATCHED: "1", "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT"})
    if plan.is_elastic:
        # The agents' shared store would keep the addresses of dead workers; this gives each try a store of its own.
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        elastic.propagate = True
        elastic.removeHandler(quiet)


@contextmanager
def _files_closed() -> Iterator[None]:
    """Inside, torch may leave files open that its workers wrote to; afterwards they are closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            yield
        finally:
            gc.collect()


@contextmanager
def _watching() -> Iterator[None]:
    """Inside, the standard input of this process and of the workers is a pipe that closes when this process ends."""
    here, there = os.pipe()
    before = os.dup(0)
    os.dup2(here, 0)
    os.close(here)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(there)


class _EndedError(Exception):
    """Workers have ended in a way that a restart cannot mend."""

    def __init__(self, result: RunResult):
        super().__init__()
        self.result = result


class _Agent(LocalElasticAgent):
    """torch's agent, extended by the knowledge which deaths a restart can mend."""

    def __init__(self, spec: WorkerSpec, said: _Said, plan: Plan, kept: Callable[[], str], lookout: Lookout):
        super().__init__(spec, said)
        self._lookout = lookout
        self._said, self._plan, self._kept = said, plan, kept
        self._tries = 0
        self.world = spec.local_world_size
        self._first: set[int] = set()
        self._killed: set[int] = set()

    # Decorators hide the types of torch's methods.
    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._lookout.wait_at_most(None)
        workers = worker_group.workers
        self.world = workers[0].world_size
        self._first, self._killed = _failed({worker.id: worker.global_rank for worker in workers})
        result: Any = super()._monitor_workers(worker_group)  # pyright: ignore[reportCallIssue]
        if self._plan.is_elastic and self._plan.place is not None and result.state is WorkerState.HEALTHY:
            self._lookout.wait_at_most(_LOST_S)  # torch now asks the rendezvous machine whether other machines wait
        if not self._plan.is_elastic or result.state is not WorkerState.FAILED:
            return result
        ends, most = self.ends(result), self._plan.max_restarts
        code = cause_of(ends).code
        if code == WRONG:
            raise _EndedError(result)
        if code == INTERRUPTED:  # a machine leaves, or its memory is wanted for something else; all workers have saved
            say(f"processes were asked to stop; going on from {self._kept()}")
            self._restart_workers(worker_group)  # pyright: ignore[reportCallIssue]
            return RunResult(WorkerState.HEALTHY)
        if self._tries < most:
            self._tries += 1
            what = told(ends, self.world) or f"process {cause_of(ends).rank} of {self.world} has failed"
            repeat(ends, self._said.by)
            say(f"{what}; going on from {self._kept()} (restart {self._tries} of {most})")
        return result

    def ends(self, result: RunResult) -> list[End]:
        """The workers that failed by themselves, without those that this agent killed."""
        failures = {rank: each for rank, each in sorted(result.failures.items()) if rank not in self._killed}
        return [End(rank, failure.exitcode, rank in self._first) for rank, failure in failures.items()]

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        if self._plan.is_elastic and self._plan.most > 1:
            world, machines = worker_group.workers[0].world_size, worker_group.group_world_size
            say(f"processes that train: {world}, on machines: {machines}")
        self._lookout.wait_at_most(None)
        pids = super()._start_workers(worker_group)  # pyright: ignore[reportCallIssue]
        self._lookout.workers, self._lookout.alone_since = list(pids.values()), None
        return pids

    def _rendezvous(self, worker_group: WorkerGroup) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        if self._plan.is_elastic and self._plan.place is not None:
            self._lookout.wait_at_most(_MEETING_S + _LOST_S)
        super()._rendezvous(worker_group)  # pyright: ignore[reportCallIssue]

    def _shutdown(self, death_sig: signal.Signals | None = None, *more: Any, **options: Any) -> None:
        self._lookout.wait_at_most(None)
        if death_sig is None and not self._plan.is_elastic:
            super()._shutdown(*more, **options)
            self._lookout.workers = []
            return
        # A person, a scheduler or a machine that joins has asked the workers to stop. On a signal, wait until they have saved.
        # Otherwise the wait is limited, because a worker may not notice that another has died.
        pids = [worker.id for worker in self.get_worker_group().workers if worker.id is not None]
        for pid in pids:
            if _status(pid) is None:
                os.kill(pid, death_sig or signal.SIGTERM)
        until = math.inf if death_sig is not None else time.monotonic() + _SAVING_S
        while hasattr(os, "waitid") and any(_status(pid) is None for pid in pids) and time.monotonic() < until:
            time.sleep(_POLL_S)
        given = () if death_sig is None else (death_sig,)
        super()._shutdown(*given, *more, **options)
        self._lookout.workers = []


def _failed(ranks: Mapping[int, int]) -> tuple[set[int], set[int]]:
    """If a process has failed, give the others some seconds to notice and stop by themselves, then kill them.

    Args:
        ranks: the rank of each process by its process id.

    Returns:
        The ranks of the processes that failed first, and of those that had to be killed.
    """
    first = {rank for pid, rank in ranks.items() if _status(pid)}
    until = time.monotonic() + _GRACE_S
    while first and any(_status(pid) is None for pid in ranks):
        if time.monotonic() > until:
            left = [pid for pid in ranks if _status(pid) is None]
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return first, {ranks[pid] for pid in left}
        time.sleep(_POLL_S)
    return first, set()


def _status(pid: int) -> int | None:
    """The exit status of a child process, negative for a signal; None while it runs. It can be read again later."""
    if not hasattr(os, "waitid"):
        return None
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # it ended with success, and the agent has collected its status already
        return 0
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


class _Said(LogsSpecs):
    """Where the output of workers goes: that of the first to the user, the standard error of the others to files.

    A file is shown only if its worker is the cause of a failure.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self._folder, self._tries = folder, 0

    @property
    def root_log_dir(self) -> str:
        """The folder of the files."""
        return str(self._folder)

    def reify(self, envs: dict[int, dict[str, str]]) -> LogsDest:
        """The files of each worker."""
        self._tries += 1
        ranks = {local: int(env["RANK"]) for local, env in envs.items()}
        return LogsDest(
            stdouts={local: os.devnull if rank else "" for local, rank in ranks.items()},
            stderrs={local: str(self._file(rank)) if rank else "" for local, rank in ranks.items()},
            error_files=dict.fromkeys(ranks, os.devnull),
        )

    def by(self, rank: int) -> str:
        """The standard error of a worker in the present try."""
        file = self._file(rank)
        return file.read_text(errors="replace") if file.exists() else ""

    def _file(self, rank: int) -> Path:
        return self._folder / f"{self._tries}-{rank}"
