"""The language model recipe: text in; a model, its figures beside simpler models', and a sample out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console

from ostinato.data.corpus import Corpus, open_corpus
from ostinato.data.prefetch import Prefetch
from ostinato.data.streams import Streams
from ostinato.data.vocabulary import load_vocabulary, vocabulary_class
from ostinato.recipes.comparison import baselines
from ostinato.recipes.figures import Figures, figures
from ostinato.recipes.reading import Reading
from ostinato.recipes.runs import build_model, load_model
from ostinato.recipes.session import for_the_record, opened
from ostinato.recipes.settings import LanguageModelSettings
from ostinato.recipes.watching import ROWS, STEPS, watching
from ostinato.training.distributed import Processes
from ostinato.training.files import write_json
from ostinato.training.fingerprint import fingerprint
from ostinato.training.loop import Outcome, fit
from ostinato.training.progress import Progress
from ostinato.training.run_folder import RunFolder

SAMPLE_LINE = 80  # tokens at an evaluation
SAMPLE_END = 600  # tokens at the end
TEMPERATURE = 0.8  # of samples; at 1 a young model's mistakes pile up


@dataclass(frozen=True)
class Result:
    """What training gave.

    Args:
        run: the folder.
        outcome: how it ended; after "interrupted" and "pruned" the rest is empty.
        network: of the best weights, on the validation text.
        baselines: of simpler models, by name, on the same text.
        sample: text that the model wrote.
    """

    run: RunFolder
    outcome: Outcome
    network: Figures | None = None
    baselines: Mapping[str, Figures] = field(default_factory=dict)
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
    data_fingerprint = fingerprint(corpus.train.ids)

    def create() -> None:
        if settings.resume:
            run.check_data(data_fingerprint)  # before config.yaml names the wrong text
        run.create(for_the_record(settings, run, settings.training))
        with run.writing():
            corpus.vocabulary.save(run.path)

    processes.first(create)
    progress.characters_per_token = corpus.train.characters / len(corpus.train)
    progress.validation_characters_per_token = corpus.validation.characters / len(corpus.validation)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    progress.say(
        f"{corpus.name}: {len(corpus.train):,} {settings.tokens.kind} tokens to train on, {len(corpus.validation):,} to "
        f"validate, {len(corpus.vocabulary):,} different; {parameters:,} parameters; run folder {run}"
    )
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
    return _finish(settings, corpus, streams, validation, outcome, run, progress)


def _finish(
    settings: LanguageModelSettings,
    corpus: Corpus,
    streams: Streams,
    validation: Reading,
    outcome: Outcome,
    run: RunFolder,
    progress: Progress,
) -> Result:
    loss = outcome.counters.best
    assert loss is not None  # no budget ends without an evaluation
    sample = load_model(run.path).generate(length=SAMPLE_END, temperature=TEMPERATURE, seed=settings.seed)
    seen = streams.seen(streams.chunks_per_epoch if outcome.counters.epoch else streams.position)
    progress.say("training simpler models on the same text, to compare ...")
    losses = baselines(seen, validation.runs(), len(corpus.vocabulary), settings.baselines)
    compared = {name: figures(nats, validation.predicted, corpus.validation) for name, nats in losses.items()}
    result = Result(run, outcome, figures(loss, validation.predicted, corpus.validation), compared, sample)
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
        validation_share=settings.tokens.validation_share,
        folder=run.path,
        vocabulary=vocabulary_class(vocabulary["kind"]).from_dict(vocabulary),
    )


def _open(settings: LanguageModelSettings, run: RunFolder, progress: Progress) -> Corpus:
    tokens = settings.tokens
    with progress.running():
        return open_corpus(
            settings.data,
            kind=tokens.kind,
            vocabulary_size=tokens.vocabulary_size,
            validation_share=tokens.validation_share,
            folder=run.path,
            # A run that goes on keeps its vocabulary, even if the text has changed.
            vocabulary=load_vocabulary(run.path) if settings.resume else None,
            on_progress=progress.show_reading,
        )
