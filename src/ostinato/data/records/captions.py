"""Pictures with captions: image files, and the captions in JSON lines."""

from __future__ import annotations

import io
import urllib.parse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ostinato.data.records.brightness import as_eight_bits, white_of
from ostinato.data.records.images import Images
from ostinato.data.records.splits import Splits, stratified_split
from ostinato.data.sources.broken import in_one_line, leave_out, none_left, unread_note
from ostinato.data.sources.cells import json_lines
from ostinato.data.sources.hidden import matching, root_of, visible
from ostinato.data.sources.lines import PART_NAMES, find_parts, open_file, suffix_of
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
_LISTING_SUFFIXES = (".jsonl", ".ndjson")
_FILE_NAMES = ("file", "image", "file_name", "filename")
_CAPTION_NAMES = ("caption", "captions", "text")
_DEEP_MODES = ("I", "F")  # modes whose values Pillow's own conversions cut off at 255
_MOST_PIXELS = 25_000_000  # of a picture from an untrusted sender
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


@dataclass(frozen=True)
class Captioned:
    """Images with captions.

    Attributes:
        images: N images.
        captions: For each image, any number of texts.
        names: For each image, the name of its file; empty if the images come from no files.
        unread: A line for each file that could not be read, which says why.
        notes: What a user should know, a line each.
    """

    images: Images
    captions: tuple[tuple[str, ...], ...]
    names: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.captions)

    def take(self, indices: np.ndarray | Sequence[int]) -> Captioned:
        """Return the images with these indices, with their captions and names."""
        captions = tuple(self.captions[index] for index in indices)
        names = tuple(self.names[index] for index in indices if self.names)
        return replace(self, images=self.images.take(indices), captions=captions, names=names)


def read_captions(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    grey: bool | None = None,
    white: float | None = None,
    skip_broken: bool = False,
) -> Captioned:
    """Read pictures and their captions.

    Args:
        path: JSON lines, each with `file` (or `image`, `file_name`, `filename`), relative to this file, and `caption`
            (or `captions`, `text`), a text or a list of texts; or a folder that holds one such file. A picture in
            several lines has several captions. Both this file and a picture may also be a URL.
        size: (height, width) that every picture is scaled to; None to expect that all have the same size.
        grey: Whether to read pictures without colours; None to do so only if none of them has colours.
        white: The value that is white in pictures with more than eight bits or of floats, such as `Images.deep_white`
            of pictures of the same origin; None to find it in these pictures.
        skip_broken: Whether to leave out pictures that cannot be read, if there are several; `unread` then names them.

    Raises:
        DataError: A line lacks a name or a caption, a picture cannot be read or has another size.
    """
    listing = _listing(_place(path))
    captions: dict[str, list[str]] = {}
    for number, row in json_lines(listing):
        name = next((row[key] for key in _FILE_NAMES if key in row), None)
        said = next((row[key] for key in _CAPTION_NAMES if key in row), None)
        every = cast("list[Any]", said) if isinstance(said, list) else [said]
        texts = [text for text in every if isinstance(text, str)]
        if not isinstance(name, str) or not texts or len(texts) < len(every):
            raise DataError(
                f'{listing}, line {number}: expected {{"file": "a.png", "caption": "..."}}, got {str(row)[:80]}'
            )
        captions.setdefault(name, []).extend(texts)
    if not captions:
        raise DataError(f"{listing}: there is no line in it; expected a picture and its caption a line")
    files = [(name, _beside(listing, name)) for name in captions]
    found = _named(listing, files, size, grey, white, skip_broken)
    return replace(found, captions=tuple(tuple(captions[name]) for name in found.names))


