"""The answers of `ostinato predict` for the inputs in a request.

| task | an input |
| --- | --- |
| classify | a text; for images a picture in base64, or rows of pixels (0 black, 1 white); for recordings as for tag |
| tag | a text, or a list of words; for source code a text; for recordings `{"values": [...]}` (steps), and "times" |
| translate | a text |
| caption | a picture in base64 |
| transcribe | for pictures of lines a picture in base64; for recordings as for tag |
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

from ostinato.data.recordings.pictures import recording_of
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.captions import Captioned
from ostinato.data.records.conll import Sentence
from ostinato.data.records.images import Images
from ostinato.data.records.pairs import Pair, Pairs
from ostinato.data.sources.syntax import Highlighted
from ostinato.data.sources.tables import Example
from ostinato.errors import DataError
from ostinato.recipes.tag.reading import plain_sentences
from ostinato.serving.answers.pictures import grey_of, images_of
from ostinato.serving.answers.recordings import recordings_of
from ostinato.serving.answers.series import part_of, track_of
from ostinato.serving.errors import BadRequestError, TooLargeError

MOST_INPUTS = 10_000
MOST_PICTURES = 256
MOST_FOLLOWED = 64  # texts in the beam of a transcriber
READ, WRITTEN, DRAWN = (
    4,
    64,
    256,
)  # limits as multiples of the tokens of a request: for all inputs, for what beams write, for the paths of forecasts


def answers(trained: Any, inputs: list[Any], options: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """Return the answers, one for each input.

    Args:
        trained: the model of a run.
        inputs: N inputs.
        options: how to answer, as `--options` of the command.
        most: how many characters, words or values an input may have.

    Raises:
        BadRequestError, TooLargeError: an input is not what the model reads.
        OstinatoError: an option is wrong, or the model cannot answer.
    """
    if trained.task.no_answers:
        raise BadRequestError("a language model writes rather than predicts: ask /v1/completions, or its /generate")
    if len(inputs) > MOST_INPUTS:
        raise TooLargeError(f"inputs: expected at most {MOST_INPUTS}, got {len(inputs)}", param="inputs")
    _check_size(trained, inputs, most)
    part_for = _PARTS.get(trained.task.name)
    if part_for is None:
        raise BadRequestError(f"the task {trained.task.name} is none that inputs of a request can be read for")
    _check_files(trained, options)
    asked = copy.copy(trained).answer_with(options)
    if trained.task.name == "transcribe" and asked.answering.beam > MOST_FOLLOWED:
        raise TooLargeError(
            f"options.beam: expected at most {MOST_FOLLOWED}, got {asked.answering.beam}; follow fewer texts",
            param="options",
        )
    if trained.task.name in ("translate", "caption"):
        _check_written(asked, inputs, most)
    if (
        trained.task.name == "forecast"
        and inputs
        and all(isinstance(each, Mapping) and "values" not in each for each in inputs)
    ):
        part = _table(asked, inputs)
    elif not inputs:
        return []
    else:
        part = part_for(asked, inputs, most)
    if trained.task.name == "forecast":
        _check_drawn(asked, len(part.tracks), most)
    return asked.predict(part)


def _check_files(trained: Any, options: Mapping[str, Any]) -> None:
    """Refuse options that name files, because a client must not open files of this machine."""
    for name in ("language_model", "lexicon") if trained.task.name == "transcribe" else ():
        if options.get(name) is not None:
            raise BadRequestError(
                f"options.{name}: expected none, as it names a file of the server; use ostinato predict",
                param="options",
            )


def _check_size(trained: Any, inputs: list[Any], most: int) -> None:
    """Check the size of all inputs together; each single input is checked elsewhere."""
    has_pictures = (
        trained.task.name == "caption"
        or (trained.task.name == "classify" and trained.known.row is not None)
        or (trained.task.name == "transcribe" and trained.known.height is not None)
    )
    pictures = sum(isinstance(each, str) for each in inputs) if has_pictures else 0
    if pictures > MOST_PICTURES:
        raise TooLargeError(
            f"inputs: expected at most {MOST_PICTURES} pictures, got {pictures}; send less at once", param="inputs"
        )
    size = sum(_size(each) for each in inputs if not (has_pictures and isinstance(each, str)))
    if size > READ * most:
        raise TooLargeError(
            f"inputs: expected at most {READ * most} characters, words or values in all, got {size}; send less at once",
            param="inputs",
        )


def _size(given: Any) -> int:
    if isinstance(given, Mapping):
        given = given.get("values")
    return len(given) if isinstance(given, str | list) else 1


def _check_written(asked: Any, inputs: list[Any], most: int) -> None:
    """Check the number of tokens that all hypotheses of a beam may have."""
    how = asked.answering
    read = sum(len(each) for each in inputs if isinstance(each, str)) if asked.task.name == "translate" else 0
    written = len(inputs) * how.max_length if how.max_length is not None else 2 * read + 10 * len(inputs)
    if how.beam * written > WRITTEN * most:
        raise TooLargeError(
            f"options.beam: expected at most {WRITTEN * most} tokens of all hypotheses, got {how.beam} times {written}; send less "
            "at once, or lower beam or max_length",
            param="options",
        )


def _check_drawn(asked: Any, count: int, most: int) -> None:
    """Check the number of steps that all paths of a forecast have."""
    horizon, samples = asked.answering.horizon or asked.known.horizon, asked.answering.samples
    if samples * horizon * count > DRAWN * most:
        raise TooLargeError(
            f"options.samples: expected at most {DRAWN * most} steps of all paths, got {samples} times {horizon} times {count}; "
            "send less at once, or lower samples or horizon",
            param="options",
        )


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
    if known.scaling is not None:
        return recordings_of(known.scaling, inputs, most)
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
    if trained.known.scaling is not None:
        return recordings_of(trained.known.scaling, inputs, most)
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


def _transcribe(trained: Any, inputs: list[Any], most: int) -> Any:
    known = trained.known
    if known.height is None:
        return recordings_of(known.scaling, inputs, most)
    found: list[Recording] = []
    for each in inputs:
        pixels = grey_of(each)
        columns = pixels.shape[1] * known.height // len(pixels)  # after scaling, by which a low picture becomes wide
        if columns * known.height > READ * most:
            limit = READ * most // known.height
            raise TooLargeError(
                f"input: expected a line of at most {limit} columns where it is {known.height} pixels high, got {columns}",
                param="input",
            )
        found.append(recording_of(pixels, known.height, "", None))
    return Recordings(known.scaling.channels, tuple(found))


def caption_images(known: Any, inputs: list[Any]) -> Images:
    """Read pictures in the form that a captioner needs."""
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
    """Read the rows of a table by writing them into a file and reading this."""
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
    "transcribe": _transcribe,
    "forecast": _forecast,
}
