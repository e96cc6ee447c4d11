"""`python -m benchmarks.language_model`: the whole training of a language model, beside torch.nn in a plain loop.

Every subject trains the same model (embedding, one recurrent layer, output layer) on the same text with AdamW and clipping. A
step is timed from one call of the model's `loss` to the next, so that all that a loop does between two is in it; subjects take
turns, some steps each, and the first steps of a turn are left out. What the loop of `ostinato train lm` costs by itself is its
step less that of the shortest loop that can be written around the same layers and the same optimiser.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from benchmarks import machine
from ostinato.cli.parser import Parser
from ostinato.data import Chunk, Streams, open_corpus
from ostinato.errors import OstinatoError
from ostinato.models.text.language_model import LanguageModel
from ostinato.training import Progress, RunFolder, TrainingSettings, fit

EMBEDDING, CLIP, RATE = 128, 1.0, 1e-3
LEFT_OUT = 2  # steps at the beginning of a turn, which fill caches and pools
AIMS = {"LSTM": 1.25, "GRU": 2.0}


class Clock:
    """Notes when a model's loss is asked for."""

    def __init__(self) -> None:
        self.step_s: list[float] = []
        self._last: float | None = None
        self._seen = 0

    def begin(self) -> None:
        """A turn begins."""
        self._last, self._seen = None, 0

    def tick(self) -> None:
        """A step begins."""
        now = time.perf_counter()
        if self._last is not None and self._seen > LEFT_OUT:
            self.step_s.append(now - self._last)
        self._last, self._seen = now, self._seen + 1


class Timed(nn.Module):
    """A model that ticks."""

    def __init__(self, model: nn.Module, clock: Clock) -> None:
        super().__init__()
        self.model, self.clock = model, clock

    def loss(self, chunk: Chunk, state: Any = None) -> tuple[torch.Tensor, Any]:
        """That of the model."""
        if self.training:
            self.clock.tick()
        return cast(Any, self.model).loss(chunk, state)


class Plain(nn.Module):
    """What one writes with torch.nn."""

    def __init__(self, cell: str, tokens: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, EMBEDDING)
        self.recurrent = getattr(nn, cell)(EMBEDDING, hidden_size)
        self.output = nn.Linear(hidden_size, tokens)

    def loss(self, chunk: Chunk, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Mean cross entropy and the state after the chunk."""
        h, state = self.recurrent(self.embedding(chunk.input), state)
        return F.cross_entropy(self.output(h).flatten(0, 1), chunk.target.flatten()), state


@dataclass
class Subject:
    """One way to train.

    Attributes:
        name: in the table.
        turn: makes so many steps.
        clock: their times.
    """

    name: str
    turn: Callable[[int], None]
    clock: Clock


def plain_loop(
    model: nn.Module, chunks: Callable[[], Iterator[Chunk]], clock: Clock, *, fused: bool, autocast: bool
) -> Callable[[int], None]:
    """The loop of a tutorial: detach the state, zero, backward, clip, step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=fused)
    timed = Timed(model, clock)

    def turn(steps: int) -> None:
        state = None
        for _, chunk in zip(range(steps), chunks(), strict=False):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss, state = timed.loss(chunk, state)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()

    return turn


