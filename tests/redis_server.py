"""A Redis of a test's own."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def redis_server(folder: Path) -> Generator[str]:
    """Its address, on a socket in a folder; it keeps nothing on disk."""
    program = shutil.which("redis-server")
    assert program is not None, "redis-server is missing: install Debian's package redis-server, as .ci/run does"
    place = folder / "redis.sock"
    words = ["--port", "0", "--unixsocket", str(place), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while not place.exists():
            assert process.poll() is None, "redis-server ended at once"
            assert time.monotonic() < until, "redis-server did not begin"
            time.sleep(0.01)
        yield f"unix://{place}"
    finally:
        process.kill()
        process.wait()
