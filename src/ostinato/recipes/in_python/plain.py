"""Plain values to predict for: texts, token lists, recordings, images. One gives one example, a list gives several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings, check_channels
from ostinato.errors import DataError
from ostinato.recipes.in_python.kinds import is_list, is_picture, items_of, numbers_of, told


def wrong(expected: str, given: Any) -> DataError:
    """The error for values that the model does not read."""
    if isinstance(given, str):
        return DataError(
            f"expected {expected}, got {told(given)}; of a file give pathlib.Path({given[:80]!r}) or data={given[:80]!r}"
        )
    return DataError(f"expected {expected}, or a file as pathlib.Path or data=..., got {told(given)}")


def texts_in(given: Any, what: str = "a text") -> tuple[list[str], bool]:
    """Reads texts, and says whether it is one text.

    Args:
        given: a text; a list or column of texts, or of lists of tokens, which are joined by blanks.
        what: what one text is called.

    Raises:
        DataError: the values are something else.
    """
    if isinstance(given, str):
        return [given], True
    if not is_list(given):
        raise wrong(f"{what} or a list of such", given)
    found: list[str] = []
    for each in items_of(given):
        if isinstance(each, str):
            found.append(each)
        elif (words := tokens_in(each)) is not None:
            found.append(" ".join(words))
        else:
            raise wrong(f"{what} or a list of such", each)
    return found, False


def tokens_in(given: Any) -> list[str] | None:
    """The tokens of a list of texts; None for anything else."""
    if not is_list(given):
        return None
    items = items_of(given)
    return items if all(isinstance(each, str) for each in items) else None


def may_be_recordings(given: Any) -> bool:
    """Whether values are of a kind that `recordings_in` takes, rather than what a task has read already."""
    if isinstance(given, Recordings | Recording | Mapping) or numbers_of(given) is not None:
        return True
    each: list[Any] = items_of(given) if is_list(given) else []
    return bool(each) and all(isinstance(one, Recording | Mapping) or numbers_of(one) is not None for one in each)


def recordings_in(given: Any, channels: Sequence[str]) -> tuple[Recordings, bool]:
    """Reads recordings with the channels of training, and says whether it is one recording.

    Args:
        given: numbers (T, C), or (T,) for one channel; (N, T, C), or (N, T) for one channel; a list of these of any
            lengths; a mapping with values, and with times and id if they are known; `Recording`s or `Recordings`.
        channels: the C channels of training.

    Raises:
        DataError: the values are something else.
    """
    if isinstance(given, Recordings):
        return check_channels(given, channels, "the recordings"), False
    numbers, count = numbers_of(given), len(channels)
    if numbers is not None and numbers.ndim:
        shape = numbers.shape
        if count == 1 and (numbers.ndim == 1 or (numbers.ndim == 2 and shape[1] != 1)):
            numbers = numbers[..., None]
        if numbers.ndim == 2 and numbers.shape[1] == count and len(numbers):
            return Recordings(tuple(channels), (_recording(numbers, "1"),)), True
        if numbers.ndim == 3 and numbers.shape[2] == count and numbers.shape[1]:
            items = tuple(_recording(each, str(at)) for at, each in enumerate(numbers, start=1))
            return Recordings(tuple(channels), items), False
        if not (isinstance(given, list | tuple) and not shape[0]):
            raise wrong(_expected(channels), given)
    if isinstance(given, Recording | Mapping):
        return Recordings(tuple(channels), (_one(given, channels, 1),)), True
    if not is_list(given):
        raise wrong(_expected(channels), given)
    return Recordings(
        tuple(channels), tuple(_one(each, channels, at) for at, each in enumerate(items_of(given), 1))
    ), False


def _expected(channels: Sequence[str]) -> str:
    shape = "(T,)" if len(channels) == 1 else f"(T, {len(channels)})"
    return f"recordings as numbers {shape} of {', '.join(channels)}, T steps each"


def _one(given: Any, channels: Sequence[str], number: int) -> Recording:
    if isinstance(given, Recording):
        if given.values.ndim != 2 or given.values.shape[1] != len(channels):
            raise wrong(_expected(channels), given.values)
        return given
    if isinstance(given, Mapping):
        if unknown := sorted(set(map(str, given)) - {"values", "times", "id"}):
            raise DataError(f"expected a recording with values, times and id, got {unknown[0]!r} too; leave it out")
        inside, is_one = recordings_in(given.get("values"), channels)
        if not is_one:
            raise wrong(_expected(channels), given.get("values"))
        values, times = inside[0].values, given.get("times")
        steps = None if times is None else numbers_of(times)
        if times is not None and (steps is None or steps.shape != (len(values),) or (np.diff(steps) <= 0).any()):
            raise DataError(f"times: expected {len(values)} increasing numbers, got {told(times)}")
        steps = None if steps is None else steps.astype(np.float64)
        return Recording(str(given.get("id", number)), values, times=steps)
    found, is_one = recordings_in(given, channels)
    if not is_one:
        raise wrong(_expected(channels), given)
    return Recording(str(number), found[0].values)


def _recording(values: np.ndarray, id: str) -> Recording:
    if np.isinf(values).any():
        raise DataError(f"recording {id}: expected finite numbers, or NaN where one is missing, got an infinite one")
    return Recording(id, values.astype(np.float32))


def pixels_in(given: Any, expected: str, axes: Sequence[int]) -> tuple[list[Any], bool]:
    """Reads images as a list of Pillow's images or arrays, and says whether it is one image.

    Args:
        given: an image of Pillow, or an array with as many axes as one image has; a list of these, or an array with one
            axis more.
        expected: what was expected, for the message.
        axes: the numbers of axes that the array of one image may have.

    Raises:
        DataError: the values are something else.
    """
    if is_picture(given):
        return [given], True
    numbers = numbers_of(given)
    if numbers is not None and numbers.ndim in axes:
        return [numbers], True
    if numbers is not None and numbers.ndim - 1 in axes:
        return list(numbers), False
    if (numbers is not None and len(numbers)) or not is_list(given):
        raise wrong(expected, given)
    found = [each if is_picture(each) else numbers_of(each) for each in items_of(given)]
    for each, read in zip(items_of(given), found, strict=True):
        if read is None or (isinstance(read, np.ndarray) and read.ndim not in axes):
            raise wrong(expected, each)
    return found, False
