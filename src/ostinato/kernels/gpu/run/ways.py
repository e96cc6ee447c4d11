"""Ways to run a time loop: the tiles of both passes, and whether a sequence is one launch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from ostinato.errors import ConfigError
from ostinato.kernels.gpu.code.blocks import Blocks

KINDS = ("auto", "persistent", "steps")


@dataclass(frozen=True)
class Way:
    """How the loops of a layer run.

    Attributes:
        kind: "persistent": one launch for all steps, with barriers between programs inside it; or "steps": one launch for each
            tick, without barriers.
        forward: the tiles of the forward pass.
        backward: the tiles of the backward pass.
    """

    kind: str
    forward: Blocks
    backward: Blocks

    def blocks(self, part: str) -> Blocks:
        """The tiles of a part."""
        return self.backward if part == "backward" else self.forward


_forced: ContextVar[str | Way] = ContextVar("ostinato_gpu_way", default="auto")


@contextlib.contextmanager
def way(kind: str | Way) -> Iterator[None]:
    """Make loops on the GPU run in this way, to measure it: "persistent", "steps", "auto", or a `Way` with its tiles.

    Raises:
        ConfigError: for another name.
    """
    if not isinstance(kind, Way) and kind not in KINDS:
        raise ConfigError(f"way expected one of {', '.join(KINDS)}, got {kind!r}")
    token = _forced.set(kind)
    try:
        yield
    finally:
        _forced.reset(token)


def forced() -> str | Way:
    """The way that `way` has set, "auto" by default."""
    return _forced.get()
