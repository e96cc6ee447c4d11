"""What a task that learns from examples says about itself: data, model, loss and metrics put together.

A task is a small file: how its data are read, what must be known about them beside the weights, which model learns, and how it is
judged. What all tasks share is elsewhere: training and its report in `task_training`, loading, prediction and evaluation in
`trained`, the names of the tasks in `registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import nn

from ostinato.data.batches import Batch, Examples
from ostinato.data.splits import Splits
from ostinato.recipes.settings import TaskSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.text import Text

    from ostinato.recipes.trained import Trained
    from ostinato.training.evaluation import Evaluation

S = TypeVar("S", bound=TaskSettings)
Part = TypeVar("Part")  # of a data set, as it was read
Known = TypeVar("Known")
Model = TypeVar("Model", bound=nn.Module)


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
        """What was found in numbers, by name; the one that the task is judged by is among them."""

    def details(self) -> dict[str, Any]:
        """What else was found, as JSON can hold it."""
        return {}

    def pictures(self) -> dict[str, Figure]:
        """Pictures of it, by name."""
        return {}

    def warnings(self) -> list[str]:
        """What a user should know about the data, a line each."""
        return []


class Task(ABC, Generic[S, Part, Known, Model]):
    """A task; a class of its own says what is special about it.

    Attributes:
        name: in the registry, and as the `task` of its settings.
        settings: their class.
        item: what the loss is the mean of.
        percentages: the figures that are shown as such.
        files: the settings, such as "reading.test", that name files.
        rows: of a batch in evaluation and prediction; changes no result.
        answering: a dataclass of what a user can set about answers, such as how wide a beam is; None for nothing.
        nothing_to_judge: what is said of data whose validation part has no example with a loss.
    """

    name: ClassVar[str]
    settings: ClassVar[type[Any]]
    item: ClassVar[str] = "example"
    percentages: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[int] = 256
    answering: ClassVar[type[Any] | None] = None
    nothing_to_judge: ClassVar[str] = "expected labels to validate with that training has too, got others only"

    # --- data ---

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
        """The inverse of `to_dict`; KeyError, TypeError or ValueError for what it cannot be."""

    @abstractmethod
    def examples(self, settings: S, known: Known, part: Part) -> Examples:
        """The data as the model reads them."""

    def size(self, part: Part) -> int:
        """How many examples a part has."""
        return len(part)  # pyright: ignore[reportArgumentType]

    def remarks(self, splits: Splits[Part]) -> list[str]:
        """What a user should know about the data before training, such as which lines were left out; a line each."""
        return []

    def notes(self, part: Part) -> list[str]:
        """What a user should know about data that were read to predict for or to evaluate on; a line each."""
        return []

    def batch_steps(self, settings: S) -> int | None:
        """The most steps of a batch, padding counted, see `Batches`; None for any number."""
        return None

    def fingerprint(self, examples: Examples) -> str | None:
        """Which data these are, for a run to be resumed with the same only; None for not known."""
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

    # --- answers ---

    def judged_by(self, settings: S) -> str | None:
        """The figure that says which weights are best, largest first; None for the loss, smallest first."""
        return None

    @abstractmethod
    def judge(self, trained: Trained[S, Part, Known, Model], part: Part, examples: Examples, *, final: bool) -> Judge:
        """What looks at the answers to `examples`, made of `part`; `final` after training, when it may take its time."""

    def settle(self, trained: Trained[S, Part, Known, Model], judge: Judge, found: Evaluation) -> Evaluation:
        """Called after each evaluation on the validation data while training, before weights are kept.

        Here the model may be given what is fitted on data that it is not trained on, such as a temperature.

        Args:
            trained: its model has the weights that were evaluated.
            judge: who has seen the answers.
            found: what came of it.

        Returns:
            The evaluation as it is now.
        """
        return found

    def baselines(
        self, settings: S, train: Part, parts: Mapping[str, Part]
    ) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """What simple models reach that anybody can make, for a person to see whether the network was worth its while.

        Args:
            settings: of the run.
            train: what to train them on.
            parts: what to judge them on, by name.

        Returns:
            By part, then by model: figures of the task, and "loss" where they have one.
        """
        return {}

    @abstractmethod
    def answers(self, trained: Trained[S, Part, Known, Model], part: Part, batch: Batch) -> list[dict[str, Any]]:
        """What the model says about each row of a batch of `part`, as JSON can hold it."""

    def shown(self, answer: Mapping[str, Any]) -> Text | None:
        """An answer as a person reads it on a terminal; None where that is its JSON."""
        return None
