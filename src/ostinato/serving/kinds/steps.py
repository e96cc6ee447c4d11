"""The steps of sessions of a model of recordings: raw values, which are scaled here as `Live` does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from ostinato.data.recordings.online import OnlineScaling
from ostinato.data.recordings.scaling import Scaling
from ostinato.serving.errors import BadRequestError, TooLargeError
from ostinato.serving.stepping.bank import Bank


class Measured(NamedTuple):
    """A step of a recording.

    Attributes:
        values: (C,), NaN where a value is missing.
        time: the time of the step; None if steps have no times.
    """

    values: np.ndarray
    time: float | None


class RecordedSteps:
    """Reader and scaler of the steps of sessions.

    Args:
        scaling: the scaling of the model.
    """

    def __init__(self, scaling: Scaling):
        self.scaling, self.online = scaling, OnlineScaling(scaling)

    def read(self, body: Mapping[str, Any], most: int) -> list[Measured]:
        """Read "values", a list of steps with a number for each channel (null where one is missing), and "times".

        Raises:
            BadRequestError, TooLargeError: they have another form, or are too many.
        """
        given, times = body.get("values"), body.get("times")
        if given is None:
            return []
        channels = self.scaling.channels
        if isinstance(given, list) and len(given) > most:
            raise TooLargeError(f"values: expected at most {most} steps, got {len(given)}", param="values")
        try:
            values = np.array(given, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            values = np.zeros(0)
        if (
            not isinstance(given, list)
            or (given and values.shape != (len(given), len(channels)))
            or np.isinf(values).any()
        ):
            raise BadRequestError(
                f"values: expected a list of steps with {len(channels)} numbers each ({', '.join(channels)}; null where one is "
                "missing)",
                param="values",
            )
        if times is None:
            return [Measured(values[at], None) for at in range(len(given))]
        try:
            moments = np.array(times, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            moments = np.zeros(0)
        right = isinstance(times, list) and moments.shape == (len(given),) and np.isfinite(moments).all()
        if not right or (np.diff(moments) <= 0).any():
            raise BadRequestError(f"times: expected {len(given)} increasing numbers, one for each step", param="times")
        return [Measured(values[at], time) for at, time in enumerate(moments.tolist())]

    def step(self, bank: Bank, inputs: list[Measured], rows: np.ndarray) -> torch.Tensor:
        """Take one step of some rows.

        If the network reads several steps at once and a row lacks some of them, its state is restored after reading.
        """
        made = [
            self.online.go_on(bank.beside, row, each.values, each.time)
            for row, each in zip(rows.tolist(), inputs, strict=True)
        ]
        waits = rows[[not is_whole for _, is_whole in made]]
        kept = bank.pack(waits)
        said = bank.stream(torch.from_numpy(np.stack([block for block, _ in made])), rows)
        bank.unpack(waits, kept)
        return said
