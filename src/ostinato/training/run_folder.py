"""A run is a folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load

from ostinato.errors import RunError
from ostinato.training.files import tensor_bytes, write_bytes, write_json, write_text
from ostinato.training.tree import pack, unpack


class RunFolder:
    """Where a run keeps what it was told, what it measured and what it learnt.

    | file | what it holds |
    | --- | --- |
    | `config.yaml` | every setting |
    | `metrics.jsonl` | a line for each measurement |
    | `tensorboard/` | the same, for TensorBoard |
    | `model.safetensors` | the weights that were best on the validation text |
    | `vocabulary.json` | written by the recipe |
    | `state/` | everything needed to go on: `step-N.safetensors` and `step-N.json`, which names it and holds its checksum |

    Every file appears whole or not at all. The JSON file of a state is renamed into place last: a state without it does not
    exist, whatever moment the process died at.

    Args:
        path: the folder; `create` makes it.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def config_file(self) -> Path:
        """`config.yaml`; a folder with it is a run."""
        return self.path / "config.yaml"

    @property
    def model_file(self) -> Path:
        """`model.safetensors`."""
        return self.path / "model.safetensors"

    @property
    def metrics_file(self) -> Path:
        """`metrics.jsonl`."""
        return self.path / "metrics.jsonl"

    @property
    def state_folder(self) -> Path:
        """`state/`."""
        return self.path / "state"

    def check(self, *, resume: bool = False) -> None:
        """Makes sure that a run may begin here, or with `resume`, that there is one to go on with.

        Raises:
            RunError: otherwise.
        """
        held = self.config_file.exists()
        if held and not resume:
            raise RunError(f"{self.path} already holds a run; add --resume to go on with it, or choose another --run")
        if resume and not held:
            raise RunError(
                f"{self.path} holds no run to resume (it has no config.yaml); leave out --resume to begin one"
            )

    def create(self, config: Mapping[str, Any]) -> None:
        """Makes the folder and writes `config.yaml`.

        Args:
            config: plain values (str, numbers, None, lists, dicts).

        Raises:
            RunError: it cannot be written to.
        """
        try:
            self.state_folder.mkdir(parents=True, exist_ok=True)
            write_text(self.config_file, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
        except OSError as error:
            raise RunError(f"cannot write to the run folder {self.path}: {error.strerror or error}") from error

    def read_config(self) -> dict[str, Any]:
        """The settings of the run.

        Raises:
            RunError: there is no run here, or its `config.yaml` is damaged.
        """
        if not self.path.is_dir():
            raise RunError(f"no run folder at {self.path}; `ostinato train lm --run {self.path}` would make one")
        try:
            config = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{self.path} is not a run: it has no config.yaml") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RunError(f"{self.config_file} is damaged: {' '.join(str(error).split())}") from error
        if not isinstance(config, dict):
            raise RunError(f"{self.config_file} is damaged: expected settings, got {type(config).__name__}")
        return config

    def write_model(self, weights: dict[str, torch.Tensor]) -> None:
        """Replaces `model.safetensors`."""
        write_bytes(self.model_file, tensor_bytes(weights))

    def read_model(self) -> dict[str, torch.Tensor]:
        """The weights in `model.safetensors`, on the CPU.

        Raises:
            RunError: the file is missing or damaged.
        """
        return _read_tensors(self.model_file, "train until the first evaluation, or resume the run")

    def write_state(self, step: int, state: Mapping[str, Any]) -> None:
        """Writes a state to resume from, then removes the older ones.

        Args:
            step: its number in the names of the files.
            state: tensors, numbers and strings in tuples, lists and dicts, to any depth.
        """
        tensors: dict[str, torch.Tensor] = {}
        packed = pack(state, "state", tensors)
        content = tensor_bytes(tensors)
        name = f"step-{step:09d}"
        write_bytes(self.state_folder / f"{name}.safetensors", content)
        description = {"step": step, "sha256": hashlib.sha256(content).hexdigest(), "state": packed}
        write_json(self.state_folder / f"{name}.json", description)
        for old in self.state_folder.glob("step-*"):
            if old.stem != name:
                old.unlink()

    def has_state(self) -> bool:
        """True if there is a state to resume from."""
        return any(self.state_folder.glob("step-*.json"))

    def read_state(self) -> Any:
        """The newest state, as it was given to `write_state`, with its tensors on the CPU.

        Raises:
            RunError: there is none, or it is damaged.
        """
        descriptions = sorted(self.state_folder.glob("step-*.json"))
        if not descriptions:
            raise RunError(f"{self.state_folder} holds no state to resume from")
        newest = descriptions[-1]
        weights = newest.with_suffix(".safetensors")
        try:
            description = json.loads(newest.read_text(encoding="utf-8"))
            if hashlib.sha256(weights.read_bytes()).hexdigest() != description["sha256"]:
                raise RunError(f"{weights} is damaged (wrong checksum); delete {self.state_folder} to begin again")
            return unpack(description["state"], _read_tensors(weights, "delete the folder to begin again"))
        except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
            raise RunError(f"{newest} is damaged ({error}); delete {self.state_folder} to begin again") from error


def _read_tensors(path: Path, remedy: str) -> dict[str, torch.Tensor]:
    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path} is missing; {remedy}") from None
    except (SafetensorError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); {remedy}") from error
