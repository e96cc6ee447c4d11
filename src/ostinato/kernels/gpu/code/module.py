"""Functions from generated source."""

from __future__ import annotations

import functools
import hashlib
import linecache
import os
from typing import Any


def is_interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels that are made now, as the variable TRITON_INTERPRET says."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.lru_cache(maxsize=256)
def load(source: str) -> dict[str, Any]:
    """Run a module's text. Returns its names.

    Triton reads the source of a function anew. It need not be a file where `linecache` knows it.
    """
    name = f"<ostinato gpu {hashlib.sha256(source.encode()).hexdigest()[:16]}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict[str, Any] = {"__name__": name}
    exec(compile(source, name, "exec"), space)  # it is ours: made of a plan
    return space
