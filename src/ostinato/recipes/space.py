"""What a sweep tries: a YAML file with settings that stay, and settings that are searched.

config: zaremba-small          # optional: as --config of `ostinato train lm`
base:                          # optional: settings that stay
  data: text.txt
  training: {max_steps: 500}
space:
  training.learning_rate: {log: [1e-4, 1e-2]}
  model.dropout: {range: [0, 0.6]}
  model.cell: {choice: [lstm, gru]}
  model.embedding_size, model.hidden_size: {choice: [128, 256]}   # several settings, one value
trials: 20
seed: 0
pruner: median                 # median, hyperband or none
"""

from __future__ import annotations

import copy
import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from ostinato.errors import ConfigError, OstinatoError, did_you_mean
from ostinato.recipes.papers import resolve
from ostinato.recipes.settings import LanguageModelSettings, ModelSettings
from ostinato.training.settings import TrainingSettings

if TYPE_CHECKING:
    from optuna import Trial

Value = str | int | float | bool | None
PRUNERS = ("median", "hyperband", "none")
_KINDS = ("log", "range", "choice")
_GROUPS = {"model": ModelSettings, "training": TrainingSettings}
_EXAMPLE = "such as {log: [1e-4, 1e-2]}, {range: [0, 0.6]} or {choice: [128, 256]}"


@dataclass(frozen=True)
class Searched:
    """One thing that is searched.

    Args:
        name: as in the file; one setting, or several joined by commas that get the same value.
        kind: "log" (uniform in the logarithm), "range" (uniform) or "choice".
        values: both ends, which count, or all choices.
    """

    name: str
    kind: str
    values: tuple[Value, ...]

    @property
    def settings(self) -> list[str]:
        """The settings that get the value."""
        return [part.strip() for part in self.name.split(",")]

    @cached_property
    def is_whole(self) -> bool:
        """Whether only integers fit."""
        return not any(_fits(0.5, _hint(setting)) for setting in self.settings)

    def suggest(self, trial: Trial) -> Value:
        """The value of a trial."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.name, self.values)
        low, high = self.values
        log = self.kind == "log"
        if self.is_whole:
            return trial.suggest_int(self.name, low, high, log=log)  # pyright: ignore[reportArgumentType]
        return trial.suggest_float(self.name, low, high, log=log)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Space:
    """A sweep as it was asked for.

    Args:
        base: settings of `ostinato train lm` that stay, nested.
        space: what is searched.
        trials: how many runs.
        seed: of the search; the runs have the seed of `base`.
        pruner: what ends runs that are worse than others at the same evaluation.
    """

    base: dict[str, Any]
    space: tuple[Searched, ...]
    trials: int = 20
    seed: int = 0
    pruner: str = "median"

    def settings(self, values: Mapping[str, Value]) -> LanguageModelSettings:
        """The settings of a run.

        Args:
            values: of what is searched, by its name.

        Raises:
            ConfigError: they do not go together.
        """
        wanted = copy.deepcopy(self.base)
        for name, value in values.items():
            for setting in name.split(","):
                group, _, field = setting.strip().partition(".")
                wanted.setdefault(group, {})[field] = value
        return LanguageModelSettings.from_dict(wanted)

    def to_dict(self) -> dict[str, Any]:
        """What `parse` reads."""
        searched = {each.name: {each.kind: list(each.values)} for each in self.space}
        return {**dataclasses.asdict(self), "space": searched}


def read_space(path: str | os.PathLike[str]) -> Space:
    """Reads the file of a sweep.

    Raises:
        ConfigError: it cannot be read, or a line of it is wrong: which, and what is allowed there.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a sweep in YAML there ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML; cannot read: {' '.join(str(error).split())}") from error
    try:
        return parse(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(content: Any) -> Space:
    """Makes a sweep of what its file says.

    Raises:
        ConfigError: as `read_space`.
    """
    allowed = ["config", *(field.name for field in dataclasses.fields(Space))]
    content = _by_name("a sweep", content, "base and space")
    for name in content:
        if name not in allowed:
            raise ConfigError(f"{name}: unknown{did_you_mean(name, allowed)} Expected one of {', '.join(allowed)}")
    base = _base(content)
    space = tuple(_searched(name, how) for name, how in _by_name("space", content.get("space"), _EXAMPLE).items())
    if not space:
        raise ConfigError(f"space: expected at least one setting to search, {_EXAMPLE}")
    made = Space(base, space, content.get("trials", 20), content.get("seed", 0), content.get("pruner", "median"))
    for name, least in (("trials", 1), ("seed", 0)):
        value = getattr(made, name)
        if not isinstance(value, int) or value < least:
            raise ConfigError(f"{name}: expected an integer of at least {least}, got {value!r}")
    if made.pruner not in PRUNERS:
        raise ConfigError(f"pruner: expected one of {', '.join(PRUNERS)}, got {made.pruner!r}")
    _try(made)
    return made


def _base(content: dict[str, Any]) -> dict[str, Any]:
    # What a sweep does not look at is not computed, unless it is asked for.
    base: dict[str, Any] = {"baselines": {"markov_orders": 0, "window": 0}}
    if content.get("config") is not None:
        path = resolve(str(content["config"]))
        try:
            config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"config: {path} cannot be read: {' '.join(str(error).split())}") from error
        _update(base, _by_name("config", config, "settings of `ostinato train lm`"))
    _update(base, _by_name("base", content.get("base") or {}, "settings of `ostinato train lm`"))
    for name in ("run", "resume", "quiet"):
        if name in base:
            raise ConfigError(f"base.{name}: a sweep sets this for each run; leave it out")
    return base


