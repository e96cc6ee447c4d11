"""What is trained, with the models and rows that `ostinato train` has by default, on data that a formula makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from benchmarks.tables import rows_of
from ostinato.data import Streams, Tokens
from ostinato.data.tokens.vocabulary import CharVocabulary, Vocabulary, WordVocabulary
from ostinato.models import LanguageModel
from ostinato.recipes.forecast import tables
from ostinato.recipes.forecast.settings import ForecastSettings
from ostinato.recipes.forecast.task import Forecast
from ostinato.recipes.lm.settings import ModelSettings
from ostinato.recipes.trained import Trained, read_splits
from ostinato.training.loop.evaluation import never
from ostinato.training.run.settings import TrainingSettings, UpdateSettings

CHARACTERS, WORDS = 100, 10_000
VALIDATION_TOKENS = TrainingSettings().max_validation_tokens or 0
_TOKENS = 400_000
_SERIES, _DAYS = 100, 400


@dataclass(frozen=True)
class Prepared:
    """What a process trains.

    Attributes:
        model: the same in every process.
        batches: of a process: of how many rows in all, its rank, how many processes.
        items: tokens or steps in a row that the loss looks at.
        settings: how to train.
        evaluate: one evaluation of the model as every process makes it, whatever their number; None where they share it.
    """

    model: nn.Module
    batches: Callable[[int, int, int], Any]
    items: int
    settings: UpdateSettings
    evaluate: Callable[[], object] | None = None


@dataclass(frozen=True)
class Kind:
    """A workload by its name.

    Attributes:
        title: in words.
        rows: of one process, whose steps are timed; two and four processes are compared with the middle ones.
        steps: so many are timed in a round.
        prepare: makes it; given a folder for its data.
    """

    title: str
    rows: tuple[int, ...]
    steps: int
    prepare: Callable[[Path], Prepared]


def _language(vocabulary: Vocabulary) -> Prepared:
    how = TrainingSettings()
    ids = np.random.default_rng(0).integers(0, len(vocabulary), _TOKENS).astype(vocabulary.dtype)
    tokens = Tokens(ids, np.zeros(1, dtype=np.int64), characters=_TOKENS, words=_TOKENS)
    torch.manual_seed(0)
    return Prepared(
        LanguageModel(vocabulary, **asdict(ModelSettings())),
        lambda rows, rank, world: Streams(tokens, rows, how.chunk_length).share(rank, world),
        how.chunk_length,
        how,
    )


def _characters(folder: Path) -> Prepared:
    return _language(CharVocabulary("".join(map(chr, range(33, 33 + CHARACTERS)))))


def _words(folder: Path) -> Prepared:
    return _language(WordVocabulary([f"w{number}" for number in range(WORDS)]))


def _forecast(folder: Path) -> Prepared:
    data = folder / "sales.parquet"
    if not data.exists():
        place = np.arange(_SERIES * _DAYS)
        unfinished = folder / "sales.unfinished"
        rows_of(place // _DAYS, place % _DAYS).write_parquet(unfinished)
        unfinished.rename(data)
    task, settings = Forecast(), ForecastSettings(data=str(data))
    with _mapped():
        splits = read_splits(task, settings)
    known = task.learn(settings, splits.train)
    examples = task.examples(settings, known, splits.train)
    validation = task.examples(settings, known, splits.validation)
    torch.manual_seed(0)
    model = task.build(settings, known)

    def evaluate() -> object:
        trained, judged = Trained(task, settings, known, model, folder), splits.validation
        judge = task.judge(trained, judged, validation, final=False)
        return task.judged(trained, judge, validation, should_stop=never, on_batch=None)

    def batches(rows: int, rank: int, world: int) -> Any:
        return task.batches(of_rows(settings, rows), examples, rank=rank, world=world)

    return Prepared(model, batches, known.horizon + known.context, settings.training, evaluate)


def of_rows(settings: ForecastSettings, rows: int) -> ForecastSettings:
    """The same with another size of the batch."""
    return replace(settings, training=replace(settings.training, batch_size=rows))


@contextmanager
def _mapped() -> Iterator[None]:
    """A table of any size is mapped, as a large one is."""
    with patch.object(tables, "is_large", lambda data: True):
        yield


KINDS = {
    "characters": Kind("`lm` of characters", (6, 12, 24, 48), 10, _characters),
    "words": Kind("`lm` of 10,000 words", (2, 4, 8, 16), 5, _words),
    "forecast": Kind("`forecast`", (8, 16, 32, 64), 15, _forecast),
}
