"""Ray (Moritz et al. 2018) as an engine: its workers are processes of this machine, or of an existing cluster.

Ray is set to send no usage statistics and to show no dashboard; it writes below a temporary folder that is deleted
afterwards.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

from ostinato.errors import ConfigError, OstinatoError
from ostinato.extras import needed
from ostinato.recipes.engines.crew import WorkerDiedError
from ostinato.recipes.engines.work import Done

_ANSWERS_S = 5.0  # time in which a machine of the network must answer
_STORE_BYTES = 256 * 2**20  # of shared objects on this machine: results of evaluation; not of partitions


@contextmanager
def ray_at(address: str | None, workers: int | None) -> Generator[Any]:
    """Connects to Ray, and gives its module; a cluster started here is stopped at the end.

    Args:
        address: the address of a cluster, such as "auto" or "10.0.0.1:6379"; None starts one on this machine.
        workers: processes that run at once; None for one a core.

    Raises:
        MissingPackageError: Ray is not installed.
        ConfigError: there is no cluster at the address.
        OstinatoError: no cluster can be started on this machine.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with needed():
        import ray
    if ray.is_initialized():  # by a program that calls this
        yield ray
        return
    if address is not None:
        _check_answers(address)
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": None}
    folder = None
    try:
        if address is None:
            folder = tempfile.mkdtemp(prefix="ostinato-")
            # If Ray fails to start, its processes write there until they end, together with this one.
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            how |= {"num_cpus": max(workers or 1, cores()), "include_dashboard": False, "_temp_dir": folder}
            how["object_store_memory"] = _STORE_BYTES
        try:
            ray.init(address=address or "local", **how)
        except Exception as error:  # if a cluster does not start in time, Ray raises the class Exception itself
            ray.shutdown()
            reason = " ".join(str(error).split())[:200]
            raise _not_started(reason) if address is None else _no_cluster(address, reason) from error
        try:
            with _without_its_own_words():
                yield ray
        finally:
            ray.shutdown()
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _check_answers(address: str) -> None:
    """Raises `ConfigError` if nothing listens at the address: Ray itself would try for a quarter of an hour."""
    host, _, port = address.rpartition("://")[2].partition("/")[0].rpartition(":")
    if not host or not port.isdigit():
        return  # "auto" finds a cluster of this machine, or fails at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_S).close()
    except OSError as error:
        raise _no_cluster(address, error.strerror or str(error)) from error


def _not_started(reason: str) -> OstinatoError:
    return OstinatoError(
        f"--engine ray: Ray cannot be started on this machine ({reason}); give the same command again when the machine has less to "
        "do, leave --engine out, or begin a cluster with `ray start --head` and give --address auto"
    )


def _no_cluster(address: str, reason: str) -> ConfigError:
    return ConfigError(
        f"--address {address}: no cluster of Ray answers there ({reason}); begin one with `ray start --head`, or leave the "
        "address out"
    )


@contextmanager
def _without_its_own_words() -> Generator[None]:
    """Silences Ray, which prints a paragraph when a worker dies, whatever its settings; `Team` reports it in a line."""
    import ray._private.worker as printer

    before = printer.print_to_stdstream
    printer.print_to_stdstream = lambda *args, **options: None
    try:
        yield
    finally:
        printer.print_to_stdstream = before


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class RayCrew:
    """Workers as actors of Ray.

    Args:
        ray: the connected module.
        workers: how many there are at once, at most one a core; None for one a GPU, if the cluster has some and
            `device` may be one, else for one a core.
        device: the device to compute on.

    Attributes:
        workers: the number of workers.
        threads: the threads of each worker.
    """

    def __init__(self, ray: Any, workers: int | None, device: str):
        self._ray = ray
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        found = [(int(each.get("CPU", 0)), 0 if device == "cpu" else int(each.get("GPU", 0))) for each in nodes]
        rooms = [each for each in found if each[1]] or [(cpus, 0) for cpus, _ in found]
        cpus, gpus = max(1, sum(each for each, _ in rooms)), sum(each for _, each in rooms)
        self.workers = min(workers or gpus or cpus, cpus)
        of_a_gpu = math.ceil(self.workers / gpus) if gpus else 0

        def fit(threads: int) -> int:
            return sum(min(cpus // threads, gpus * of_a_gpu if gpus else cpus) for cpus, gpus in rooms)

        # A worker that fits on no machine would wait for ever, and so would the caller.
        self.threads = max(1, min(cpus // self.workers, max((each for each, _ in rooms), default=1)))
        while self.threads > 1 and fit(self.threads) < self.workers:
            self.threads -= 1
        self.workers = max(1, min(self.workers, fit(self.threads)))
        self._share = {"num_cpus": self.threads, "num_gpus": 1.0 / of_a_gpu if gpus else 0}
        self._work: Any = None

    def told(self, make: type[Any], *given: Any) -> RayCrew:
        """Sets the class of the workers, and its arguments."""
        self._work = make, given
        return self

    def hire(self) -> Any:
        """Starts a new actor."""
        make, given = self._work
        actor = self._ray.remote(make).options(**self._share, scheduling_strategy="SPREAD", max_restarts=0)
        return actor.remote(*given)

    def give(self, worker: Any, job: Any, /) -> Any:
        """Calls the actor, and returns the reference of the call."""
        return worker.do.remote(job)

    def wait(self, given: Sequence[Any], /) -> Iterable[Any]:
        """Waits for the first call that is over."""
        over, _ = self._ray.wait(list(given), num_returns=1)
        return over

    def result(self, given: Any, /) -> Done:
        """The result of a call."""
        try:
            return self._ray.get(given)
        except self._ray.exceptions.RayActorError as error:
            raise WorkerDiedError(_reason(error)) from error
        except self._ray.exceptions.RayError as error:  # the result is lost with the machine that held it
            raise WorkerDiedError(_reason(error)) from error


def _reason(error: Exception) -> str:
    told = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in told if "exit" in line.lower() or "died" in line.lower()), type(error).__name__)[:160]
