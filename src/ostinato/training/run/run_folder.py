"""A run is a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode

from ostinato.data.sources.plain_file import open_plain, read_plain
from ostinato.errors import PeerError, RunError
from ostinato.extras import needed
from ostinato.training.run.checkpoints import Checkpoints
from ostinato.training.run.files import NewFile, remove_leftovers, write_bytes, write_tensors, write_text
from ostinato.training.run.lock import Lock

with needed():
    import yaml

CONFIG_BYTES = 2**20  # at most: what people and sweeps write has some kilobytes

M = TypeVar("M", bound=torch.nn.Module)


class RunFolder:
    """Where a run keeps what it was told, what it measured and what it learnt.

    | file | what it holds |
    | --- | --- |
    | `config.yaml` | every setting |
    | `metrics.jsonl` | a line for each measurement |
    | `tensorboard/` | the same, for TensorBoard |
    | `model.safetensors` | the weights that were best on the validation text |
    | `vocabulary.json` | written by the recipe |
    | `state/` | everything needed to go on: see `ostinato.training.run.checkpoints` |

    Every file appears whole or not at all. Whoever writes does so inside `locked`, one process at a time.

    Args:
        path: the folder; `locked` makes it.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.checkpoints = Checkpoints(self.state_folder)
        self.checkpoints.make_sure = self._make_sure
        self._lock: Lock | None = None

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

    @contextmanager
    def locked(self, *, resume: bool = False, name: str | None = None) -> Iterator[RunFolder]:
        """Makes the folder and keeps others from writing to it; what killed processes left unfinished is removed.

        Entered again by the same object it does nothing. Left by an error before `create`, it takes back what it made.

        Args:
            resume: as in `check`, which is asked again once nobody else can write.
            name: as that of `Lock`: of those processes that take each other's place.

        Raises:
            RunError: another process holds it, `check` refuses, or it cannot be written to.
        """
        if self._lock is not None:
            yield self
            return
        made = [path for path in (self.state_folder, *self.state_folder.parents) if not path.exists()]
        lock = Lock(self.state_folder / "lock", name)
        with self.writing():
            self.state_folder.mkdir(parents=True, exist_ok=True)
            lock.__enter__()
        try:
            self.check(resume=resume)
            self._lock = lock
            with self.writing():
                remove_leftovers(self.path)
                remove_leftovers(self.state_folder)
            yield self
        finally:
            self._lock = None
            if made and lock.is_held() and not self.config_file.exists():  # else the file is another's lock
                _take_back(lock.path, made)
            lock.__exit__(None, None, None)

    def check_data(self, fingerprint: str | None, what: str = "data set") -> None:
        """Makes sure that a run goes on with the data that it began with.

        Args:
            fingerprint: of the data; None if nobody knows.
            what: they are, for people.

        Raises:
            RunError: it is other data.
        """
        before = self.checkpoints.read_entry("data_fingerprint")
        if None not in (before, fingerprint) and before != fingerprint:
            raise RunError(
                f"the {what} is not the one that {self.path} was trained on so far; "
                "give it that one back, or begin a new run with another --run"
            )

    def create(self, config: Mapping[str, Any]) -> None:
        """Makes the folder, where `locked` has not, and writes `config.yaml`.

        Args:
            config: plain values (str, numbers, None, lists, dicts).

        Raises:
            RunError: it cannot be written to.
        """
        with self.writing():
            self.state_folder.mkdir(parents=True, exist_ok=True)
            write_text(self.config_file, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    @contextmanager
    def keeping_config(self) -> Iterator[None]:
        """Around going on with a run, perhaps with other settings: an error before its next checkpoint puts `config.yaml` back.

        What is in the folder is then still of the settings before; with others it could not be read or resumed any more.
        """
        before = read_plain(self.config_file, CONFIG_BYTES) if self.config_file.exists() else None
        steps = self.checkpoints.steps()
        try:
            yield
        except BaseException:
            if before is not None and self.checkpoints.steps() == steps:
                with suppress(OSError):  # the error at work says more
                    write_bytes(self.config_file, before)
            raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around everything that writes here: what the system refuses becomes one line that says what is kept.

        Raises:
            RunError: instead of an OSError.
            PeerError: another process has taken the place of this one, which was stopped or cut off.
        """
        self._make_sure()
        try:
            yield
        except OSError as error:
            steps = self.checkpoints.steps()
            kept = f"; the checkpoint of step {steps[-1]} is kept: put it right and add --resume" if steps else ""
            raise RunError(f"cannot write to the run folder {self.path}: {error.strerror or error}{kept}") from error

    def _make_sure(self) -> None:
        if self._lock is not None and not self._lock.is_held():
            raise PeerError(f"another process has gone on with {self.path} in the place of this one, which stops")

    def read_config(self) -> dict[str, Any]:
        """The settings of the run.

        Raises:
            RunError: there is no run here, or its `config.yaml` is damaged.
        """
        if not self.path.is_dir():
            raise RunError(
                f"no run folder at {self.path}; check the name, or make one with `ostinato train TASK --run {self.path}`"
            )
        try:
            config = yaml.safe_load(read_plain(self.config_file, CONFIG_BYTES).decode())
        except FileNotFoundError:
            raise RunError(f"{self.path} is not a run: it has no config.yaml") from None
        except (
            OSError,
            ValueError,
            yaml.YAMLError,
            RecursionError,
        ) as error:  # YAML's dates can be no ValueErrors of its own
            raise RunError(f"{self.config_file} is damaged: {' '.join(str(error).split())}") from error
        if not isinstance(config, dict):
            raise RunError(f"{self.config_file} is damaged: expected settings, got {type(config).__name__}")
        return config

    def write_model(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Replaces `model.safetensors`.

        Raises:
            OSError: it cannot be written; the one before is kept.
        """
        with NewFile(self.path) as file:
            write_tensors(file, weights)
            self._make_sure()
            file.commit(self.model_file)

    def load_model(self, build: Callable[[], M]) -> M:
        """A model with the weights in `model.safetensors`, on the CPU, in evaluation mode.

        Args:
            build: makes it, untrained. It is called twice, first where tensors take no memory: settings that ask for more than
                there is are then told from the weights, which they do not fit.

        Raises:
            RunError: the file is missing or damaged, or the model is another.
        """
        weights = self.read_model()
        try:
            with torch.device("meta"), _Unfilled():
                shapes = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
        except Exception as error:  # what a model says of settings that nobody gave it can be anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise RunError(f"{self.config_file} is damaged, or of another version of ostinato: {reason}") from error
        for name in sorted(shapes.keys() | weights.keys()):
            there, wanted = weights.get(name), shapes.get(name)
            if there is None or tuple(there.shape) != wanted:
                how = "missing" if there is None else "unexpected" if wanted is None else "size mismatch for"
                sizes = f", expected {wanted}, got {tuple(there.shape)}" if there is not None and wanted else ""
                raise RunError(f"{self.model_file} does not fit {self.config_file}: {how} {name}{sizes}")
        model = build()
        model.load_state_dict(weights)
        return model.eval()

    def read_model(self) -> dict[str, torch.Tensor]:
        """The weights in `model.safetensors`, on the CPU.

        Raises:
            RunError: the file is missing or damaged.
        """
        return _read_tensors(self.model_file, "train until the first evaluation, or resume the run")


class _Unfilled(TorchFunctionMode):
    """Leaves weights as they are made: where they take no memory, torch loads its compiler to give them first values."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _read_tensors(path: Path, remedy: str) -> dict[str, torch.Tensor]:
    try:
        open_plain(path).close()
        # Out of the mapped file, which another process may write anew.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except FileNotFoundError:
        raise RunError(f"{path} is missing; {remedy}") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); {remedy}") from error


def _take_back(lock: Path, made: list[Path]) -> None:
    """Removes the lock's file and those of the folders `made`, the innermost first, that hold nothing else."""
    try:
        lock.unlink(missing_ok=True)
        for folder in made:
            folder.rmdir()
    except OSError:
        pass  # another's files are in it by now
