"""The model of a run with all that is known about its data: it predicts, and can be evaluated."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeAlias, overload

import numpy as np
from torch.utils.data import Dataset
from typing_extensions import TypeVar

from ostinato import notebook
from ostinato.data.batches.batches import Batch, Examples
from ostinato.data.records.splits import Splits
from ostinato.data.sources.memory import holding
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.models.parts.reading import reading
from ostinato.recipes import own_cells
from ostinato.recipes.in_python.about import About, about
from ostinato.recipes.in_python.given import as_file, is_labelled_data, is_table, names_a_file
from ostinato.recipes.in_python.kinds import is_path, is_picture
from ostinato.recipes.in_python.prediction import Prediction, Predictions
from ostinato.recipes.learnt import Known, Learnt, Model, S
from ostinato.recipes.settings import check_fields
from ostinato.recipes.task import Judge, Opening, Part, Task
from ostinato.training.distributed.device import choose_device
from ostinato.training.loop.evaluation import Evaluation, never
from ostinato.training.run.run_folder import RunFolder

OnBatch: TypeAlias = Callable[[int, int], None]
NOTHING = Opening()
POOL_BATCHES = 16  # batches that are sorted by length together, and held until all of them are answered


@dataclass(frozen=True)
class Scores:
    """How good a model is on some data.

    Attributes:
        data: the name of the data.
        examples: how many examples there are.
        loss: the mean loss, nats; NaN if no example has a loss.
        count: how many terms the loss is the mean of.
        figures: the task's figures, by name.
        details: what else was found.
        warnings: what a user should know about the data.
        baselines: what simple models reach on the same data, by the name of the model: figures by name, and "loss".
    """

    data: str
    examples: int
    loss: float
    count: int
    figures: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_html(self) -> str:
        """HTML for a notebook: the model beside the simple ones."""
        columns = {"": {**self.figures, "loss": self.loss}, **self.baselines}
        names = [*self.figures, "loss"]
        rows = [[name.replace("_", " "), *(each.get(name, "") for each in columns.values())] for name in names]
        head = notebook.heading(self.data, f"{self.examples:,} examples; the loss in nats")
        told = "".join(map(notebook.line, self.warnings))
        return head + notebook.table(["", "model", *self.baselines], rows, most=None) + told

    def _repr_html_(self) -> str:
        return notebook.piece(self.to_html())


A = TypeVar("A", bound=Prediction, default=Any)


class Trained(Learnt[S, Known, Model], Generic[S, Part, Known, Model, A]):
    """A model, what belongs to it, and the task that it does. Printed, it tells of the run and how good it is.

    Attributes:
        task: the task.
        settings: the settings of the run.
        known: what is known about the data.
        model: the network.
        answering: how it answers, of the type `task.answering`; None if there is nothing to set.
        folder: the run's folder; None if it is not known.
        notes: what a user should know about the data that were read last, a line each.
        unread: the files among these data that cannot be read and so have no answer; a line each.
    """

    def __init__(
        self, task: Task[S, Part, Known, Model], settings: S, known: Known, model: Model, folder: Path | None = None
    ):
        super().__init__(settings, known, model, None if task.answering is None else task.answering(), folder)
        self.task = task
        self.notes: list[str] = []
        self.unread: tuple[str, ...] = ()

    def about(self) -> About:
        """The run in a few lines: where it is, when and how long it was trained, and its figures."""
        return about(self.task, self.settings, self.model, self.folder)

    def __repr__(self) -> str:
        return self.about().text(type(self).__name__)

    def _repr_html_(self) -> str:
        return self.about().html(type(self).__name__)

    def to(self, device: str) -> Trained[S, Part, Known, Model, A]:
        """Moves the model to a device: "auto", "cpu", "cuda", "cuda:N" or "mps"."""
        self.model.to(choose_device(device))
        return self

    def answer_with(self, options: Mapping[str, Any]) -> Trained[S, Part, Known, Model, A]:
        """Sets how it answers.

        Args:
            options: values by name; an option that is left out has its default.

        Raises:
            ConfigError: the task has no such option, or it has another type or range.
        """
        kind = self.task.answering
        names = [] if kind is None else [each.name for each in dataclasses.fields(kind)]
        if unknown := [name for name in options if name not in names]:
            expected = f"expected one of {', '.join(names)}" if names else "it has none; leave it out"
            raise ConfigError(f"unknown option {unknown[0]} of the answers of {self.task.name}; {expected}")
        if kind is not None:
            check_fields(kind, options, "")
            self.answering = kind(**options)
        return self

    @overload
    def predict(self, values: str, on_batch: OnBatch | None = None) -> A: ...
    @overload
    def predict(
        self, values: os.PathLike[str] | list[str] | list[list[str]], on_batch: OnBatch | None = None
    ) -> Predictions[A]: ...
    @overload
    def predict(self, *, data: Any, on_batch: OnBatch | None = None) -> Predictions[A]: ...
    @overload
    def predict(self, values: Any, on_batch: OnBatch | None = None) -> Any: ...
    def predict(self, values: Any = None, on_batch: OnBatch | None = None, *, data: Any = None) -> Any:
        """What the model says about an example, or about several.

            trained.predict("what fun")                      # one answer: label, probability, probabilities
            trained.predict(["what fun", "dull"])            # a list of two
            trained.predict(pathlib.Path("reviews.csv"))     # a list, of the rows of a file

        Args:
            values: plain values of a kind that the task reads: a text; lists of words; numbers (T, C), from NumPy,
                torch or lists; images of Pillow or arrays; series; for several examples a list of these, or an array
                with one axis more. Or a frame of polars or pandas, a mapping of columns, a list of rows, or a file as
                `pathlib.Path`: a str is a text and never a file. Or what the task has read from a file.
            on_batch: called after each batch with how many examples are done, and of how many.
            data: a file or folder in place of values, as a str or a path; or data in memory, as `ostinato.train` takes them.

        Returns:
            For one example its answer, for several a list in their order. An answer is a dict, the same as its JSON,
            and its parts are fields too, which the task lists, such as
            `ostinato.recipes.classify.prediction.ClassPrediction`.

        Raises:
            DataError: the data cannot be read, or are not what the model reads.
            ConfigError: the task gives no answers; or neither or both of values and data came.
        """
        part, is_one = self._given(values, data)
        answers = Predictions(self._stream(part, on_batch))
        return answers[0] if is_one else answers

    def stream(
        self, values: Any = None, on_batch: OnBatch | None = None, *, data: Any = None, rows: slice | None = None
    ) -> Iterator[A]:
        """Gives the answers of `predict` one after the other; the answers to a few batches are held at a time.

        The data are read at once, so that a fault in them is told before the first answer is asked for.

        Args:
            values: as in `predict`.
            on_batch: as in `predict`.
            data: as in `predict`.
            rows: which of the examples, such as `slice(1000, 2000)`, so that several processes share the work; None for
                all.

        Raises:
            DataError: as in `predict`.
            ConfigError: as in `predict`; or `rows` is no slice, or has a step.
        """
        if rows is not None and (not isinstance(rows, slice) or rows.step not in (None, 1)):
            raise ConfigError(f"rows: expected a slice of neighbours, as slice(1000, 2000), got {rows!r}")
        return self._stream(self._given(values, data)[0], on_batch, rows)

    def _given(self, values: Any, data: Any) -> tuple[Any, bool]:
        """Reads the values or data into a part of the task's kind, and says whether they are one example."""
        if self.task.no_answers:
            raise ConfigError(f"{self.folder or self.task.name} {self.task.no_answers}")
        if (values is None) == (data is None):
            raise ConfigError(
                "predict: expected values or data=, one of them; give a text, an array, a frame or a Path"
            )
        if data is not None:
            return self._read(data, labelled=False)[0], False
        if is_path(values) or (is_table(values) and self.task.reads_tables(self.known)):
            return self._read(values, labelled=False)[0], False
        if isinstance(values, str) and names_a_file(values):
            raise DataError(
                f"predict: {values!r} is a file, and a str is a text: give pathlib.Path({values!r}) or data={values!r} for the "
                f"file, [{values!r}] for the text"
            )
        if isinstance(values, list | tuple) and any(map(is_path, values)):
            raise DataError(
                "predict: expected one file or folder as pathlib.Path, got a list of them; give them one after the other, or a "
                "folder that has them"
            )
        part, is_one = self.task.from_values(self.settings, self.known, values)
        self.notes = self.task.notes(part)
        return part, is_one

    def part_of(self, data: Any, *, labelled: bool) -> Any:
        """Reads data into what the task works on: from a file, or from memory as `predict` and `evaluate` take them.

        Args:
            data: the data; what the task has read already comes back unchanged.
            labelled: whether labels are needed.

        Raises:
            DataError: they cannot be read.
        """
        if isinstance(data, str | os.PathLike):
            return self.read_part(os.fspath(data), labelled=labelled)
        first = next(iter(data), None) if isinstance(data, list) else None
        given = is_labelled_data(data) or is_picture(data) or is_picture(first) or isinstance(data, Mapping)
        if not given:
            return data
        # A tuple is (x, y), or one pair in a list of pairs; other lists are values: words, or the numbers of a step.
        rows = is_table(data) or isinstance(data, tuple | Dataset) or type(first) is tuple
        if rows or labelled or self.task.no_answers:
            return self._read(data, labelled=labelled)[0]
        return self.task.from_values(self.settings, self.known, data)[0]

    def _read(self, data: Any, *, labelled: bool) -> tuple[Any, str]:
        """Reads data from a file, or data in memory by way of a file; returns the part and its name."""
        if isinstance(data, str | os.PathLike):
            part = self.read_part(os.fspath(data), labelled=labelled)
            return part, self.task.title(part, os.fspath(data))
        with as_file(data, self.task.pair) as file:
            part = self.read_part(str(file), labelled=labelled)
        self.notes = [note.replace(str(file), file.name) for note in self.notes]
        return part, "the data"

    def _stream(self, part: Any, on_batch: OnBatch | None, rows: slice | None = None) -> Iterator[A]:
        if not self.task.size(part):
            return iter(())
        examples = self.task.examples(self.settings, self.known, part)
        return self.answers_to(part, examples, range(len(examples.lengths))[rows or slice(None)], on_batch)

    def read_part(self, data: str, *, labelled: bool) -> Any:
        """Data of the kinds that the task reads, with or without labels.

        Raises:
            DataError: they cannot be read, or there is not enough memory for them.
        """
        if not data:  # as from a shell variable that is not set
            raise DataError("the name of the data is empty; expected that of a file or a folder")
        with holding(data):
            part = self.task.read_part(self.settings, self.known, data, labelled=labelled)
            part = part if labelled else self.task.answerable(self, part)
        self.notes, self.unread = self.task.notes(part), tuple(getattr(part, "unread", ()))
        return part

    def answers_to(self, part: Any, examples: Examples, rows: range, on_batch: OnBatch | None = None) -> Iterator[A]:
        """The answers to some of the examples of a part, in their order; a few batches are held at a time.

        Args:
            part: the part, as it was read.
            examples: the examples made of the whole part.
            rows: the numbers of the examples to answer.
            on_batch: called after each batch with how many of them have an answer, and how many there are.
        """
        made: Any = self.task.prediction
        pool = POOL_BATCHES * self.task.rows
        for start in range(rows.start, rows.stop, pool):
            found: dict[int, dict[str, Any]] = {}
            with reading(self.model):  # only while answers are computed, not while the caller uses them
                for batch in self.task.in_order(self, _Slice(examples, start, min(start + pool, rows.stop))):
                    found.update(zip(batch.rows.tolist(), self.task.answers(self, part, batch), strict=True))
                    if on_batch is not None:
                        on_batch(start - rows.start + len(found), len(rows))
            yield from (made(found[row]) for row in sorted(found))

    def evaluate(
        self,
        data: Any = None,
        *,
        name: str | None = None,
        on_batch: OnBatch | None = None,
    ) -> tuple[Scores, Judge]:
        """How good the model is on labelled data.

        Args:
            data: a file or folder of the kinds that the task reads, what it has read from one, or data in memory as
                `ostinato.train` takes them, such as a frame or pairs; None for the test data of the run, or for its
                validation data if there are no test data.
            name: the name of the data; by default their path.
            on_batch: called after each batch with how many examples are done, and of how many.

        Returns:
            The scores; and the judge, which can draw pictures of what it saw.

        Raises:
            DataError: the data cannot be read, or there is no example.
        """
        part, name = self.part_to_judge(data, name)
        examples = self.task.examples(self.settings, self.known, part)
        judge = self.task.judge(self, part, examples, final=True)
        found = self.task.judged(self, judge, examples, should_stop=never, on_batch=on_batch)
        assert found is not None  # `never` stops it
        return self.scored(part, name, found, judge), judge

    def part_to_judge(self, data: Any, name: str | None = None) -> tuple[Any, str]:
        """The part that `evaluate` looks at, and its name.

        Raises:
            DataError: the data cannot be read, or there is no example.
        """
        part: Any = data
        if data is None:
            splits = read_splits(self.task, self.settings, Opening(self.folder, self.known))
            kind, part = ("test", splits.test) if self.task.size(splits.test) else ("validation", splits.validation)
            name = name or f"{splits.name}, {kind}"
        elif isinstance(data, str | os.PathLike) or is_labelled_data(data):
            part, title = self._read(data, labelled=True)
            name = name or title
        if not self.task.size(part):
            raise DataError(f"{name or 'the data'}: expected at least one example to evaluate on, got none")
        return part, name or ""

    def scored(self, part: Any, name: str, found: Evaluation, judge: Judge) -> Scores:
        """Makes the `Scores` of `evaluate` from the evaluation of a part."""
        loss = found.nats_per_token if found.tokens else math.nan
        warnings = (*self.task.notes(part), *judge.warnings())
        size = self.task.size(part)
        return Scores(name, size, loss, found.tokens, found.figures, judge.details(), warnings)


