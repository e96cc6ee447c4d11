"""Turning plain values into what a transcriber reads: recordings, and pictures of lines from Pillow."""

from __future__ import annotations

from typing import Any

import numpy as np

from ostinato.data.recordings.pictures import recording_of
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.captions import grey_picture_of
from ostinato.errors import DataError
from ostinato.recipes.in_python.kinds import is_list, is_picture, items_of
from ostinato.recipes.in_python.plain import recordings_in, wrong
from ostinato.recipes.transcribe.data import TranscribeKnown


def values_in(known: TranscribeKnown, given: Any) -> tuple[Recordings, bool]:
    """Turns values into recordings, and says whether it is one.

    Args:
        known: what the run knows.
        given: an image of Pillow, pixels (H, W) uint8, or a list of such, if the run was trained on pictures; else what
            `recordings_in` takes.

    Raises:
        DataError: the values are something else.
    """
    several = is_list(given)
    images: list[Any] = items_of(given) if several else [given]
    if not any(_is_picture(each, known) for each in images):
        return recordings_in(given, known.scaling.channels)
    other = next((each for each in images if not _is_picture(each, known)), None)
    if known.height is None or other is not None:
        expected = "images of Pillow" if known.height else f"numbers (T, {len(known.scaling.channels)}) as in training"
        raise wrong(expected, given if other is None else other)
    items: list[Recording] = []
    for number, each in enumerate(images, 1):
        pixels = np.asarray(grey_picture_of(each) if is_picture(each) else each)
        if 0 in pixels.shape:
            raise DataError(f"picture {number}: expected at least one pixel, got {pixels.shape}")
        items.append(recording_of(pixels, known.height, str(number), None))
    return Recordings(known.scaling.channels, tuple(items)), not several


def _is_picture(given: Any, known: TranscribeKnown) -> bool:
    is_pixels = isinstance(given, np.ndarray) and given.ndim == 2 and given.dtype == np.uint8
    return is_picture(given) or (is_pixels and known.height is not None)
