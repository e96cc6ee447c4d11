"""Three parts of a data set: for training, for choosing the model, and for the test at the end.

If a file does not say which row belongs to which part, the rows are drawn so that each label has its share. The drawn
rows are the same on every machine and in every version of NumPy, because their order is that of a hash of seed and row
number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ostinato.errors import ConfigError, DataError

Part = TypeVar("Part")
_BLOCK = 2**16  # rows whose hashes are in memory as bytes at a time


@dataclass(frozen=True)
class Splits(Generic[Part]):
    """A data set in three parts.

    Attributes:
        name: The name of the data, for users.
        train: The data that the model learns from.
        validation: The data that choose between models.
        test: The data for the test at the end; empty if there are none.
    """

    name: str
    train: Part
    validation: Part
    test: Part


def hashed_order(count: int, seed: int = 0) -> np.ndarray:
    """Return the numbers 0 to `count` - 1 in an order that depends on `seed` alone: (count,) int64."""
    salt, keys = seed.to_bytes(8, "little", signed=True), np.empty(count, np.uint64)
    for at in range(0, count, _BLOCK):
        some = range(at, min(at + _BLOCK, count))
        found = [hashlib.blake2b(i.to_bytes(8, "little"), digest_size=8, salt=salt).digest() for i in some]
        keys[at : at + len(found)] = np.frombuffer(b"".join(found), ">u8")
    return np.argsort(keys, kind="stable")


def stratified_split(
    labels: Sequence[Hashable] | np.ndarray, validation: float, test: float = 0.0, *, seed: int = 0, what: str = "rows"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw rows for validation and for test so that each label has its share in both, to within one row.

    The first row of each label in the drawn order always goes to training, so that no class occurs only in a test.

    Args:
        labels: The label of each row; the same value everywhere for a plain draw. An array must hold numbers of labels,
            numbered in the order in which they first occur.
        validation: Share of the rows, 0 <= validation < 1.
        test: Share of the rows, 0 <= test, and together with `validation` less than 1.
        seed: Another seed draws other rows.
        what: What the rows are, for the message that they are too few.

    Returns:
        The rows for training, validation and test, in the order of the data: three arrays (N_part,) int64.

    Raises:
        ConfigError: The shares are out of range.
        DataError: A share that is more than 0 would get no row.
    """
    held = validation + test
    if not (validation >= 0 and test >= 0 and held < 1):
        raise ConfigError(
            f"shares of validation and test must be at least 0 and together less than 1; got {validation} and {test}"
        )
    if isinstance(labels, np.ndarray):
        label_of, distinct = labels, int(labels.max(initial=-1)) + 1
    else:
        numbers: dict[Hashable, int] = {}
        label_of = np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)
        distinct = len(numbers)
    order = hashed_order(len(label_of), seed)
    order = order[np.argsort(label_of[order], kind="stable")]
    first = np.ones(len(order), dtype=bool)
    first[1:] = label_of[order][1:] != label_of[order][:-1]
    drawn = order[~first]
    chosen, rest = _every(drawn, held)
    in_test, in_validation = _every(chosen, test / held if held else 0.0)
    for name, share, rows in (("validation", validation, in_validation), ("test", test, in_test)):
        if share and not len(rows):
            raise DataError(
                f"{len(label_of)} {what}{f' with {distinct} labels' if distinct > 1 else ''} "
                f"are too few to draw a share of {share:g} for {name}: "
                f"give more {what}, a larger share or a file of its own"
            )
    in_train = np.sort(np.concatenate([order[first], rest]))
    return in_train, np.sort(in_validation), np.sort(in_test)


def _every(rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Take evenly spaced rows, `share` of them, to the nearest whole number; return these and the rest."""
    marks = np.floor(np.arange(len(rows) + 1) * share + 0.5)
    taken = np.diff(marks) > 0
    return rows[taken], rows[~taken]
