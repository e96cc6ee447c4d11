"""What every task that learns from examples shares, so that a task is a small file: data, model, loss and metrics put together.

A task says how its data are read, what must be known about them beside the weights, which model learns, and how it is judged. The
rest is here: training, the run folder, its report and pictures, loading, prediction and evaluation.

    run folder         | beside what `ostinato.training.run_folder` lists
    ------------------ | ------------------------------------------------
    `knowledge.json`   | what is known about the data: labels, vocabularies, scales
    `report.json`      | figures and details on the validation and the test data
    `pictures/`        | PNG and SVG
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from rich.console import Console
from torch import nn

from ostinato.data.batches import Batch, Batches, Examples, InOrder
from ostinato.data.splits import Splits
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.recipes.session import Session, for_the_record, opened
from ostinato.recipes.settings import TaskSettings
from ostinato.training.counters import Outcome
from ostinato.training.device import choose_device
from ostinato.training.evaluation import Evaluation, never
from ostinato.training.files import write_json
from ostinato.training.loop import fit
from ostinato.training.progress import ExampleProgress
from ostinato.training.run_folder import RunFolder
from ostinato.training.tree import map_tensors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

S = TypeVar("S", bound=TaskSettings)
Part = TypeVar("Part")  # of a data set, as it was read
Known = TypeVar("Known")
Model = TypeVar("Model", bound=nn.Module)

KNOWLEDGE = "knowledge.json"
EVALUATED_ROWS = 256  # of a batch; changes no result


class Judge(ABC):
    """Looks at a model's answers to one set of examples, batch by batch."""

    @abstractmethod
    def see(self, batch: Batch) -> torch.Tensor:
        """Runs the model on a batch, on its device, without gradients, and remembers what is needed.

        Returns:
            The mean loss of the batch, a scalar.
        """

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """What was found in numbers, by name; the task's `judged_by` is one of them."""

    def details(self) -> dict[str, Any]:
        """What else was found, as JSON can hold it."""
        return {}

    def pictures(self) -> dict[str, Figure]:
        """Pictures of it, by name."""
        return {}

    def warnings(self) -> list[str]:
        """What a user should know about the data, a line each."""
        return []


@dataclass(frozen=True)
class Scores:
    """How good a model is on some data.

    Attributes:
        data: their name.
        loss: mean, nats; NaN where no example has a loss.
        count: terms that it is the mean of.
        figures: of the task, by name.
        details: what else was found.
        warnings: about the data.
    """

    data: str
    loss: float
    count: int
    figures: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()


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


class Task(ABC, Generic[S, Part, Known, Model]):
    """A task; a class of its own says what is special about it."""

    name: ClassVar[str]
    item: ClassVar[str] = "example"  # what the loss is the mean of
    judged_by: ClassVar[str]  # the figure that says which weights are best, largest first
    percentages: ClassVar[tuple[str, ...]] = ()  # figures to show as such
    files: ClassVar[tuple[str, ...]] = ()  # settings, such as "reading.test", that name files
    settings: ClassVar[type[Any]]  # S

    @abstractmethod
    def read(self, settings: S) -> Splits[Part]:
        """The data to learn from: the user's, or the built-in."""

    @abstractmethod
    def read_part(self, settings: S, known: Known, data: str, *, labelled: bool) -> Part:
        """Data to evaluate on (`labelled`) or to predict for."""

    @abstractmethod
    def learn(self, settings: S, train: Part) -> Known:
        """What must be known about the data beside the weights, from the training data alone."""

    @abstractmethod
    def to_dict(self, known: Known) -> dict[str, Any]:
        """Knowledge as JSON can hold it."""

    @abstractmethod
    def from_dict(self, content: dict[str, Any]) -> Known:
        """The inverse of `to_dict`."""

    @abstractmethod
    def examples(self, settings: S, known: Known, part: Part) -> Examples:
        """The data as the model reads them."""

    @abstractmethod
    def build(self, settings: S, known: Known) -> Model:
        """The untrained model."""

    @abstractmethod
    def judge(self, settings: S, known: Known, model: Model, examples: Examples) -> Judge:
        """What looks at the model's answers to `examples`."""

    @abstractmethod
    def answers(self, known: Known, model: Model, part: Part, batch: Batch) -> list[dict[str, Any]]:
        """What the model says about each row of a batch, as JSON can hold it."""

    def fingerprint(self, examples: Examples) -> str | None:
        """Which data these are, for a run to be resumed with the same only; None for not known."""
        return None

    def size(self, part: Part) -> int:
        """How many examples a part has."""
        return len(part)  # pyright: ignore[reportArgumentType]


