"""Facts about a model for clients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ostinato.errors import OstinatoError
from ostinato.recipes.task import Opening
from ostinato.recipes.trained import read_splits
from ostinato.serving.answers.units import layers_of

_EXAMPLES, _VALUES = 3, 200  # how many series are shown, and how many values of each
_LEVELS = (50, 80, 95)


def about(trained: Any) -> dict[str, Any]:
    """Return facts about a model: its size, and the form of its inputs and answers."""
    found = {"parameters": sum(p.numel() for p in trained.model.parameters())}
    tell = {
        "lm": _lm,
        "classify": _classify,
        "tag": _tag,
        "translate": _looks,
        "caption": _caption,
        "forecast": _forecast,
        "transcribe": _transcribe,
    }
    more = tell.get(trained.task.name)
    return found if more is None else {**found, **more(trained)}


def _lm(trained: Any) -> dict[str, Any]:
    vocabulary = trained.model.vocabulary
    return {"tokens": vocabulary.kind, "vocabulary": len(vocabulary), "units": layers_of(trained.model)}


def _classify(trained: Any) -> dict[str, Any]:
    known = trained.known
    classes = list(known.classes)
    if known.scaling is not None:
        return {"classes": classes, "input": "recording", "channels": list(known.scaling.channels)}
    if known.vocabulary is not None:
        return {"classes": classes, "input": "text", "tokens": known.vocabulary.kind}
    image = {"height": known.row, "width": known.row, "channels": 1}
    return {"classes": classes, "input": "image", "image": image, "dark_ink": bool(known.mean < 0.5)}


def _tag(trained: Any) -> dict[str, Any]:
    known = trained.known
    if known.scaling is not None:
        return {"tags": list(known.tags), "input": "recording", "channels": list(known.scaling.channels)}
    return {"tags": list(known.tags), "input": "text" if known.words is None else "words"}


def _looks(trained: Any) -> dict[str, Any]:
    return {"attention": trained.model.decoder.attention_layer is not None}


def _caption(trained: Any) -> dict[str, Any]:
    return {**_looks(trained), "image": trained.known.shape._asdict()}


def _transcribe(trained: Any) -> dict[str, Any]:
    known = trained.known
    if known.height is None:
        return {"input": "recording", "channels": list(known.scaling.channels)}
    return {"input": "image", "image": {"height": known.height}}


def _forecast(trained: Any) -> dict[str, Any]:
    known = trained.known
    return {
        "horizon": known.horizon,
        "levels": list(_LEVELS),
        "series": list(known.ids),
        "calendar": bool(known.cycles),
        "step": known.step,
        "known": [name for name, *_ in known.known],
        "observed": [name for name, *_ in known.observed],
        "examples": [] if known.known or known.observed else _series(trained),
    }


def _series(trained: Any) -> list[dict[str, Any]]:
    """Return the ends of some series of the run's training data; nothing if the data are not on this machine."""
    try:
        tracks = read_splits(trained.task, trained.settings, Opening(trained.folder, trained.known)).train.tracks
    except (OstinatoError, OSError):
        return []
    found: list[dict[str, Any]] = []
    for track in tracks[:_EXAMPLES]:
        values, first = track.values[-_VALUES:], track.times[-_VALUES:][0]
        is_dated = np.asarray(first).dtype.kind == "M"
        start = str(first.astype("datetime64[s]")).removesuffix("T00:00:00") if is_dated else int(first)
        told = [None if np.isnan(each) else float(each) for each in values]
        found.append({"series": track.id or None, "values": told, "start": start})
    return found
