"""Recordings in requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.recordings.scaling import Scaling
from ostinato.serving.errors import BadRequestError, TooLargeError


def recordings_of(scaling: Scaling, inputs: list[Any], most: int) -> Recordings:
    """Read recordings with the channels of training.

    Args:
        scaling: the scaling, which names the channels.
        inputs: each `{"values": [[...], ...]}`, null where a value is missing, with "times" and "id"; or only the list
            of steps.
        most: how many numbers a recording may have.

    Raises:
        BadRequestError, TooLargeError: an input is no recording, or is too large.
    """
    return Recordings(scaling.channels, tuple(_recording(scaling, each, most) for each in inputs))


def _recording(scaling: Scaling, given: Any, most: int) -> Recording:
    count = len(scaling.channels)
    told = given if isinstance(given, Mapping) else {"values": given}
    if unknown := sorted(set(map(str, told)) - {"values", "times", "id"}):
        raise BadRequestError(
            f"input: expected values, times and id, got {unknown[0]!r} too; leave it out", param="input"
        )
    steps = told.get("values")
    if isinstance(steps, list) and count * len(steps) > most:
        raise TooLargeError(f"input: expected at most {most} numbers, got {count} times {len(steps)}", param="input")
    values = _numbers(steps)
    if values is None or values.ndim != 2 or values.shape[1] != count or not len(values) or np.isinf(values).any():
        raise BadRequestError(
            f"input: expected values, a list of steps with {count} numbers each ({', '.join(scaling.channels)}; null where one is "
            "missing)",
            param="input",
        )
    times = None
    if told.get("times") is not None:
        times = _numbers(told["times"])
        if (
            times is None
            or times.shape != (len(values),)
            or not np.isfinite(times).all()
            or (np.diff(times) <= 0).any()
        ):
            raise BadRequestError(f"input: expected times, {len(values)} increasing numbers", param="input")
    return Recording(str(told.get("id", "")), values, times=times)


def _numbers(given: Any) -> np.ndarray | None:
    if not isinstance(given, list):
        return None
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
