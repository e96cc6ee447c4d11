"""The states of many streams that share weights; any of the streams may take a step together."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from itertools import accumulate

import numpy as np
import torch

from ostinato.kernels.cpu.stream.packed import PackedStack, whole
from ostinato.kernels.cpu.stream.record import ARGUMENTS, HEADER
from ostinato.kernels.cpu.stream.runner import call_of, entering_bytes, header_of, memory_of, start_of
from ostinato.kernels.cpu.stream.together import Together, fitting_threads
from ostinato.kernels.cpu.threads.cores import most_threads
from ostinato.kernels.cpu.threads.openmp import meeting_place
from ostinato.types import Tensor

# Rows of a call: enough that the time goes into arithmetic, few enough that intermediate values stay in the cache.
TOGETHER = 64
BACKWARDS, ROWS = HEADER.index("backwards"), HEADER.index("rows")


class RowsRunner:
    """The states of `rows` streams. No state is copied: a new one is written to a spare place, and the old place becomes spare.

    So a row takes the memory of one state, and there are as many spare places as rows in one call.

    Args:
        packed: the weights.
        rows: the number of streams; 0 for a stack that keeps nothing from step to step, such as an output layer, which then takes
            any number of rows.

    Attributes:
        states: for each layer, by name, `(rows + TOGETHER, width filled up to whole vectors)`, one line for each place.
        places: `(rows,)`, the place of each stream's state before the next step.
    """

    @torch.inference_mode(False)  # these tensors are written to later, in inference mode or not
    def __init__(self, packed: PackedStack, rows: int) -> None:
        self.packed, self._kernel = packed, packed.kernel.of_many()
        self._keeps = rows > 0
        self.places = np.arange(rows or TOGETHER, dtype=np.int64)
        self._spare = len(self.places) + np.arange(TOGETHER, dtype=np.int64)
        self.states = [
            {
                name: torch.zeros(
                    len(self.places) + TOGETHER, self._filled(widths[letter]), dtype=packed.dtype, device="cpu"
                )
                for name, letter in packed.kernel.cell.states.items()
            }
            for widths in packed.widths
        ]
        self._meeting = meeting_place()
        self._most_threads = most_threads()  # there is memory for so many
        self._own = memory_of(packed, TOGETHER, self._most_threads)
        # Addresses for each row: of old and of new states (a line for each state of each layer), of x and y, of extras, and of
        # outputs, to which residuals are added.
        count = sum(map(len, self.states))
        self._old, self._new = (np.zeros((count, TOGETHER), np.int64) for _ in range(2))
        self._x, self._y = (np.zeros(TOGETHER, np.int64) for _ in range(2))
        self._extras = {name: np.zeros(TOGETHER, np.int64) for name in packed.extras}
        self._outputs = [_rows_of(own["output"]) for own in self._own]
        described = self._kernel.described
        record = len(described.fields)
        self._fields = (ctypes.c_int64 * (len(HEADER) + record * len(packed.records)))()
        self._fields[: len(HEADER)] = header_of(packed, 0, 0, ctypes.addressof(self._meeting))
        for layer in range(len(packed.records)):
            values = self._values(layer)
            begin = len(HEADER) + layer * record
            self._fields[begin : begin + record] = [values[name] for name in described.fields]
        place = ctypes.addressof(self._meeting)
        self._argument = (ctypes.c_int64 * ARGUMENTS)()
        self._argument[:] = call_of(packed, self._kernel.stream, ctypes.addressof(self._fields), place, 1)
        start = start_of(self._kernel.start, TOGETHER * packed.weight_bytes)
        self._together = Together(start, self._meeting, TOGETHER * packed.weight_bytes)
        self._locate()

    def _filled(self, width: int) -> int:
        return whole(width, self.packed.kernel.shape.lanes)

    def _locate(self) -> None:
        """Note where each state's memory begins, and how far apart its rows are."""
        every = [v for states in self.states for v in states.values()]
        self._bases = np.array([[v.data_ptr()] for v in every], np.int64)
        self._strides = np.array([[v.stride(0) * v.element_size()] for v in every], np.int64)

    def _values(self, layer: int) -> dict[str, int]:
        packed = self.packed
        last = layer == len(packed.records) - 1
        first = list(accumulate((len(states) for states in self.states), initial=0))
        values = {**packed.widths[layer], "I": packed.inputs[layer], "entering_bytes": entering_bytes(packed)}
        values |= {name: v.data_ptr() for name, v in (packed.records[layer] | self._own[layer]).items()}
        values |= {f"extra_{name}": v.ctypes.data for name, v in self._extras.items()}
        for n, name in enumerate(self.states[layer]):
            values[f"old_{name}"] = self._old[first[layer] + n].ctypes.data
            values[f"new_{name}"] = self._new[first[layer] + n].ctypes.data
        values["output"] = (self._y if last else self._outputs[layer]).ctypes.data if last or packed.residual else 0
        values["x"], values["residual"] = self._x.ctypes.data, 0
        if layer:
            at = first[layer - 1] + list(self.states[layer - 1]).index(packed.kernel.cell.output)
            below = self._outputs[layer - 1] if packed.residual else self._new[at]
            values["x"] = below.ctypes.data
            values["residual"] = values["x"] if packed.residual else 0
        return values

    def step(self, rows: np.ndarray, x: Tensor, y: Tensor, extras: Mapping[str, Tensor]) -> None:
        """Take one step of some rows.

        Args:
            rows: `(n,)` int64, each row at most once.
            x: `(n, I)`, contiguous.
            y: `(n, width)`, contiguous; the outputs are written there.
            extras: for each extra `(n, width filled up to whole vectors)`, contiguous.
        """
        for start in range(0, len(x), TOGETHER):
            some = slice(start, min(start + TOGETHER, len(x)))
            self._step(rows[some], x[some], y[some], {name: v[some] for name, v in extras.items()})

    def _step(self, rows: np.ndarray, x: Tensor, y: Tensor, extras: Mapping[str, Tensor]) -> None:
        n = len(x)
        which = rows if self._keeps else np.arange(n)
        old, new = self.places[which], self._spare[:n].copy()
        for addresses, places in ((self._old, old), (self._new, new)):
            np.multiply(self._strides, places, out=addresses[:, :n])
            addresses[:, :n] += self._bases
        for table, v in ((self._x, x), (self._y, y), *((self._extras[name], v) for name, v in extras.items())):
            table[:n] = _rows_of(v)
        self._fields[ROWS] = n
        self._fields[BACKWARDS] ^= 1
        fitting = fitting_threads(n * self.packed.weight_bytes, self.packed.blocks)
        threads = min(fitting, self._most_threads)
        self._together(ctypes.addressof(self._argument), [self._argument], [threads])
        if self._keeps:
            self.places[which], self._spare[:n] = new, old

    def before(self, layer: int, name: str, rows: np.ndarray) -> Tensor:
        """A copy of a state before the next step, `(n, width)`."""
        return self.states[layer][name][torch.from_numpy(self.places[rows])]

    def put(self, layer: int, name: str, rows: np.ndarray, v: Tensor) -> None:
        """Set the state before the next step to `v`, `(n, width)`."""
        self.states[layer][name][torch.from_numpy(self.places[rows]), : v.shape[1]] = v

    @torch.inference_mode(False)
    def grow(self, rows: int) -> None:
        """Grow to `rows` rows in all; existing rows keep their states, new ones begin with zeros."""
        before = len(self.places)

        def more(old: Tensor) -> Tensor:
            new = torch.zeros(rows + TOGETHER, *old.shape[1:], dtype=old.dtype, device="cpu")
            new[: len(old)] = old
            return new

        # All are made before any is put in place: if there is no memory for one of them, nothing has changed.
        states = [{name: more(old) for name, old in each.items()} for each in self.states]
        self.places = np.concatenate([self.places, TOGETHER + np.arange(before, rows, dtype=np.int64)])
        self.states = states
        self._locate()


def _rows_of(v: Tensor) -> np.ndarray:
    """The address of each row of a tensor."""
    return v.data_ptr() + np.arange(len(v), dtype=np.int64) * (v.stride(0) * v.element_size())
