"""Pictures with more than eight bits, or of floats: which value is white, as their files seldom say it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The largest values of the numbers of bits that cameras and scanners have; files hold them in sixteen bits or more, or
# as floats.
_WHITES = tuple(2.0**bits - 1.0 for bits in (8, 10, 12, 14, 16, 32))


def white_of(pictures: Sequence[np.ndarray]) -> float:
    """Find the value that is white in pictures of one origin.

    It is 1 if no value is above 1; else the largest value of 8, 10, 12, 14, 16 or 32 bits, whichever are the fewest
    that hold all values; else the largest value.
    """
    largest = max(float(picture.max(initial=0.0, where=np.isfinite(picture))) for picture in pictures)
    if largest <= 1.0:
        return 1.0
    return next((white for white in _WHITES if largest <= white), largest)


def as_eight_bits(picture: np.ndarray, white: float) -> np.ndarray:
    """Convert a picture to uint8 of the same shape, black 0 and white 255; NaN and values below 0 become black."""
    values = np.nan_to_num(picture.astype(np.float64), nan=0.0)
    return (values * (255.0 / white)).clip(0.0, 255.0).round().astype(np.uint8)
