"""The two servers, each in a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UNITS, TOKENS, EMBEDDING = 512, 96, 64
TEXT = "".join(map(chr, range(32, 127))) + "\n"
START_S = 120


def make_run(folder: Path) -> Path:
    """A run of a language model of characters that has learnt nothing: a step costs the same."""
    import dataclasses

    import torch

    from ostinato.recipes.registry import find, record
    from ostinato.recipes.task import Opening
    from ostinato.recipes.trained import read_splits
    from ostinato.training.run.run_folder import RunFolder

    text, run = folder / "text.txt", folder / "lm"
    text.write_text(TEXT * 40)
    entry = find("lm")
    model = {"embedding_size": EMBEDDING, "hidden_size": UNITS}
    settings = entry.settings_class().from_dict({"run": str(run), "device": "cpu", "data": str(text), "model": model})
    task = entry.make()
    torch.manual_seed(0)
    known = task.learn(settings, read_splits(task, settings, Opening()).train)
    made = RunFolder(run)
    made.create({**dataclasses.asdict(settings), "task": "lm"})
    task.save_known(known, made.path)
    record(task, made.path)
    made.write_model(task.build(settings, known).state_dict())
    return run


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def process(words: list[str], ready: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process, from its line that says so until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True, **{"stderr": subprocess.DEVNULL, **options}
    ) as found:
        try:
            assert found.stdout is not None
            end = time.monotonic() + START_S
            while ready not in (line := found.stdout.readline()):
                if not line or time.monotonic() > end:
                    raise RuntimeError(f"{words[0]} did not begin: exit status {found.poll()}")
            yield found
        finally:
            found.terminate()
            try:
                found.wait(40)
            except subprocess.TimeoutExpired:
                found.kill()


@contextmanager
def ostinato_server(run: Path, *flags: str, **options: Any) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """`ostinato serve`: its port and process."""
    port = free_port()
    words = ["ostinato.cli.main", "serve", f"lm={run}", "--port", str(port), "--log", "errors", *flags]
    with process(words, "is the page", **options) as found:
        yield port, found


@contextmanager
def plain_server() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """What people write."""
    port = free_port()
    with process(["benchmarks.serving.plain", str(port), str(UNITS), str(TOKENS)], "ready") as found:
        yield port, found


def ask(port: int, path: str, body: Any = None, method: str | None = None, timeout: float = 60) -> Any:
    """One request, by itself."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"content-type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.loads(answer.read() or b"null")


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))
