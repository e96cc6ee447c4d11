"""The command `ostinato` without its imports: a process that has made them waits, and each command is a fork of it.

A command has its own folder, environment, streams and exit status as before. What this hides, whether a command finds all that it
needs by itself, is for the tests that begin from nothing: those of the README and of tests/cli.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Nothing that starts threads when it is loaded: a fork has none of them.
LOADED = (
    "lightning_fabric",
    "torch.utils.tensorboard",
    "matplotlib.backends.backend_agg",
    "ostinato.recipes.task_training",
)

ASK = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
    asked.connect({address!r})
    socket.send_fds(asked, [json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()], [0, 1, 2])
    sys.exit(int(asked.recv(16)))
"""


@contextmanager
def warm() -> Iterator[Path]:
    """A folder for PATH, with an `ostinato` that asks the process that waits."""
    with (
        tempfile.TemporaryDirectory(prefix="warm-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as waiting,
    ):
        address, command = f"{folder}/socket", Path(folder, "ostinato")
        waiting.bind(address)
        waiting.listen()
        command.write_text(ASK.format(python=sys.executable, address=address))
        command.chmod(0o755)
        words = [sys.executable, "-m", "tests.warm", str(waiting.fileno())]
        with subprocess.Popen(words, cwd=Path(__file__).parents[1], pass_fds=[waiting.fileno()]) as process:
            waiting.close()  # so that nobody waits for a process that has died
            yield command.parent
            process.terminate()


def next_command(waiting: socket.socket) -> list[str]:
    """Returns in forks only, each with the words of a command, in its folder, environment and streams."""
    while True:
        asked, _ = waiting.accept()
        if os.fork():
            asked.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        message, streams, _, _ = socket.recv_fds(asked, 2**20, 3)
        if command := os.fork():
            _, status = os.waitpid(command, 0)
            code = os.waitstatus_to_exitcode(status)
            asked.send(str(code if code >= 0 else 128 - code).encode())
            os._exit(0)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        waiting.close()
        asked.close()
        words, folder, environment = json.loads(message)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        return words


def serve() -> None:
    from ostinato.cli.main import main
    from ostinato.recipes.registry import TASKS

    for module in LOADED:
        importlib.import_module(module)
    for entry in TASKS.values():
        entry.make()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever forks a command waits for it
    words = next_command(socket.socket(fileno=int(sys.argv[1])))
    sys.path[0] = str(Path(sys.executable).parent)  # where the command lies
    sys.argv = ["ostinato", *words]
    status = status_of(main)
    atexit._run_exitfuncs()  # as multiprocessing does; to take all modules apart would take longer than many a command
    sys.stdout.flush()
    os._exit(status)


def status_of(command: Callable[[], int]) -> int:
    """The exit status of a process that calls this and nothing else."""
    try:
        return command()
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    serve()
