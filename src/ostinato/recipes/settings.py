"""What a user can set about a run; the command line's flags are made from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from ostinato.cell_names import CellName
from ostinato.errors import ConfigError
from ostinato.recipes.typed import field_types, fits, in_words
from ostinato.training.settings import Precision, TrainingSettings, UpdateSettings


@dataclass(frozen=True)
class TextReadingSettings:
    """Which text is for what.

    Args:
        validation: a text of its own that chooses the weights, given like data; without it, the files of data that are called
            valid, validation, val or dev, else a share of the training text.
        test: a text of its own that is looked at once, at the end; without it, the files of data that are called test, or none.
        parts_by_name: files and folders called train, valid and test are the parts of data; false reads all of it as one text.
    """

    validation: str | None = None
    test: str | None = None
    parts_by_name: bool = True

    def __post_init__(self):
        for name in ("validation", "test"):
            if getattr(self, name) == "":  # as of a variable of the shell that is not set
                raise ConfigError(f"reading.{name}: expected a name, got an empty one; leave it out")


@dataclass(frozen=True)
class TokenSettings:
    """What the model reads and writes.

    Args:
        kind: a token is a character, a byte, a word or a piece of a word (byte pair encoding).
        vocabulary_size: most tokens of word and bpe.
        validation_share: of the training text, cut off between documents or lines at its end where no text is named for
            validation; above 0 and below 1.
        reset_at_documents: begin every document with a fresh state.
    """

    kind: Literal["char", "byte", "word", "bpe"] = "char"
    vocabulary_size: int = 10_000
    validation_share: float = 0.1
    reset_at_documents: bool = False

    def __post_init__(self):
        if self.vocabulary_size < 2:
            raise ConfigError(f"tokens.vocabulary_size: expected at least 2, got {self.vocabulary_size}")
        if not 0 < self.validation_share < 1:
            raise ConfigError(
                f"tokens.validation_share: expected a share above 0 and below 1, got {self.validation_share}"
            )


@dataclass(frozen=True)
class ModelSettings:
    """The network.

    Args:
        cell: the recurrent layer.
        embedding_size: width of the vector that stands for a token.
        hidden_size: units of each layer, or a list with one number a layer.
        num_layers: recurrent layers, one above the other; 1 where hidden_size is a list.
        dropout: between the layers and before the output, from 0 to below 1.
        tied: the output layer shares the embedding's weights; needs embedding_size = hidden_size (of the last layer).
        options: of the recurrent layer by name, such as {zoneout: 0.1}, or {depth: 10} of rhn.
        embedding_dropout: of whole words (Gal & Ghahramani 2016), from 0 to below 1.
        input_dropout: of what enters the first layer, from 0 to below 1.
        output_dropout: before the output, from 0 to below 1; null for dropout.
        locked_dropout: dropout, input_dropout and output_dropout keep one mask for all steps of a chunk.
        activation_regularisation: weight of small outputs in the training loss (alpha, Merity et al. 2017); at least 0.
        temporal_activation_regularisation: weight of slow outputs in the training loss (beta, Merity et al. 2017); at least 0.
        initial_range: r, all weights start uniform in [-r, r]; null for torch's.
        embedding_range: r, the embedding's and the output's weights alone do; null for torch's.
    """

    cell: CellName = "lstm"
    embedding_size: int = 128
    hidden_size: int | list[int] = 384
    num_layers: int = 1
    dropout: float = 0.0
    tied: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    embedding_dropout: float = 0.0
    input_dropout: float = 0.0
    output_dropout: float | None = None
    locked_dropout: bool = False
    activation_regularisation: float = 0.0
    temporal_activation_regularisation: float = 0.0
    initial_range: float | None = None
    embedding_range: float | None = None


@dataclass(frozen=True)
class BaselineSettings:
    """Simpler models, trained on what the network has seen and scored on the same texts.

    Args:
        markov_orders: Markov models of order 1 up to this; 0 for none.
        smoothing: of the Markov models.
        window: tokens that the fixed-window model sees; 0 for none.
        window_time_s: seconds to train the fixed-window model.
        max_tokens: the baselines see at most so many of the tokens that the network has seen.
    """

    markov_orders: int = 6
    smoothing: Literal["witten-bell", "kneser-ney"] = "witten-bell"
    window: int = 8
    window_time_s: float = 6.0
    max_tokens: int = 8_000_000

    def __post_init__(self):
        for name in ("markov_orders", "window"):
            if getattr(self, name) < 0:
                raise ConfigError(f"baselines.{name}: expected 0 (none) or above, got {getattr(self, name)}")
        for name in ("window_time_s", "max_tokens"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"baselines.{name}: expected a number above 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class RunSettings:
    """What every task is told.

    Args:
        task: which; it stands here so that `config.yaml` says it.
        data: what to learn from; without it, the built-in data of the task.
        run: the folder to write; without it, a new one in runs/.
        seed: of weights and dropout.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto is bf16-mixed where the device has fast bfloat16 products, else 32-true.
        devices: processes on each machine, each with a device of its own; not needed under torchrun and SLURM.
        nodes: machines that run the same command; likewise.
        strategy: of several processes: ddp (each holds all weights) or fsdp (each holds a share); auto is ddp.
        quiet: print the run folder at the end and nothing else.
        resume: go on with the run in the folder given by run.
    """

    task: str = ""
    data: str | None = None
    run: str | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    quiet: bool = False
    resume: bool = False

    def __post_init__(self):
        for name in ("devices", "nodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed: expected an integer from 0 to 2^63 - 1, got {self.seed}")
        for name, otherwise in (("data", "the built-in data"), ("run", "a new folder in runs/")):
            if getattr(self, name) == "":  # as of a variable of the shell that is not set
                raise ConfigError(f"{name}: expected a name, got an empty one; leave it out for {otherwise}")
        if dataclasses.is_dataclass(model := getattr(self, "model", None)):
            _check_extent(model)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`; what is left out is at its default.

        Raises:
            ConfigError: an unknown name, or a value of another type or out of its range.
        """
        groups = {
            each.name: each.default_factory() for each in dataclasses.fields(cls) if callable(each.default_factory)
        }
        built = {
            name: _changed(groups[name], value, f"{name}.") if name in groups else value
            for name, value in values.items()
        }
        _check_fields(cls, built, "")
        return cls(**built)


