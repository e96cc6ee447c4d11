"""Turning plain values into what a captioner reads."""

from __future__ import annotations

from typing import Any

from ostinato.data.records.captions import Captioned, pictures_of
from ostinato.data.records.images import Images
from ostinato.recipes.caption.data import CaptionKnown
from ostinato.recipes.in_python.plain import pixels_in


def part_of(known: CaptionKnown, given: Any) -> tuple[Captioned, bool]:
    """Images, scaled to the size that the run was trained with, and whether it is one image.

    Raises:
        DataError: the values are no images.
    """
    if isinstance(given, Captioned):
        return given, False
    if isinstance(given, Images):
        return Captioned(given, ((),) * len(given)), False
    shape = known.shape
    is_grey = shape.channels == 1
    axes = (2,) if is_grey else (3,)
    form = "(height, width)" if is_grey else "(height, width, 3)"
    found, is_one = pixels_in(given, f"images: of Pillow, or arrays {form} of uint8, or of others from 0 to 1", axes)
    images = pictures_of(found, size=(shape.height, shape.width), grey=is_grey, white=known.deep_white)
    return Captioned(images, ((),) * len(images)), is_one
