"""What a task says about itself: data, model, loss and metrics put together.

A task is a small file: how its data are read, what must be known about them beside the weights, which model learns, and how it is
judged. What all tasks share is elsewhere: training and its report in `training`, loading, prediction and evaluation in
`trained`, the names of the tasks in `registry`. The methods that are not abstract suit a task that learns from examples.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from rich.console import Console

from ostinato.data.batches.batches import Batch, Batches, Examples, InOrder
from ostinato.data.recordings.scaling import Scaling
from ostinato.data.records.splits import Splits
from ostinato.errors import ConfigError, DataError
from ostinato.models.parts.reading import reading
from ostinato.recipes.few import few
from ostinato.recipes.in_python.kept import PAIR
from ostinato.recipes.in_python.plain import may_be_recordings, recordings_in, wrong
from ostinato.recipes.in_python.prediction import Prediction
from ostinato.recipes.judge import Judge, on_device_of, see_between
from ostinato.recipes.knowledge import KNOWLEDGE, read_json
from ostinato.recipes.learnt import Known, Learnt, Model, S
from ostinato.training.distributed.processes import Processes
from ostinato.training.loop.counters import Outcome
from ostinato.training.loop.evaluation import Evaluation
from ostinato.training.loop.progress import ExampleProgress, Progress
from ostinato.training.run.files import write_json
from ostinato.training.run.run_folder import RunFolder
from ostinato.training.run.settings import UpdateSettings
from ostinato.training.update.tree import map_tensors

if TYPE_CHECKING:
    from rich.text import Text

    from ostinato.insight.reasons.question import Question
    from ostinato.recipes.engines.cutting import RowsAs
    from ostinato.recipes.exporting.exported import Exported

Part = TypeVar("Part")  # of a data set, as it was read


@dataclass(frozen=True)
class Opening:
    """What reading the data of a run may need beside the settings.

    Attributes:
        folder: the run's folder, for data that are kept on disk as they are read.
        known: what is known about the data already, if the run goes on or is over; else None.
        on_progress: called with the bytes read so far and the bytes there are (None if unknown).
    """

    folder: Path | None = None
    known: Any = None
    on_progress: Callable[[int, int | None], None] | None = None


@dataclass(frozen=True)
class Finished:
    """A run whose training has ended.

    Attributes:
        run: its folder, which holds the best weights.
        splits: the data.
        batches: the batches that it was trained on, at the place where training stopped.
        outcome: how it ended.
        progress: what a person sees.
    """

    run: RunFolder
    splits: Splits[Any]
    batches: Any
    outcome: Outcome
    progress: Progress


class Task(ABC, Generic[S, Part, Known, Model]):
    """A task; each subclass says what is special about it.

    Attributes:
        name: the task's name in the registry, and the `task` of its settings.
        settings: the class of its settings.
        item: what the loss is the mean of.
        noun: what its data are called in the message that a run was given other data.
        percentages: the figures that are shown as percentages.
        errors: the figures of which the smallest is best; of all others the largest is.
        files: the settings, such as "reading.test", that name files.
        rows: the rows of a batch in evaluation and prediction; it changes no result.
        part_rows: the rows of a partition that one of many workers answers; None for as many as one process sorts by
            length together.
        answering: a dataclass of what a user can set about answers, such as how wide a beam is; None for nothing.
        nothing_to_judge: what is said of data whose validation part has no example with a loss.
        no_answers: the message for a user who asks for answers, if the task gives none; empty if it does.
        in_a_sweep: settings for trials of a sweep, which leave out what only a person looks at.
        prediction: the class of an answer, whose fields are its parts.
        forms: suffixes of files that its answers can be written to besides those of every task; `lines` writes them.
        pair: what the two sides of an example are called, if data come as pairs in Python; None if data are texts
            alone.
    """

    name: ClassVar[str]
    settings: ClassVar[type[Any]]
    item: ClassVar[str] = "example"
    noun: ClassVar[str] = "data set"
    percentages: ClassVar[tuple[str, ...]] = ()
    errors: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[int] = 256
    part_rows: ClassVar[int | None] = None
    answering: ClassVar[type[Any] | None] = None
    nothing_to_judge: ClassVar[str] = "expected labels to validate with that training has too, got others only"
    no_answers: ClassVar[str] = ""
    in_a_sweep: ClassVar[Mapping[str, Any]] = {}
    prediction: ClassVar[type[Prediction]] = Prediction
    pair: ClassVar[tuple[str, str] | None] = PAIR
    forms: ClassVar[tuple[str, ...]] = ()

    # --- data ---

    @abstractmethod
    def read(self, settings: S) -> Splits[Part]:
        """The data to learn from: the user's, or the built-in."""

    def open(self, settings: S, opening: Opening) -> Splits[Part]:
        """The data to learn from, read with what else reading may need, see `Opening`; by default `read`."""
        return self.read(settings)

    @abstractmethod
    def read_part(self, settings: S, known: Known, data: str, *, labelled: bool) -> Part:
        """Data to evaluate on (`labelled`) or to predict for."""

    def reads_tables(self, known: Known) -> bool:
        """Whether the data to predict for may be a table: a frame in memory is then read like a table in a file."""
        return True

    def from_values(self, settings: S, known: Known, given: Any) -> tuple[Part, bool]:
        """Turns plain values into what the task reads, and says whether they are one example.

        Plain values are texts or arrays, for example. Values that are already what the task reads come back unchanged.
        If what is known has a `scaling` of recordings, arrays become recordings.

        Raises:
            DataError: the values are not what the task reads.
        """
        scaling: Any = getattr(known, "scaling", None)
        if isinstance(scaling, Scaling) and may_be_recordings(given):
            found: Any = recordings_in(given, scaling.channels)
            return found
        if isinstance(given, str):
            raise wrong(f"what the task {self.name} reads", given)
        return given, False

    @abstractmethod
    def learn(self, settings: S, train: Part) -> Known:
        """What must be known about the data beside the weights, from the training data alone."""

    @abstractmethod
    def to_dict(self, known: Known) -> dict[str, Any]:
        """Knowledge as JSON can hold it."""

    @abstractmethod
    def from_dict(self, content: dict[str, Any]) -> Known:
        """The inverse of `to_dict`; raises KeyError, TypeError or ValueError if the content cannot be knowledge."""

    def save_known(self, known: Known, folder: Path) -> None:
        """Writes knowledge into the folder of a run."""
        write_json(folder / KNOWLEDGE, self.to_dict(known))

    def load_known(self, folder: Path) -> Known:
        """Reads what `save_known` wrote.

        Raises:
            RunError: the file is missing or damaged.
        """
        return read_json(folder / KNOWLEDGE, self.from_dict)

    @abstractmethod
    def examples(self, settings: S, known: Known, part: Part) -> Examples:
        """The data as the model reads them."""

    def check(self, settings: S, splits: Splits[Part], validation: Examples) -> None:
        """Looks at what the model will be judged on, before it is trained.

        Raises:
            DataError: it cannot be judged.
        """
        if not np.asarray(validation.counts).any():
            raise DataError(f"{splits.name}: {self.nothing_to_judge}")

    def size(self, part: Part) -> int:
        """How many examples a part has."""
        return len(part)  # pyright: ignore[reportArgumentType]

    def title(self, part: Part, data: str) -> str:
        """The name, for people, of a part that was read from `data`."""
        return data

    def sizes(self, settings: S, splits: Splits[Part], known: Known) -> str:
        """How large the parts of the data are, for people."""
        return ", ".join(
            f"{self.size(part):,} {'examples ' * (part is splits.train)}to {purpose}"
            for part, purpose in ((splits.train, "train on"), (splits.validation, "validate"), (splits.test, "test"))
        )

    def remarks(self, splits: Splits[Part]) -> list[str]:
        """What a user should know about the data before training, such as which lines were left out; a line each."""
        return []

    def notes(self, part: Part) -> list[str]:
        """What a user should know about data that were read to predict for or to evaluate on; a line each."""
        return list(getattr(part, "notes", ()))

    def batch_steps(self, settings: S) -> int | None:
        """The most steps of a batch, padding included, see `Batches`; None for any number."""
        return None

    def fingerprint(self, examples: Examples) -> str | None:
        """A checksum of the data, so that a run is resumed with the same data only; None if they are not checked."""
        return None

    def fingerprint_of(self, examples: Examples, validation: Examples) -> str | None:
        """A checksum of the data to learn from and of those that choose the weights; by default of the former."""
        return self.fingerprint(examples)

    def rows_as(self, settings: S, known: Known, suffix: str) -> RowsAs | None:
        """What a row of a file to predict for is, if some of its rows can be read without the others.

        Args:
            settings: the settings of the run.
            known: what the run knows about its data.
            suffix: the suffix of the file's name.

        Returns:
            None if the whole file must be read.
        """
        return None

    # --- model ---

    @abstractmethod
    def build(self, settings: S, known: Known) -> Model:
        """The untrained model: a module with `loss(batch, state) -> (loss, None)`."""

    def begin(self, settings: S, known: Known, model: Model) -> list[str]:
        """Called before a run is trained from its first step, to put into the model what it begins with, such as word vectors.

        Returns:
            Lines to tell the user.
        """
        return []

    def choose(self, settings: S, known: Known, splits: Splits[Part]) -> Known:
        """Called once after `learn`, before the model is built; returns what is known after a look at validation."""
        return known

    # --- training ---

    def progress(self, quiet: bool, console: Console | None) -> Progress:
        """The object that shows how training goes."""
        return ExampleProgress(self.item, self.percentages, quiet=quiet, console=console)

    def set_units(self, progress: Progress, settings: S, splits: Splits[Part]) -> None:
        """Tells `progress` what is known about its units once the data are read."""

    def trained_with(self, settings: S, examples: Examples) -> UpdateSettings:
        """The training settings: what the user's settings leave open is filled in to suit the data."""
        return settings.training

    def batches(self, settings: S, examples: Examples, *, rank: int, world: int) -> Any:
        """The batches for `fit`: the share of process `rank` of `world`. Closed at the end if they have `close`."""
        return Batches(
            examples,
            settings.training.batch_size,
            max_steps=self.batch_steps(settings),
            seed=settings.seed,
            rank=rank,
            world=world,
        )

    def watched(self, settings: S, examples: Examples, rows: int, steps: int) -> Any:
        """Some training data, always the same, to measure the model on while it trains; in chunks, `steps` steps."""
        return few(examples, rows)

    def sample(self, learnt: Learnt[S, Known, Model]) -> Callable[[], str] | None:
        """A function that gives a line to show at each evaluation; None for no such line."""
        return None

    def validate(
        self,
        learnt: Learnt[S, Known, Model],
        part: Part,
        examples: Examples,
        *,
        should_stop: Callable[[], bool],
        total: Callable[[Sequence[float]], list[float]],
        processes: Processes,
        on_batch: Callable[[int, int], None],
    ) -> Evaluation | None:
        """Evaluates on the validation data while training, in every process.

        Args:
            learnt: the model with the weights that it has now.
            part: the validation data.
            examples: the examples made of `part`.
            should_stop: asked before each batch; True gives the evaluation up.
            total: sums numbers over the processes.
            processes: those that train together.
            on_batch: as in `judged`.

        Returns:
            The evaluation, the same in every process; None if it was given up.
        """
        judge = self.judge(learnt, part, examples, final=False)
        if processes.world > 1 and self.sees_batches and judge.can_be_joined:
            seer, judge = judge, self.judge(learnt, part, examples, final=False)
            seen = see_between(
                processes,
                seer,
                judge,
                self.order(learnt, examples),
                learnt.model,
                should_stop=should_stop,
                on_batch=on_batch,
            )
            found = None if seen is None else self.summed(learnt, judge, *seen)
        else:
            found = self.judged(learnt, judge, examples, should_stop=should_stop, on_batch=on_batch)
        if found is None:
            return None
        found = self.settle(learnt, judge, found)
        # Every process has all the results, and all take those of the first: two devices may round differently. Adding -0
        # changes no number, not even -0.
        numbers = [found.nats, float(found.tokens), *found.figures.values()]
        nats, tokens, *figures = total(numbers if processes.is_first else [-0.0] * len(numbers))
        named = dict(zip(found.figures, figures, strict=True))
        losses = found.losses
        if losses is not None:
            losses = tuple(total(list(losses) if processes.is_first else [-0.0] * len(losses)))
        return dataclasses.replace(found, nats=nats, tokens=int(tokens), figures=named, losses=losses)

    def finish(self, learnt: Learnt[S, Known, Model] | None, finished: Finished) -> Any:
        """What training returns in place of a `TaskResult`, its `report.json` written already; None for a `TaskResult`.

        Args:
            learnt: the model with the best weights; None if training was interrupted, or if another process judges it.
            finished: the run whose training has ended.
        """
        return None

    # --- answers ---

    def answerable(self, learnt: Any, part: Part) -> Part:
        """The examples of a part that can be answered, from data read to predict for; its notes name what is left out.

        Raises:
            DataError: none can be answered.
        """
        return part

    def loaded(self, learnt: Any) -> Any:
        """What `ostinato.load` returns, made from a `Trained`."""
        return learnt

    def judged_by(self, settings: S) -> str | None:
        """The figure that chooses the weights, by its largest value, or smallest if in `errors`; None for the loss."""
        return None

    @abstractmethod
    def judge(self, learnt: Learnt[S, Known, Model], part: Part, examples: Examples, *, final: bool) -> Judge:
        """A judge of the answers to `examples`, made of `part`; `final` after training, when it may take its time."""

    def judged(
        self,
        learnt: Learnt[S, Known, Model],
        judge: Judge,
        examples: Examples,
        *,
        should_stop: Callable[[], bool],
        on_batch: Callable[[int, int], None] | None,
    ) -> Evaluation | None:
        """Shows a judge the answers to all examples, in evaluation mode and without gradients.

        Args:
            learnt: the model.
            judge: the judge.
            examples: all of them.
            should_stop: asked before each batch; True gives it up.
            on_batch: called after each batch with how many examples are done, and of how many.

        Returns:
            The evaluation; None if it was given up.
        """
        losses: list[torch.Tensor] = []
        counts: list[int] = []
        done = 0
        with reading(learnt.model):
            for batch in self.in_order(learnt, examples):
                if should_stop():
                    return None
                losses.append(judge.see(batch))
                counts.append(batch.count)
                done += len(batch.rows)
                if on_batch is not None:
                    on_batch(done, len(examples.lengths))
        return self.summed(
            learnt, judge, torch.stack(losses).tolist(), counts
        )  # the only place that waits for the device

    def summed(
        self, learnt: Learnt[S, Known, Model], judge: Judge, means: Sequence[float], counts: Sequence[int]
    ) -> Evaluation:
        """Sums up what was found in all batches.

        Args:
            learnt: the model.
            judge: the judge that has seen them.
            means: the loss of each batch, nats.
            counts: how many terms each of these losses is the mean of.
        """
        nats = math.fsum(mean * count for mean, count in zip(means, counts, strict=True) if count)
        figures, chosen = judge.figures(), judge.chosen_by(self.judged_by(learnt.settings))
        if chosen is not None and chosen not in figures:
            raise ConfigError(
                f"judged_by of {self.name} expected one of its figures, {', '.join(figures)}, got {chosen}"
            )
        return Evaluation(nats, sum(counts), figures, chosen, chosen in self.errors)

    @property
    def sees_batches(self) -> bool:
        """Whether a judge sees the batches of `order` one by one, so that several processes can share them."""
        return type(self).judged is Task.judged and type(self).in_order is Task.in_order

    def order(self, learnt: Learnt[S, Known, Model], examples: Examples) -> InOrder:
        """The batches in which every example is seen once."""
        return InOrder(examples, self.rows, max_steps=self.batch_steps(learnt.settings))

    def in_order(self, learnt: Learnt[S, Known, Model], examples: Examples) -> Iterator[Batch]:
        """The batches of `order`, on the model's device."""
        return on_device_of(learnt.model, self.order(learnt, examples))

    def settle(self, learnt: Learnt[S, Known, Model], judge: Judge, found: Evaluation) -> Evaluation:
        """Called after each evaluation on the validation data while training, before weights are kept.

        The model may get here what is fitted on data that it is not trained on, such as a temperature.

        Args:
            learnt: its model has the weights that were evaluated.
            judge: the judge that has seen the answers.
            found: the evaluation.

        Returns:
            The evaluation, with the numbers that hold from now on.
        """
        return found

    def baselines(
        self, settings: S, train: Part, parts: Mapping[str, Part]
    ) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """What simple models reach that anybody can make, to show whether the network was worth the effort.

        Args:
            settings: of the run.
            train: what to train them on.
            parts: what to judge them on, by name.

        Returns:
            By part, then by model: figures of the task, and "loss" where they have one.
        """
        return {}

    @abstractmethod
    def answers(self, learnt: Learnt[S, Known, Model], part: Part, batch: Batch) -> list[dict[str, Any]]:
        """What the model says about each row of a batch of `part`, as JSON can hold it."""

    def table_rows(self, learnt: Any, answer: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The rows of an answer in a table; None for the usual ones, see `ostinato.recipes.engines.answer_files`."""
        return None

    def exported(self, learnt: Any) -> Exported:
        """What `ostinato export` writes of the model of a run; `learnt` is a `Trained`.

        Raises:
            ConfigError: the task does not define it.
        """
        raise ConfigError(
            f"the task {self.name} does not say what is exported of its models: give it a method `exported` (docs/export.md), or "
            "call ostinato.export(model, example, path) with the model of the run"
        )

    def lines(
        self, learnt: Learnt[S, Known, Model], data: str, path: str, answers: Iterable[Mapping[str, Any]]
    ) -> Iterator[str]:
        """Writes answers in one of `forms`, the kinds of file that the task reads.

        Args:
            learnt: the model of the run.
            data: what was predicted for: a file, a folder or "-".
            path: the file to write; its suffix is one of `forms`.
            answers: the answers in the order of the data.

        Yields:
            Pieces of text, which contain the line ends.

        Raises:
            ConfigError: the answers do not fit the form.
        """
        raise ConfigError(f"--output {path}: answers of {self.name} are not written so; write .jsonl")

    def questions(self, learnt: Any, part: Part, rows: Sequence[int], target: str | None) -> Iterator[Question]:
        """What `ostinato explain` asks of the model about some examples, one after the other.

        Args:
            learnt: the model.
            part: the data.
            rows: which examples.
            target: what to ask about, such as a class or a step; None for the answer.
        """
        examples, device = self.examples(learnt.settings, learnt.known, part), next(learnt.model.parameters()).device
        for row in rows:
            batch = map_tensors(lambda tensor: tensor.to(device), examples.batch(np.array([row])))
            yield self.question(learnt, part, batch, target)

    def question(self, learnt: Any, part: Part, batch: Batch, target: str | None) -> Question:
        """What is asked about the only row of a batch. By default: what makes its labels likely, by the model's loss.

        Raises:
            ConfigError: the task cannot be asked about its answers, or not about this target.
        """
        from ostinato.recipes.reasons.of_loss import question_of_loss

        if target is not None:
            raise ConfigError(f"--target {target}: the task {self.name} is asked about its loss only; leave it out")
        return question_of_loss(self.name, learnt.model, batch)

    def shown(self, answer: Mapping[str, Any]) -> Text | None:
        """An answer as a person reads it on a terminal; None to print its JSON."""
        return None
