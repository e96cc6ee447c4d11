"""Memory that stays at its addresses from call to call, so that launches on it can be recorded once and repeated.

A call takes a workspace and gives it back: in inference when it has run, in training when autograd frees what the backward pass
reads. So two calls that are in use at the same time never share one. Each workspace is used on a single stream.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ostinato.types import Tensor

MOST_WORKSPACES = 4  # for each kind of call, how many unused ones are kept for the next call
MOST_KINDS = 8  # kinds of calls of a layer for which workspaces are kept


class Workspace:
    """Tensors in the order in which a call takes them, and the launches that were recorded on them.

    Attributes:
        recorded: for the arguments of launches, the function that repeats them; None after the first time, which is not recorded.
    """

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self._at = 0
        self.recorded: dict[object, Callable[[], None] | None] = {}

    def restart(self) -> None:
        """Start again with the first tensor."""
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
    """A workspace for one call; no other call gets it while this object lives."""

    def __init__(self, workspace: Workspace, free: list[Workspace]) -> None:
        self.workspace, self._free = workspace, free

    def __del__(self) -> None:
        if len(self._free) < MOST_WORKSPACES:
            self._free.append(self.workspace)


class Workspaces:
    """The workspaces of a layer, by kinds of calls."""

    def __init__(self) -> None:
        self._free: OrderedDict[object, list[Workspace]] = OrderedDict()

    def lease(self, kind: object) -> Lease:
        """Lease a workspace that is not in use."""
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
        """Record the launches without running them. Returns the function that runs them."""
        graph: Any = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        # Nothing is allocated meanwhile, so the allocator need not know; other threads may go on using the device.
        with torch.cuda.stream(side):
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                launches()
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(side)
        return graph.replay
