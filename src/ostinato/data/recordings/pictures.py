"""Pictures of lines of text as recordings: a column of pixels is a step, a row of pixels a channel."""

from __future__ import annotations

import numpy as np

from ostinato.data.recordings.recording import Recording
from ostinato.extras import needed

_LEAST_CONTRAST = 0.05  # of white; what is flatter is an empty page


def channels_of(height: int) -> tuple[str, ...]:
    """Names of the rows of a picture, from above."""
    return tuple(f"row{at}" for at in range(height))


def recording_of(picture: np.ndarray, height: int, id: str, label: str | None) -> Recording:
    """A picture of a line as a recording: (width, `height`) values, 0 for paper and about 1 for ink.

    It is scaled to one height, its width with it. Dark ink on light paper and light ink on a dark ground are the same, and so are
    pale ink and black: paper is what most pixels are, ink what differs most.

    Args:
        picture: (H, W) uint8, black 0 and white 255; both at least 1.
        height: Rows of what is read, at least 1.
        id: Of the recording.
        label: What is written there.
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
