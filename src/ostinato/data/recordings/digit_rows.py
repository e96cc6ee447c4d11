"""Rows of handwritten digits: digits of scikit-learn side by side, as people write a number."""

from __future__ import annotations

import numpy as np

from ostinato.data.recordings.draws import Draws
from ostinato.data.recordings.pictures import channels_of
from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.splits import Splits
from ostinato.data.sources.builtin import all_digits

DIGITS = "digits"  # the name of these data
HEIGHT = 10
# The digits come from sheets, each of which begins with 0 to 9 in order: the index of each sheet's first digit, and the
# end.
_SHEETS = (0, 130, 256, 386, 516, 646, 776, 915, 1029, 1157, 1287, 1415, 1545, 1667, 1797)
_PARTS = {
    "train": (0, 9, 3000),
    "validation": (9, 11, 200),
    "test": (11, 14, 500),
}  # first sheet, the one after the last, rows
_FEWEST, _MOST, _APART = 3, 9, 3


def digit_rows() -> Splits[Recordings]:
    """Make 3,000 rows of 3 to 9 digits for training, 200 for validation, 500 for test; 0 is paper, 1 is ink.

    All digits of a row come from one sheet, and no sheet is in two parts, so the handwritings of the test are new.
    (There are 14 sheets of 13 people, so one person may have two.) The number of digits, the digits, their distances
    and heights are random.
    """
    pixels, labels = all_digits()
    draws = Draws(0)
    parts: list[Recordings] = []
    for first, end, count in _PARTS.values():
        sheets: list[int] = draws.integers(first, end - 1, count).tolist()
        lengths: list[int] = draws.integers(_FEWEST, _MOST, count).tolist()
        items: list[Recording] = []
        for n, (sheet, length) in enumerate(zip(sheets, lengths, strict=True)):
            which = draws.integers(_SHEETS[sheet], _SHEETS[sheet + 1] - 1, length)
            values = _side_by_side(pixels[which], draws)
            text = "".join(str(label) for label in labels[which])
            items.append(Recording(f"row {n + 1} of sheet {sheet + 1}", values, text, group=f"sheet {sheet + 1}"))
        parts.append(Recordings(channels_of(HEIGHT), tuple(items)))
    return Splits("rows of handwritten digits of scikit-learn", *parts)


def _side_by_side(digits: np.ndarray, draws: Draws) -> np.ndarray:
    """Put digits (n, 8, 8), ink 16, side by side, as (columns, 10) float32.

    The empty columns around each digit are cut off; digits are 0 to 3 columns apart, and up to a pixel above or below
    the line.
    """
    gaps, lifts = draws.integers(0, _APART, len(digits) + 1), draws.integers(0, 2, len(digits))
    columns = [np.zeros((int(gaps[0]), HEIGHT))]
    for digit, gap, lift in zip(digits, gaps[1:].tolist(), lifts.tolist(), strict=True):
        inked = np.flatnonzero(digit.any(0))
        ink = digit[:, inked[0] : inked[-1] + 1].T / 16.0
        columns.append(np.pad(ink, ((0, gap), (lift, 2 - lift))))
    return np.concatenate(columns).astype(np.float32)
