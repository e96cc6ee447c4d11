"""How the work of a layer is cut."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Blocks:
    """The tile of a program of the grid. All but the flag are powers of two.

    Attributes:
        rows: of the batch that a program owns.
        units: that it owns in every space, with all gates.
        k: columns of what enters that one run of a product takes, at least 16.
        split: runs that one `tl.dot` takes side by side, as a batch: one for each warp.
        resident: whether a program loads its part of the weights once and keeps it for all its ticks.
        warps: of 32 threads each.
        stages: how many loads ahead a product runs that reads its weights anew in each step.
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
        """Columns that one `tl.dot` takes."""
        return self.k * self.split


def compiler_options(blocks: Blocks, in_one: bool) -> dict[str, bool | int]:
    """What Triton's compiler is told besides the source.

    Args:
        blocks: the tiles.
        in_one: whether programs meet within a launch, so that all of them must be on the device at the same time.
    """
    # Products and sums in one rounding, as the reference has them on a GPU; versions of Triton differ in what is the default.
    options: dict[str, bool | int] = {"num_warps": blocks.warps, "num_stages": blocks.stages, "enable_fp_fusion": True}
    # One program a processor is all that is wanted: it may have all registers, and need not spill for a second one.
    options["maxnreg"] = min(255, 65536 // (32 * blocks.warps))
    return options | ({"launch_cooperative_grid": True} if in_one else {})


def power(n: int) -> int:
    """The smallest power of two that is no smaller."""
    return 1 << max(0, n - 1).bit_length()
