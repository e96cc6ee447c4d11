"""Training for any task that learns from examples: data in; a run folder with a model, its figures and pictures out.

| run folder | beside what `ostinato.training.run_folder` lists |
| --- | --- |
| `knowledge.json` | what is known about the data: labels, vocabularies, scales |
| `report.json` | figures and details on the validation and the test data |
| `pictures/` | what there is to see of them, as PNG and SVG |
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from torch import nn

from ostinato.data.batches import Batches, Examples
from ostinato.data.splits import Splits
from ostinato.errors import DataError
from ostinato.recipes.inspection.few import few
from ostinato.recipes.session import Session, for_the_record, opened
from ostinato.recipes.settings import TaskSettings
from ostinato.recipes.task import Judge, Known, Model, Part, S, Task
from ostinato.recipes.trained import KNOWLEDGE, Scores, Trained, load, read_knowledge, read_splits
from ostinato.recipes.watching import ROWS, watching
from ostinato.training.counters import Outcome
from ostinato.training.distributed import Processes
from ostinato.training.evaluation import Evaluation, Evaluator
from ostinato.training.files import write_json
from ostinato.training.loop import fit
from ostinato.training.progress import ExampleProgress, Progress
from ostinato.training.run_folder import RunFolder


@dataclass(frozen=True)
class TaskResult:
    """What training gave.

    Attributes:
        run: the folder.
        task: what it was.
        outcome: how it ended; after "interrupted" and "pruned" the rest is empty.
        scores: of the best weights, by part of the data: "validation" and, where there is one, "test".
        pictures: the files that were drawn.
    """

    run: RunFolder
    task: Task[Any, Any, Any, Any]
    outcome: Outcome
    scores: Mapping[str, Scores] = field(default_factory=dict)
    pictures: Sequence[Path] = ()


def train(
    task: Task[S, Part, Known, Model],
    settings: S,
    console: Console | None = None,
    on_evaluation: Callable[[int, float], bool | None] | None = None,
) -> TaskResult:
    """Trains the model of a task, or goes on training it, and judges it on the data that it has not seen.

    Args:
        task: what to do.
        settings: all of them.
        console: where progress goes; standard output by default.
        on_evaluation: called after each evaluation with the step and what is minimised (the figure that the task is judged by,
            negative); True ends the run there.

    Raises:
        OstinatoError: settings, data or run folder are not right, or the loss diverged; the message says what to do.
    """

    def progress(quiet: bool) -> ExampleProgress:
        return ExampleProgress(task.item, task.percentages, quiet=quiet, console=console)

    with opened(settings, progress) as session:
        return _train(task, settings, session, on_evaluation)


@dataclass(frozen=True)
class _Prepared:
    """All that is made from the settings and the data before training begins."""

    splits: Splits[Any]
    examples: Examples
    validation: Examples
    trained: Trained[Any, Any, Any, Any]
    lines: list[str]  # to tell the user


def _prepare(task: Task[Any, Any, Any, Any], settings: TaskSettings, run: RunFolder) -> _Prepared:
    splits = read_splits(task, settings)
    for purpose, part in (("train on", splits.train), ("validate with", splits.validation)):
        if not task.size(part):
            raise DataError(f"{splits.name}: expected examples to {purpose}, got none; give more data")
    # A run may have been killed before its first checkpoint.
    begins = not settings.resume or not run.checkpoints.steps()
    known = task.learn(settings, splits.train) if begins else read_knowledge(task, run)
    validation = task.examples(settings, known, splits.validation)
    if not np.asarray(validation.counts).any():
        raise DataError(f"{splits.name}: {task.nothing_to_judge}")
    torch.manual_seed(settings.seed)
    model = task.build(settings, known)
    lines = [*task.remarks(splits), *task.begin(settings, known, model)] if begins else []
    examples = task.examples(settings, known, splits.train)
    return _Prepared(splits, examples, validation, Trained(task, settings, known, model), lines)


def _in_every_process(processes: Processes, make: Callable[[], _Prepared]) -> _Prepared:
    """Made by the first process before the others, so that it alone tells what is wrong."""
    made: list[_Prepared] = []
    processes.first(lambda: made.append(make()))
    return made[0] if made else make()


def _train(
    task: Task[S, Part, Known, Model],
    settings: S,
    session: Session,
    on_evaluation: Callable[[int, float], bool | None] | None,
) -> TaskResult:
    run, processes, how = session.run, session.processes, settings.training
    prepared = _in_every_process(processes, lambda: _prepare(task, settings, run))
    fingerprint = task.fingerprint(prepared.examples)

    def create() -> None:
        if settings.resume:
            run.check_data(fingerprint)  # before config.yaml names other data
        run.create(for_the_record(settings, run, how, *task.files))
        with run.writing():
            write_json(run.path / KNOWLEDGE, task.to_dict(prepared.trained.known))

    processes.first(create)
    _tell(prepared, session)
    batches = Batches(
        prepared.examples,
        how.batch_size,
        max_steps=task.batch_steps(settings),
        seed=settings.seed,
        rank=processes.rank,
        world=processes.world,
    )
    outcome = fit(
        prepared.trained.model,
        batches,
        run=run,
        settings=how,
        evaluator=_evaluator(prepared, processes, session.progress),
        processes=processes,
        resume=settings.resume,
        progress=session.progress,
        on_evaluation=on_evaluation,
        on_step=watching(prepared.trained.model, lambda: few(prepared.examples, ROWS), settings, how, processes),
        data_fingerprint=fingerprint,
    )
    if outcome.ending in ("interrupted", "pruned") or not processes.is_first:
        return TaskResult(run, task, outcome)
    return _finish(task, run, prepared.splits, outcome, session.progress)


def _tell(prepared: _Prepared, session: Session) -> None:
    splits, size = prepared.splits, prepared.trained.task.size
    parameters = sum(parameter.numel() for parameter in prepared.trained.model.parameters())
    first = (
        f"{splits.name}: {size(splits.train):,} examples to train on, {size(splits.validation):,} to validate, "
        f"{size(splits.test):,} to test; {parameters:,} parameters; run folder {session.run}"
    )
    for line in (first, *prepared.lines):
        session.progress.say(escape(line))


def _evaluator(prepared: _Prepared, processes: Processes, progress: Progress) -> Evaluator:
    """Judges the model at work on the validation data."""
    trained, examples = prepared.trained, prepared.validation

    def evaluate(
        module: nn.Module, *, should_stop: Callable[[], bool], total: Callable[[Sequence[float]], list[float]]
    ) -> Evaluation | None:
        judge = trained.task.judge(trained, prepared.splits.validation, examples, final=False)
        found = trained.show(
            judge, examples, should_stop=should_stop, on_batch=partial(progress.show_judging, "the validation data")
        )
        if found is None:
            return None
        found = trained.task.settle(trained, judge, found)
        # Every process looks at everything, and all take the first one's word: two devices may round differently.
        numbers = [found.nats, float(found.tokens), *found.figures.values()]
        nats, tokens, *figures = total(numbers if processes.is_first else [0.0] * len(numbers))
        named = dict(zip(found.figures, figures, strict=True))
        return dataclasses.replace(found, nats=nats, tokens=int(tokens), figures=named)

    return evaluate


def _finish(
    task: Task[Any, Any, Any, Any], run: RunFolder, splits: Splits[Any], outcome: Outcome, progress: Progress
) -> TaskResult:
    trained = load(task, run.path)
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
        "outcome": dataclasses.asdict(outcome),
        "scores": {name: dataclasses.asdict(each) for name, each in scores.items()},
        "pictures": [str(path.relative_to(run.path)) for path in pictures],
    }
    with run.writing():
        write_json(run.path / "report.json", without_nan(report))
    return TaskResult(run, task, outcome, scores, tuple(pictures))


def _draw(judge: Judge, run: RunFolder, part: str) -> list[Path]:
    """Draws into the run folder; returns the PNGs."""
    from ostinato.insight.plots import save

    return [save(figure, run.path / "pictures" / f"{name}_{part}")[0] for name, figure in judge.pictures().items()]


def without_nan(tree: Any) -> Any:
    """The same with None for numbers that JSON cannot hold."""
    if isinstance(tree, Mapping):
        return {key: without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
