"""Several processes that work on a text together, each on one block at a time; the results come in the order of the text.

They are plain child processes that communicate over pipes (see `worker`), not processes of `multiprocessing`: nothing
is pickled, the main module needs no guard (so a notebook or a plain script works), and a child whose parent is killed
reads the end of its input and ends.

Each process gets a block in turn, and its next block only after its result was taken: at most as many blocks are in
progress as there are processes, however fast each of them is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import cycle
from types import TracebackType
from typing import IO, Any, TypeVar, cast

from ostinato.data.tokens.vocabulary import Vocabulary
from ostinato.data.tokens.worker import count_words, encoder, receive, send
from ostinato.errors import DataError

Label = TypeVar("Label")
_PIPE_BYTES = 2**20


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerPool:
    """Processes for one job: to encode texts (see `worker.encoder`), or to count their words if there is no vocabulary.

    Args:
        vocabulary: The vocabulary to encode in; None to count words.
        workers: How many processes; with 1 the work is done in this process, and none is started.
    """

    def __init__(self, vocabulary: Vocabulary | None, workers: int):
        self._work = None if workers > 1 else count_words if vocabulary is None else encoder(vocabulary)
        job = {} if vocabulary is None else {"vocabulary": vocabulary.to_dict()}
        self._processes = [_start(job) for _ in range(workers if workers > 1 else 0)]

    def map(self, texts: Iterable[tuple[Label, str]]) -> Iterator[tuple[Label, bytes]]:
        """Give the label and the result of each text, in order.

        Raises:
            DataError: A process ended too early.
        """
        if self._work is not None:
            for label, text in texts:
                yield label, self._work(text)
            return
        waiting: deque[tuple[Label, subprocess.Popen[bytes]]] = deque()
        for (label, text), process in zip(texts, cycle(self._processes), strict=False):
            if len(waiting) == len(self._processes):
                yield _next_result(waiting)
            waiting.append((label, process))
            try:
                send(cast("IO[bytes]", process.stdin), text.encode())
            except BrokenPipeError as error:
                raise _ended(process) from error
        while waiting:
            yield _next_result(waiting)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()  # loses nothing: every result was taken, or is not wanted any more
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):  # a part of a task may still be in the pipe's buffer
                    cast("IO[bytes]", pipe).close()
            process.wait()


def _start(job: dict[str, Any]) -> subprocess.Popen[bytes]:
    # One thread in each process, because there are as many processes as cores.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    environment = {**os.environ, **threads, "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": path}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ostinato.data.tokens.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        pipesize=_PIPE_BYTES,
    )
    send(cast("IO[bytes]", process.stdin), json.dumps(job).encode())
    return process


def _next_result(waiting: deque[tuple[Label, subprocess.Popen[bytes]]]) -> tuple[Label, bytes]:
    label, process = waiting.popleft()
    result = receive(cast("IO[bytes]", process.stdout))
    if result is None:
        raise _ended(process)
    return label, result


def _ended(process: subprocess.Popen[bytes]) -> DataError:
    return DataError(
        f"a process that tokenises ended with status {process.wait()} (a negative one is a signal; -9 is often "
        "too little memory); run the same again, with fewer workers, and it goes on with what is done"
    )
