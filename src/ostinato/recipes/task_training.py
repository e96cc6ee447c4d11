"""Training for any task that learns from examples: data in; a run folder with a model, its figures and pictures out.

| run folder | in addition to what `ostinato.training.run.run_folder` lists |
| --- | --- |
| `knowledge.json` | what is known about the data: labels, vocabularies, scales; a language model has `vocabulary.json` |
| `task.json` | where the class of the task is; for a task of one's own only |
| `cells.json` | in which files the cells were; for cells of one's own only |
| `report.json` | figures and details on the validation and the test data |
| `pictures/` | pictures of the answers to both, as PNG and SVG |
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from torch import nn

from ostinato import notebook
from ostinato.data.batches.batches import Examples
from ostinato.data.records.splits import Splits
from ostinato.errors import DataError
from ostinato.recipes import own_cells, registry
from ostinato.recipes.learnt import Known, Model, S
from ostinato.recipes.session import Session, for_the_record, gone_on_with, opened
from ostinato.recipes.settings import TaskSettings
from ostinato.recipes.task import Finished, Judge, Opening, Part, Task
from ostinato.recipes.trained import Scores, Trained, load, read_splits
from ostinato.recipes.watching import ROWS, STEPS, watching
from ostinato.training.distributed.processes import Processes
from ostinato.training.loop.counters import Outcome
from ostinato.training.loop.evaluation import Evaluation, Evaluator
from ostinato.training.loop.loop import fit
from ostinato.training.loop.progress import Progress
from ostinato.training.run.files import write_json
from ostinato.training.run.run_folder import RunFolder


@dataclass(frozen=True)
class TaskResult:
    """The result of training.

    Attributes:
        run: the run's folder.
        task: the task that was trained.
        outcome: how training ended; after "interrupted" and "pruned" the rest is empty.
        scores: the scores of the best weights, by part of the data: "validation" and, if there is one, "test".
        pictures: the files that were drawn.
    """

    run: RunFolder
    task: Task[Any, Any, Any, Any]
    outcome: Outcome
    scores: Mapping[str, Scores] = field(default_factory=dict)
    pictures: Sequence[Path] = ()

    def _repr_html_(self) -> str:
        head = notebook.heading(f"{self.task.name}: {self.run}", f"ended {self.outcome.told()}")
        return notebook.piece(head, *(each.to_html() for each in self.scores.values()))


def train(
    task: Task[S, Part, Known, Model],
    settings: S,
    console: Console | None = None,
    on_evaluation: Callable[[int, float], bool | None] | None = None,
    lock_name: str | None = None,
) -> Any:
    """Trains the model of a task, or goes on training it, and judges it on the validation and test data.

    Args:
        task: the task.
        settings: the settings of the run.
        console: where progress goes; standard output by default.
        on_evaluation: called after each evaluation with the step and the number that is minimised (of a figure that
            should be large its negative); True ends the run there.
        lock_name: see `RunFolder.locked`: a name shared by the calls of which one may go on with the run in the place
            of another.

    Returns:
        A `TaskResult`, or what `Task.finish` returns in its place.

    Raises:
        OstinatoError: settings, data or run folder are not right, or the loss diverged; the message says what to do.
    """
    settings = gone_on_with(task, settings)
    with opened(settings, partial(task.progress, console=console), lock_name) as session:
        return _train(task, settings, session, on_evaluation)


@dataclass(frozen=True)
class _Prepared:
    """All that is made from the settings and the data before training begins."""

    splits: Splits[Any]
    examples: Examples
    validation: Examples
    trained: Trained[Any, Any, Any, Any]
    lines: list[str]  # to tell the user


def _prepare(task: Task[Any, Any, Any, Any], settings: TaskSettings, session: Session, content: Any) -> _Prepared:
    """Makes everything that training needs; `content` is what another process knows about the data, or None."""
    run, known = session.run, None
    # A resumed run may have been killed before its first checkpoint: it then begins too.
    begins = not settings.resume or not run.checkpoints.steps()
    if content is not None:
        known = task.from_dict(content)
    elif not begins:
        known = task.load_known(run.path)
    with session.progress.running():
        splits = read_splits(task, settings, Opening(run.path, known, session.progress.show_reading))
    for purpose, part in (("train on", splits.train), ("validate with", splits.validation)):
        if not task.size(part):
            raise DataError(f"{splits.name}: expected examples to {purpose}, got none; give more data")
    known = task.choose(settings, task.learn(settings, splits.train), splits) if known is None else known
    validation = task.examples(settings, known, splits.validation)
    task.check(settings, splits, validation)
    torch.manual_seed(settings.seed)
    model = task.build(settings, known)
    lines = [*task.remarks(splits), *(task.begin(settings, known, model) if begins else [])]
    examples = task.examples(settings, known, splits.train)
    return _Prepared(splits, examples, validation, Trained(task, settings, known, model, run.path), lines)


def _in_every_process(task: Task[Any, Any, Any, Any], settings: TaskSettings, session: Session) -> _Prepared:
    """Prepares in the first process, which alone reports errors; the others then take its knowledge of the data."""
    made: list[_Prepared] = []

    def make() -> Any:
        made.append(_prepare(task, settings, session, None))
        return task.to_dict(made[0].trained.known) if session.processes.world > 1 else None

    content = session.processes.first(make)
    return made[0] if made else _prepare(task, settings, session, content)


def _train(
    task: Task[S, Part, Known, Model],
    settings: S,
    session: Session,
    on_evaluation: Callable[[int, float], bool | None] | None,
) -> Any:
    run, processes, progress, how = session.run, session.processes, session.progress, settings.training
    prepared = _in_every_process(task, settings, session)
    trained, examples = prepared.trained, prepared.examples
    tuned = dataclasses.replace(settings, training=task.trained_with(settings, examples))
    batches = task.batches(tuned, examples, rank=processes.rank, world=processes.world)
    fingerprint = task.fingerprint_of(examples, prepared.validation)

    def create() -> None:
        if settings.resume:
            run.check_data(fingerprint, task.noun)  # before config.yaml names other data
        run.create(for_the_record(settings, run, how, *task.files))
        with run.writing():
            task.save_known(trained.known, run.path)
            registry.record(task, run.path)
            own_cells.record(settings, run.path)

    processes.first(create)
    task.set_units(progress, settings, prepared.splits)
    _tell(prepared, session)
    outcome = fit(
        trained.model,
        batches,
        run=run,
        settings=tuned.training,
        evaluator=_evaluator(prepared, processes, progress),
        processes=processes,
        resume=settings.resume,
        progress=progress,
        sample=task.sample(trained),
        on_evaluation=on_evaluation,
        on_step=watching(
            trained.model, lambda: task.watched(settings, examples, ROWS, STEPS), settings, how, processes
        ),
        data_fingerprint=fingerprint,
    )
    if hasattr(batches, "close"):
        batches.close()
    finished = Finished(run, prepared.splits, batches, outcome, progress)
    if outcome.ending in ("interrupted", "pruned") or not processes.is_first:
        return task.finish(None, finished) or TaskResult(run, task, outcome)
    return _finish(task, finished)


def _tell(prepared: _Prepared, session: Session) -> None:
    splits, trained = prepared.splits, prepared.trained
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    sizes = trained.task.sizes(trained.settings, splits, trained.known)
    first = f"{splits.name}: {sizes}; {parameters:,} parameters; run folder {session.run}"
    for line in (first, *prepared.lines):
        session.progress.say(escape(line))


def _evaluator(prepared: _Prepared, processes: Processes, progress: Progress) -> Evaluator:
    """An evaluator of the model that is trained, on the validation data."""
    trained = prepared.trained

    def evaluate(
        module: nn.Module, *, should_stop: Callable[[], bool], total: Callable[[Sequence[float]], list[float]]
    ) -> Evaluation | None:
        return trained.task.validate(
            trained,
            prepared.splits.validation,
            prepared.validation,
            should_stop=should_stop,
            total=total,
            processes=processes,
            on_batch=partial(progress.show_judging, "the validation data"),
        )

    return evaluate


def _finish(task: Task[Any, Any, Any, Any], finished: Finished) -> Any:
    run, splits, progress = finished.run, finished.splits, finished.progress
    trained = load(task, run.path)
    if (found := task.finish(trained, finished)) is not None:
        return found
    scores: dict[str, Scores] = {}
    pictures: list[Path] = []
    parts = {"validation": splits.validation, "test": splits.test}
    parts = {name: part for name, part in parts.items() if task.size(part)}
    compared = task.baselines(trained.settings, splits.train, parts)
    for name, part in parts.items():
        with progress.running():
            found, judge = trained.evaluate(
                part, name=f"{splits.name}, {name}", on_batch=partial(progress.show_judging, f"the {name} data")
            )
        scores[name] = dataclasses.replace(found, baselines=compared.get(name, {}))
        pictures += _draw(judge, run, name)
    report = {
        "run": str(run),
        "task": task.name,
        "outcome": dataclasses.asdict(finished.outcome),
        "scores": {name: dataclasses.asdict(each) for name, each in scores.items()},
        "pictures": [str(path.relative_to(run.path)) for path in pictures],
    }
    with run.writing():
        write_json(run.path / "report.json", without_nan(report))
    return TaskResult(run, task, finished.outcome, scores, tuple(pictures))


def _draw(judge: Judge, run: RunFolder, part: str) -> list[Path]:
    """Draws the judge's pictures into the run folder; returns the PNG files."""
    from ostinato.insight.plots import save

    return [save(figure, run.path / "pictures" / f"{name}_{part}")[0] for name, figure in judge.pictures().items()]


def without_nan(tree: Any) -> Any:
    """Replaces numbers that JSON cannot hold (infinite or NaN) by None, in nested dicts and lists."""
    if isinstance(tree, Mapping):
        return {key: without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
