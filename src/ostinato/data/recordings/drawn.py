"""Drawn lines of text: words of Python's reference in typefaces that come with matplotlib, as a poor scanner sees them.

Sizes, slants, widths of letters, weights of ink, the place on the line, blur, uneven light and noise differ from line to line, and
some lines are light on dark. Random numbers come from the bits of PCG64, which NumPy promises to keep; the shapes of
letters depend on FreeType, and the words on the version of Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ostinato.data.recordings.draws import Draws
from ostinato.data.recordings.pictures import channels_of, recording_of
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.splits import Splits, hashed_order
from ostinato.data.sources.builtin import folder_of
from ostinato.extras import needed

LINES = "lines"  # the name of these data
HEIGHT = 20
_FACES = ("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral")
_PARTS = {"train": 5000, "validation": 200, "test": 500}
_SIZE = 32  # the font size in pixels, before the line is scaled down
_SEEN = slice(12, 54)  # the rows of the canvas that letters reach
_SHORTEST, _LONGEST = 8, 26  # characters of a line; the last of a paragraph may be shorter
_WRITTEN = re.compile(r"[A-Za-z0-9.,;:'()\"-]+")


def drawn_lines(counts: dict[str, int] | None = None, seed: int = 0) -> Splits[Recordings]:
    """Draw lines of text in three parts, which come from different pages; no text is in two parts.

    Args:
        counts: Lines of each part; None for 5,000, 200 and 500.
        seed: The seed of the random numbers.
    """
    counts = counts or _PARTS
    draws, topics = Draws(seed), _topics()
    order = hashed_order(len(topics), seed)
    shares = np.cumsum([round(0.7 * len(order)), round(0.1 * len(order))])
    faces = [_face(name) for name in _FACES]
    parts: list[Recordings] = []
    seen: set[str] = set()
    for (part, count), chosen in zip(counts.items(), np.split(order, shares), strict=True):
        found = dict.fromkeys(line for at in chosen for line in _lines(topics[int(at)], draws))
        texts = [line for line in found if line not in seen]
        seen.update(texts)
        kept = np.argsort(draws.uniform(len(texts)), kind="stable")[:count]
        items = [_drawn(f"{part} {n + 1}", texts[int(at)], faces, draws) for n, at in enumerate(kept)]
        parts.append(Recordings(channels_of(HEIGHT), tuple(items)))
    return Splits("lines of text, drawn", *parts)


def _topics() -> list[str]:
    """Return the pages of Python's reference, in the order of their names."""
    from pydoc_data import topics  # half a megabyte that nothing else needs

    return [text for _, text in sorted(topics.topics.items())]


def _lines(text: str, draws: Draws) -> Iterator[str]:
    """Break prose into lines of random lengths; leave out code, which is indented."""
    for paragraph in text.split("\n\n"):
        if paragraph[:1].isspace() or "**" in paragraph:
            continue
        line = ""
        most = int(draws.integers(_SHORTEST, _LONGEST, 1)[0])
        for word in paragraph.split():
            if not _WRITTEN.fullmatch(word):
                continue
            if line and len(line) + 1 + len(word) > most:
                yield line
                line, most = "", int(draws.integers(_SHORTEST, _LONGEST, 1)[0])
            line = f"{line} {word}".strip()
        if line:
            yield line


def _face(name: str) -> Any:
    with needed():
        from PIL import ImageFont

    return ImageFont.truetype(str(folder_of("matplotlib") / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"), _SIZE)


def _drawn(id: str, text: str, faces: Sequence[Any], draws: Draws) -> Recording:
    with needed():
        import PIL.Image
        from PIL import ImageDraw, ImageFilter

    u = draws.uniform(11).tolist()
    face = faces[int(u[0] * len(faces))]
    ink_width = int(face.getlength(text)) + 2 * _SIZE
    canvas = PIL.Image.new("L", (ink_width, 2 * _SIZE), 0)
    ImageDraw.Draw(canvas).text((_SIZE, _SIZE // 2), text, fill=255, font=face)
    # One affine map, from the picture to the canvas, for the slant, the width of letters, their size and their place on
    # the line.
    slant, wide, size = (u[1] - 0.5) * 0.4, 0.85 + 0.3 * u[2], 0.9 + 0.2 * u[3]
    across, down = 1.0 / (wide * size), 1.0 / size
    width, high = int(ink_width * wide * size), 2 * _SIZE
    lift = (u[4] - 0.5) * 5.0 + 36.0 - _SIZE * down  # pixel 36 is the middle of small letters
    seen = canvas.transform(
        (width, high),
        PIL.Image.Transform.AFFINE,
        (across, slant, -slant * _SIZE, 0.0, down, lift),
        PIL.Image.Resampling.BILINEAR,
    ).filter(ImageFilter.GaussianBlur(0.3 + 0.9 * u[5]))
    margin = int(_SIZE * 0.8 * wide * size)  # the most that is cut off the empty paper at each end
    cut = slice(int(u[6] * margin), width - int(u[7] * margin)), _SEEN
    ink = np.asarray(seen, np.float32)[cut[1], cut[0]] / 255.0
    shape = ink.shape
    light = 0.15 * (u[8] - 0.5) * np.linspace(-1.0, 1.0, shape[1], dtype=np.float32)
    values = 0.9 + light - (0.4 + 0.45 * u[9]) * ink
    scale = HEIGHT / shape[0]
    small = PIL.Image.fromarray(values).resize((max(1, round(shape[1] * scale)), HEIGHT), PIL.Image.Resampling.BOX)
    noisy = np.asarray(small) + 0.04 * draws.normal(HEIGHT, small.size[0])
    if u[10] < 0.2:
        noisy = 1.0 - noisy
    pixels = (noisy.clip(0.0, 1.0) * 255.0).round().astype(np.uint8)
    return recording_of(pixels, HEIGHT, id, text)
