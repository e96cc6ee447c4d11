"""Checkpoints: saved states of a run; damage to one is always detected.

A checkpoint is two files. `step-000000120-1f3a5c7e.safetensors` holds the tensors; the end of its name is the beginning of its
checksum, so that writing a step twice never changes a file that an earlier checkpoint needs. `step-000000120.json`, the
description, holds the name and the checksum of that file, everything that is not a tensor, and a checksum of itself. It is renamed
into place last: without it the checkpoint does not exist, at whatever moment the process died. `best.json` is a copy of the
description of the checkpoint that was best on the validation text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ostinato.data.sources.plain_file import read_plain
from ostinato.errors import RunError
from ostinato.training.run.files import NewFile, sha256_of, write_bytes, write_tensors
from ostinato.training.update.tree import map_tensors, pack, unpack

FORMAT = 1
BEST = "best.json"


@dataclass(frozen=True)
class Checkpoint:
    """A state that was read.

    Args:
        step: the number of updates made before it.
        state: the state as it was given to `Checkpoints.write`, with its tensors on the CPU.
        damaged: a line for each newer checkpoint that was skipped because it is damaged.
    """

    step: int
    state: Any
    damaged: tuple[str, ...] = ()


class Checkpoints:
    """The checkpoints in a folder.

    Args:
        folder: `state/` of a run; it must exist before anything is written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.make_sure: Callable[[], None] = lambda: None
        """Called before anything is put in the place of another or removed; it raises where that is no longer ours to do."""
        self._damaged: set[int] = set()  # steps that `read` has skipped

    def steps(self) -> list[int]:
        """The steps that have checkpoints, whole or damaged, in order."""
        stems = (path.stem.removeprefix("step-") for path in self.folder.glob("step-*.json"))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def write(self, step: int, state: Any, *, keep: int = 2, best: bool = False) -> None:
        """Write a checkpoint, then remove those that are no longer kept. Tensors are written without a copy in memory.

        Args:
            step: the number of updates made so far.
            state: tensors, numbers and strings in tuples, lists and dicts, to any depth.
            keep: how many of the newest are kept, besides the best; at least 1.
            best: whether this is the best so far.

        Raises:
            OSError: it cannot be written; earlier checkpoints are unchanged.
        """
        tensors: dict[str, torch.Tensor] = {}
        packed = pack(state, "state", tensors)
        with NewFile(self.folder) as file:
            write_tensors(file, tensors)
            name = f"step-{step:09d}-{file.sha256[:8]}.safetensors"
            file.commit(self.folder / name)
        self.make_sure()
        body = {"format": FORMAT, "step": step, "tensors": {"file": name, "sha256": file.sha256}, "state": packed}
        write_bytes(self._description(step), json.dumps({"sha256": _checksum(body), **body}).encode())
        if best:
            self.name_best(step)
        self.make_sure()
        self._remove(step, keep)

    def name_best(self, step: int) -> None:
        """Mark the checkpoint of `step` as the best.

        Raises:
            OSError: there is none, or it cannot be written.
        """
        write_bytes(self.folder / BEST, read_plain(self._description(step)))

    def read(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; None if none was ever written.

        Raises:
            RunError: there are some, but all are damaged.
        """
        damaged: list[str] = []
        for step in reversed(self.steps()):
            try:
                return Checkpoint(step, self._read(self._description(step)), tuple(damaged))
            except _DamagedError as error:
                damaged.append(str(error))
                self._damaged.add(step)
        if not damaged:
            return None
        others = f", nor is any of the {len(damaged) - 1} before it" if len(damaged) > 1 else ", and there is no other"
        raise RunError(f"{damaged[0]}{others}; to begin the run again, delete {self.folder}")

    def read_entry(self, name: str) -> Any:
        """The entry `name` of the newest state (a number, a string or None), read without tensors; None if there is none."""
        for step in reversed(self.steps()):
            try:
                return dict(_parse(self._description(step))["state"]["dict"]).get(name)
            except _DamagedError:
                continue
        return None

    def read_best(self) -> Checkpoint | None:
        """The checkpoint that was best on the validation text; None if there is none, or it is damaged."""
        try:
            description = self.folder / BEST
            return Checkpoint(_parse(description)["step"], self._read(description))
        except _DamagedError:
            return None

    def _description(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}.json"

    def _read(self, description: Path) -> Any:
        body = _parse(description)
        file = self.folder / body["tensors"]["file"]
        try:
            if sha256_of(file) != body["tensors"]["sha256"]:
                raise _DamagedError(f"{file} is damaged (its checksum is another)")
            state = unpack(body["state"], load_file(file))
        except FileNotFoundError:
            raise _DamagedError(f"{file} is missing") from None
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise _DamagedError(f"{file} is damaged ({' '.join(str(error).split())})") from error
        # Copy from the mapped file into memory that torch allocates: matrix products may round differently at another alignment.
        return map_tensors(torch.Tensor.clone, state)

    def _remove(self, newest: int, keep: int) -> None:
        """Remove descriptions that are not kept, then the files of tensors that no description names."""
        steps = self.steps()
        self._damaged.discard(newest)
        # Newer checkpoints must be damaged: otherwise the run would have continued from one of them.
        kept = [step for step in steps if step <= newest and step not in self._damaged][-keep:]
        for step in set(steps) - set(kept):
            self._description(step).unlink(missing_ok=True)
        named = {_names(description) for description in self.folder.glob("*.json")}
        for file in self.folder.glob("step-*.safetensors"):
            if file.name not in named:
                file.unlink(missing_ok=True)


class _DamagedError(Exception):
    """A file of a checkpoint is damaged or missing; the message is one line that names it."""


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()


def _parse(description: Path) -> dict[str, Any]:
    try:
        body = json.loads(read_plain(description))
        checksum = body.pop("sha256")
    except FileNotFoundError:
        raise _DamagedError(f"{description} is missing") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _DamagedError(f"{description} is damaged ({' '.join(str(error).split())})") from error
    if _checksum(body) != checksum or body.get("format") != FORMAT:
        raise _DamagedError(f"{description} is damaged (its checksum is another), or of another version of ostinato")
    return body


def _names(description: Path) -> str | None:
    try:
        return json.loads(read_plain(description))["tensors"]["file"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