def _update(settings: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(settings.get(name), dict) and name != "options":
            _update(settings[name], value)
        else:
            settings[name] = copy.deepcopy(value)


def _searched(name: str, how: Any) -> Searched:
    if not isinstance(how, Mapping) or len(how) != 1 or next(iter(how)) not in _KINDS:
        raise ConfigError(f"space.{name}: expected one of {', '.join(_KINDS)} with its values, {_EXAMPLE}; got {how!r}")
    kind, values = next(iter(how.items()))
    if not isinstance(values, list) or len(values) < 1 or (kind != "choice" and len(values) != 2):
        expected = "a list of values" if kind == "choice" else "two numbers, the lowest and the highest"
        raise ConfigError(f"space.{name}.{kind}: expected {expected}, got {values!r}")
    values = [_number(value) for value in values]
    searched = Searched(name, str(kind), tuple(values))
    for setting in searched.settings:
        _check_setting(name, setting)
    if kind == "choice":
        if not all(isinstance(value, Value) for value in values):
            raise ConfigError(f"space.{name}.choice: expected text, numbers, true, false or null, got {values!r}")
        return searched
    wanted = (int,) if searched.is_whole else (int, float)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, wanted) or not math.isfinite(value):
            expected = "integers" if searched.is_whole else "numbers"
            raise ConfigError(f"space.{name}.{kind}: expected {expected}, got {value!r}; other values are a choice")
    if not values[0] < values[1]:
        raise ConfigError(f"space.{name}.{kind}: expected the lowest before the highest, got {values}")
    if kind == "log" and values[0] <= 0:
        raise ConfigError(f"space.{name}.log: expected numbers above 0, got {values[0]}; take range for 0")
    return searched


def _check_setting(name: str, setting: str) -> None:
    group = setting.partition(".")[0]
    if group in _GROUPS:
        names = [f"{group}.{each.name}" for each in dataclasses.fields(_GROUPS[group])]
    else:
        names = [f"{each}.{found.name}" for each, kind in _GROUPS.items() for found in dataclasses.fields(kind)]
    if setting in names:
        return
    # Losses a token can be compared for the same tokens only.
    if group in ("tokens", "data", "seed"):
        raise ConfigError(f"space.{name}: runs on other tokens cannot be compared; expected model.* or training.*")
    raise ConfigError(f"space.{name}: no such setting{did_you_mean(setting, names)} Expected one of {', '.join(names)}")


def _try(space: Space) -> None:
    """Makes the settings at the ends of each thing searched, so that a value out of range is told of before the first run."""
    for group in _GROUPS:
        for field, value in _by_name(f"base.{group}", space.base.get(group, {}), "settings").items():
            _check_type(f"base.{group}.{field}", f"{group}.{field}", value)
    try:
        space.settings({})
    except (OstinatoError, TypeError) as error:
        raise ConfigError(f"base: {error}") from error
    for searched in space.space:
        for value in searched.values:
            for setting in searched.settings:
                _check_type(f"space.{searched.name}", setting, value)
            try:
                space.settings({searched.name: value})
            except (OstinatoError, TypeError) as error:
                raise ConfigError(f"space.{searched.name}: {value!r} does not fit: {error}") from error


def _hint(setting: str) -> Any:
    group, _, field = setting.partition(".")
    return get_type_hints(_GROUPS[group]).get(field)


def _check_type(where: str, setting: str, value: Any) -> None:
    hint = _hint(setting)
    if hint is not None and not _fits(value, hint):
        allowed = (
            ", ".join(map(str, get_args(hint))) if get_origin(hint) is Literal else getattr(hint, "__name__", hint)
        )
        raise ConfigError(f"{where}: expected {allowed}, got {value!r}")


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if isinstance(value, bool):
        return hint is bool
    kind = get_origin(hint) or hint
    return isinstance(value, (int, float) if kind is float else (list, tuple) if kind is tuple else kind)


def _number(value: Any) -> Any:
    """YAML reads 1e-4, without a point, as text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _by_name(where: str, content: Any, expected: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: expected {expected}, by name, got {content!r}")
    return content
