"""Streams with the states of many rows and one set of weights, for a service that steps many sessions together."""

# A stream reads private attributes of its layer.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.cells.named import State
from ostinato.errors import ConfigError
from ostinato.kernels.storage import check_storage
from ostinato.nn.extras import check_names
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.streams.snapshot import shapes_of, state_from_bytes, state_to_bytes
from ostinato.nn.streams.stream import Stream, described, first_states, rebuilt, tensors_in
from ostinato.nn.streams.weights import StreamWeights, in_evaluation
from ostinato.types import Tensor

Rows: TypeAlias = "int | Sequence[int] | range | Tensor | np.ndarray"


def is_one(rows: Any) -> bool:
    """Whether `rows` is a single number rather than several."""
    if isinstance(rows, Tensor | np.ndarray):
        return rows.ndim == 0
    return hasattr(rows, "__index__") and not isinstance(rows, bool)


class RowStream(Stream, of_rows=True, plain=False):
    """`Stream(layer, rows=N)`: the states of N rows, and one set of weights: `y = stream(x, [3, 17])`.

    Rows 3 and 17 take a step, with `x` `(2, I)`, and all others keep their states. No state is copied, and a row
    costs the memory of one state. The weights are read once for all rows that step together.

    The output of a row does not depend on the other rows in the step: it has the same bits as that of a `Stream` of its own.
    """

    def __init__(
        self,
        layer: Recurrent,
        streaming_dtype: torch.dtype | None = None,
        *,
        rows: int | None = None,
        output: nn.Linear | None = None,
        check_weights: bool = True,
    ) -> None:
        assert rows is not None
        self._begin(StreamWeights(layer, streaming_dtype, output), check_weights, rows)
        self.reset()

    def _begin(self, weights: StreamWeights, check_weights: bool, rows: int) -> None:
        from ostinato.kernels.cpu.stream.rows import RowsRunner

        self._take_over(weights, check_weights)
        self._rows = RowsRunner(weights.packed, rows)
        self._behind = None if weights.behind is None else RowsRunner(weights.behind, 0)

    @property
    def rows(self) -> int:
        """N, the number of rows."""
        return len(self._rows.places)

    def __call__(self, x: Tensor, rows: Rows | None = None, **extras: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step of some rows.

        Args:
            x: `(n, I)`, of the layer's dtype; `(I,)` if `rows` is a single number.
            rows: n different numbers from 0 to N - 1, or one number; None for all, in order.
            **extras: the extras of the cell by name: `(n, width)`, or `(n,)` if the width is 1, or one number for all rows.

        Returns:
            The outputs, `(n, H)` (`(H,)` if `rows` is a single number), a new tensor without gradient.

        Raises:
            ConfigError: the input has another shape, dtype or device, or requires a gradient; or a row does not exist or is given
                twice. No row has taken a step then.
        """
        which, alone = self.which(rows), is_one(rows)
        x = self._usable_rows(x, len(which), alone)
        more = self._usable_extras(extras, len(which))
        if self.check_weights and (self._is_stale() or self._packed is not self._weights.packed):
            self.refresh()
        y = self._stepped_rows(which, x, more)
        return y[0] if alone else y

    def _stepped_rows(self, which: np.ndarray, x: Tensor, extras: Mapping[str, Tensor]) -> Tensor:
        lanes, runner = self._packed.kernel.shape.lanes, self._rows
        with torch.inference_mode(False):
            y = torch.empty(len(which), self._packed_width(), dtype=self._dtype, device="cpu")
            filled = {name: F.pad(v, (0, -v.shape[1] % lanes)).contiguous() for name, v in extras.items()}
            runner.step(which, x, y, filled)
            if self._behind is None:
                return y
            shown = torch.empty(len(which), self._width, dtype=self._dtype, device="cpu")
            self._behind.step(which, y, shown, {})
            return shown

    def _packed_width(self) -> int:
        return self.layer.proj_size or self.layer.hidden_sizes[-1]

    def which(self, rows: Rows | None) -> np.ndarray:
        """The rows as numbers, `(n,)` int64, checked as in a call."""
        if rows is None:
            return np.arange(self.rows, dtype=np.int64)
        if isinstance(rows, Tensor) and rows.is_meta:
            raise ConfigError("rows expected whole numbers, got a tensor on meta, which has none")
        given = rows.detach().cpu().numpy() if isinstance(rows, Tensor) else np.asarray(rows)
        if given.size == 0:
            given = given.astype(np.int64)
        found = given.reshape(-1) if given.ndim == 0 else given
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise ConfigError(f"rows expected whole numbers, (n,), got {tuple(given.shape)} of {given.dtype}")
        if found.size and not (found.min() >= 0 and found.max() < self.rows):
            raise ConfigError(
                f"rows expected numbers from 0 to {self.rows - 1}, got {found.min()} to {found.max()}; grow(n) adds more"
            )
        if len(np.unique(found)) != len(found):
            raise ConfigError("rows expected every number once, got some twice; a row takes one step at a time")
        return found.astype(np.int64)

    def one(self, row: Any) -> np.ndarray:
        """One row as numbers, `(1,)` int64.

        Raises:
            ConfigError: it is not the number of a row.
        """
        if not is_one(row):
            raise ConfigError(f"row expected one number from 0 to {self.rows - 1}, got {row!r}")
        return self.which(row)

    def _usable_rows(self, x: Any, count: int, alone: bool) -> Tensor:
        """Check the input and make it contiguous; raise `ConfigError` with the reason if it cannot be used."""
        if alone and isinstance(x, Tensor) and x.dim() == 1:
            x = x[None]
        size = self.layer.input_size
        wanted = f"x expected a tensor of shape ({count}, {size}), {self._dtype}, on the CPU"
        if not isinstance(x, Tensor):
            raise ConfigError(f"{wanted}; got {type(x).__name__}")
        if x.shape != (count, size) or x.dtype is not self._dtype or not x.is_cpu:
            raise ConfigError(f"{wanted}; got {tuple(x.shape)}, {x.dtype}, on {x.device}")
        check_storage([("x", x)])
        if x.requires_grad and torch.is_grad_enabled():
            raise ConfigError("x expected no gradient, as a stream gives none; use x.detach(), or the layer itself")
        return x.detach().contiguous()

    def _usable_extras(self, extras: Mapping[str, Any], count: int) -> dict[str, Tensor]:
        """Check the extras, and give each the shape `(n, width)`."""
        check_names(self.layer.cell, extras, "Stream()")
        found: dict[str, Tensor] = {}
        for name, width in self.layer._extra_sizes.items():
            v = torch.as_tensor(extras[name], device="cpu").detach().to(self._dtype)
            if v.dim() == 0:
                v = v.expand(count, 1)
            elif v.dim() == 1 and width == 1:
                v = v[:, None]
            if v.shape != (count, width):
                got = tuple(torch.as_tensor(extras[name]).shape)
                raise ConfigError(f"{name} expected a tensor of shape ({count}, {width}), got {got}")
            found[name] = v
        return found

    def refresh(self) -> None:
        """See `Stream`."""
        self._weights.refresh()
        if self._packed is not self._weights.packed:  # other code, because something that the step reads changed
            state, rows = self.state, self.rows
            self._begin(self._weights, self.check_weights, rows)
            self.state = state

    @property
    def threads(self) -> int:
        """The number of threads that share the work of a step of all rows."""
        from ostinato.kernels.cpu.stream.together import fitting_threads

        return fitting_threads(self.rows * self._packed.weight_bytes, self._packed.blocks)

    # states

    @property
    def state(self) -> Any:
        """The states of all rows, see `state_of`."""
        return self.state_of()

    @state.setter
    def state(self, hx: Any) -> None:
        self.set_state(hx)

    def state_of(self, rows: Rows | None = None) -> Any:
        """The states of some rows before their next steps, copies, in the layout of the layer's `hx`: `(L, n, H)` for each state.

        Args:
            rows: as in a call.
        """
        return self.layer._layout.close([State(**v) for v in self._states_of(self.which(rows))], batched=True)

    def set_state(self, hx: Any, rows: Rows | None = None) -> None:
        """Set the states of some rows before their next steps; `hx` is laid out like `state_of(rows)`.

        Raises:
            ConfigError: a row does not exist or is given twice, or a state has no data or is not on the CPU.
            RuntimeError: a state has a wrong shape. No state has changed then.
        """
        which = self.which(rows)
        tensors_in(hx)
        self._put_rows(self.layer._layout.open(hx, len(which), True), which)

    def outputs_of(self, rows: Rows | None = None) -> Tensor | None:
        """The outputs of the last step of some rows, `(n, H)`, computed again from their states to the same bits, without a step.

        Args:
            rows: as in a call. A row that has taken no step yet gives the output of its first state.

        Returns:
            The outputs; None if they cannot be made from the states: with residual connections, or without compiled steps.
        """
        which, packed = self.which(rows), self._packed
        if packed.residual:
            return None
        name, width = packed.kernel.cell.output, self._packed_width()
        with torch.inference_mode(False):
            y = self._rows.before(self.layer.num_layers - 1, name, which)[:, :width].contiguous()
            if self._behind is None:
                return y
            shown = torch.empty(len(which), self._width, dtype=self._dtype, device="cpu")
            self._behind.step(which, y, shown, {})
            return shown

    def reset(self, rows: Rows | None = None) -> None:
        """Put some rows, or all, back to the layer's first state: zeros, or a learned one."""
        if self.layer.options.initial_state.learned:
            check_storage(self.layer.named_parameters())
        which = self.which(rows)
        with torch.inference_mode(False), in_evaluation(self.layer):
            first = first_states(self.layer)
            every = [State(**{n: getattr(s, n).expand(len(which), -1) for n in s.names}) for s in first]
            self._put_rows(every, which)

    def grow(self, rows: int) -> None:
        """Increase the number of rows to `rows`; the new ones begin at the layer's first state.

        Raises:
            ConfigError: there are more than `rows` already.
        """
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < self.rows:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"rows expected a number, at least the {self.rows} that are there, got {rows!r}")
        before = self.rows
        self._make_room(rows)
        self.reset(np.arange(before, rows))

    def _make_room(self, rows: int) -> None:
        self._rows.grow(rows)

    def state_bytes(self, row: int = 0) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The state of one row, as a `Stream` of one row would give it."""
        return state_to_bytes(self.state_tensors(row), described(self.layer))

    def from_bytes(self, data: bytes, row: int = 0) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Continue one row from a state that `state_bytes` gave, of this class or of `Stream`.

        Raises:
            StateError: as in `Stream`.
        """
        self.put_state_tensors(state_from_bytes(data, shapes_of(self.state_tensors(row)), described(self.layer)), row)

    def put_state_tensors(self, given: Mapping[str, Tensor], row: int = 0) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """See `Stream`."""
        self._put_rows(self._by_layer(given), self.one(row))

    def state_tensors(self, row: int = 0) -> dict[str, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The tensors of one row's state; see `Stream`."""
        states = self._states_of(self.one(row))
        return {f"{n}_l{at}": v for at, layer in enumerate(states) for n, v in layer.items()}

    def _states_of(self, which: np.ndarray) -> list[dict[str, Tensor]]:
        sizes, runner = self.layer._layout.sizes, self._rows
        return [
            {name: runner.before(at, name, which)[:, : sizes[name][at]] for name in sizes}
            for at in range(self.layer.num_layers)
        ]

    @torch.no_grad()
    def _put_rows(self, states: Sequence[State], which: np.ndarray) -> None:
        # Convert all states first, so that an error leaves every state as it was.
        names = self.layer._layout.sizes
        made = [{n: cast("Tensor", getattr(given, n)).to(self._dtype) for n in names} for given in states]
        for at, new in enumerate(made):
            for name, v in new.items():
                self._rows.put(at, name, which, v)

    def copy(self) -> RowStream:
        """Another stream on the same packed weights; its rows start from these states and are independent afterwards."""
        made = object.__new__(type(self))
        made._begin(self._weights, self.check_weights, self.rows)
        made.state = self.state
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (self.layer, self.streaming_dtype, self.rows, self.output, self.check_weights, self.state)

    def measure_error(self, inputs: Tensor, **extras: Tensor) -> Any:
        """See `Stream`."""
        with in_evaluation(self.layer, self.output):
            one = Stream(self.layer, self.streaming_dtype, output=self.output, check_weights=self.check_weights)
        return one.measure_error(inputs, **extras)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, rows={self.rows})"
