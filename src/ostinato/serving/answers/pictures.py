"""Pictures that come in a request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from ostinato.data.records.captions import pictures_of_bytes
from ostinato.data.records.images import Images
from ostinato.errors import DataError
from ostinato.serving.errors import BadRequestError


def images_of(given: Sequence[Any], size: tuple[int, int], *, grey: bool = True, white: float | None = None) -> Images:
    """Pictures in base64, a `data:` address or not, scaled to a size.

    Args:
        given: N texts.
        size: height and width.
        grey: read them without colours.
        white: what is white in those of more than eight bits.

    Raises:
        BadRequestError: one is no picture.
    """
    return pictures_told([_decoded(each) for each in given], size, grey=grey, white=white)


def pictures_told(files: Sequence[bytes], size: tuple[int, int], *, grey: bool, white: float | None) -> Images:
    """The pictures in files.

    Raises:
        BadRequestError: one is none.
    """
    try:
        return pictures_of_bytes(files, size=size, grey=grey, white=white)
    except DataError:
        raise BadRequestError(
            "expected pictures, such as PNG or JPEG, of at most 25 million pixels, got something else", param="input"
        ) from None


def _decoded(given: Any) -> bytes:
    wrong = BadRequestError("expected a picture, such as PNG or JPEG, in base64", param="input")
    if not isinstance(given, str):
        raise wrong
    if given.startswith("data:"):
        given = given.partition(",")[2]
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise wrong from None
