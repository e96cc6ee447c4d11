"""The state of a stream as bytes, and back, for a service that stores states between calls.

The first 8 bytes are a mark with the format's number, then come 16 bytes of checksum (BLAKE2b), then a safetensors file whose
metadata name the version that wrote it and the layer that the state belongs to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ostinato.errors import StateError
from ostinato.types import Tensor
from ostinato.version import __version__

Shape: TypeAlias = "tuple[Sequence[int | None], torch.dtype]"  # None: any size

MARK = b"OSTSTAT1"
DIGEST = 16


def state_to_bytes(tensors: Mapping[str, Tensor], what: str) -> bytes:
    """Pack the tensors of a state.

    Args:
        tensors: the tensors by name; on the CPU.
        what: a description of the layer that has this state, such as "lstm 64 to [128]"; compared when the bytes are read.
    """
    # Only one metadata entry: safetensors writes several in any order, but equal states must give equal bytes.
    metadata = {"state": json.dumps({"of": what, "version": __version__})}
    file = save({name: v.contiguous() for name, v in tensors.items()}, metadata)
    return MARK + _digest(file) + file


def state_from_bytes(data: bytes, like: Mapping[str, Shape], what: str) -> dict[str, Tensor]:
    """Unpack the tensors of a state.

    Args:
        data: bytes from `state_to_bytes`.
        like: the expected names, shapes and dtypes, see `shapes_of`.
        what: the expected description, as in `state_to_bytes`.

    Raises:
        StateError: the bytes are damaged, or the state of something else.
    """
    if not isinstance(data, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StateError(f"data expected the bytes of a state, from state_bytes(), got {type(data).__name__}")
    data = bytes(data)
    begin = len(MARK) + DIGEST
    if data[: len(MARK) - 1] != MARK[:-1] or len(data) < begin:
        raise StateError(
            f"data expected the bytes of a state, from state_bytes(), got {len(data)} bytes of something else"
        )
    if data[: len(MARK)] != MARK:
        raise StateError(
            f"data expected the format {MARK[-1:].decode()} of states, got {data[len(MARK) - 1 : len(MARK)]!r}; "
            f"read them with the version of ostinato that wrote them (this is {__version__})"
        )
    file = data[begin:]
    if data[len(MARK) : begin] != _digest(file):
        raise StateError(
            "data expected a state as it was written, got bytes that have changed: the checksum is another"
        )
    try:
        tensors = load(file)
    except SafetensorError as error:  # the checksum is right, but `state_to_bytes` did not write this
        raise StateError(f"data expected a safetensors file behind its checksum: {error}") from None
    try:
        found, version = _metadata(file)
    except (ValueError, AttributeError, TypeError) as error:
        raise StateError(
            f"data expected to say what it is the state of, got metadata that cannot be read: {error}"
        ) from None
    shapes = shapes_of(tensors)
    if found != what or shapes.keys() != like.keys() or not all(_fits(shapes[name], like[name]) for name in like):
        raise StateError(
            f"data expected the state of {what}, {_told(like)}; got one of {found}, {_told(shapes)}, written by {version}"
        )
    return tensors


def _metadata(file: bytes) -> tuple[str, str]:
    """The description in a file's metadata, and the version that wrote the file."""
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    more = json.loads(header.get("__metadata__", {}).get("state", "{}"))
    return more.get("of", "something"), more.get("version", "?")


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    """The shapes and dtypes of tensors by name, as `state_from_bytes` takes them."""
    return {name: (tuple(v.shape), v.dtype) for name, v in tensors.items()}


def _fits(found: Shape, expected: Shape) -> bool:
    sizes = len(found[0]) == len(expected[0]) and all(
        b in (None, a) for a, b in zip(found[0], expected[0], strict=True)
    )
    return sizes and found[1] is expected[1]


def _told(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{n} {tuple(v)} {str(dtype).removeprefix('torch.')}" for n, (v, dtype) in sorted(shapes.items()))


def _digest(file: bytes) -> bytes:
    return hashlib.blake2b(file, digest_size=DIGEST).digest()
