"""The language model recipe: text in; a model, its figures beside simpler models', and a sample out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape

from ostinato.data.corpus import Corpus, open_corpus
from ostinato.data.prefetch import Prefetch
from ostinato.data.streams import Streams
from ostinato.data.vocabulary import load_vocabulary, vocabulary_class
from ostinato.recipes.comparison import baselines
from ostinato.recipes.figures import WHOLE_ROWS, WHOLE_STEPS, Figures, figures
from ostinato.recipes.reading import Reading
from ostinato.recipes.runs import build_model, load_model
from ostinato.recipes.session import for_the_record, opened
from ostinato.recipes.settings import LanguageModelSettings
from ostinato.recipes.watching import ROWS, STEPS, watching
from ostinato.training.device import choose_device
from ostinato.training.distributed import Processes
from ostinato.training.evaluation import evaluate
from ostinato.training.files import write_json
from ostinato.training.fingerprint import fingerprint
from ostinato.training.loop import Outcome, fit
from ostinato.training.progress import Progress
from ostinato.training.run_folder import RunFolder

SAMPLE_LINE = 80  # tokens at an evaluation
SAMPLE_END = 600  # tokens at the end
_COUNTED = 2**24  # ids at once
TEMPERATURE = 0.8  # of samples; at 1 a young model's mistakes pile up


@dataclass(frozen=True)
class Result:
    """What training gave.

    Args:
        run: the folder.
        outcome: how it ended; after "interrupted" and "pruned" the rest is empty.
        network: of the best weights, on the validation text.
        baselines: of simpler models, by name, on the same text.
        test: of the best weights, on the test text; None where there is none.
        test_baselines: of simpler models, by name, on the test text.
        sample: text that the model wrote.
    """

    run: RunFolder
    outcome: Outcome
    network: Figures | None = None
    baselines: Mapping[str, Figures] = field(default_factory=dict)
    test: Figures | None = None
    test_baselines: Mapping[str, Figures] = field(default_factory=dict)
    sample: str = ""


def train(
    settings: LanguageModelSettings,
    console: Console | None = None,
    on_evaluation: Callable[[int, float], bool | None] | None = None,
) -> Result:
    """Trains a language model, or goes on training it, and compares it with simpler ones.

    Args:
        settings: all of them; without a budget, training takes 85 seconds.
        console: where progress goes; standard output by default.
        on_evaluation: called after each evaluation with the step and the validation loss in nats a token; True ends the run there,
            without the comparison.

    Raises:
        OstinatoError: settings, data or run folder are not right, or the loss diverged; the message says what to do.
    """
    with opened(settings, lambda quiet: Progress(quiet=quiet, console=console)) as session:
        return _train(settings, session.run, session.progress, on_evaluation, session.processes)


def _train(
    settings: LanguageModelSettings,
    run: RunFolder,
    progress: Progress,
    on_evaluation: Callable[[int, float], bool | None] | None,
    processes: Processes,
) -> Result:
    corpus = _open_everywhere(settings, run, progress, processes)
    torch.manual_seed(settings.seed)
    model = build_model(settings, corpus.vocabulary)
    how, resets = settings.training, settings.tokens.reset_at_documents
    streams = Streams(
        corpus.train,
        how.batch_size,
        how.chunk_length,
        reset_at_documents=resets,
        vary_length=how.vary_length,
        seed=settings.seed,
        rank=processes.rank,
        world=processes.world,
    )
    validation = Reading(
        corpus.validation, how.batch_size, how.chunk_length, how.max_validation_tokens, reset_at_documents=resets
    )
    readings = {"validation": validation}
    if len(corpus.test):  # made now, as a text that is too short should not be told after training
        readings["test"] = Reading(corpus.test, WHOLE_ROWS, WHOLE_STEPS, reset_at_documents=resets)
    data_fingerprint = fingerprint(corpus.train.ids, corpus.validation.ids)

    def create() -> None:
        if settings.resume:
            run.check_data(data_fingerprint, "text")  # before config.yaml names the wrong text
        run.create(for_the_record(settings, run, settings.training, "reading.validation", "reading.test"))
        with run.writing():
            corpus.vocabulary.save(run.path)

    processes.first(create)
    progress.characters_per_token = corpus.train.characters / len(corpus.train)
    progress.validation_characters_per_token = corpus.validation.characters / len(corpus.validation)
    progress.shows_perplexity = settings.tokens.kind in ("word", "bpe")
    _tell(corpus, settings, sum(parameter.numel() for parameter in model.parameters()), run, progress)
    # Only a mapped text can keep the model waiting; of one in memory a chunk is a copy of some kilobytes.
    ahead = Prefetch(streams) if isinstance(corpus.train.ids, np.memmap) else streams
    outcome = fit(
        model,
        ahead,
        validation.share(processes.rank, processes.world),
        run=run,
        settings=how,
        processes=processes,
        resume=settings.resume,
        progress=progress,
        on_evaluation=on_evaluation,
        on_step=watching(model, lambda: next(Reading(corpus.train, ROWS, STEPS)()), settings, how, processes),
        data_fingerprint=data_fingerprint,
        sample=lambda: model.generate(length=SAMPLE_LINE, temperature=TEMPERATURE, seed=settings.seed),
    )
    if isinstance(ahead, Prefetch):
        ahead.close()
    if outcome.ending in ("interrupted", "pruned") or not processes.is_first:
        return Result(run, outcome)
    return _finish(settings, corpus, streams, readings, outcome, run, progress)


def _tell(corpus: Corpus, settings: LanguageModelSettings, parameters: int, run: RunFolder, progress: Progress) -> None:
    """What is trained on what."""
    if corpus.remark is not None:
        progress.say(escape(corpus.remark))
    test = f"{len(corpus.test):,} to test, " if len(corpus.test) else ""
    progress.say(
        escape(
            f"{corpus.name}: {len(corpus.train):,} {settings.tokens.kind} tokens to train on, {len(corpus.validation):,} to "
            f"validate, {test}{len(corpus.vocabulary):,} different; {parameters:,} parameters; run folder {run}"
        )
    )
    unknown = {
        name: count
        for name, part in (("validation", corpus.validation), ("test", corpus.test))
        if (count := count_of(corpus.vocabulary.unknown_id, part.ids))
    }
    if unknown:
        shares = " and ".join(
            f"{count:,} ({count / len(getattr(corpus, name).ids):.2%}) of {name}" for name, count in unknown.items()
        )
        progress.say(f"not in the vocabulary, and so <unk>: {shares} tokens")


def count_of(id: int | None, ids: np.ndarray) -> int:
    """How often an id is among others, block by block: they may be mapped from a file."""
    if id is None:
        return 0
    return sum(int(np.count_nonzero(ids[at : at + _COUNTED] == id)) for at in range(0, len(ids), _COUNTED))


def _finish(
    settings: LanguageModelSettings,
    corpus: Corpus,
    streams: Streams,
    readings: Mapping[str, Reading],
    outcome: Outcome,
    run: RunFolder,
    progress: Progress,
) -> Result:
    loss = outcome.counters.best
    assert loss is not None  # no budget ends without an evaluation
    model = load_model(run.path)
    sample = model.generate(length=SAMPLE_END, temperature=TEMPERATURE, seed=settings.seed)
    texts, test = {"validation": corpus.validation, "test": corpus.test}, None
    if "test" in readings:
        progress.say("reading the test text ...")
        found = evaluate(model.to(choose_device(settings.device)), readings["test"]())
        assert found is not None  # nobody stops it
        test = figures(found.nats_per_token, found.tokens, corpus.test)
    seen = streams.seen(streams.chunks_per_epoch if outcome.counters.epoch else streams.position)
    if settings.baselines.markov_orders or settings.baselines.window:
        progress.say("training simpler models on the same text, to compare ...")
    runs = {part: reading.runs() for part, reading in readings.items()}
    compared = {
        part: {name: figures(nats, readings[part].predicted, texts[part]) for name, nats in losses.items()}
        for part, losses in baselines(seen, runs, len(corpus.vocabulary), settings.baselines).items()
    }
    network = figures(loss, readings["validation"].predicted, corpus.validation)
    result = Result(run, outcome, network, compared["validation"], test, compared.get("test", {}), sample)
    with run.writing():
        write_json(run.path / "report.json", {**dataclasses.asdict(result), "run": str(run)})
    return result


def _open_everywhere(
    settings: LanguageModelSettings, run: RunFolder, progress: Progress, processes: Processes
) -> Corpus:
    """The corpus: made by the first process, then read by the others from what that one has left, or again, in its vocabulary."""
    made: list[Corpus] = []

    def make() -> dict[str, Any]:
        made.append(_open(settings, run, progress))
        return made[0].vocabulary.to_dict() if processes.world > 1 else {}

    vocabulary = processes.first(make)
    if made:
        return made[0]
    return open_corpus(
        settings.data,
        **_parts(settings),
        folder=run.path,
        vocabulary=vocabulary_class(vocabulary["kind"]).from_dict(vocabulary),
    )


def _open(settings: LanguageModelSettings, run: RunFolder, progress: Progress) -> Corpus:
    tokens = settings.tokens
    with progress.running():
        return open_corpus(
            settings.data,
            **_parts(settings),
            kind=tokens.kind,
            vocabulary_size=tokens.vocabulary_size,
            folder=run.path,
            # A run that goes on keeps its vocabulary, even if the text has changed.
            vocabulary=load_vocabulary(run.path) if settings.resume else None,
            on_progress=progress.show_reading,
        )


def _parts(settings: LanguageModelSettings) -> dict[str, Any]:
    """Which text is for what, as `open_corpus` is told."""
    return {**dataclasses.asdict(settings.reading), "validation_share": settings.tokens.validation_share}
