"""How the work of a layer is divided into tiles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Blocks:
    """The tile of a program of the grid. All numbers are powers of two.

    Attributes:
        rows: the rows of the batch that a program owns.
        units: the units that it owns in every space, with all gates.
        k: the columns of what enters that one run of a product takes, at least 16.
        split: the number of runs that one `tl.dot` takes side by side, as a batch: one for each warp.
        resident: whether a program loads its part of the weights once and keeps it for all its ticks.
        warps: the number of warps, of 32 threads each.
        stages: for a product that reads its weights anew in each step, how many loads run ahead.
    """

    rows: int = 16
    units: int = 16
    k: int = 32
    split: int = 4
    resident: bool = False
    warps: int = 4
    stages: int = 2

    @property
    def depth(self) -> int:
        """The number of columns that one `tl.dot` takes."""
        return self.k * self.split


def compiler_options(blocks: Blocks, in_one: bool) -> dict[str, bool | int]:
    """The options of Triton's compiler.

    Args:
        blocks: the tiles.
        in_one: whether programs wait for each other within a launch, so that all must be on the device at the same time.
    """
    # A product and a sum are rounded once, as in the reference on a GPU; the default differs between versions of Triton.
    options: dict[str, bool | int] = {"num_warps": blocks.warps, "num_stages": blocks.stages, "enable_fp_fusion": True}
    # A processor runs one program: it may have all registers, and need not spill to leave some for a second one.
    options["maxnreg"] = min(255, 65536 // (32 * blocks.warps))
    return options | ({"launch_cooperative_grid": True} if in_one else {})


def power(n: int) -> int:
    """The smallest power of two that is at least `n`."""
    return 1 << max(0, n - 1).bit_length()
