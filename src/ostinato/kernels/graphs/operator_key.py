"""The text by which a graph names a recurrence: people read it in a printed graph, and the recurrence is found again by it."""

from __future__ import annotations

import functools
import uuid
import weakref
from dataclasses import replace

from ostinato.cells.spec import Cell, living
from ostinato.errors import CellError
from ostinato.kernels.call import CallSpec
from ostinato.kernels.reading.current import current

_FLAGS = ("bias", "reverse", "every_state")
# The version of the layout of what a graph saves for its backward pass. torch keeps graphs on disk, so a new layout needs a new
# number.
_SAVED = "saved=2"
_RATES = "rates="
_DIGITS = 16  # of a fingerprint: enough to tell all cells of a process apart

# Kept for good, as a graph may outlive the layer that it was made from.
_cells: dict[str, Cell] = {}
_numbers: weakref.WeakKeyDictionary[Cell, str] = weakref.WeakKeyDictionary()


def spell(cell: Cell, bias: bool, reverse: bool, every_state: bool, segment: int = 0) -> str:
    """The text of a recurrence, "lstm 7c1d0a… saved=2 bias reverse": the cell's name, its fingerprint, and what is set.

    It has the rates of noise too, "rates=0.1,0.1", which are not part of the fingerprint. The same cell has the same text in every
    process of one version of Python and Ostinato, unless something that its step can reach has no fingerprint; then only this
    process finds the cell by the text.
    """
    set_ = [name for name, value in zip(_FLAGS, (bias, reverse, every_state), strict=True) if value]
    rates = [_RATES + ",".join(repr(noise.rate) for noise in cell.noise)] if cell.noise else []
    return " ".join([cell.name, _key(cell), _SAVED, *rates, *set_, *([f"segment={segment}"] if segment else [])])


def _key(cell: Cell) -> str:
    known = current(cell).digest
    # A key that no other process gives to one of its cells.
    key = _numbers.setdefault(cell, f"process-{uuid.uuid4().hex}") if known is None else known[:_DIGITS]
    _cells.setdefault(key, cell)
    return key


def digest_of(text: str) -> str | None:
    """The beginning of the fingerprint that the cell had when the text was written; None if it had none."""
    key = text.split()[1]
    return None if key.startswith("process-") else key


@functools.cache
def read(text: str) -> CallSpec:
    """The recurrence that a text names.

    Raises:
        CellError: if no cell of this process has the fingerprint.
    """
    name, key, *rest = text.split()
    segment = next((int(word.partition("=")[2]) for word in rest if word.startswith("segment=")), 0)
    bias, reverse, every_state = (flag in rest for flag in _FLAGS)
    cell = _find(name, key)
    rates = next((word.removeprefix(_RATES).split(",") for word in rest if word.startswith(_RATES)), [])
    if rates != [repr(noise.rate) for noise in cell.noise]:  # the fingerprint, by which it was found, has no rates
        noise = tuple(replace(noise, rate=float(rate)) for noise, rate in zip(cell.noise, rates, strict=False))
        cell = replace(cell, noise=noise or cell.noise)
    return CallSpec(cell, bias, (reverse,), every_state=every_state, segment=segment)


def _find(name: str, key: str) -> Cell:
    if key not in _cells:
        for cell in living():  # the cell of a layer that has not run in a graph yet
            if cell.name == name:
                _key(cell)
    if key in _cells:
        return _cells[key]
    if key.startswith("process-"):
        raise CellError(
            f"the graph holds the cell {name!r}, whose step reaches something that only the process in which the graph was "
            "made can identify; make the graph anew here, or write the step without what it closes over"
        )
    raise CellError(
        f"the graph holds the cell {name!r} with the fingerprint {key}, and no layer of this process has such a cell; make "
        "one with the options, the mode (train or eval) and the versions of Python and ostinato of the one that was "
        "exported, and keep it while the graph is in use"
    )
