"""What a sweep tries: a YAML file with fixed settings, and settings that are searched.

task: lm                       # optional: any that `ostinato train` lists
config: zaremba-small          # optional: as --config of `ostinato train`
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
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from ostinato.errors import ConfigError, OstinatoError, did_you_mean
from ostinato.extras import needed
from ostinato.recipes.papers import resolve
from ostinato.recipes.registry import DEFAULT, find
from ostinato.recipes.sweep.measure import measure_of
from ostinato.recipes.typed import fits, in_words
from ostinato.training.loop.budget import LIMITS

with needed():
    import yaml

if TYPE_CHECKING:
    from optuna import Trial

Value = str | int | float | bool | None
PRUNERS = ("median", "hyperband", "none")
_KINDS = ("log", "range", "choice")
# Losses and figures can be compared on the same data only.
_OF_THE_DATA = ("tokens", "reading", "recording", "data", "seed")
_NOT_SEARCHED = (*_OF_THE_DATA, "baselines")
_EXAMPLE = "such as {log: [1e-4, 1e-2]}, {range: [0, 0.6]} or {choice: [128, 256]}"


@dataclass(frozen=True)
class Searched:
    """A setting that is searched, or several settings with one value.

    Args:
        name: the name in the file; one setting, or several joined by commas that get the same value.
        kind: "log" (uniform in the logarithm), "range" (uniform) or "choice".
        values: the lowest and the highest value, both included; or all choices.
        is_whole: whether only integers fit.
    """

    name: str
    kind: str
    values: tuple[Value, ...]
    is_whole: bool = False

    @property
    def settings(self) -> list[str]:
        """The settings that get the value."""
        return [part.strip() for part in self.name.split(",")]

    def suggest(self, trial: Trial) -> Value:
        """Draws the value for a trial."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.name, self.values)
        low, high = self.values
        log = self.kind == "log"
        if self.is_whole:
            return trial.suggest_int(self.name, low, high, log=log)  # pyright: ignore[reportArgumentType]
        return trial.suggest_float(self.name, low, high, log=log)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Space:
    """A sweep as its file describes it.

    Args:
        base: fixed settings of `ostinato train`, nested.
        space: what is searched.
        trials: how many runs.
        seed: the seed of the search; the runs have the seed of `base`.
        pruner: the method that ends runs that are worse than others at the same evaluation.
        task: the task of the runs, as `ostinato train` names it.
    """

    base: dict[str, Any]
    space: tuple[Searched, ...]
    trials: int = 20
    seed: int = 0
    pruner: str = "median"
    task: str = DEFAULT

    def settings(self, values: Mapping[str, Value]) -> Any:
        """The settings of a run.

        Args:
            values: the searched values, by name.

        Raises:
            ConfigError: the values do not fit together.
        """
        wanted = copy.deepcopy(self.base)
        for name, value in values.items():
            for setting in name.split(","):
                group, _, field = setting.strip().partition(".")
                wanted.setdefault(group, {})[field] = value
        return find(self.task).settings_class().from_dict(wanted)

    def to_dict(self) -> dict[str, Any]:
        """The content of a file that `parse` reads as this sweep."""
        searched = {each.name: {each.kind: list(each.values)} for each in self.space}
        return {**dataclasses.asdict(self), "space": searched}