def read_splits(task: Task[S, Part, Any, Any], settings: S, opening: Opening = NOTHING) -> Splits[Part]:
    """Reads the data that the settings of a run name.

    Args:
        task: the task that learns from them.
        settings: the settings of the run.
        opening: what else reading them may need.

    Raises:
        DataError: they cannot be read, or there is not enough memory for them.
    """
    with holding(settings.data or "the built-in data"):
        return task.open(settings, opening)


def validation_of(task: Task[Any, Part, Any, Any], learnt: Any) -> Callable[[], Part]:
    """A function that reads the validation data of a run when it is called.

    Args:
        task: the task of the run.
        learnt: the `Trained` of the run.
    """
    return lambda: read_splits(task, learnt.settings, Opening(learnt.folder, learnt.known)).validation


def load(task: Task[S, Part, Known, Model], path: str | os.PathLike[str]) -> Trained[S, Part, Known, Model]:
    """The trained model of a run, on the CPU, in evaluation mode, with the weights that were best.

    Raises:
        RunError: there is no run of this task, or a file of it is missing or damaged.
        ConfigError: a cell of one's own is no longer there.
    """
    run = RunFolder(path)
    config = run.read_config()
    try:
        settings = task.settings.from_dict(config)
    except (ConfigError, TypeError) as error:
        raise RunError(f"{run.config_file} is damaged, or of another version of ostinato: {error}") from error
    own_cells.check(settings, run.path)
    known = task.load_known(run.path)
    return Trained(task, settings, known, run.load_model(lambda: task.build(settings, known)), run.path)


class _Slice:
    """A range of the examples, numbered from 0; its batches keep the numbers of the whole."""

    def __init__(self, examples: Examples, start: int, stop: int):
        self._examples, self._start = examples, start
        self.lengths, self.counts = examples.lengths[start:stop], examples.counts[start:stop]

    def batch(self, rows: np.ndarray) -> Batch:
        return self._examples.batch(rows + self._start)
