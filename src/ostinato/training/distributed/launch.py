"""`--devices N --nodes M`: starts the processes of a run on this machine and watches over them.

The process that was called trains nothing; it starts N copies of the command, which find each other as those of torchrun do, by the
same environment variables. When one dies, it ends the others and says so in one line. When it dies itself, the workers notice that
their standard input has closed, save and stop. Under torchrun or SLURM, which do all this, nothing of it is used.

Neither torch nor Lightning is loaded here.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import IO

from ostinato.errors import ConfigError, RunError

OF_A_PEER = 3  # the status of a worker that stopped because another did
_WATCHED = "OSTINATO_WATCHED"
_GRACE_S = 8.0  # for workers to notice by themselves that one is gone
_KILL_S = 5.0  # from asking to killing
_POLL_S = 0.05


def is_launched() -> bool:
    """Whether this process is one of several that torchrun, SLURM's srun or `launch` has started."""
    by_slurm = "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1
    return by_slurm or is_by_torchrun()


def is_by_torchrun() -> bool:
    """Whether torchrun, or `launch` in its way, has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """The number of this process among those of a run, from 0; before they have found each other."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) if is_launched() else 0


def is_watched() -> bool:
    """Whether `launch` has started this process, and tells what became of it."""
    return _WATCHED in os.environ


@dataclass
class _Worker:
    rank: int
    process: subprocess.Popen[bytes]
    errors: IO[bytes] | None

    def end(self) -> None:
        """Makes sure that it has ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Ends it and lets go of its files."""
        self.end()
        for file in (self.process.stdin, self.errors):
            if file is not None:
                file.close()


def launch(words: Sequence[str], devices: int, nodes: int = 1) -> int:
    """Runs `ostinato WORDS` in `devices` processes on this machine, of `nodes` machines that run the same.

    With several machines, each needs MASTER_ADDR (the first machine), MASTER_PORT (free there) and NODE_RANK (0 on the first) in
    its environment.

    Returns:
        The exit status of the processes, where none died.

    Raises:
        ConfigError: the environment does not say how to find the other machines.
        RunError: a process was killed, or lost one on another machine.
    """
    shared = _environment(devices, nodes)
    before = int(shared["GROUP_RANK"]) * devices
    workers: list[_Worker] = []
    # Taken before the first is started: a signal in between must reach those that there are.
    handlers = {number: signal.signal(number, _forward_to(workers)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        workers.extend(_start(words, shared, local, before + local) for local in range(devices))
        failed = _wait(workers)
        for worker in workers:
            worker.end()
        return _verdict(workers, failed, devices * nodes)
    finally:
        for worker in workers:
            worker.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _environment(devices: int, nodes: int) -> dict[str, str]:
    given = {name: os.environ.get(name) for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")}
    if nodes > 1 and (missing := [name for name, value in given.items() if value is None]):
        raise ConfigError(
            f"--nodes {nodes}: expected {', '.join(missing)} in the environment, to find the other machines; "
            "set it on each machine, or start the command with torchrun or srun"
        )
    node = given["NODE_RANK"] or "0"
    if not node.isdecimal() or int(node) >= nodes:
        raise ConfigError(f"NODE_RANK: expected a number from 0 to {nodes - 1}, got {node}")
    threads = max(1, (os.cpu_count() or 1) // devices)
    return {
        "OMP_NUM_THREADS": str(threads),  # or every process would take all cores
        **os.environ,
        "MASTER_ADDR": given["MASTER_ADDR"] or "127.0.0.1",
        "MASTER_PORT": given["MASTER_PORT"] or str(_free_port()),
        "GROUP_RANK": node,
        "WORLD_SIZE": str(devices * nodes),
        "LOCAL_WORLD_SIZE": str(devices),
        "TORCHELASTIC_RUN_ID": "ostinato",
        _WATCHED: "1",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(words: Sequence[str], shared: Mapping[str, str], local: int, rank: int) -> _Worker:
    # What the first says is for the user; of the others only what they say last, and only where it is they who fail.
    errors = None if rank == 0 else tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
    process = subprocess.Popen(
        [sys.executable, "-m", "ostinato.cli.main", *words],
        env={**shared, "RANK": str(rank), "LOCAL_RANK": str(local)},
        stdin=subprocess.PIPE,
        stdout=None if rank == 0 else subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,  # Ctrl-C reaches them once, from here
    )
    return _Worker(rank, process, errors)


def _forward_to(workers: list[_Worker]):
    def handle(number: int, frame: FrameType | None) -> None:
        for worker in workers:
            if worker.process.poll() is None:
                worker.process.send_signal(number)

    return handle


def _wait(workers: list[_Worker]) -> list[_Worker]:
    """Waits until all have ended; once one has failed, the others have some seconds to do so. Returns those that failed first."""
    first: list[_Worker] = []
    failed_at = 0.0
    asked = False
    while any(worker.process.poll() is None for worker in workers):
        if not first:
            first = [worker for worker in workers if worker.process.poll()]
            failed_at = time.monotonic()
        elif (late := time.monotonic() - failed_at - _GRACE_S) > 0:
            if late > _KILL_S:
                break
            if not asked:
                asked = True
                _forward_to(workers)(signal.SIGTERM, None)
        time.sleep(_POLL_S)
    return first


def _verdict(workers: list[_Worker], first: list[_Worker], world: int) -> int:
    """What to tell of workers that have all ended, from those that failed first."""
    bad = [worker for worker in workers if worker.process.returncode]
    if not bad:
        return 0
    # One that stopped because of another is the cause only where no other is to be seen: then that one is on another machine.
    cause = min(bad, key=lambda worker: (worker.process.returncode == OF_A_PEER, worker not in first, worker.rank))
    code = cause.process.returncode
    go_on = "training has stopped in all. Its last checkpoint is whole: start the same command again with --resume"
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (as the system does when memory runs out)" if name == "SIGKILL" else ""
        raise RunError(f"process {cause.rank} of {world} was killed by {name}{hint}; {go_on}")
    if code == OF_A_PEER:
        raise RunError(f"a process on another machine is gone; {go_on}")
    the_first_said_why = workers[0].process.returncode > 0 and workers[0].process.returncode != OF_A_PEER
    if cause.errors is not None and not the_first_said_why:
        cause.errors.seek(0)
        sys.stderr.write(cause.errors.read().decode(errors="replace"))
        sys.stderr.flush()
    return code


def stop_with_the_watcher() -> None:
    """In a worker: asks this process to save and stop, as SIGTERM does, when the process that watches it is gone."""
    if not is_watched():
        return

    def watch() -> None:
        try:
            while os.read(0, 1024):
                pass
        except OSError:
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="ostinato-watcher", daemon=True).start()
