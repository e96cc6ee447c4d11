"""What a user can set about a run; the command line's flags are made from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from ostinato.cell_names import CellName
from ostinato.errors import ConfigError
from ostinato.recipes.typed import field_types, fits, in_words
from ostinato.training.distributed.plan import machines
from ostinato.training.run.settings import Precision, UpdateSettings


@dataclass(frozen=True)
class RunSettings:
    """The settings that every task has.

    Args:
        task: the task's name, so that `config.yaml` says it.
        data: the data to learn from; without it, the built-in data of the task.
        run: the folder to write; without it, a new one in runs/.
        seed: the seed of all random numbers: first weights, order of the data, dropout.
        device: where to train: auto, cpu, cuda, cuda:N or mps.
        precision: the precision of numbers; auto is bf16-mixed where the device has fast bfloat16 products, else 32-true.
        devices: the number of processes on each machine, each with a device of its own; leave it out under torchrun and SLURM.
        nodes: the number of machines that run this command; leave it out under torchrun and SLURM.
        elastic: the least and the largest number of machines, such as 1:4: the run goes on by itself when a process or a machine is
            gone, and machines may join; null to end then. A run that is in the folder already is resumed.
        max_restarts: with elastic, how often the processes of a machine are started again.
        strategy: how several processes share the model: ddp (each holds all weights) or fsdp (each holds a share); auto is ddp.
        quiet: print the run folder at the end and nothing else.
        resume: go on with the run in the folder that --run names.
    """

    task: str = ""
    data: str | None = None
    run: str | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    devices: int = 1
    nodes: int = 1
    elastic: str | None = None
    max_restarts: int = 3
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    quiet: bool = False
    resume: bool = False

    def __post_init__(self):
        for name in ("devices", "nodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.max_restarts < 0:
            raise ConfigError(f"max_restarts: expected at least 0, got {self.max_restarts}")
        if self.elastic is not None:
            machines(self.elastic)
            if self.nodes != 1:
                raise ConfigError(
                    f"nodes: expected none beside elastic, which says how many machines, got {self.nodes}"
                )
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed: expected an integer from 0 to 2^63 - 1, got {self.seed}")
        for name, otherwise in (("data", "the built-in data"), ("run", "a new folder in runs/")):
            if getattr(self, name) == "":  # as from a shell variable that is not set
                raise ConfigError(f"{name}: expected a name, got an empty one; leave it out for {otherwise}")
        if dataclasses.is_dataclass(model := getattr(self, "model", None)):
            object.__setattr__(self, "model", model := _with_texts(model))
            _check_extent(model)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`; a setting that is left out has its default.

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
        check_fields(cls, built, "")
        return cls(**built)


@dataclass(frozen=True)
class TaskSettings(RunSettings):
    """The settings of every task that learns from examples.

    Args:
        training: how to train.
    """

    training: UpdateSettings = field(default_factory=UpdateSettings)


# Tokens. All tokens written are kept for every hypothesis, and a network that has learnt little never ends a text.
LONGEST_ANSWER = 10_000


def check_answering(how: Any, things: str, *, least: Mapping[str, int] | None = None) -> None:
    """Checks the settings of answers that are written texts; values from the command line come as they were typed.

    Args:
        how: a dataclass with beam, n_best, max_length, temperature, seed, and other settings of the task.
        things: the noun for what is written, such as "captions".
        least: the lowest allowed value of some integers, by name, which errors about them state.

    Raises:
        ConfigError: a value is of another type or out of its range.
    """
    for name, kind in field_types(type(how)).items():
        value, lowest = getattr(how, name), (least or {}).get(name)
        # Not-a-number is refused later, where it is used and the message can say more.
        right = fits(kind, value) or (isinstance(value, float) and fits(kind, 0.0))
        if not right or (lowest is not None and value is not None and value < lowest):
            words = in_words(kind) if lowest is None else f"an integer of at least {lowest}"
            raise ConfigError(f"{name}: expected {words}, got {value!r}")
    for name in ("beam", "n_best"):
        if getattr(how, name) < 1:
            raise ConfigError(f"{name}: expected an integer of at least 1, got {getattr(how, name)}")
    if how.max_length is not None and not 1 <= how.max_length <= LONGEST_ANSWER:
        raise ConfigError(f"max_length: expected an integer from 1 to {LONGEST_ANSWER}, or null, got {how.max_length}")
    if not 0 <= how.seed < 2**62:
        raise ConfigError(f"seed: expected an integer from 0 to 2^62 - 1, got {how.seed}")
    if how.temperature == 0.0 and how.n_best > how.beam:
        raise ConfigError(f"n_best: expected a number from 1 to beam = {how.beam}, got {how.n_best}")
    if how.temperature != 0.0 and how.n_best > 1:
        raise ConfigError(f"n_best: expected 1 where {things} are drawn (temperature), got {how.n_best}")


def check_reading(reading: Any, **least: int) -> None:
    """Checks that the numbers of `reading` named in `least` are at least so large, if set, and checks its shares.

    Raises:
        ConfigError: one is out of its range.
    """
    for name, lowest in least.items():
        value = getattr(reading, name)
        if value is not None and value < lowest:
            raise ConfigError(f"reading.{name}: expected at least {lowest}, got {value}")
    check_shares(reading.validation_share, reading.test_share)


def check_shares(validation: float, test: float) -> None:
    """Checks the shares of the data that `reading` draws for validation and test.

    Raises:
        ConfigError: validation has none, or nothing is left to train on.
    """
    if not (validation > 0 and test >= 0 and validation + test < 1):
        raise ConfigError(
            "reading.validation_share, reading.test_share: expected shares above 0 and of at least 0, together below 1, got "
            f"{validation} and {test}"
        )


def _changed(default: Any, values: Any, prefix: str) -> Any:
    """A group of settings: those of `default`, with `values` in place of its own."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix[:-1]}: expected settings by name, got {values!r}")
    values = {**values, **_cells_as_texts(type(default), values)}
    check_fields(type(default), values, prefix)
    return dataclasses.replace(default, **values)