def read_caption_splits(
    path: str | Path,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    *,
    size: tuple[int, int] | None = None,
    grey: bool | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    skip_broken: bool = False,
) -> Splits[Captioned]:
    """Read pictures and their captions in three parts; a part without a file is drawn from the pictures of `path`.

    Args:
        path: As for `read_captions`; or a folder with train.jsonl, and perhaps dev.jsonl and test.jsonl.
        validation: As `path`, but for validation.
        test: As `path`, but for the test.
        size: As for `read_captions`; if it is None, pictures of the other parts are scaled to the size of the training
            pictures.
        grey: As for `read_captions`.
        validation_share: The share of the pictures of `path`, 0 <= share < 1, if validation has no file.
        test_share: The share for the test, likewise.
        seed: The seed of the draw.
        skip_broken: As for `read_captions`.

    Raises:
        DataError: As for `read_captions`, or there are too few pictures.
        ConfigError: A share is out of range.
    """
    place = _place(path)
    found: dict[str, Path] = {}
    if isinstance(place, Path) and place.is_dir():
        found = find_parts(place, PART_NAMES, _LISTING_SUFFIXES)
    if found and "train" not in found:
        raise DataError(f"{path}: there is {next(iter(found.values())).name}, but no train.jsonl; name the files")
    validation, test = validation or found.get("validation"), test or found.get("test")
    pictures = read_captions(found.get("train", place), size=size, grey=grey, skip_broken=skip_broken)
    shape, white = pictures.images.pixels.shape, pictures.images.deep_white
    # The network is made for pictures like the training pictures, so the others get their size, colours and white.
    others = [
        None
        if part is None
        else read_captions(
            part, size=size or (shape[1], shape[2]), grey=len(shape) == 3, white=white, skip_broken=skip_broken
        )
        for part in (validation, test)
    ]
    shares = [
        share if part is None else 0.0 for share, part in zip((validation_share, test_share), others, strict=True)
    ]
    drawn = list(map(pictures.take, stratified_split([0] * len(pictures), *shares, seed=seed, what="pictures")))
    parts = (drawn[0], *(own if own is not None else rest for own, rest in zip(others, drawn[1:], strict=True)))
    return Splits(PurePath(place).name, *parts)


def read_pictures(
    path: str | Path | Sequence[str],
    *,
    size: tuple[int, int] | None = None,
    grey: bool | None = None,
    white: float | None = None,
    skip_broken: bool = False,
) -> tuple[tuple[str, ...], Images]:
    """Read pictures without captions; return their names and the images. See `read_without_captions`."""
    found = read_without_captions(path, size=size, grey=grey, white=white, skip_broken=skip_broken)
    return found.names, found.images


def read_without_captions(
    path: str | Path | Sequence[str],
    *,
    size: tuple[int, int] | None = None,
    grey: bool | None = None,
    white: float | None = None,
    skip_broken: bool = False,
) -> Captioned:
    """Read pictures without captions, and their names.

    Args:
        path: One file or its URL; a folder, for all pictures in it, in the order of their names; a glob such as
            `photos/*.jpg`; or the names of several files.
        size: As for `read_captions`.
        grey: As for `read_captions`.
        white: As for `read_captions`.
        skip_broken: As for `read_captions`.

    Raises:
        DataError: There is no picture, or one cannot be read or has another size.
    """
    if not isinstance(path, str | Path):
        return _named("the files", [(name, _place(name)) for name in path], size, grey, white, skip_broken)
    place, root = _place(path), None
    if isinstance(place, str):
        return _named(path, [(PurePath(place.partition("?")[0]).name, place)], size, grey, white, skip_broken)
    files = [place]
    if place.is_dir():
        files = [file for file in visible(place.iterdir()) if file.suffix.lower() in PICTURE_SUFFIXES]
        if not files:
            raise DataError(
                f"{path}: there is no picture in this folder; expected files in {', '.join(PICTURE_SUFFIXES)}"
            )
    elif (found := matching(place)) is not None:
        root, files = root_of(place), [file for file in found if file.suffix.lower() in PICTURE_SUFFIXES] or found
        if not files:
            raise DataError(f"{path}: no file has such a name; check it")
    names = [file.name if root is None else str(file.relative_to(root)) for file in files]
    return _named(path, list(zip(names, files, strict=True)), size, grey, white, skip_broken)


