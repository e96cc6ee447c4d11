"""Pictures of lines of text as recordings: a column of pixels is a step, a row of pixels a channel."""

from __future__ import annotations

import numpy as np

from ostinato.data.recordings.recording import Recording
from ostinato.extras import needed

_LEAST_CONTRAST = 0.05  # as a share of white; a picture with less contrast is an empty page


def channels_of(height: int) -> tuple[str, ...]:
    """Return the names of the rows of a picture, from the top."""
    return tuple(f"row{at}" for at in range(height))


def recording_of(picture: np.ndarray, height: int, id: str, label: str | None) -> Recording:
    """Turn a picture of a line into a recording: (width, `height`) values, 0 for paper and about 1 for ink.

    The picture is scaled to `height`, and its width in proportion. Dark ink on light paper and light ink on dark paper
    give the same values, and so do pale and black ink: the median pixel is paper, and the pixels that differ most from
    it are ink.

    Args:
        picture: (H, W) uint8, black 0 and white 255; both at least 1.
        height: Rows of the result, at least 1.
        id: The name of the recording.
        label: The text in the picture; None if it is not known.
    """
    with needed():
        import PIL.Image

    H, W = picture.shape
    if height != H:
        image = PIL.Image.fromarray(picture)
        size = max(1, round(W * height / H)), height
        picture = np.asarray(image.resize(size, PIL.Image.Resampling.BILINEAR))
    values = picture.astype(np.float32) / 255.0
    paper = float(np.median(values))
    dark, light = (float(v) for v in np.quantile(values, (0.01, 0.99)))
    contrast = max(paper - dark, light - paper, _LEAST_CONTRAST)
    ink = (paper - values) if paper - dark >= light - paper else (values - paper)
    return Recording(id, np.ascontiguousarray((ink / contrast).T), label)
