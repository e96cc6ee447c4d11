"""Launches of a kernel: one for a whole sequence, or one for what lies between two meetings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ostinato.kernels.gpu.code.blocks import Blocks
from ostinato.kernels.gpu.code.kernel import Emitted
from ostinato.kernels.gpu.code.module import is_interpreted, load


def grid_of(blocks: Blocks, widest: int, rows: int) -> tuple[int, int]:
    """Programs along the units, and along the rows."""
    return -(-widest // blocks.units), -(-rows // blocks.rows)


class Launcher:
    """Runs the kernels of a layer.

    Args:
        blocks: the tiles.
        widest: the most units of any space.
        in_one: whether a sequence is one launch where programs meet.
    """

    def __init__(self, blocks: Blocks, widest: int, in_one: bool) -> None:
        self._blocks, self._widest = blocks, widest
        self._in_one = in_one and not is_interpreted()  # which runs programs one after the other

    def __call__(self, emitted: Emitted, steps: int, rows: int, reverse: bool, used: Mapping[str, Any]) -> None:
        """Launch.

        Args:
            emitted: the part.
            steps: `T`.
            rows: `B`.
            reverse: whether the layer runs from the last step to the first.
            used: memories, and their strides, by name.
        """
        programs, groups = grid = grid_of(self._blocks, self._widest, rows)
        kernel: Any = load(emitted.source)[emitted.part]
        given = [used[name] for name in emitted.arguments]
        ticks, sizes = emitted.count(steps), (steps, rows, int(reverse))
        meets = programs > 1 and emitted.ticks > 0
        device = next(v.device for v in given if isinstance(v, torch.Tensor))
        flags = torch.zeros(programs * groups, dtype=torch.int32, device=device)
        options: dict[str, Any] = {}
        if not is_interpreted():
            options = {"num_warps": self._blocks.warps, "num_stages": self._blocks.stages}
        if not meets or self._in_one:
            if meets:
                options["launch_cooperative_grid"] = True
            kernel[grid](0, ticks, *sizes, flags, *given, **options)
            return
        for n in range(ticks):
            kernel[grid](n, n + 1, *sizes, flags, *given, **options)
