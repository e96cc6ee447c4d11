"""The model of a run as C in a folder: a header, a source, and a card that explains the numbers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from ostinato.data.batches.batches import Batch
from ostinato.errors import DataError
from ostinato.exporting.c import WrittenC, write_c
from ostinato.exporting.c.text import identifier
from ostinato.models.classifying.classifier import Classifier
from ostinato.models.forecasting.forecaster import Forecaster
from ostinato.models.forecasting.windows import SeriesBatch
from ostinato.models.tagging.tagger import Tagger
from ostinato.models.text.language_model import LanguageModel
from ostinato.recipes.exporting.exported import refuse_extras
from ostinato.recipes.exporting.whole_folder import CARD, whole_folder
from ostinato.recipes.task import Opening
from ostinato.recipes.trained import Trained, read_splits
from ostinato.version import __version__

_FORMAT = "ostinato.c"
_NO_EXPORT = "no export to C, and --force writes over such only"
_TOKENS, _ROWS = 2000, 50  # of the validation data, on which the error of int8 is measured: tokens of a text, or rows
Say = Callable[[str], None]


def export_run(
    trained: Trained[Any, Any, Any, Any],
    folder: Path,
    *,
    weights: str | None = None,
    force: bool = False,
    say: Say = print,
) -> None:
    """Writes `TASK.h`, `TASK.c` and `card.json`, the folder complete or not at all.

    Args:
        trained: the model of a run.
        folder: the folder to write; missing folders above it are made.
        weights: "int8", whose error is measured on the run's validation data; None for float32.
        force: overwrite an export to C.
        say: prints a line for people.

    Raises:
        ConfigError: the model cannot be written in C, and the message says why; or the folder exists, or is no export
            to C.
    """
    refuse_extras(getattr(trained.known, "scaling", None))
    trained.model.eval()
    name, kind = identifier(trained.task.name.replace("-", "_")), weights or "float32"
    with whole_folder(folder, _FORMAT, _NO_EXPORT, force=force) as partial:
        inputs = _validation(trained, say) if weights == "int8" else None
        written = write_c(trained.model, name, partial, weights=cast(Any, kind), inputs=inputs)
        card = json.dumps(_card(trained, name, kind, written), ensure_ascii=False, indent=1)
        (partial / CARD).write_text(card + "\n", encoding="utf-8")
    sizes = f"{written.constant_bytes:,} bytes of weights, {written.state_bytes:,} of a state"
    say(f"{name}.h, {name}.c: {sizes}, {written.work_bytes:,} on the stack for a step")
    if written.error is not None:
        say(f"error of int8 weights: {written.error}")
    say(f"{folder}: gcc -std=c99 -O2 -c {folder / name}.c")


def _card(trained: Trained[Any, Any, Any, Any], name: str, weights: str, written: WrittenC) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": 1,
        "ostinato": __version__,
        "task": trained.task.name,
        "name": name,
        "weights": weights,
        "bytes": {
            "weights": written.constant_bytes,
            "state": written.state_bytes,
            "stack of a step": written.work_bytes,
        },
        "error": None if written.error is None else dataclasses.asdict(written.error),
        **_meanings(trained.model, trained.known),
    }


def _meanings(model: Any, known: Any) -> dict[str, Any]:
    """What the model's inputs and outputs stand for."""
    match model:
        case LanguageModel():
            return {"vocabulary": model.vocabulary.to_dict()}
        case Classifier():
            vocabulary = None if known.vocabulary is None else known.vocabulary.to_dict()
            if known.scaling is not None:
                return {"classes": list(known.classes), "scaling": known.scaling.to_dict()}
            pixels = {name: getattr(known, name) for name in ("white", "mean", "deviation")}
            return {"classes": list(known.classes), "vocabulary": vocabulary, "pixels": pixels}
        case Tagger():
            if known.scaling is not None:
                return {"tags": list(known.tags), "scaling": known.scaling.to_dict()}
            return {"tags": list(known.tags), "characters": known.characters.to_dict()}
        case Forecaster():
            covariates = {name: [list(each) for each in getattr(known, name)] for name in ("known", "observed")}
            return {"series": list(known.ids), "step": known.step, **covariates}
        case _:
            return {}


def _validation(trained: Trained[Any, Any, Any, Any], say: Say) -> list[Any] | None:
    """Sequences of the validation data; None if they cannot be read any more."""
    try:
        part = read_splits(trained.task, trained.settings, Opening(trained.folder, trained.known)).validation
    except (DataError, OSError) as error:
        told = " ".join(str(error).split())
        say(f"validation data cannot be read, so the error of int8 is measured on random inputs: {told}")
        return None
    if isinstance(trained.model, LanguageModel):
        return [torch.from_numpy(part.tokens.ids[:_TOKENS].astype(np.int64))]
    examples: Any = trained.task.examples(trained.settings, trained.known, part)
    batch = examples.batch(np.arange(min(_ROWS, len(examples.lengths))))
    rows = range(len(batch.rows))
    if isinstance(trained.model, Forecaster):
        return [_series(batch, row) for row in rows]
    lengths = [len(batch.input)] * len(rows) if batch.lengths is None else batch.lengths.tolist()
    return [batch.input[:length, row] for row, length in zip(rows, lengths, strict=True) if length]


def _series(batch: Batch, row: int) -> dict[str, torch.Tensor]:
    """The inputs of a forecaster for the past of one window, a value at a time."""
    assert isinstance(batch, SeriesBatch)
    count = int(batch.past[row])
    found = {"x": _before(batch.input[:count, row]), "past": batch.input[:count, row]}
    if batch.known is not None and batch.known.shape[2]:
        found["known"] = batch.known[: count + 1, row]
    if batch.observed is not None and batch.observed.shape[2]:
        found["observed"] = _before(batch.observed[:count, row])
    if batch.series is not None:
        found["series"] = batch.series[row].expand(count + 1)
    return found


def _before(v: torch.Tensor) -> torch.Tensor:
    """Shifts each step's value to the next step; the first step gets NaN."""
    return torch.cat([torch.full_like(v[:1], torch.nan), v])
