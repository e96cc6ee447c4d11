"""Recipes, one folder a task: data, model, loss and metric put together."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

if TYPE_CHECKING:
    from rich.console import Console

    from ostinato.insight.reasons.question import Reasons
    from ostinato.models.text.language_model import LanguageModel
    from ostinato.recipes.caption.prediction import CaptionPrediction
    from ostinato.recipes.classify.prediction import ClassPrediction
    from ostinato.recipes.forecast.answers.prediction import ForecastPrediction
    from ostinato.recipes.in_python.prediction import Prediction
    from ostinato.recipes.reasons.places import AlikePlace
    from ostinato.recipes.settings import RunSettings
    from ostinato.recipes.tag.prediction import TagPrediction
    from ostinato.recipes.trained import Trained
    from ostinato.recipes.translate.prediction import TranslationPrediction

    _P = TypeVar("_P", bound=Prediction)
    _Of: TypeAlias = Trained[Any, Any, Any, Any, _P]

__all__ = ["alike", "load", "open_run", "train", "train_on", "why"]


def train(
    settings: RunSettings,
    console: Console | None = None,
    on_evaluation: Callable[[int, float], bool | None] | None = None,
) -> Any:
    """Trains the model of any task, or goes on training it.

    Args:
        settings: the settings of the task, such as `LanguageModelSettings` or `ClassifySettings`.
        console: where progress goes; standard output by default.
        on_evaluation: called after each evaluation with the step and what is minimised; True ends the run there.

    Returns:
        A `lm.result.LanguageModelResult` for a language model; for any other task a `task_training.TaskResult`.

    Raises:
        OstinatoError: settings, data or run folder are not right, or the loss diverged; the message says what to do.
    """
    from ostinato.recipes.registry import find
    from ostinato.recipes.task_training import train as train_task

    return train_task(find(settings.task).make(), settings, console, on_evaluation)


@overload
def load(run: str | os.PathLike[str], task: Literal["classify"]) -> _Of[ClassPrediction]: ...
@overload
def load(run: str | os.PathLike[str], task: Literal["tag"]) -> _Of[TagPrediction]: ...
@overload
def load(run: str | os.PathLike[str], task: Literal["translate"]) -> _Of[TranslationPrediction]: ...
@overload
def load(run: str | os.PathLike[str], task: Literal["caption"]) -> _Of[CaptionPrediction]: ...
@overload
def load(run: str | os.PathLike[str], task: Literal["forecast"]) -> _Of[ForecastPrediction]: ...
@overload
def load(run: str | os.PathLike[str], task: Literal["lm"]) -> LanguageModel: ...
@overload
def load(run: str | os.PathLike[str], task: str | None = None) -> Any: ...
def load(run: str | os.PathLike[str], task: str | None = None) -> Any:
    """What a run has learnt, on the CPU, in evaluation mode, with the weights that were best on the validation data.

    Args:
        run: the folder of the run.
        task: the task that the run should be of, if that matters; an editor then knows what `predict` returns.

    Returns:
        For a language model the `LanguageModel`; for any other task a `Trained`, which predicts, is evaluated and holds
        the model.

    Raises:
        RunError: there is no run, a file of it is missing or damaged, or the run is of another task.
    """
    found = open_run(run)
    if task is not None:
        from ostinato.errors import RunError
        from ostinato.recipes.registry import find, name_of

        if find(task).task != find(name := name_of(found.task)).task:
            raise RunError(f"{run} is a run of the task {name}, not {task}; leave task out, or name another run")
    return found.task.loaded(found)


def open_run(run: str | os.PathLike[str]) -> Trained[Any, Any, Any, Any]:
    """Loads a run as a `Trained`, a language model too; see `load`.

    Args:
        run: the folder of the run.

    Raises:
        RunError: there is no run, or a file of it is missing or damaged.
    """
    from ostinato.recipes.registry import task_for
    from ostinato.recipes.trained import load as load_task

    return load_task(task_for(run), run)


@overload
def train_on(task: Literal["classify"], data: Any = None, **settings: Any) -> _Of[ClassPrediction]: ...
@overload
def train_on(task: Literal["tag"], data: Any = None, **settings: Any) -> _Of[TagPrediction]: ...
@overload
def train_on(task: Literal["translate"], data: Any = None, **settings: Any) -> _Of[TranslationPrediction]: ...
@overload
def train_on(task: Literal["caption"], data: Any = None, **settings: Any) -> _Of[CaptionPrediction]: ...
@overload
def train_on(task: Literal["forecast"], data: Any = None, **settings: Any) -> _Of[ForecastPrediction]: ...
@overload
def train_on(task: Literal["lm"], data: Any = None, **settings: Any) -> LanguageModel: ...
@overload
def train_on(task: str, data: Any = None, **settings: Any) -> Any: ...
def train_on(
    task: str,
    data: Any = None,
    *,
    run: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    console: Console | None = None,
    on_evaluation: Callable[[int, float], bool | None] | None = None,
    **settings: Any,
) -> Any:
    """`ostinato.train`: trains the model of a task on data in memory or in files, like the command `ostinato train`.

        trained = ostinato.train("classify", frame, model={"hidden_size": 64}, training={"max_epochs": 5})
        trained.predict("what fun").label

    Data in memory are kept in the folder of the run, in `data/`, so that the run can be resumed, evaluated and inspected later, in
    another process too.

    Args:
        task: its name, "classify", "tag", ...; or the place of a task of one's own, "module:class".
        data: a path; a frame of polars or pandas, an Arrow table, a mapping of columns; pairs (text, label), (source, target),
            (words, tags), (array, label), (image, caption); arrays by name, {"x": ..., "y": ...}, or (x, y); recordings, series; a
            map-style Dataset of torch that gives such pairs. None for the built-in data.
        run: the folder to write; None for a new one in runs/, as the command does.
        config: a YAML file of settings, or the name of a paper's recipe.
        console: where progress goes; standard output by default.
        on_evaluation: called after each evaluation with the step and what is minimised; True ends the run there.
        **settings: all other settings of the task, as `ostinato train TASK --help` lists them: `seed=1`, groups as
            dicts, `model={"hidden_size": 64}`, or with dots, `**{"model.hidden_size": 64}`. A setting that names a
            file, such as `reading={"validation": ...}`, also takes data in memory. `resume=True` goes on with `run`;
            `quiet=True` prints nothing.

    Returns:
        The same as `ostinato.load` for this run: a `Trained`; for a language model the `LanguageModel`.

    Raises:
        OstinatoError: settings, data or run folder are not right, or the loss diverged; the message says what to do.
        KeyboardInterrupt: after Ctrl-C, when a checkpoint is written; the message says how to go on.
    """
    from ostinato.recipes.in_python.training import train as train_in_python

    return train_in_python(
        task, data, run=run, config=config, console=console, on_evaluation=on_evaluation, settings=settings
    )


def why(run: Any, data: Any, **how: Any) -> list[Reasons]:
    """Why the model of a run gave its answers, see `ostinato.recipes.reasons.asking.why`.

    Args:
        run: the run's folder; or what `load` returned for it, except a language model.
        data: of the kind that `predict` takes.
        **how: `method`, "gradients", "occlusion" or "gates"; `target`, what to ask about; `rows` or `limit`, which examples.

    Returns:
        For each example its `Reasons`.
    """
    from ostinato.recipes.reasons.asking import why as asked

    return asked(run, data, **how)


def alike(run: Any, data: Any, start: int, end: int, **how: Any) -> list[AlikePlace]:
    """Where else the network was in states like those of a range of steps, see `ostinato.recipes.reasons.places.alike`.

    Args:
        run: as for `why`.
        data: the data that the range is in.
        start: its first step, from 0.
        end: the step after its last.
        **how: `row`, which example; `among`, the corpus; `count`, how many places; `measure`, "cosine" or "threshold".
    """
    from ostinato.recipes.reasons.places import alike as places

    return places(run, data, start, end, **how)