@dataclass(frozen=True)
class TaskSettings(RunSettings):
    """What every task that learns from examples is told.

    Args:
        training: how to train.
    """

    training: UpdateSettings = field(default_factory=UpdateSettings)


# Tokens. What is written is kept for every hypothesis, and a network that has learnt little never ends.
LONGEST_ANSWER = 10_000


def check_writing(max_length: int | None, seed: int) -> None:
    """Raises a ConfigError unless both are in the range that answers are written with."""
    if max_length is not None and not 1 <= max_length <= LONGEST_ANSWER:
        raise ConfigError(f"max_length: expected an integer from 1 to {LONGEST_ANSWER}, or null, got {max_length}")
    if not 0 <= seed < 2**62:
        raise ConfigError(f"seed: expected an integer from 0 to 2^62 - 1, got {seed}")


def check_shares(validation: float, test: float) -> None:
    """Looks at the parts of the data that `reading` draws for validation and test.

    Raises:
        ConfigError: validation has none, or nothing is left to train on.
    """
    if not (validation > 0 and test >= 0 and validation + test < 1):
        raise ConfigError(
            "reading.validation_share, reading.test_share: expected shares above 0 and of at least 0, together below 1, got "
            f"{validation} and {test}"
        )


@dataclass(frozen=True)
class LanguageModelSettings(RunSettings):
    """Train a language model.

    Args:
        data: a file, a folder, a glob or a URL; without it, the source code of Python's standard library.
        reading: which text is for what.
        tokens: what the model reads and writes.
        model: the network.
        training: how to train.
        baselines: what to compare it with.
    """

    task: Literal["lm"] = "lm"
    reading: TextReadingSettings = field(default_factory=TextReadingSettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    baselines: BaselineSettings = field(default_factory=BaselineSettings)


def _changed(default: Any, values: Any, prefix: str) -> Any:
    """A group of settings: those of `default`, but for `values`."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix[:-1]}: expected settings by name, got {values!r}")
    _check_fields(type(default), values, prefix)
    return dataclasses.replace(default, **values)


def _check_fields(kind: type[Any], values: Mapping[str, Any], prefix: str) -> None:
    names = [each.name for each in dataclasses.fields(kind)]
    unknown = [str(name) for name in values if name not in names]
    if unknown:
        raise ConfigError(f"unknown setting {prefix}{unknown[0]}; expected one of {', '.join(names)}")
    for name, value in values.items():
        if not fits(expected := field_types(kind)[name], value):
            raise ConfigError(f"{prefix}{name}: expected {in_words(expected)}, got {_short(value)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _check_extent(model: Any) -> None:
    """Far above what anybody builds, and a layer or a unit too many is not found out by building them."""
    for each in dataclasses.fields(model):
        value = getattr(model, each.name)
        most = 1_000 if each.name == "num_layers" else 1_000_000 if each.name.endswith("_size") else None
        sizes = value if isinstance(value, list | tuple) else [value]
        if most is not None and any(isinstance(size, int) and size > most for size in sizes):
            raise ConfigError(f"model.{each.name}: expected at most {most:,}, got {_short(value)}")
