"""The recipe `lm`: a text in; a model, its figures beside simpler models', and a sample out.

Its examples are the chunks of long streams, through which the state is carried.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from rich.console import Console

from ostinato.data.batches.prefetch import Prefetch
from ostinato.data.batches.streams import Chunk, Streams
from ostinato.data.records.splits import Splits
from ostinato.data.tokens.vocabulary import Vocabulary, load_vocabulary, vocabulary_from_dict
from ostinato.models.text.language_model import LanguageModel
from ostinato.recipes.in_python.about import about
from ostinato.recipes.learnt import Learnt
from ostinato.recipes.lm.baselines import baselines
from ostinato.recipes.lm.figures import figures
from ostinato.recipes.lm.judge import Scoring, TextJudge
from ostinato.recipes.lm.reading import TextReading
from ostinato.recipes.lm.result import LanguageModelResult
from ostinato.recipes.lm.settings import LanguageModelSettings
from ostinato.recipes.lm.text import TextPart, open_part, open_text, unknown_tokens
from ostinato.recipes.task import Finished, Opening, Task
from ostinato.recipes.trained import validation_of
from ostinato.training.distributed.device import choose_device
from ostinato.training.distributed.processes import Processes
from ostinato.training.loop.evaluation import Evaluation, evaluate
from ostinato.training.loop.progress import Progress
from ostinato.training.run.files import write_json
from ostinato.training.run.fingerprint import fingerprint

if TYPE_CHECKING:
    from ostinato.insight.reasons.question import Question
    from ostinato.recipes.exporting.exported import Exported

SAMPLE_LINE = 80  # tokens at an evaluation
SAMPLE_END = 600  # tokens at the end
TEMPERATURE = 0.8  # of samples; at 1 a young model's mistakes pile up
WHOLE_ROWS, WHOLE_STEPS = 64, 256  # of the streams that a whole text is read in

LearntLanguage: TypeAlias = Learnt[LanguageModelSettings, Vocabulary, LanguageModel]


class LanguageModelling(Task[LanguageModelSettings, TextPart, Vocabulary, LanguageModel]):
    """Predicts each token of a text from those before it. What is known about the data is the vocabulary."""

    name = "lm"
    settings = LanguageModelSettings
    item = "token"
    noun = "text"
    files = ("reading.validation", "reading.test")
    answering = Scoring
    pair = None
    no_answers = "is a language model: let it write with `ostinato generate`, score a text with `ostinato evaluate`"
    in_a_sweep: ClassVar[Mapping[str, Any]] = {"baselines": {"markov_orders": 0, "window": 0}}

    # --- data ---

    def read(self, settings: LanguageModelSettings) -> Splits[TextPart]:
        """The text in its parts."""
        return open_text(settings, Opening())

    def open(self, settings: LanguageModelSettings, opening: Opening) -> Splits[TextPart]:
        """The same; a large text leaves its tokens in the folder."""
        return open_text(settings, opening)

    def read_part(self, settings: LanguageModelSettings, known: Vocabulary, data: str, *, labelled: bool) -> TextPart:
        """A text to score."""
        return open_part(settings, known, data)

    def learn(self, settings: LanguageModelSettings, train: TextPart) -> Vocabulary:
        """The vocabulary that its tokens are of."""
        return train.vocabulary

    def to_dict(self, known: Vocabulary) -> dict[str, Any]:
        """Plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> Vocabulary:
        """The inverse."""
        return vocabulary_from_dict(content)

    def save_known(self, known: Vocabulary, folder: Path) -> None:
        """In a file of its own, which says its format."""
        known.save(folder)

    def load_known(self, folder: Path) -> Vocabulary:
        """The inverse."""
        return load_vocabulary(folder)

    def examples(self, settings: LanguageModelSettings, known: Vocabulary, part: TextPart) -> Any:
        """The text itself: how it is cut into streams depends on what for."""
        return part

    def check(self, settings: LanguageModelSettings, splits: Splits[TextPart], validation: Any) -> None:
        """A text that is too short should not be told after training."""
        for reading in self._readings(settings, splits).values():
            assert reading.chunks

    def title(self, part: TextPart, data: str) -> str:
        """The name of the text."""
        return part.name

    def sizes(self, settings: LanguageModelSettings, splits: Splits[TextPart], known: Vocabulary) -> str:
        """In tokens."""
        test = f"{len(splits.test):,} to test, " if len(splits.test) else ""
        return (
            f"{len(splits.train):,} {settings.tokens.kind} tokens to train on, {len(splits.validation):,} to validate, "
            f"{test}{len(known):,} different"
        )

    def remarks(self, splits: Splits[TextPart]) -> list[str]:
        """Which files are for what, and how much of the text is not in the vocabulary."""
        files = [] if splits.train.remark is None else [splits.train.remark]
        return [*files, *unknown_tokens(splits)]

    def fingerprint_of(self, examples: Any, validation: Any) -> str | None:
        """A checksum of both texts' tokens."""
        return fingerprint(examples.tokens.ids, validation.tokens.ids)

    # --- model ---

    def build(self, settings: LanguageModelSettings, known: Vocabulary) -> LanguageModel:
        """The untrained model."""
        # The fields of ModelSettings are the model's arguments, by name.
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        return LanguageModel(known, **given)

    # --- training ---

    def progress(self, quiet: bool, console: Console | None) -> Progress:
        """In nats a token and bits a character."""
        return Progress(quiet=quiet, console=console)

    def set_units(self, progress: Progress, settings: LanguageModelSettings, splits: Splits[TextPart]) -> None:
        """How many characters a token has."""
        train, validation = splits.train.tokens, splits.validation.tokens
        progress.characters_per_token = train.characters / len(train)
        progress.validation_characters_per_token = validation.characters / len(validation)
        progress.shows_perplexity = settings.tokens.kind in ("word", "bpe")

    def batches(self, settings: LanguageModelSettings, examples: Any, *, rank: int, world: int) -> Any:
        """Parallel streams, in chunks."""
        how, tokens = settings.training, examples.tokens
        streams = Streams(
            tokens,
            how.batch_size,
            how.chunk_length,
            reset_at_documents=settings.tokens.reset_at_documents,
            vary_length=how.vary_length,
            seed=settings.seed,
            rank=rank,
            world=world,
        )
        # Only a mapped text can keep the model waiting; of one in memory a chunk is a copy of some kilobytes.
        return Prefetch(streams) if isinstance(tokens.ids, np.memmap) else streams

    def watched(self, settings: LanguageModelSettings, examples: Any, rows: int, steps: int) -> Chunk:
        """The first chunk of a few streams."""
        return next(TextReading(examples.tokens, rows, steps)())

    def sample(self, learnt: LearntLanguage) -> Callable[[], str]:
        """Some text that the model writes, from the same random numbers each time."""
        return lambda: learnt.model.generate(length=SAMPLE_LINE, temperature=TEMPERATURE, seed=learnt.settings.seed)

    def validate(
        self,
        learnt: LearntLanguage,
        part: TextPart,
        examples: Any,
        *,
        should_stop: Callable[[], bool],
        total: Callable[[Sequence[float]], list[float]],
        processes: Processes,
        on_batch: Callable[[int, int], None],
    ) -> Evaluation | None:
        """The loss on some of the text, of which each process reads its streams."""
        reading = self._reading(learnt.settings, part).share(processes.rank, processes.world)
        return evaluate(learnt.model, reading(), should_stop=should_stop, total=total)

    def _reading(self, settings: LanguageModelSettings, validation: TextPart) -> TextReading:
        how = settings.training
        resets = settings.tokens.reset_at_documents
        return TextReading(
            validation.tokens, how.batch_size, how.chunk_length, how.max_validation_tokens, reset_at_documents=resets
        )

    def _readings(self, settings: LanguageModelSettings, splits: Splits[TextPart]) -> dict[str, TextReading]:
        """What the network is scored on, by the part of the text."""
        found = {"validation": self._reading(settings, splits.validation)}
        if len(splits.test):
            resets = settings.tokens.reset_at_documents
            found["test"] = TextReading(splits.test.tokens, WHOLE_ROWS, WHOLE_STEPS, reset_at_documents=resets)
        return found

    def finish(self, learnt: LearntLanguage | None, finished: Finished) -> LanguageModelResult:
        """Compares the network with simpler models that have seen as much of the text, and has it write."""
        if learnt is None:
            return LanguageModelResult(finished.run, finished.outcome)
        settings, model, progress = learnt.settings, learnt.model, finished.progress
        loss = finished.outcome.counters.best
        assert loss is not None  # no budget ends without an evaluation
        sample = model.generate(length=SAMPLE_END, temperature=TEMPERATURE, seed=settings.seed)
        readings = self._readings(settings, finished.splits)
        texts, test = {"validation": finished.splits.validation.tokens, "test": finished.splits.test.tokens}, None
        if "test" in readings:
            progress.say("reading the test text ...")
            found = evaluate(model.to(choose_device(settings.device)), readings["test"]())
            assert found is not None  # nobody stops it
            test = figures(found.nats_per_token, found.tokens, texts["test"])
        streams: Any = finished.batches.source if isinstance(finished.batches, Prefetch) else finished.batches
        seen = streams.seen(streams.chunks_per_epoch if finished.outcome.counters.epoch else streams.position)
        if settings.baselines.markov_orders or settings.baselines.window:
            progress.say("training simpler models on the same text, to compare ...")
        runs = {part: reading.runs() for part, reading in readings.items()}
        compared = {
            part: {name: figures(nats, readings[part].predicted, texts[part]) for name, nats in losses.items()}
            for part, losses in baselines(seen, runs, len(learnt.known), settings.baselines).items()
        }
        network = figures(loss, readings["validation"].predicted, texts["validation"])
        result = LanguageModelResult(
            finished.run, finished.outcome, network, compared["validation"], test, compared.get("test", {}), sample
        )
        with finished.run.writing():
            report = {**dataclasses.asdict(result), "run": str(finished.run)}
            write_json(finished.run.path / "report.json", report)
        return result

    # --- answers ---

    def loaded(self, learnt: LearntLanguage) -> LanguageModel:
        """The model, which writes and scores texts by itself; printed, it tells of its run."""
        learnt.model.about = about(self, learnt.settings, learnt.model, learnt.folder).text("run")
        return learnt.model

    def judge(self, learnt: LearntLanguage, part: TextPart, examples: Any, *, final: bool) -> TextJudge:
        """All units of the loss."""
        return TextJudge(part)

    def judged(
        self,
        learnt: LearntLanguage,
        judge: Any,
        examples: Any,
        *,
        should_stop: Callable[[], bool],
        on_batch: Callable[[int, int], None] | None,
    ) -> Evaluation | None:
        """Reads the text in long streams; one stream where the model adapts to it."""
        settings, how = learnt.settings, learnt.answering or Scoring()
        module: Any = learnt.model
        rows, steps = WHOLE_ROWS, WHOLE_STEPS
        if how.adaptation is not None:
            text = None
            if how.adaptation.needs_training_text:
                text = self.open(settings, Opening(learnt.folder, learnt.known)).train.tokens
            module, rows, steps = how.adaptation.adapted(learnt.model, text), 1, how.adaptation.chunk_length
        resets = settings.tokens.reset_at_documents
        reading = TextReading(examples.tokens, rows, steps, how.max_tokens, reset_at_documents=resets)
        found = evaluate(module, reading(), should_stop=should_stop)
        if found is None:
            return None
        judge.take(found)
        return dataclasses.replace(found, figures=judge.figures())

    def exported(self, learnt: Any) -> Exported:
        """The scores of the next token, over a text and one token at a time."""
        from ostinato.recipes.lm.exported import exported

        return exported(learnt.model, validation_of(self, learnt))

    def questions(self, learnt: LearntLanguage, part: TextPart, rows: Any, target: str | None) -> Iterator[Question]:
        """Why the next token: a text is one example."""
        from ostinato.recipes.lm.explained import question

        yield question(learnt, part, target)

    def answers(self, learnt: LearntLanguage, part: TextPart, batch: Any) -> list[dict[str, Any]]:
        """There are none: `Trained` says so before it asks."""
        raise NotImplementedError(self.no_answers)
