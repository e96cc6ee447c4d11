"""Show a person how the training of a model goes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from ostinato.training.loop.console import standard_output
from ostinato.training.loop.evaluation import Evaluation, bits_per_character

_BESIDE_BAR = 6  # the width of "100%" and blanks


@dataclass(frozen=True)
class Moment:
    """The progress of training at one moment.

    Args:
        step: the number of updates made.
        used: the used share of the budget, in [0, 1].
        loss: mean over the steps since the last line of metrics, nats a token.
        gradient_norm: the norm of the gradients before clipping.
        tokens_per_s: the speed, without evaluations, in tokens, examples or whatever else the loss is the mean of.
        time_left_s: the estimated time left, in seconds.
    """

    step: int
    used: float
    loss: float
    gradient_norm: float
    tokens_per_s: float
    time_left_s: float


class Progress:
    """A bar in a terminal, plain lines elsewhere, nothing when quiet.

    Args:
        quiet: show nothing at all.
        console: the console to print to; standard output by default.
    """

    item = "token"  # the loss is a mean over these

    def __init__(self, *, quiet: bool = False, console: Console | None = None):
        self.console = console or standard_output()
        self.characters_per_token = 1.0
        self.validation_characters_per_token = 1.0
        self.shows_perplexity = False  # the perplexity of a token; not usual for characters
        self._quiet = quiet
        self._live = self.console.is_terminal and not quiet
        self._interval_s = 0.25 if self._live else 5.0
        self._shown_at = -float("inf")
        self._bar: Bar | None = None
        self._task = TaskID(0)

    @contextmanager
    def running(self) -> Iterator[Progress]:
        """Inside, show the bar."""
        if not self._live:
            self._shown_at = time.monotonic()  # no line for a run that is over at once
            yield self
            return
        # Refreshed by hand, because a refreshing thread would compete with training for the interpreter.
        bar = BarColumn(bar_width=self.console.width - _room(self.console.width) - _BESIDE_BAR)
        columns = (bar, TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
        try:
            with Bar(*columns, console=self.console, auto_refresh=False, transient=True) as self._bar:
                self._task = self._bar.add_task("", total=1.0)
                yield self
        finally:
            self._bar = None

    def due(self) -> bool:
        """True if enough time has passed since the last update to show another."""
        return not self._quiet and time.monotonic() - self._shown_at >= self._interval_s

    def show(self, moment: Moment) -> None:
        """Show the progress; a narrow terminal gets only the most important parts."""
        *others, loss = self.loss_parts(moment.loss)
        parts = {
            "step": f"step {moment.step}",
            "other losses": "  ".join(others),
            "loss": loss,
            "speed": f"{moment.tokens_per_s:,.0f} {self.item}s/s",
            "gradient": f"|g| {moment.gradient_norm:.2f}",
            "left": f"{_clock(moment.time_left_s)} left",
        }
        room = _room(self.console.width) if self._live else math.inf
        for name in ("gradient", "other losses", "speed"):
            if len("  ".join(filter(None, parts.values()))) > room:
                del parts[name]
        self._update(moment.used, "  ".join(filter(None, parts.values())))

    def loss_parts(self, loss: float) -> list[str]:
        """The training loss in its units; the most important one comes last."""
        return [f"loss {loss:.3f} nats/token", f"{self.bits(loss):.3f} bits/char"]

    def validation_text(self, evaluation: Evaluation) -> str:
        """The text for an evaluation, with its units."""
        nats = evaluation.nats_per_token
        perplexity = f" (perplexity {_perplexity(nats):,.4g})" if self.shows_perplexity else ""
        return f"{nats:.3f} nats/token{perplexity}, {self.validation_bits(nats):.3f} bits/char"

    def training_figures(self, loss: float) -> dict[str, float]:
        """The figures for the metrics that follow from a training loss, by name."""
        return {"bits_per_character": self.bits(loss)}

    def validation_figures(self, evaluation: Evaluation) -> dict[str, float]:
        """The figures for the metrics of an evaluation beside its loss, by name."""
        nats = evaluation.nats_per_token
        perplexity = {"perplexity_per_token": _perplexity(nats)} if self.shows_perplexity else {}
        return {"bits_per_character": self.validation_bits(nats), **perplexity, **evaluation.figures}

    def show_reading(self, done: int, total: int | None) -> None:
        """Show how many bytes of the data are read, if it is time to."""
        if self.due():
            share = min(done / total, 1.0) if total else 0.0
            digits = 0 if max(done, total or 0) >= 1e7 else 2
            of = f" of {total / 1e6:,.{digits}f}" if total else ""
            self._update(share, f"reading the data, {done / 1e6:,.{digits}f} MB{of}")

    def show_judging(self, what: str, done: int, total: int) -> None:
        """Show how many examples of some data are judged, if it is time to."""
        if self.due():
            self._update(done / total, f"judging {escape(what)}: {done:,} of {total:,} examples")

    def _update(self, share: float, text: str) -> None:
        self._shown_at = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=share, description=text)
            self._bar.refresh()
        else:
            self.say(f"{share:4.0%}  {text}")

    def evaluated(self, step: int, evaluation: Evaluation, *, best: bool, sample: str | None = None) -> None:
        """Print the line of an evaluation, and one of sample text."""
        mark = "  best so far" if best else ""
        self.say(f"step {step}: validation {self.validation_text(evaluation)}{mark}")
        if sample is not None:
            # Control characters of an untrained model must not reach the terminal.
            line = "".join(c if c.isprintable() else "⏎" if c == "\n" else " " for c in sample)
            line = line[: self.console.width - 3] if self.console.is_terminal else line
            self.say(f"  [dim]{escape(line)}[/dim]")

    def say(self, text: str) -> None:
        """Print a line, which may contain rich markup, unless quiet.

        When the reader of the lines has gone (`ostinato train lm | head`), it becomes quiet: training should not end for that.
        """
        if self._quiet:
            return
        try:
            self.console.print(text, soft_wrap=not self.console.is_terminal)  # a terminal would break within words
        except BrokenPipeError:
            self._quiet = True

    def warn(self, text: str) -> None:
        """Print a line on standard error, quiet or not."""
        Console(stderr=True, highlight=False, markup=False).print(text, soft_wrap=True)

    def bits(self, nats_per_token: float) -> float:
        """A loss on the training text, in bits per character, if `characters_per_token` was set."""
        return bits_per_character(nats_per_token, self.characters_per_token)

    def validation_bits(self, nats_per_token: float) -> float:
        """A loss on the validation text, in bits per character."""
        return bits_per_character(nats_per_token, self.validation_characters_per_token)


class ExampleProgress(Progress):
    """Progress of a task that is learnt from examples.

    Args:
        item: the thing that the loss is the mean over, such as "example" or "word".
        percentages: names of figures to show as percentages; the others are shown as numbers.
        quiet: show nothing at all.
        console: the console to print to; standard output by default.
    """

    def __init__(
        self, item: str, percentages: Sequence[str] = (), *, quiet: bool = False, console: Console | None = None
    ):
        super().__init__(quiet=quiet, console=console)
        self.item, self._percentages = item, frozenset(percentages)

    def loss_parts(self, loss: float) -> list[str]:
        """The training loss, with its unit."""
        return [f"loss {loss:.4f} nats/{self.item}"]

    def validation_text(self, evaluation: Evaluation) -> str:
        """The task's figures, then the loss."""
        shown = [f"{name.replace('_', ' ')} {self.number(name, value)}" for name, value in evaluation.figures.items()]
        return ", ".join([*shown, *self.loss_parts(evaluation.nats_per_token)])

    def number(self, name: str, value: float) -> str:
        """The text for a figure; a dash if it has no value, such as the accuracy on unknown words if all are known."""
        if math.isnan(value):
            return "-"
        return f"{value:.2%}" if name in self._percentages else f"{value:.4g}"

    def training_figures(self, loss: float) -> dict[str, float]:
        """No figures: only the loss itself is kept."""
        return {}

    def validation_figures(self, evaluation: Evaluation) -> dict[str, float]:
        """The task's figures."""
        return dict(evaluation.figures)


def _room(width: int) -> int:
    """The number of characters for text beside the bar; the bar is short in a narrow terminal."""
    return width - _BESIDE_BAR - (24 if width >= 110 else 8)


def _perplexity(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