def read_space(path: str | os.PathLike[str]) -> Space:
    """Reads the file of a sweep.

    Raises:
        ConfigError: it cannot be read, or a setting in it is wrong: the message says which, and what is allowed there.
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
    """Makes a sweep from the content of its file.

    Raises:
        ConfigError: as for `read_space`.
    """
    allowed = ["config", *(field.name for field in dataclasses.fields(Space))]
    content = _by_name("a sweep", content, "base and space")
    for name in content:
        if name not in allowed:
            raise ConfigError(f"{name}: unknown{did_you_mean(name, allowed)} Expected one of {', '.join(allowed)}")
    task = content.get("task", DEFAULT)
    if not isinstance(task, str):
        raise ConfigError(f"task: expected a name, such as {DEFAULT}, got {task!r}")
    groups, base = _groups(task), _base(task, content)
    searched = _by_name("space", content.get("space"), _EXAMPLE)
    space = tuple(_searched(groups, name, how) for name, how in searched.items())
    if not space:
        raise ConfigError(f"space: expected at least one setting to search, {_EXAMPLE}")
    others = {name: content[name] for name in ("trials", "seed", "pruner") if name in content}
    made = Space(base, space, task=task, **others)
    for name, least in (("trials", 1), ("seed", 0)):
        value = getattr(made, name)
        if not isinstance(value, int) or value < least:
            raise ConfigError(f"{name}: expected an integer of at least {least}, got {value!r}")
    if made.pruner not in PRUNERS:
        raise ConfigError(f"pruner: expected one of {', '.join(PRUNERS)}, got {made.pruner!r}")
    _try(made, groups)
    return made


def _groups(task: str) -> dict[str, dict[str, Any]]:
    """The settings of a task that can be searched, by group, with the type of each."""
    kinds = get_type_hints(find(task).settings_class())
    return {
        group: {each.name: get_type_hints(kind)[each.name] for each in dataclasses.fields(kind)}
        for group, kind in kinds.items()
        if dataclasses.is_dataclass(kind) and group not in _NOT_SEARCHED
    }


def _base(task: str, content: dict[str, Any]) -> dict[str, Any]:
    what, entry = f"settings of `ostinato train {task}`", find(task)
    given = _by_name("base", content.get("base") or {}, what)
    asked: dict[str, Any] = {}
    if content.get("config") is not None:
        path = resolve(str(content["config"]))
        try:
            config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"config: {path} cannot be read: {' '.join(str(error).split())}") from error
        _update(asked, _by_name("config", config, what))
    _update(asked, given)
    for name in ("run", "resume", "quiet"):
        if name in asked:
            raise ConfigError(f"base.{name}: a sweep sets this for each run; leave it out")
    # The task leaves out what a sweep does not need, unless the file asks for it.
    base: dict[str, Any] = copy.deepcopy(dict(entry.make().in_a_sweep))
    if given.get("data") is None and entry.built_in_file is not None:
        _update(base, yaml.safe_load(entry.built_in_file.read_text(encoding="utf-8")))
        if _sets_a_limit(asked, content.get("space")):  # a limit in the file replaces those for the built-in data
            base["training"] = {name: value for name, value in base["training"].items() if name not in LIMITS}
    _update(base, asked)
    return base


def _sets_a_limit(asked: dict[str, Any], space: Any) -> bool:
    """Whether a limit of the budget is set or searched."""
    training = asked.get("training")
    given = [name for name, value in training.items() if value is not None] if isinstance(training, dict) else []
    searched = [part.strip() for name in space for part in str(name).split(",")] if isinstance(space, dict) else []
    return any(limit in given or f"training.{limit}" in searched for limit in LIMITS)


def _update(settings: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(settings.get(name), dict) and name != "options":
            _update(settings[name], value)
        else:
            settings[name] = copy.deepcopy(value)


def _searched(groups: dict[str, dict[str, Any]], name: str, how: Any) -> Searched:
    if not isinstance(how, Mapping) or len(how) != 1 or next(iter(how)) not in _KINDS:
        raise ConfigError(f"space.{name}: expected one of {', '.join(_KINDS)} with its values, {_EXAMPLE}; got {how!r}")
    kind, values = next(iter(how.items()))
    if not isinstance(values, list) or len(values) < 1 or (kind != "choice" and len(values) != 2):
        expected = "a list of values" if kind == "choice" else "two numbers, the lowest and the highest"
        raise ConfigError(f"space.{name}.{kind}: expected {expected}, got {values!r}")
    values = [_number(value) for value in values]
    searched = Searched(name, str(kind), tuple(values))
    for setting in searched.settings:
        _check_setting(groups, name, setting)
    is_whole = not any(fits(_hint(groups, setting), 0.5) for setting in searched.settings)
    searched = dataclasses.replace(searched, is_whole=is_whole)
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


def _check_setting(groups: dict[str, dict[str, Any]], name: str, setting: str) -> None:
    group = setting.partition(".")[0]
    names = [f"{each}.{found}" for each in ([group] if group in groups else groups) for found in groups[each]]
    if setting in names:
        return
    if group in _OF_THE_DATA:
        what, allowed = "tokens" if group == "tokens" else "data", " or ".join(f"{each}.*" for each in groups)
        raise ConfigError(f"space.{name}: runs on other {what} cannot be compared; expected {allowed}")
    raise ConfigError(f"space.{name}: no such setting{did_you_mean(setting, names)} Expected one of {', '.join(names)}")


def _try(space: Space, groups: dict[str, dict[str, Any]]) -> None:
    """Makes the settings with each value in the space, so that values that do not fit are reported before any run."""
    for group in groups:
        for field, value in _by_name(f"base.{group}", space.base.get(group, {}), "settings").items():
            _check_type(f"base.{group}.{field}", _hint(groups, f"{group}.{field}"), value)
    try:
        measure = measure_of(space, space.settings({}))
    except (OstinatoError, TypeError) as error:
        raise ConfigError(f"base: {error}") from error
    for searched in space.space:
        for value in searched.values:
            for setting in searched.settings:
                _check_type(f"space.{searched.name}", _hint(groups, setting), value)
            try:
                settings = space.settings({searched.name: value})
                if measure_of(space, settings) != measure:
                    raise ConfigError(
                        f"its runs are judged by another figure than {measure.label}; choose one for all in base"
                    )
            except (OstinatoError, TypeError) as error:
                raise ConfigError(f"space.{searched.name}: {value!r} does not fit: {error}") from error


def _hint(groups: dict[str, dict[str, Any]], setting: str) -> Any:
    group, _, field = setting.partition(".")
    return groups[group].get(field)


def _check_type(where: str, hint: Any, value: Any) -> None:
    if hint is not None and not fits(hint, value):
        raise ConfigError(f"{where}: expected {in_words(hint)}, got {value!r}")


def _number(value: Any) -> Any:
    """Turns text into a number: YAML reads 1e-4, without a point, as text."""
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
