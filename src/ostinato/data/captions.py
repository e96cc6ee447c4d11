"""Pictures and what people say about them: image files, and their captions in JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ostinato.data.images import Images
from ostinato.data.splits import Splits, stratified_split
from ostinato.data.tables import json_lines
from ostinato.errors import DataError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
_FILE_NAMES = ("file", "image", "file_name", "filename")
_CAPTION_NAMES = ("caption", "captions", "text")


@dataclass(frozen=True)
class Captioned:
    """Images with what people say about them.

    Attributes:
        images: N of them.
        captions: Of each image, one or more texts.
    """

    images: Images
    captions: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.captions)

    def take(self, indices: np.ndarray | Sequence[int]) -> Captioned:
        """The images with these indices, and their captions."""
        return Captioned(self.images.take(indices), tuple(self.captions[index] for index in indices))


def read_captions(path: str | Path, *, size: tuple[int, int] | None = None, grey: bool = False) -> Captioned:
    """Pictures and their captions.

    Args:
        path: JSON lines, each with `file` (or `image`, `file_name`, `filename`), relative to this file, and `caption` (or `text`),
            a text or a list of texts; or a folder that holds one such file. A picture in several lines has several captions.
        size: (height, width) that every picture is scaled to; None to expect that they have one size.
        grey: Read them without colours.

    Raises:
        DataError: A line lacks a name or a caption, a picture cannot be read or has another size.
    """
    listing = _listing(Path(path).expanduser())
    captions: dict[str, list[str]] = {}
    for number, row in json_lines(listing):
        name = next((row[key] for key in _FILE_NAMES if key in row), None)
        said = next((row[key] for key in _CAPTION_NAMES if key in row), None)
        said = said if isinstance(said, list) else [said]
        texts = [text for text in said if isinstance(text, str)]
        if not isinstance(name, str) or not texts or len(texts) < len(said):
            raise DataError(
                f'{listing}, line {number}: expected {{"file": "a.png", "caption": "..."}}, got {str(row)[:80]}'
            )
        captions.setdefault(name, []).extend(texts)
    if not captions:
        raise DataError(f"{listing}: there is no line in it; expected a picture and its caption a line")
    images = _stacked([listing.parent / name for name in captions], size, grey)
    return Captioned(images, tuple(map(tuple, captions.values())))


def read_caption_splits(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    grey: bool = False,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> Splits[Captioned]:
    """Pictures and their captions in three parts, drawn by picture.

    Args:
        path: As for `read_captions`.
        size: As for `read_captions`.
        grey: As for `read_captions`.
        validation_share: Of the pictures, 0 <= share < 1.
        test_share: The same for test.
        seed: Of the draw.

    Raises:
        DataError: As for `read_captions`, or there are too few pictures.
        ConfigError: A share is out of range.
    """
    pictures = read_captions(path, size=size, grey=grey)
    parts = stratified_split([0] * len(pictures), validation_share, test_share, seed=seed)
    return Splits(Path(path).name, *map(pictures.take, parts))


def read_pictures(
    path: str | Path, *, size: tuple[int, int] | None = None, grey: bool = False
) -> tuple[tuple[str, ...], Images]:
    """Pictures without captions, and their names: one file, or all pictures of a folder, by name.

    Args:
        path: The file or folder.
        size: As for `read_captions`.
        grey: As for `read_captions`.

    Raises:
        DataError: There is no picture, or one cannot be read or has another size.
    """
    place = Path(path).expanduser()
    files = [place]
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES)
        if not files:
            raise DataError(
                f"{path}: there is no picture in this folder; expected files in {', '.join(PICTURE_SUFFIXES)}"
            )
    return tuple(file.name for file in files), _stacked(files, size, grey)


def _listing(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted(file for file in path.iterdir() if file.suffix in (".jsonl", ".ndjson"))
    if len(files) != 1:
        raise DataError(
            f"{path}: expected one .jsonl file with pictures and captions there, found {len(files)}; name it"
        )
    return files[0]


def _stacked(files: Sequence[Path], size: tuple[int, int] | None, grey: bool) -> Images:
    pixels = [_picture(file, size, grey) for file in files]
    for file, picture in zip(files, pixels, strict=True):
        if picture.shape != pixels[0].shape:
            raise DataError(
                f"{file}: is {picture.shape}, the first picture {pixels[0].shape} (height, width, channels); "
                "give the size that all are scaled to"
            )
    return Images(np.stack(pixels), None, (), 255.0)


def _picture(path: Path, size: tuple[int, int] | None, grey: bool) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError  # here, not above: it is needed for pictures only

    try:
        with Image.open(path) as image:
            picture = image.convert("L" if grey else "RGB")
            if size is not None:
                picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            return np.asarray(picture)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise DataError(f"{path}: is not a picture that can be read ({reason}); check the file") from error