def whole_training(
    model: nn.Module, streams: Callable[[], Streams], clock: Clock, precision: Any
) -> Callable[[int], None]:
    """What `ostinato train lm` does, with run folder, metrics and checkpoints; one evaluation at the end, which is not timed."""
    timed = Timed(model, clock)

    def turn(steps: int) -> None:
        train = streams()
        settings = TrainingSettings(
            batch_size=train.batch_size, chunk_length=train.chunk_length, learning_rate=RATE, clip_norm=CLIP,
            schedule="constant", warmup=0.0, max_steps=steps, evaluate_every=steps,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            run = RunFolder(Path(folder, "run"))
            run.create({})
            validation = next(iter(streams()))
            fit(
                timed,
                train,
                lambda: [validation],
                run=run,
                settings=settings,
                precision=precision,
                progress=Progress(quiet=True),
            )

    return turn  # fmt: skip


def subjects(cell: str, corpus: Any, batch_size: int, chunk_length: int, hidden_size: int) -> list[Subject]:
    """All ways to train one cell."""

    def streams() -> Streams:
        return Streams(corpus.train, batch_size, chunk_length)

    def ours() -> LanguageModel:
        torch.manual_seed(0)
        return LanguageModel(corpus.vocabulary, EMBEDDING, hidden_size, cell=cast(Any, cell.lower()))

    def plain() -> Plain:
        torch.manual_seed(0)
        return Plain(cell, len(corpus.vocabulary), hidden_size)

    def chunks() -> Iterator[Chunk]:
        return iter(streams())

    made: list[Subject] = []

    def add(name: str, turn_of: Callable[[Clock], Callable[[int], None]]) -> None:
        clock = Clock()
        made.append(Subject(name, turn_of(clock), clock))

    add("torch.nn, plain loop", lambda clock: plain_loop(plain(), chunks, clock, fused=False, autocast=False))
    add(
        "torch.nn, fused AdamW, bf16 autocast",
        lambda clock: plain_loop(plain(), chunks, clock, fused=True, autocast=True),
    )
    add("shortest loop around our layers", lambda clock: plain_loop(ours(), chunks, clock, fused=True, autocast=False))
    add("ostinato train lm, 32-true", lambda clock: whole_training(ours(), streams, clock, "32-true"))
    add("ostinato train lm, precision auto", lambda clock: whole_training(ours(), streams, clock, "auto"))
    return made


def run(words: Sequence[str]) -> None:
    """Measure and print."""
    parser = Parser("python -m benchmarks.language_model", "Time the training of a language model beside torch.nn.")
    parser.add_argument(
        "--data", type=str | None, default=None, help="text: a file, folder, glob or URL; the built-in text"
    )
    parser.add_argument("--cells", nargs="+", default=["LSTM", "GRU"], help="LSTM, GRU, RNN")
    parser.add_argument("--hidden_size", type=int, default=512, help="H")
    parser.add_argument("--batch_size", type=int, default=64, help="B")
    parser.add_argument("--chunk_length", type=int, default=64, help="T")
    parser.add_argument("--steps", type=int, default=12, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each subject")
    given = parser.read(words)
    console = Console(width=None if sys.stdout.isatty() else 120)
    here = machine.describe()
    console.print("  ".join(f"{name}: {value}" for name, value in here.items()), soft_wrap=True)
    corpus = open_corpus(given.data)
    tokens = given.batch_size * given.chunk_length
    for cell in given.cells:
        measured = subjects(cell, corpus, given.batch_size, given.chunk_length, given.hidden_size)
        for turn in range(given.turns):
            for subject in measured[turn % len(measured) :] + measured[: turn % len(measured)]:
                subject.clock.begin()
                subject.turn(given.steps)
        medians = {subject.name: statistics.median(subject.clock.step_s) for subject in measured}
        base = medians["torch.nn, plain loop"]
        title = f"{cell} of {given.hidden_size}, B = {given.batch_size}, T = {given.chunk_length}, {corpus.name}"
        table = Table("loop", "ms a step", "tokens/s", "times the plain loop", title=title)
        for name, seconds in medians.items():
            table.add_row(name, f"{seconds * 1e3:.1f}", f"{tokens / seconds:,.0f}", f"{base / seconds:.2f}")
        console.print(table)
        share = medians["ostinato train lm, 32-true"] / medians["shortest loop around our layers"] - 1.0
        console.print(f"the loop's own share of a step: {share:.1%} (aim: at most 3 %)")
        if cell in AIMS:
            best = base / min(medians["ostinato train lm, 32-true"], medians["ostinato train lm, precision auto"])
            console.print(f"tokens a second against the plain loop: {best:.2f} (aim: at least {AIMS[cell]})\n")


def main() -> int:
    """The exit status: 2 for something the user can put right."""
    try:
        run(sys.argv[1:])
    except OstinatoError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
