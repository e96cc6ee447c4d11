"""The registry of sizes, and how many multiplications and additions each takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["training", "inference"]
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


@dataclass(frozen=True)
class Size:
    """`T` time steps, `B` rows, `I` input features, `H` hidden units."""

    T: int
    B: int
    I: int  # noqa: E741
    H: int

    def __str__(self) -> str:
        return f"{self.T}x{self.B}x{self.I}x{self.H}"

    def flops(self, gates: int, mode: Mode, proj_size: int = 0, row_steps: int | None = None) -> float:
        """Multiplications and additions of the matrix products of one call; pointwise work is not counted.

        Args:
            gates: `G`.
            mode: training counts three times the forward pass: the backward pass has two products for each of its one.
            proj_size: `P`, or 0.
            row_steps: valid steps of all rows together; `T B` by default.
        """
        recurrent = proj_size or self.H
        a_step = gates * self.H * (self.I + recurrent) + self.H * proj_size
        steps = self.T * self.B if row_steps is None else row_steps
        return 2.0 * steps * a_step * (3 if mode == "training" else 1)


SIZES = (
    Size(50, 50, 128, 128),
    Size(35, 20, 650, 650),  # the language model of Zaremba et al. 2014, "medium"
    Size(28, 128, 28, 256),  # images of 28 x 28, row by row
    Size(784, 32, 1, 128),  # the same, pixel by pixel
    Size(100, 32, 256, 256),
    Size(64, 64, 512, 512),
    Size(256, 1, 256, 256),  # one row: nothing to share a weight with
)
STEPS = (Size(1, 1, 128, 128), Size(1, 1, 512, 512))
# Calls that take microseconds: what comes before and after the arithmetic is most of them.
SMALL = tuple(Size(T, B, H, H) for T in (1, 5, 20) for B in (1, 8, 64) for H in (16, 64, 128))
SMALL_BIDIRECTIONAL = (Size(5, 1, 16, 16), Size(20, 1, 64, 64), Size(5, 8, 128, 128), Size(20, 64, 64, 64))
CALL = Size(1, 1, 32, 32)
BUSY = (Size(50, 32, 128, 128),)
RAGGED = (Size(50, 32, 128, 256), Size(200, 32, 128, 256), Size(1000, 32, 128, 256))
