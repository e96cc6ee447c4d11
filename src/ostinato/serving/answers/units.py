"""The values of a language model's units over a text, and the units that mean something."""

from __future__ import annotations

import base64
import copy
import threading
from typing import Any

import numpy as np

from ostinato.errors import DataError, OstinatoError
from ostinato.insight.unit_values import Activations, activations
from ostinato.insight.units import meaningful_units
from ostinato.recipes.task import Opening
from ostinato.recipes.trained import read_splits
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.stepping.stepper import shown

_MOST_NUMBERS = 32_000_000  # in an answer: the values of all units over the text
_READ = 6_000  # tokens by which units are ranked
_MULTIPLY_ADDS = 2e10  # for reading these: a few seconds of one core
_BEST = 24
_WATCHING = threading.Lock()  # a watched model records everything that is read with it, so only one thread may watch it
_LEAST_R = 0.2  # a smaller correlation is not visible on the page


def ranked_units(trained: Any) -> list[dict[str, Any]]:
    """Find the units that mean something on the run's validation text: for each meaning the strongest unit, best first.

    The result is empty if that text is not on this machine.
    """
    with _WATCHING:
        model = copy.deepcopy(trained.model)
    weights = sum(p.numel() for p in model.recurrent.parameters())
    steps = int(max(500, min(_READ, _MULTIPLY_ADDS / max(weights, 1))))
    try:
        opening = Opening(trained.folder, trained.known)
        tokens = read_splits(trained.task, trained.settings, opening).validation.tokens
    except (OstinatoError, OSError):
        return []
    text = model.vocabulary.decode(tokens.ids[:steps])
    return [each for each in _best(activations(model, text)) if abs(each["score"]) >= _LEAST_R]


def layers_of(model: Any) -> list[dict[str, Any]]:
    """Return how the units are numbered: through all layers, and within a layer through its states."""
    sizes = model.recurrent._layout.sizes
    found: list[dict[str, Any]] = []
    first = 0
    for layer in range(model.recurrent.num_layers):
        for state in sizes:
            count = sizes[state][layer]
            name = {"name": f"{layer + 1}.{state}", "layer": f"layer {layer + 1}", "state": state}
            found.append({**name, "first": first, "count": count})
            first += count
    return found


def units(trained: Any, text: str, most: int, best: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the values of all units over a text.

    Args:
        trained: a language model.
        text: the text to read.
        most: how many tokens it may have.
        best: the units that mean something, from `ranked_units`; if empty or None, they are found in this text.

    Returns:
        `tokens`: T pieces of the text. `values`: base64 of (T, H) int8, row by row, 127 for 1, mapped by `shown`, so
            that a text
        has the same colours as while it was written. `shape`: T and H. `best`: units that mean something, each with its
        meaning and its Pearson's r, strongest first.

    Raises:
        BadRequestError, TooLargeError: the text has no token, or too many.
    """
    if trained.task.name != "lm":
        raise BadRequestError("expected a language model, whose units read a text", param="model")
    if not isinstance(text, str) or not text:
        raise BadRequestError("text: expected at least one token", param="text")
    model = trained.model
    width = sum(each["count"] for each in layers_of(model))
    count = len(model.vocabulary.encode(text)) if len(text) <= 64 * most else len(text)
    if count > most or count * width > _MOST_NUMBERS:
        raise TooLargeError(
            f"text: expected at most {min(most, _MOST_NUMBERS // width)} tokens, got {count}", param="text"
        )
    try:
        with _WATCHING:
            read = activations(model, text)
    except DataError as error:
        raise BadRequestError(str(error), param="text") from None
    values = np.concatenate([shown(state, v) for _, state, v in read.series()], axis=1)
    small = np.rint(np.nan_to_num(values) * 127.0).astype(np.int8)
    return {
        "tokens": list(read.pieces),
        "values": base64.b64encode(small.tobytes()).decode("ascii"),
        "shape": list(small.shape),
        "best": best or _best(read),
    }


def _best(read: Activations) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for each in meaningful_units(read)[:_BEST]:
        number = each.layer.removeprefix("layer ")
        found.append(
            {
                "unit": f"{number}.{each.state}.{each.unit}",
                "layer": each.layer,
                "state": each.state,
                "number": each.unit,
                "why": each.label.phrase if each.label.is_binary else f"with {each.label.phrase}",
                "score": round(each.r, 4),
            }
        )
    return found
