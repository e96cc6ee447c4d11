"""Pictures in requests."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.data.records.captions import grey_picture, pictures_of_bytes
from ostinato.data.records.images import Images
from ostinato.errors import DataError
from ostinato.serving.errors import BadRequestError


def images_of(given: Sequence[Any], size: tuple[int, int], *, grey: bool = True, white: float | None = None) -> Images:
    """Read pictures in base64, with or without the head of a `data:` URL, and scale them to a size.

    Args:
        given: N texts.
        size: height and width.
        grey: read the pictures without colours.
        white: the value that is white in pictures with more than eight bits.

    Raises:
        BadRequestError: a text is no picture.
    """
    return pictures_told([_decoded(each) for each in given], size, grey=grey, white=white)


def grey_of(given: Any) -> np.ndarray:
    """Read one picture in base64 without colours, in its own size, (H, W) uint8.

    Raises:
        BadRequestError: it is no picture.
    """
    try:
        return grey_picture(_decoded(given))
    except DataError:
        raise _no_picture() from None


def pictures_told(files: Sequence[bytes], size: tuple[int, int], *, grey: bool, white: float | None) -> Images:
    """Read the pictures in the contents of files.

    Raises:
        BadRequestError: a file is no picture.
    """
    try:
        return pictures_of_bytes(files, size=size, grey=grey, white=white)
    except DataError:
        raise _no_picture() from None


def _no_picture() -> BadRequestError:
    return BadRequestError(
        "expected pictures, such as PNG or JPEG, of at most 25 million pixels, got something else", param="input"
    )


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
