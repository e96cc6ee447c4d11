"""Pictures of more than eight bits, or of floats: what is white in them, which their files seldom say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The largest values of as many bits as cameras and scanners have, kept in sixteen bits or more, or as floats.
_WHITES = tuple(2.0**bits - 1.0 for bits in (8, 10, 12, 14, 16, 32))


def white_of(pictures: Sequence[np.ndarray]) -> float:
    """The value that is white in pictures of one origin.

    It is 1 where no value is above; else the largest of 8, 10, 12, 14, 16 or 32 bits, of the fewest that hold all values.
    """
    largest = max(float(picture.max(initial=0.0, where=np.isfinite(picture))) for picture in pictures)
    if largest <= 1.0:
        return 1.0
    return next((white for white in _WHITES if largest <= white), largest)


def as_eight_bits(picture: np.ndarray, white: float) -> np.ndarray:
    """uint8 of the same shape, black 0 and white 255; what is below 0 or no number is black."""
    values = np.nan_to_num(picture.astype(np.float64), nan=0.0)
    return (values * (255.0 / white)).clip(0.0, 255.0).round().astype(np.uint8)
