"""The folder of a run: its settings, measurements, checkpoints and model."""

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

CONFIG_BYTES = 2**20  # the greatest size of config.yaml that is read; usual ones have some kilobytes

M = TypeVar("M", bound=torch.nn.Module)


class RunFolder:
    """The folder in which a run keeps its settings, its measurements and its weights.

    | file | what it holds |
    | --- | --- |
    | `config.yaml` | every setting |
    | `metrics.jsonl` | a line for each measurement |
    | `tensorboard/` | the measurements, for TensorBoard |
    | `model.safetensors` | the weights that were best on the validation text |
    | `vocabulary.json` | written by the recipe |
    | `state/` | everything needed to continue: see `ostinato.training.run.checkpoints` |

    Every file appears complete or not at all. A process may write only inside `locked`, one process at a time.

    Args:
        path: the folder; `locked` creates it.
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
        """Check that a run may begin here, or with `resume`, that there is one to continue.

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
        """Create the folder and keep other processes from writing to it; unfinished files of killed processes are removed.

        If the same object enters it again, that does nothing. If an error leaves it before `create`, the new folders are removed.

        Args:
            resume: as in `check`, which is called again once no other process can write.
            name: as in `Lock`: the name of processes that may replace each other.

        Raises:
            RunError: another process holds the folder, `check` fails, or the folder cannot be written to.
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
            if made and lock.is_held() and not self.config_file.exists():  # if not held, the file is another's lock
                _take_back(lock.path, made)
            lock.__exit__(None, None, None)

    def check_data(self, fingerprint: str | None, what: str = "data set") -> None:
        """Check that a run continues with the data that it began with.

        Args:
            fingerprint: the fingerprint of the data; None if it is not known.
            what: a name for the data, for the message.

        Raises:
            RunError: the data are other ones.
        """
        before = self.checkpoints.read_entry("data_fingerprint")
        if None not in (before, fingerprint) and before != fingerprint:
            raise RunError(
                f"the {what} is not the one that {self.path} was trained on so far; "
                "give it that one back, or begin a new run with another --run"
            )

    def create(self, config: Mapping[str, Any]) -> None:
        """Create the folder, if `locked` has not, and write `config.yaml`.

        Args:
            config: the settings as plain values (str, numbers, None, lists, dicts).

        Raises:
            RunError: the folder cannot be written to.
        """
        with self.writing():
            self.state_folder.mkdir(parents=True, exist_ok=True)
            write_text(self.config_file, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    @contextmanager
    def keeping_config(self, *beside: str) -> Iterator[None]:
        """Inside, a run continues, perhaps with other settings; an error before its next checkpoint restores `config.yaml`.

        The checkpoints in the folder then still belong to the old settings; with the new ones they could not be read or resumed.

        Args:
            beside: the names of small files that are restored with it, as they belong to the settings.
        """
        files = [self.config_file, *(self.path / name for name in beside)]
        before = {file: read_plain(file, CONFIG_BYTES) if file.exists() else None for file in files}
        steps = self.checkpoints.steps()
        try:
            yield
        except BaseException:
            if before[self.config_file] is not None and self.checkpoints.steps() == steps:
                for file, content in before.items():
                    with suppress(OSError):  # the original error says more
                        if content is None:
                            file.unlink(missing_ok=True)
                        else:
                            write_bytes(file, content)
            raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around all code that writes here: turn a system error into one line that says which checkpoint is kept.

        Raises:
            RunError: instead of an OSError.
            PeerError: another process has replaced this one, which was stopped or cut off.
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
        ) as error:  # ValueError, because YAML passes on those of impossible dates
            raise RunError(f"{self.config_file} is damaged: {' '.join(str(error).split())}") from error
        if not isinstance(config, dict):
            raise RunError(f"{self.config_file} is damaged: expected settings, got {type(config).__name__}")
        return config

    def write_model(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Replace `model.safetensors`.

        Raises:
            OSError: it cannot be written; the old file is kept.
        """
        with NewFile(self.path) as file:
            write_tensors(file, weights)
            self._make_sure()
            file.commit(self.model_file)

    def load_model(self, build: Callable[[], M]) -> M:
        """A model with the weights in `model.safetensors`, on the CPU, in evaluation mode.

        Args:
            build: makes the untrained model. It is called twice, first on the meta device, where tensors take no memory: settings
                that do not fit the weights are found there, even if they ask for more memory than there is.

        Raises:
            RunError: the file is missing or damaged, or its weights do not fit the model.
        """
        weights = self.read_model()
        try:
            with torch.device("meta"), _Unfilled():
                shapes = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
        except Exception as error:  # damaged settings can make a model raise any error
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
    """Inside, `torch.nn.init` leaves weights as they are: on the meta device torch would load its compiler to fill them."""

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
        # Copied from the mapped file, as another process may rewrite it.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except FileNotFoundError:
        raise RunError(f"{path} is missing; {remedy}") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); {remedy}") from error


def _take_back(lock: Path, made: list[Path]) -> None:
    """Remove the lock's file, and the folders in `made`, innermost first, as far as they are empty."""
    try:
        lock.unlink(missing_ok=True)
        for folder in made:
            folder.rmdir()
    except OSError:
        pass  # another process has files in it by now
