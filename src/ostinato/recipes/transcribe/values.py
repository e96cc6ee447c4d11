"""Plain values to transcribe: recordings, and pictures of lines as Pillow has them."""

from __future__ import annotations

from typing import Any

from ostinato.data.recordings.pictures import recording_of
from ostinato.data.recordings.recording import Recordings
from ostinato.data.records.captions import grey_picture_of
from ostinato.recipes.in_python.kinds import is_list, is_picture, items_of
from ostinato.recipes.in_python.plain import recordings_in, wrong
from ostinato.recipes.transcribe.data import TranscribeKnown


def values_in(known: TranscribeKnown, given: Any) -> tuple[Recordings, bool]:
    """What is to be transcribed, and whether it is one.

    Args:
        known: of the run.
        given: an image of Pillow or a list of such, where the run has learnt pictures; else what `recordings_in` takes.

    Raises:
        DataError: it is something else.
    """
    is_one = is_picture(given)
    images: list[Any] = [given] if is_one else items_of(given) if is_list(given) else []
    if not any(is_picture(each) for each in images):
        return recordings_in(given, known.scaling.channels)
    other = next((each for each in images if not is_picture(each)), None)
    if known.height is None or other is not None:
        expected = "images of Pillow" if known.height else f"numbers (T, {len(known.scaling.channels)}) as in training"
        raise wrong(expected, given if other is None else other)
    items = [
        recording_of(grey_picture_of(each), known.height, str(number), None) for number, each in enumerate(images, 1)
    ]
    return Recordings(known.scaling.channels, tuple(items)), is_one