def _cells_as_texts(kind: type[Any], values: Mapping[str, Any]) -> dict[str, str]:
    """By name the texts that find the cells among values again."""
    given = {name: values[name] for name, each in field_types(kind).items() if each is CellName and name in values}
    if all(isinstance(each, str) for each in given.values()):
        return {}
    from ostinato.cells import Cell  # here, as it loads torch
    from ostinato.cells.places import text_of

    return {name: text_of(each) for name, each in given.items() if isinstance(each, Cell)}


def check_fields(kind: type[Any], values: Mapping[str, Any], prefix: str) -> None:
    """Checks values by name against the fields of a data class.

    Args:
        kind: the data class.
        values: the values by name.
        prefix: written before the names in the message, such as "model.".

    Raises:
        ConfigError: an unknown name, or a value of another type.
    """
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


def _with_texts(model: Any) -> Any:
    """Replaces each cell by the text that finds it again, as a run is stored as text; fails if none does."""
    kinds = field_types(type(model))
    cells = {name: getattr(model, name) for name, kind in kinds.items() if kind is CellName}
    if all(isinstance(each, str) for each in cells.values()):
        return model
    from ostinato.cells.places import text_of  # here, as it loads torch

    return dataclasses.replace(
        model, **{name: each if isinstance(each, str) else text_of(each) for name, each in cells.items()}
    )


def _check_extent(model: Any) -> None:
    """Refuses sizes far above what anybody builds, so that a digit too many is not found only by building the model."""
    for each in dataclasses.fields(model):
        value = getattr(model, each.name)
        most = 1_000 if each.name == "num_layers" else 1_000_000 if each.name.endswith("_size") else None
        sizes = value if isinstance(value, list | tuple) else [value]
        if most is not None and any(isinstance(size, int) and size > most for size in sizes):
            raise ConfigError(f"model.{each.name}: expected at most {most:,}, got {_short(value)}")
