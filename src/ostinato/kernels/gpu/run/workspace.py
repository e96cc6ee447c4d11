"""Memory that stays where it is from call to call, so that launches on it can be recorded once and repeated.

A call takes a workspace and gives it back: in inference when it has run, in training when autograd lets go of what the backward
pass reads. So two calls that live at the same time never share one. All of a workspace is used on one stream.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ostinato.types import Tensor

MOST_WORKSPACES = 4  # of a kind of call, that wait for the next one
MOST_KINDS = 8  # of calls of a layer


class Workspace:
    """Tensors in the order in which a call asks for them, and what was recorded on them.

    Attributes:
        recorded: what repeats launches, by their arguments; None after the first time, which is not recorded.
    """

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self._at = 0
        self.recorded: dict[object, Callable[[], None] | None] = {}

    def restart(self) -> None:
        """Begin again with the first tensor."""
        self._at = 0

    def take(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """The next tensor, at the address that it had before."""
        if self._at < len(self._tensors):
            found = self._tensors[self._at]
            if tuple(found.shape) == tuple(shape) and found.dtype is dtype:
                self._at += 1
                return found
            del self._tensors[self._at :]  # another kind of call
            self.recorded.clear()
        self._tensors.append(torch.empty(tuple(shape), dtype=dtype, device=device))
        self._at += 1
        return self._tensors[-1]


class Lease:
    """A workspace for one call; whoever holds it keeps it from others."""

    def __init__(self, workspace: Workspace, free: list[Workspace]) -> None:
        self.workspace, self._free = workspace, free

    def __del__(self) -> None:
        if len(self._free) < MOST_WORKSPACES:
            self._free.append(self.workspace)


class Workspaces:
    """Those of a layer, by kinds of calls."""

    def __init__(self) -> None:
        self._free: OrderedDict[object, list[Workspace]] = OrderedDict()

    def lease(self, kind: object) -> Lease:
        """One that nobody uses."""
        free = self._free.setdefault(kind, [])
        self._free.move_to_end(kind)
        while len(self._free) > MOST_KINDS:
            self._free.popitem(last=False)
        workspace = free.pop() if free else Workspace()
        workspace.restart()
        return Lease(workspace, free)


class Recorder:
    """Records launches as a CUDA graph."""

    def record(self, launches: Callable[[], None]) -> Callable[[], None]:
        """Record what is launched, without running it. Returns what runs it."""
        graph: Any = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        # Nothing is allocated meanwhile, so that the allocator need not be told; other threads go on with what they do.
        with torch.cuda.stream(side):
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                launches()
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(side)
        return graph.replay
