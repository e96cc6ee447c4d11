"""Random numbers that stay the same, so that generated data are equal in every version of NumPy."""

from __future__ import annotations

import numpy as np


class Draws:
    """Random numbers from the bits of PCG64 alone, because the methods of `numpy.random.Generator` may change."""

    def __init__(self, seed: int):
        self._bits = np.random.PCG64(seed)

    def uniform(self, *shape: int) -> np.ndarray:
        """Draw numbers from 0 to less than 1, multiples of 2^-53."""
        raw = np.asarray(self._bits.random_raw(int(np.prod(shape))))
        return (raw >> np.uint64(11)).reshape(shape) * 2.0**-53

    def normal(self, *shape: int) -> np.ndarray:
        """Draw normal numbers of mean 0 and variance 1, by the method of Box & Muller 1958."""
        return np.sqrt(-2.0 * np.log(1.0 - self.uniform(*shape))) * np.cos(2.0 * np.pi * self.uniform(*shape))

    def integers(self, least: int, most: int, *shape: int) -> np.ndarray:
        """Draw integers from `least` to `most`, both included."""
        return least + np.floor(self.uniform(*shape) * (most - least + 1)).astype(np.int64)
