"""Files that are whole or not there: written under a temporary name, synced, renamed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file so that a crash at any moment leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the rename is on disk once the folder is
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as JSON, as `write_bytes` does."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def tensor_bytes(tensors: dict[str, torch.Tensor]) -> bytes:
    """The safetensors form of `tensors`, on the CPU; tensors that share memory are written once each."""
    return save({name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()})