def pictures_of_bytes(
    files: Sequence[bytes], *, size: tuple[int, int], grey: bool, white: float | None = None
) -> Images:
    """Read pictures without captions whose files are in memory.

    They may come from an untrusted sender, so a picture that is too large is refused before it is unpacked.

    Args:
        files: The content of each file.
        size: As for `read_captions`.
        grey: As for `read_captions`.
        white: As for `read_captions`.

    Raises:
        DataError: A file is no picture that can be read, or has more than 25 million pixels.
    """
    return _stacked(files, size, grey, white)


def grey_picture(path: str | Path | bytes) -> np.ndarray:
    """Read one picture without colours, as (H, W) uint8, black 0 and white 255; for more bits see `brightness`.

    Args:
        path: A file or its URL; or the content of a file, which may be untrusted, see `pictures_of_bytes`.

    Raises:
        DataError: The picture cannot be read.
    """
    return _eight_bits(_picture(path, None, True))


def grey_picture_of(image: Image) -> np.ndarray:
    """Convert an open picture as `grey_picture` does."""
    return _eight_bits(_pixels(image, None, True))


def pixels_of(image: Image, *, grey: bool | None = None) -> np.ndarray:
    """Convert an open picture as pictures from files are converted: upright, on a white background.

    Args:
        image: An image of Pillow.
        grey: Whether to leave out colours; None to do so if it has none.

    Returns:
        (H, W), or (H, W, 3) with colours: uint8; for a picture with more than eight bits float32, with its values
        unchanged.
    """
    return _pixels(image, None, grey)


def _eight_bits(picture: np.ndarray) -> np.ndarray:
    return picture if picture.dtype == np.uint8 else as_eight_bits(picture, white_of([picture]))


def _place(path: str | Path) -> str | Path:
    """Return a URL unchanged, because a Path would remove one of its slashes; return anything else as a Path."""
    return str(path) if "://" in str(path) else Path(path).expanduser()


def _beside(listing: str | Path, name: str) -> str | Path:
    if "://" in name or isinstance(listing, Path):
        return name if "://" in name else Path(listing).parent / name
    return urllib.parse.urljoin(listing, urllib.parse.quote(name))


def _listing(path: str | Path) -> str | Path:
    if isinstance(path, str) or not path.is_dir():
        return path
    files = [file for file in visible(path.iterdir()) if suffix_of(file) in _LISTING_SUFFIXES]
    if len(files) != 1:
        raise DataError(
            f"{path}: expected one .jsonl file with pictures and captions there, found {len(files)}; name it"
        )
    return files[0]


def pictures_of(
    images: Sequence[Image | np.ndarray], *, size: tuple[int, int], grey: bool, white: float | None = None
) -> Images:
    """Convert open pictures without captions.

    Args:
        images: Images of Pillow; or arrays (height, width) or (height, width, 3), of uint8, or of floats from 0 to 1.
        size: As for `read_captions`.
        grey: As for `read_captions`.
        white: As for `read_captions`.

    Raises:
        DataError: An array has another shape, type or range.
    """
    if not images:
        return Images(np.zeros((0, *size) if grey else (0, *size, 3), np.uint8), None, (), 255.0)
    opened = [_opened(each) if isinstance(each, np.ndarray) else each for each in images]
    names = [f"image {number}" for number in range(1, len(images) + 1)]
    return _together(names, [_pixels(each, size, grey) for each in opened], white)


def _opened(array: np.ndarray) -> Image:
    with needed():
        import PIL.Image

    if array.dtype.kind == "f" and array.size and 0.0 <= array.min() <= array.max() <= 1.0:
        array = np.rint(array * 255.0).astype(np.uint8)
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] != 3)
        or not array.size
    ):
        raise DataError(
            "expected images as arrays (height, width) or (height, width, 3) of uint8, or of floats from 0 to 1, got "
            f"{array.dtype} {array.shape}; scale them"
        )
    return PIL.Image.fromarray(array)


def _stacked(
    files: Sequence[str | Path | bytes], size: tuple[int, int] | None, grey: bool | None, white: float | None
) -> Images:
    return _together(files, [_picture(file, size, grey) for file in files], white)


