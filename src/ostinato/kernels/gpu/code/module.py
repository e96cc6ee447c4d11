"""Makes functions of generated source."""

from __future__ import annotations

import functools
import hashlib
import linecache
import os
from typing import Any


def is_interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels that are made now, by the environment variable TRITON_INTERPRET."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.lru_cache(maxsize=256)
def load(source: str) -> dict[str, Any]:
    """Run the text of a module. Returns the names that it defines.

    Triton reads the source of a function again; `linecache` gives it to Triton, so that there need not be a file.
    """
    name = f"<ostinato gpu {hashlib.sha256(source.encode()).hexdigest()[:16]}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict[str, Any] = {"__name__": name}
    exec(compile(source, name, "exec"), space)  # safe: the source is ours, made from a plan
    return space
