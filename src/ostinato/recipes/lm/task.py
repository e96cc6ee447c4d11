"""The recipe `lm`: reads a text; gives a model, its figures beside those of simpler models, and a sample.

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

SAMPLE_LINE = 80  # tokens of the sample at each evaluation
SAMPLE_END = 600  # tokens of the sample at the end
TEMPERATURE = 0.8  # of samples; at 1 the mistakes of a model early in training pile up
WHOLE_ROWS, WHOLE_STEPS = 64, 256  # number and chunk length of the streams in which a whole text is read

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
        """The text in its parts; the tokens of a large text are stored in the run's folder."""
        return open_text(settings, opening)

    def read_part(self, settings: LanguageModelSettings, known: Vocabulary, data: str, *, labelled: bool) -> TextPart:
        """Reads a text to score."""
        return open_part(settings, known, data)

    def learn(self, settings: LanguageModelSettings, train: TextPart) -> Vocabulary:
        """The vocabulary of the text's tokens."""
        return train.vocabulary

    def to_dict(self, known: Vocabulary) -> dict[str, Any]:
        """The vocabulary as plain values."""
        return known.to_dict()

    def from_dict(self, content: dict[str, Any]) -> Vocabulary:
        """The inverse of `to_dict`."""
        return vocabulary_from_dict(content)

    def save_known(self, known: Vocabulary, folder: Path) -> None:
        """Writes the vocabulary into a file of its own, which names its format."""
        known.save(folder)

    def load_known(self, folder: Path) -> Vocabulary:
        """The inverse of `save_known`."""
        return load_vocabulary(folder)

    def examples(self, settings: LanguageModelSettings, known: Vocabulary, part: TextPart) -> Any:
        """The text itself: validation, test and training cut it into streams differently."""
        return part

    def check(self, settings: LanguageModelSettings, splits: Splits[TextPart], validation: Any) -> None:
        """Refuses a text that is too short before training, not after it."""
        for reading in self._readings(settings, splits).values():
            assert reading.chunks

    def title(self, part: TextPart, data: str) -> str:
        """The name of the text."""
        return part.name

    def sizes(self, settings: LanguageModelSettings, splits: Splits[TextPart], known: Vocabulary) -> str:
        """The number of tokens in each part, and of different ones."""
        test = f"{len(splits.test):,} to test, " if len(splits.test) else ""
        return (
            f"{len(splits.train):,} {settings.tokens.kind} tokens to train on, {len(splits.validation):,} to validate, "
            f"{test}{len(known):,} different"
        )

    def remarks(self, splits: Splits[TextPart]) -> list[str]:
        """Which files are for which part, and how many tokens are not in the vocabulary."""
        files = [] if splits.train.remark is None else [splits.train.remark]
        return [*files, *unknown_tokens(splits)]

    def fingerprint_of(self, examples: Any, validation: Any) -> str | None:
        """A checksum of the tokens of both texts."""
        return fingerprint(examples.tokens.ids, validation.tokens.ids)

    # --- model ---

    def build(self, settings: LanguageModelSettings, known: Vocabulary) -> LanguageModel:
        """The untrained model."""
        # The fields of ModelSettings are the model's arguments, by name.
        given = {each.name: getattr(settings.model, each.name) for each in dataclasses.fields(settings.model)}
        return LanguageModel(known, **given)

    # --- training ---

    def progress(self, quiet: bool, console: Console | None) -> Progress:
        """The progress display, in nats a token and bits a character."""
        return Progress(quiet=quiet, console=console)

    def set_units(self, progress: Progress, settings: LanguageModelSettings, splits: Splits[TextPart]) -> None:
        """Tells `progress` how many characters a token has on average."""
        train, validation = splits.train.tokens, splits.validation.tokens
        progress.characters_per_token = train.characters / len(train)
        progress.validation_characters_per_token = validation.characters / len(validation)
        progress.shows_perplexity = settings.tokens.kind in ("word", "bpe")

    def batches(self, settings: LanguageModelSettings, examples: Any, *, rank: int, world: int) -> Any:
        """The text as parallel streams, in chunks."""
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
        # Only a memory-mapped text can keep the model waiting; a chunk of a text in memory is a copy of some kilobytes.
        return Prefetch(streams) if isinstance(tokens.ids, np.memmap) else streams

    def watched(self, settings: LanguageModelSettings, examples: Any, rows: int, steps: int) -> Chunk:
        """The first chunk of a few streams."""
        return next(TextReading(examples.tokens, rows, steps)())

    def sample(self, learnt: LearntLanguage) -> Callable[[], str]:
        """A function that gives some text written by the model, from the same random numbers each time."""
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
        """The loss on the validation text, or on some of it; each process reads its share of the streams."""
        reading = self._reading(learnt.settings, part).share(processes.rank, processes.world)
        return evaluate(learnt.model, reading(), should_stop=should_stop, total=total)

    def _reading(self, settings: LanguageModelSettings, validation: TextPart) -> TextReading:
        how = settings.training
        resets = settings.tokens.reset_at_documents
        return TextReading(
            validation.tokens, how.batch_size, how.chunk_length, how.max_validation_tokens, reset_at_documents=resets
        )

    def _readings(self, settings: LanguageModelSettings, splits: Splits[TextPart]) -> dict[str, TextReading]:
        """The texts that the network is scored on, by the name of the part."""
        found = {"validation": self._reading(settings, splits.validation)}
        if len(splits.test):
            resets = settings.tokens.reset_at_documents
            found["test"] = TextReading(splits.test.tokens, WHOLE_ROWS, WHOLE_STEPS, reset_at_documents=resets)
        return found

    def finish(self, learnt: LearntLanguage | None, finished: Finished) -> LanguageModelResult:
        """Compares the network with simpler models that have seen as much of the text, and lets it write a sample."""
        if learnt is None:
            return LanguageModelResult(finished.run, finished.outcome)
        settings, model, progress = learnt.settings, learnt.model, finished.progress
        loss = finished.outcome.counters.best
        assert loss is not None  # every run that ends by its budget has been evaluated
        sample = model.generate(length=SAMPLE_END, temperature=TEMPERATURE, seed=settings.seed)
        readings = self._readings(settings, finished.splits)
        texts, test = {"validation": finished.splits.validation.tokens, "test": finished.splits.test.tokens}, None
        if "test" in readings:
            progress.say("reading the test text ...")
            found = evaluate(model.to(choose_device(settings.device)), readings["test"]())
            assert found is not None  # it is not asked to stop
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
        """The model itself, which writes and scores texts; printed, it tells of its run."""
        learnt.model.about = about(self, learnt.settings, learnt.model, learnt.folder).text("run")
        return learnt.model

    def judge(self, learnt: LearntLanguage, part: TextPart, examples: Any, *, final: bool) -> TextJudge:
        """A judge that turns the loss into every unit."""
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
        """Reads the text in long streams, or in one stream if the model adapts to it."""
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
        """Asks why the next token comes: a text is one example."""
        from ostinato.recipes.lm.explained import question

        yield question(learnt, part, target)

    def answers(self, learnt: LearntLanguage, part: TextPart, batch: Any) -> list[dict[str, Any]]:
        """Not used: there are no answers, and `Trained` says so before it asks."""
        raise NotImplementedError(self.no_answers)