def _named(
    data: str | Path,
    files: Sequence[tuple[str, str | Path]],
    size: tuple[int, int] | None,
    grey: bool | None,
    white: float | None,
    skip_broken: bool,
) -> Captioned:
    """Read files without captions; `files` pairs the name of each in `data` with its path."""
    read: list[tuple[str, str | Path, np.ndarray]] = []
    unread: list[str] = []
    for name, file in files:
        try:
            read.append((name, file, _picture(file, size, grey)))
        except DataError as error:
            if not skip_broken or len(files) == 1:
                raise DataError(f"{error}{leave_out('--reading.skip_broken') * (len(files) > 1)}") from error
            unread.append(in_one_line(error))
    if not read:
        raise none_left(data, unread)
    names, kept, pixels = zip(*read, strict=True)
    notes = (unread_note(data, unread),) if unread else ()
    return Captioned(_together(kept, list(pixels), white), ((),) * len(names), names, tuple(unread), notes)


def _together(files: Sequence[str | Path | bytes], pixels: list[np.ndarray], white: float | None) -> Images:
    for file, picture in zip(files, pixels, strict=True):
        if picture.shape[:2] != pixels[0].shape[:2]:
            raise DataError(
                f"{file}: is {_by(picture)}, the first picture {_by(pixels[0])} (height x width); "
                "give the size that all are scaled to, --reading.size"
            )
    deep = [picture for picture in pixels if picture.dtype != np.uint8]
    if deep:
        white = white_of(deep) if white is None else white
        pixels = [picture if picture.dtype == np.uint8 else as_eight_bits(picture, white) for picture in pixels]
    if len({picture.ndim for picture in pixels}) > 1:  # some pictures are grey, others are not
        pixels = [picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2) for picture in pixels]
    return Images(np.stack(pixels), None, (), 255.0, white if deep else None)


def _by(picture: np.ndarray) -> str:
    return f"{picture.shape[0]} x {picture.shape[1]}"


def _picture(path: str | Path | bytes, size: tuple[int, int] | None, grey: bool | None) -> np.ndarray:
    """Read a picture as (height, width) or, with colours, (height, width, 3): uint8, or float32 if it has more bits."""
    with needed():
        import PIL.Image  # here, not above: it is needed for pictures only

    try:
        with ExitStack() as stack:
            if isinstance(path, bytes):
                file = io.BytesIO(path)
            else:
                file = path if isinstance(path, Path) else io.BytesIO(stack.enter_context(open_file(path)).read())
            opened = stack.enter_context(PIL.Image.open(file))
            if isinstance(path, bytes) and opened.width * opened.height > _MOST_PIXELS:
                raise ValueError(f"{opened.width} x {opened.height} pixels")
            return _pixels(opened, size, grey)
    except (OSError, PIL.Image.DecompressionBombError, ValueError, SyntaxError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        name = "a file" if isinstance(path, bytes) else path
        raise DataError(f"{name}: is not a picture that can be read ({reason}); check the file") from error


def _pixels(opened: Image, size: tuple[int, int] | None, grey: bool | None) -> np.ndarray:
    """Convert an image of Pillow to the result of `_picture`."""
    with needed():
        import PIL.Image
        import PIL.ImageOps

    # A camera writes how it was held into the EXIF data, not into the order of the pixels.
    image, is_deep = PIL.ImageOps.exif_transpose(opened), opened.mode.startswith(_DEEP_MODES)
    is_grey = opened.mode in _GREY_MODES if grey is None else grey
    if is_deep:
        image = PIL.Image.fromarray(np.asarray(image).astype(np.float32))
    else:
        image = _on_white(image).convert("L" if is_grey else "RGB")
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), PIL.Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels if is_grey or not is_deep else np.repeat(pixels[:, :, None], 3, axis=2)


def _on_white(image: Image) -> Any:
    """Put a transparent image on a white background, because Pillow's own conversions ignore transparency."""
    with needed():
        import PIL.Image

    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        return PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    return image
