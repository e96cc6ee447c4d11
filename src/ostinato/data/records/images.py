"""Images as sequences, from IDX files (the format of MNIST) and NumPy archives.

A row of an image is a step: an image of 28 rows of 28 pixels is a sequence of 28 steps of 28 values (`Images.rows`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ostinato.data.records.splits import Splits, stratified_split
from ostinato.data.sources.archives import first_of, names_for, read_archive
from ostinato.data.sources.lines import open_file
from ostinato.errors import DataError

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_CLASSES = 100_000
_MNIST = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Images:
    """Images of one size, with labels.

    Attributes:
        pixels: (N, height, width) or (N, height, width, channels), of the type in the data.
        labels: (N,) int64, indices into `classes`; None if there are no labels.
        classes: Names of the classes, in the order of their indices.
        white: The value of a pixel that becomes 1.
        deep_white: For eight-bit images that were made from pictures with more bits or of floats: the value there that
            became 255.
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    white: float
    deep_white: float | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: np.ndarray | Sequence[int]) -> Images:
        """Return the images with these indices."""
        labels = None if self.labels is None else self.labels[indices]
        return replace(self, pixels=self.pixels[indices], labels=labels)

    def rows(self, indices: np.ndarray | Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Return images as sequences of their rows, black 0 and white 1: (N, height, width * channels) float32."""
        chosen = self.pixels[indices]
        return (chosen.reshape(*chosen.shape[:2], -1) / np.float32(self.white)).astype(np.float32, copy=False)


def read_idx(path: str | Path) -> np.ndarray:
    """Read the array of an IDX file (the format of MNIST), compressed or not, in the machine's byte order.

    Raises:
        DataError: The file is not IDX, or shorter or longer than its header says.
    """
    with open_file(path) as file:
        content = file.read()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise DataError(
            f"{path}: expected an IDX file, which begins with two zero bytes and a type; check the name, which tells the format: "
            "a table ends in .csv, .tsv, .jsonl or .parquet, an archive of images in .npz"
        )
    dtype, rank = np.dtype(_IDX_TYPES[content[2]]), content[3]
    header = 4 + 4 * rank
    if len(content) < header:
        raise DataError(f"{path}: ends within its header of {header} bytes; fetch the file again")
    shape = struct.unpack(f">{rank}I", content[4:header])
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(content) - header != size:
        raise DataError(
            f"{path}: its header says {' x '.join(map(str, shape))}, {size:,} bytes, but {len(content) - header:,} follow; "
            "fetch the file again"
        )
    return np.frombuffer(content, dtype, offset=header).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def read_images(path: str | Path, labels: str | Path | None = None) -> Images:
    """Read the images of one file, with their labels if there are any.

    Args:
        path: An IDX file, or a .npz archive whose arrays are called images (or image, x, data, pixels) and labels (or
            label, y, targets).
        labels: An IDX file of labels for an IDX file of images; None for a file beside it that MNIST's naming
            determines, if it exists.

    Raises:
        DataError: A file does not have the form of its name, or there are not as many labels as images.
    """
    if str(path).lower().endswith(".npz"):
        arrays = read_archive(path)
        return as_images(_array(arrays, "", path), _array(arrays, "", path, of="labels"), path)
    pixels = read_idx(path)
    beside = str(path).replace("-images-idx3", "-labels-idx1")
    if labels is None and beside != str(path) and Path(beside).exists():
        labels = beside
    return as_images(pixels, None if labels is None else read_idx(labels), path)


def read_image_splits(
    path: str | Path, *, validation_share: float = 0.1, test_share: float = 0.1, seed: int = 0
) -> Splits[Images]:
    """Read a data set of images in three parts.

    Args:
        path: A folder with MNIST's four IDX files, under their usual names, compressed or not; or a .npz archive with
            x_train, y_train, x_test, y_test (the names of Keras) or with images and labels.
        validation_share: The share of the training images for validation, drawn so that each class has its share.
        test_share: The share for the test, likewise; only used if the data have no test part.
        seed: The seed of the draw.

    Raises:
        DataError: Files are missing or incomplete, or there are no labels.
        ConfigError: A share is out of range.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        train, test = (_mnist_part(place, part) for part in _MNIST)
    elif str(path).lower().endswith(".npz"):
        arrays = read_archive(path)
        has_parts = any("train" in name for name in arrays)
        train = as_images(
            _array(arrays, "train" * has_parts, path), _array(arrays, "train" * has_parts, path, of="labels"), path
        )
        test = None
        if any("test" in name for name in arrays):
            test = as_images(_array(arrays, "test", path), _array(arrays, "test", path, of="labels"), path)
    else:
        train, test = read_images(path), None
    if train.labels is None or (test is not None and test.labels is None):
        raise DataError(f"{path}: expected labels for the images; put the file of labels beside them")
    kept, drawn, last = stratified_split(
        train.labels.tolist(), validation_share, test_share if test is None else 0.0, seed=seed
    )
    if test is not None and test.pixels.shape[1:] != train.pixels.shape[1:]:
        raise DataError(
            f"{path}: images for training are {train.pixels.shape[1:]}, for test {test.pixels.shape[1:]}; expected one size"
        )
    train, test = _alike(train, test)
    classes = max(train.classes, test.classes if test else (), key=len)
    parts = (train.take(kept), train.take(drawn), train.take(last) if test is None else test)
    return Splits(place.name, *(replace(part, classes=classes, white=train.white) for part in parts))


def as_images(pixels: np.ndarray | None, labels: np.ndarray | None, path: str | Path) -> Images:
    """Check that arrays are images and labels, and find the value that is white: 255 for uint8, else the largest value.

    Args:
        pixels: (N, height, width) or (N, height, width, channels).
        labels: (N,) or (N, 1), whole numbers from 0 on, or names; None if there are no labels.
        path: The name of the data in errors.

    Raises:
        DataError: The arrays are no images, or no labels.
    """
    if pixels is None or pixels.ndim not in (3, 4) or pixels.dtype.kind not in "uif" or 0 in pixels.shape:
        came = "no such array" if pixels is None else f"{pixels.dtype} {pixels.shape}"
        raise DataError(
            f"{path}: expected images as numbers (N, height, width) or (N, height, width, channels), got {came}"
        )
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise DataError(f"{path}: some pixels are not finite; expected numbers")
    white = 255.0 if pixels.dtype == np.uint8 else float(np.abs(pixels).max()) or 1.0
    if labels is None:
        return Images(pixels, None, (), white)
    labels = labels.reshape(-1)
    if len(labels) != len(pixels):
        raise DataError(f"{path}: has {len(pixels)} images, but {len(labels)} labels; expected one for each")
    if labels.dtype.kind == "U" and (labels != "").all():
        names, places = np.unique(labels, return_inverse=True)
        return Images(pixels, places.reshape(-1).astype(np.int64), tuple(names.tolist()), white)
    if labels.dtype.kind not in "ui" or (labels.size and labels.min() < 0):
        raise DataError(f"{path}: expected labels that are whole numbers from 0 on, got {labels.dtype}")
    if labels.max() >= _MOST_CLASSES:
        raise DataError(
            f"{path}: has the label {labels.max()}; expected class numbers below {_MOST_CLASSES:,}, from 0 on"
        )
    return Images(pixels, labels.astype(np.int64), tuple(map(str, range(int(labels.max()) + 1))), white)


def _alike(train: Images, test: Images | None) -> tuple[Images, Images | None]:
    """Give both parts the same classes, and renumber the labels, because each part numbered its own class names."""
    shorter, longer = sorted((train.classes, test.classes if test else ()), key=len)
    if test is None or longer[: len(shorter)] == shorter:
        return train, test
    classes = (*train.classes, *(name for name in test.classes if name not in train.classes))
    places = np.array([classes.index(name) for name in test.classes])
    labels = None if test.labels is None else places[test.labels]
    return replace(train, classes=classes), replace(test, labels=labels, classes=classes)


def _mnist_part(folder: Path, part: str) -> Images:
    prefix = _MNIST[part]
    for ending in ("", ".gz"):
        for joint in ("-idx", ".idx"):  # some unpackers write a dot
            pixels = folder / f"{prefix}-images{joint}3-ubyte{ending}"
            if pixels.exists():
                return read_images(pixels, folder / f"{prefix}-labels{joint}1-ubyte{ending}")
    raise DataError(
        f"{folder}: expected {prefix}-images-idx3-ubyte (.gz) there; give the folder with MNIST's four files"
    )


def _array(arrays: dict[str, np.ndarray], part: str, path: str | Path, *, of: str = "images") -> np.ndarray | None:
    stems = {"images": ("images", "image", "x", "data", "pixels"), "labels": ("labels", "label", "y", "targets")}[of]
    names = names_for(stems, (part,) if part else ())
    found = first_of(arrays, names)
    if found is None and of == "images":
        raise DataError(
            f"{path}: expected an array called {names[0]} (or {names[-1]}), got {', '.join(arrays) or 'none'}"
        )
    return None if found is None else found[1]
