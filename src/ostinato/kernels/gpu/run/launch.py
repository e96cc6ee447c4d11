"""Launches of a kernel: one for a whole sequence, or one for each tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ostinato.kernels.gpu.code.blocks import Blocks, compiler_options
from ostinato.kernels.gpu.code.kernel import Emitted
from ostinato.kernels.gpu.code.module import is_interpreted, load
from ostinato.kernels.gpu.run.workspace import Recorder, Workspace

FEW = 4  # launches; so many or fewer are not worth a graph


class LaunchFailed(RuntimeError):  # noqa: N818 - not a user's error: it sends the call to the reference, with this reason
    """A kernel does not compile, or the device does not take it; the message is the reason, as `explain` prints it."""


def grid_of(blocks: Blocks, widest: int, rows: int) -> tuple[int, int]:
    """The number of programs along the units, and along the rows."""
    return -(-widest // blocks.units), -(-rows // blocks.rows)


class Launcher:
    """Runs the kernels of a layer.

    Args:
        blocks: the tiles.
        widest: the largest number of units of any space.
        in_one: whether a sequence is one launch even if programs wait for each other.
        workspace: the workspace with all memory of the kernels; with one, many launches are recorded and repeated.
        recorder: the object that records launches.
    """

    def __init__(
        self,
        blocks: Blocks,
        widest: int,
        in_one: bool,
        workspace: Workspace | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._blocks, self._widest = blocks, widest
        self._in_one = in_one and not is_interpreted()  # the interpreter runs programs one after the other
        self._workspace, self._recorder = workspace, recorder

    def __call__(self, emitted: Emitted, steps: int, rows: int, reverse: bool, used: Mapping[str, Any]) -> None:
        """Launch the kernel for a whole sequence.

        Args:
            emitted: the source of the part.
            steps: `T`.
            rows: `B`.
            reverse: whether the layer runs from the last step to the first.
            used: memories, and their strides, by name.

        Raises:
            LaunchFailed: if the kernel does not compile or run.
        """
        programs, groups = grid = grid_of(self._blocks, self._widest, rows)
        given = [used[name] for name in emitted.arguments]
        ticks, sizes = emitted.count(steps), (steps, rows, int(reverse))
        meets = programs > 1 and emitted.ticks > 0
        device = next(v.device for v in given if isinstance(v, torch.Tensor))
        in_one = not meets or self._in_one
        options: dict[str, Any] = {} if is_interpreted() else compiler_options(self._blocks, meets and in_one)
        try:
            kernel: Any = load(emitted.source)[emitted.part]
            if in_one:
                flags = torch.zeros(programs * groups if meets else 1, dtype=torch.int32, device=device)
                kernel[grid](0, ticks, *sizes, flags, *given, **options)
                return
            flags = self._unused_flags(device)

            def launches() -> None:
                for n in range(ticks):
                    kernel[grid](n, n + 1, *sizes, flags, *given, **options)

            key = (emitted.source, *sizes, *(v.data_ptr() if isinstance(v, torch.Tensor) else v for v in given))
            self._repeated(key, launches, ticks)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a compiler, a driver or the interpreter may raise anything
            raise LaunchFailed(_said(error)) from error

    def _unused_flags(self, device: torch.device) -> torch.Tensor:
        """A single flag to pass, for launches without barriers, which use none."""
        if self._workspace is None:
            return torch.zeros(1, dtype=torch.int32, device=device)
        return self._workspace.take((1,), torch.int32, device)

    def _repeated(self, key: object, launches: Callable[[], None], count: int) -> None:
        """Launch; the second call records the launches, and from then on the recording is repeated."""
        if self._workspace is None or self._recorder is None or count <= FEW:
            launches()
            return
        recorded = self._workspace.recorded
        if key not in recorded:  # the first call compiles, and may wait for the device, which a recording must not do
            recorded[key] = None
            launches()
            return
        if (repeat := recorded[key]) is None:
            repeat = recorded[key] = self._recorder.record(launches)
        repeat()


def _said(error: BaseException) -> str:
    """The innermost cause of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"
