"""Turning plain values into what a classifier reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from ostinato.data.records.captions import pixels_of
from ostinato.data.records.images import Images
from ostinato.data.sources.tables import Example
from ostinato.errors import DataError
from ostinato.recipes.classify.data import ClassifyKnown, Part
from ostinato.recipes.in_python.kinds import is_list, items_of
from ostinato.recipes.in_python.plain import pixels_in, recordings_in, texts_in

_WHITE, _DEEP_WHITE = 255.0, 65535.0  # white in images of eight and of sixteen bits


def part_of(known: ClassifyKnown, given: Any) -> tuple[Part, bool]:
    """Turns values into what the run was trained on: texts, images or recordings; says whether they are one example.

    Raises:
        DataError: the values are of another kind.
    """
    if known.scaling is not None:
        return recordings_in(given, known.scaling.channels)
    if known.vocabulary is not None:
        if isinstance(given, Example):
            return (given,), True
        if is_list(given) and all(isinstance(each, Example) for each in items_of(given)):
            return tuple(items_of(given)), False
        texts, is_one = texts_in(given)
        return tuple(Example(text, None) for text in texts), is_one
    if isinstance(given, Images):
        return given, False
    return _images(known, given)


def _images(known: ClassifyKnown, given: Any) -> tuple[Images, bool]:
    """Images with black as 0; white as in training in arrays of integers, 1 in other arrays, 255 in Pillow images."""
    row = known.row or 0
    expected = f"images whose rows have {row} values: of Pillow, or arrays (height, width)"
    found, is_one = pixels_in(given, expected, (2,))
    read: list[np.ndarray] = []
    for each in found:
        if isinstance(each, np.ndarray):
            white = known.white if each.dtype.kind in "uib" else 1.0
            pixels = np.asarray(each, dtype=np.float32) / white
        else:
            # Images of more than eight bits have the white of training, or that of sixteen bits if training had eight
            # bits.
            deep = {"I": known.white if known.white > _WHITE else _DEEP_WHITE, "F": 1.0}
            pixels = pixels_of(each, grey=True).astype(np.float32) / deep.get(each.mode[:1], _WHITE)
        if pixels.shape[1] != row or not len(pixels) or not np.isfinite(pixels).all():
            raise DataError(
                f"expected {expected}, got one of {pixels.shape[0]} x {pixels.shape[1]} (height x width); scale it, as with "
                f"image.resize(({row}, {row}))"
            )
        read.append(pixels)
    if len({len(each) for each in read}) > 1:
        raise DataError("expected images of one height, got several; give them one by one, or scale them")
    stacked = np.stack(read) if read else np.zeros((0, 1, row), np.float32)
    return Images(stacked, None, (), 1.0), is_one