class Trained(Generic[S, Part, Known, Model]):
    """The model of a run with all that is known about its data: it predicts and is evaluated.

    Attributes:
        task: what it does.
        settings: of the run.
        known: about the data.
        model: in evaluation mode.
    """

    def __init__(self, task: Task[S, Part, Known, Model], settings: S, known: Known, model: Model):
        self.task, self.settings, self.known, self.model = task, settings, known, model.eval()

    def to(self, device: str) -> Trained[S, Part, Known, Model]:
        """Moves the model: "auto", "cpu", "cuda", "cuda:N" or "mps"."""
        self.model.to(choose_device(device))
        return self

    def predict(self, data: str | os.PathLike[str] | Part, on_batch: Callable[[int, int], None] | None = None):
        """What the model says about each example, in the order of the data.

        Args:
            data: a file or folder of the kinds that the task reads, or what it reads from them.
            on_batch: called after each batch with how many examples are done, and of how many.

        Returns:
            A list of dictionaries that JSON can hold; for what is in them see the task.

        Raises:
            DataError: the data cannot be read.
        """
        part: Any = data
        if isinstance(data, str | os.PathLike):
            part = self.task.read_part(self.settings, self.known, os.fspath(data), labelled=False)
        if not self.task.size(part):
            return []
        examples = self.task.examples(self.settings, self.known, part)
        answers: list[dict[str, Any]] = [{}] * len(examples.lengths)
        done = 0
        for batch in _moved(InOrder(examples, EVALUATED_ROWS), self.model):
            with torch.no_grad():
                for row, answer in zip(
                    batch.rows.tolist(), self.task.answers(self.known, self.model, part, batch), strict=True
                ):
                    answers[row] = answer
            done += len(batch.rows)
            if on_batch is not None:
                on_batch(done, len(answers))
        return answers

    def evaluate(
        self,
        data: str | os.PathLike[str] | Part | None = None,
        *,
        name: str | None = None,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> tuple[Scores, Judge]:
        """How good the model is on labelled data.

        Args:
            data: a file or folder of the kinds that the task reads, or what it reads from them; None for the test data of the run,
                and where it has none for those of validation.
            name: of the data; by default where they are.
            on_batch: called after each batch with how many examples are done, and of how many.

        Raises:
            DataError: the data cannot be read.
        """
        part: Any = data
        if data is None:
            splits = self.task.read(self.settings)
            kind, part = ("test", splits.test) if self.task.size(splits.test) else ("validation", splits.validation)
            name = name or f"{splits.name}, {kind}"
        elif isinstance(data, str | os.PathLike):
            name = name or os.fspath(data)
            part = self.task.read_part(self.settings, self.known, os.fspath(data), labelled=True)
        if not self.task.size(part):
            raise DataError(f"{name or 'the data'}: expected at least one example to evaluate on, got none")
        examples = self.task.examples(self.settings, self.known, part)
        judge = self.task.judge(self.settings, self.known, self.model, examples)
        evaluation = judged(self.task, self.model, judge, examples, on_batch=on_batch)
        assert evaluation is not None  # nobody stops it
        loss = evaluation.nats_per_token if evaluation.tokens else math.nan
        scores = Scores(
            name or "", loss, evaluation.tokens, evaluation.figures, judge.details(), tuple(judge.warnings())
        )
        return scores, judge


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
        on_evaluation: called after each evaluation with the step and what is minimised; True ends the run there.

    Raises:
        OstinatoError: settings, data or run folder are not right, or the loss diverged; the message says what to do.
    """

    def progress(quiet: bool) -> ExampleProgress:
        return ExampleProgress(task.item, task.percentages, quiet=quiet, console=console)

    with opened(settings, progress) as session:
        return _train(task, settings, session, on_evaluation)


def _train(
    task: Task[S, Part, Known, Model],
    settings: S,
    session: Session,
    on_evaluation: Callable[[int, float], bool | None] | None,
) -> TaskResult:
    run, processes, how = session.run, session.processes, settings.training
    splits = task.read(settings)
    if not task.size(splits.train) or not task.size(splits.validation):
        raise DataError(f"{splits.name}: expected examples to train on and to validate with; give more data")
    known = task.from_dict(_read_knowledge(run)) if settings.resume else task.learn(settings, splits.train)
    train_examples = task.examples(settings, known, splits.train)
    validation = task.examples(settings, known, splits.validation)
    fingerprint = task.fingerprint(train_examples)
    torch.manual_seed(settings.seed)
    model = task.build(settings, known)

    def create() -> None:
        if settings.resume:
            run.check_data(fingerprint)  # before config.yaml names other data
        run.create(for_the_record(settings, run, how, *task.files))
        with run.writing():
            write_json(run.path / KNOWLEDGE, task.to_dict(known))

    processes.first(create)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    session.progress.say(
        f"{splits.name}: {task.size(splits.train):,} examples to train on, {task.size(splits.validation):,} to validate, "
        f"{task.size(splits.test):,} to test; {parameters:,} parameters; run folder {run}"
    )

    def evaluator(
        module: nn.Module, *, should_stop: Callable[[], bool], total: Callable[[Sequence[float]], list[float]]
    ) -> Evaluation | None:
        # Every process looks at everything, and all take the first one's word: two devices may round differently.
        found = judged(task, model, task.judge(settings, known, model, validation), validation, should_stop)
        if found is None:
            return None
        first = 1.0 if processes.is_first else 0.0
        names = list(found.figures)
        nats, count, *figures = total([first * v for v in (found.nats, found.tokens, *found.figures.values())])
        return dataclasses.replace(found, nats=nats, tokens=int(count), figures=dict(zip(names, figures, strict=True)))

    outcome = fit(
        model,
        Batches(train_examples, how.batch_size, seed=settings.seed, rank=processes.rank, world=processes.world),
        run=run,
        settings=how,
        evaluator=evaluator,
        processes=processes,
        resume=settings.resume,
        progress=session.progress,
        on_evaluation=on_evaluation,
        data_fingerprint=fingerprint,
    )
    if outcome.ending in ("interrupted", "pruned") or not processes.is_first:
        return TaskResult(run, task, outcome)
    return _finish(task, run, splits, outcome)


def _finish(task: Task[Any, Any, Any, Any], run: RunFolder, splits: Splits[Any], outcome: Outcome) -> TaskResult:
    trained = load(task, run.path)
    scores: dict[str, Scores] = {}
    pictures: list[Path] = []
    for name, part in (("validation", splits.validation), ("test", splits.test)):
        if task.size(part):
            scores[name], judge = trained.evaluate(part, name=f"{splits.name}, {name}")
            pictures += draw(judge.pictures(), run, name)
    result = TaskResult(run, task, outcome, scores, tuple(pictures))
    with run.writing():
        write_json(
            run.path / "report.json",
            {
                "run": str(run),
                "task": task.name,
                "outcome": dataclasses.asdict(outcome),
                "scores": {name: without_nan(dataclasses.asdict(each)) for name, each in scores.items()},
                "pictures": [str(path.relative_to(run.path)) for path in pictures],
            },
        )
    return result


def draw(pictures: Mapping[str, Figure], run: RunFolder, part: str) -> list[Path]:
    """Writes pictures as PNG and SVG into the run folder's `pictures/`; returns the PNGs."""
    from ostinato.insight.plots import save

    return [save(figure, run.path / "pictures" / f"{name}_{part}")[0] for name, figure in pictures.items()]


def judged(
    task: Task[Any, Any, Any, Any],
    model: nn.Module,
    judge: Judge,
    examples: Examples,
    should_stop: Callable[[], bool] = never,
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation | None:
    """Shows a judge all examples, in evaluation mode and without gradients.

    Returns:
        What it found; None if `should_stop`, asked before every batch, said so.
    """
    losses: list[torch.Tensor] = []
    counts: list[int] = []
    done, was_training = 0, model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in _moved(InOrder(examples, EVALUATED_ROWS), model):
                if should_stop():
                    return None
                losses.append(judge.see(batch))
                counts.append(batch.count)
                done += len(batch.rows)
                if on_batch is not None:
                    on_batch(done, len(examples.lengths))
    finally:
        model.train(was_training)
    means = torch.stack(losses).tolist()
    nats = math.fsum(mean * count for mean, count in zip(means, counts, strict=True))
    return Evaluation(nats, sum(counts), judge.figures(), task.judged_by)


def load(task: Task[S, Part, Known, Model], path: str | os.PathLike[str]) -> Trained[S, Part, Known, Model]:
    """The trained model of a run, on the CPU, with the weights that were best.

    Raises:
        RunError: there is no run of this task, or a file of it is missing or damaged.
    """
    run = RunFolder(path)
    config = run.read_config()
    try:
        settings = task.settings.from_dict(config)
    except (ConfigError, TypeError) as error:
        raise RunError(f"{run.config_file} is damaged, or of another version of ostinato: {error}") from error
    content = _read_knowledge(run)
    try:
        known = task.from_dict(content)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.path / KNOWLEDGE} is damaged: {' '.join(str(error).split())}") from error
    model = task.build(settings, known)
    weights = run.read_model()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{run.model_file} does not fit {run.config_file}: {reason}") from error
    return Trained(task, settings, known, model)


def _read_knowledge(run: RunFolder) -> dict[str, Any]:
    path = run.path / KNOWLEDGE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing; begin the run anew with another --run") from None
    except ValueError as error:
        raise RunError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged: expected names and values, got {type(content).__name__}")
    return content


def _moved(batches: Iterable[Batch], model: nn.Module) -> Iterator[Batch]:
    device = next(model.parameters()).device
    return (map_tensors(lambda tensor: tensor.to(device), batch) for batch in batches)


def without_nan(tree: Any) -> Any:
    """None for numbers that JSON cannot hold."""
    if isinstance(tree, Mapping):
        return {key: without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
