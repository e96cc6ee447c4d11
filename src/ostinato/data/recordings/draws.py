"""Random numbers that stay the same: data that are made are the same in every version of NumPy."""

from __future__ import annotations

import numpy as np


class Draws:
    """Numbers from the bits of PCG64 alone: how `numpy.random.Generator` makes normal ones may change."""

    def __init__(self, seed: int):
        self._bits = np.random.PCG64(seed)

    def uniform(self, *shape: int) -> np.ndarray:
        """From 0 to less than 1, multiples of 2^-53."""
        raw = np.asarray(self._bits.random_raw(int(np.prod(shape))))
        return (raw >> np.uint64(11)).reshape(shape) * 2.0**-53

    def normal(self, *shape: int) -> np.ndarray:
        """Of mean 0 and variance 1, see Box & Muller 1958."""
        return np.sqrt(-2.0 * np.log(1.0 - self.uniform(*shape))) * np.cos(2.0 * np.pi * self.uniform(*shape))

    def integers(self, least: int, most: int, *shape: int) -> np.ndarray:
        """From `least` to `most`, both possible."""
        return least + np.floor(self.uniform(*shape) * (most - least + 1)).astype(np.int64)
