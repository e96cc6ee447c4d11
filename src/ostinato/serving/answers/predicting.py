"""What `ostinato predict` says, about inputs that come in a request.

| task | an input |
| --- | --- |
| classify | a text; of images a picture in base64, or its rows of pixels, black 0 and white 1 |
| tag | a text, or a list of words; of source code a text |
| translate | a text |
| caption | a picture in base64 |
| forecast | `{"values": [...]}`, with "series", "start", "known" and "observed"; or the rows of a table, a list of objects |
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.records.captions import Captioned
from ostinato.data.records.conll import Sentence
from ostinato.data.records.images import Images
from ostinato.data.records.pairs import Pair, Pairs
from ostinato.data.sources.syntax import Highlighted
from ostinato.data.sources.tables import Example
from ostinato.errors import DataError
from ostinato.recipes.tag.reading import plain_sentences
from ostinato.serving.answers.pictures import images_of
from ostinato.serving.answers.series import part_of, track_of
from ostinato.serving.errors import BadRequestError, TooLargeError

MOST_INPUTS = 10_000


def answers(trained: Any, inputs: list[Any], options: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """The answers, one for each input.

    Args:
        trained: the model of a run.
        inputs: N of them.
        options: how to answer.
        most: characters, words or values that an input may have.

    Raises:
        BadRequestError, TooLargeError: an input is not what the model reads.
        OstinatoError: an option is wrong, or the model cannot answer.
    """
    if trained.task.no_answers:
        raise BadRequestError("a language model writes rather than predicts: ask /v1/completions, or its /generate")
    if len(inputs) > MOST_INPUTS:
        raise TooLargeError(f"inputs: expected at most {MOST_INPUTS}, got {len(inputs)}", param="inputs")
    part_for = _PARTS.get(trained.task.name)
    if part_for is None:
        raise BadRequestError(f"the task {trained.task.name} is none that inputs of a request can be read for")
    asked = copy.copy(trained).answer_with(options)
    if (
        trained.task.name == "forecast"
        and inputs
        and all(isinstance(each, Mapping) and "values" not in each for each in inputs)
    ):
        return asked.predict(_table(asked, inputs))
    if not inputs:
        return []
    return asked.predict(part_for(asked, inputs, most))


def _text(given: Any, most: int) -> str:
    if not isinstance(given, str):
        raise BadRequestError("input: expected a text", param="input")
    if len(given) > 64 * most:
        raise TooLargeError(f"input: expected at most {64 * most} characters, got {len(given)}", param="input")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise BadRequestError("input: expected Unicode text, got half of a surrogate pair", param="input") from None
    return given


def _classify(trained: Any, inputs: list[Any], most: int) -> Any:
    known = trained.known
    if known.vocabulary is not None:
        return tuple(Example(_text(each, most), None) for each in inputs)
    found = [_rows(each, known.row) if isinstance(each, list) else None for each in inputs]
    coded = images_of(
        [each for each, rows in zip(inputs, found, strict=True) if rows is None] or [], (known.row, known.row)
    )
    rest = iter(coded.rows() if len(coded) else ())
    pixels = [next(rest) if rows is None else rows for rows in found]
    if len({len(each) for each in pixels}) > 1:
        raise BadRequestError("input: expected images of one height", param="input")
    return Images(np.stack(pixels), None, (), 1.0)


def _rows(given: list[Any], width: int) -> np.ndarray:
    wrong = BadRequestError(f"input: expected rows of {width} pixels each, numbers from 0 to 1", param="input")
    try:
        found = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    if found.ndim != 2 or found.shape[1] != width or not len(found) or not np.isfinite(found).all():
        raise wrong
    return found


def _tag(trained: Any, inputs: list[Any], most: int) -> Any:
    if trained.known.words is None:
        return tuple(Highlighted("", _text(each, most).replace("\r\n", "\n"), None) for each in inputs)
    found: list[Sentence] = []
    for number, each in enumerate(inputs, start=1):
        if isinstance(each, list):
            words = tuple(_text(word, most) for word in each)
            found.append(Sentence(words, (None,) * len(words), number))
        else:
            found.extend(plain_sentences([(number, _text(each, most).replace("\n", " "))]))
    if any(len(each.words) > most for each in found):
        raise TooLargeError(f"input: expected at most {most} words", param="input")
    return tuple(found)


def _translate(trained: Any, inputs: list[Any], most: int) -> Any:
    return Pairs("the request", tuple(Pair(_text(each, most).strip(), "") for each in inputs), (), 0)


def _caption(trained: Any, inputs: list[Any], most: int) -> Any:
    return Captioned(caption_images(trained.known, inputs), ((),) * len(inputs))


def caption_images(known: Any, inputs: list[Any]) -> Images:
    """Pictures as a captioner wants them."""
    shape = known.shape
    return images_of(inputs, (shape.height, shape.width), grey=shape.channels == 1, white=known.deep_white)


def _forecast(trained: Any, inputs: list[Any], most: int) -> Any:
    tracks = []
    for each in inputs:
        if not isinstance(each, Mapping):
            raise BadRequestError(
                'input: expected {"values": [...]}, or the rows of a table, a list of objects', param="input"
            )
        tracks.append(track_of(trained.known, each, "values", most))
    return part_of(trained.known, tuple(tracks))


def _table(trained: Any, rows: list[Any]) -> Any:
    """The rows of a table, read as a file of them is."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "input.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        try:
            return trained.read_part(str(file), labelled=False)
        except DataError as error:
            raise BadRequestError(str(error).replace(str(file), "input").replace(folder, ""), param="input") from None


_PARTS: dict[str, Callable[[Any, list[Any], int], Any]] = {
    "classify": _classify,
    "tag": _tag,
    "translate": _translate,
    "caption": _caption,
    "forecast": _forecast,
}
