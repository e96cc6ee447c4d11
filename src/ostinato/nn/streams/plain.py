"""Streams of a layer whose cell the compiler does not take: the layer's own step in plain PyTorch, with the same interface."""

# A stream reads private attributes of its layer.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.kernels.storage import check_storage
from ostinato.nn.extras import check_names
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.streams.report import ErrorReport
from ostinato.nn.streams.rows import RowStream, is_one
from ostinato.nn.streams.stream import Stream, first_states, output_width
from ostinato.nn.streams.weights import check, dtype_of, in_evaluation, refusal
from ostinato.types import Tensor


class PlainStream(Stream, of_rows=False, plain=True):
    """The class of `Stream(layer)` if the compiler does not take the layer's cell: the same calls, as slow as the layer's own.

    Nothing is packed: every step uses the layer's current weights, also with `check_weights=False`. Copies share the layer.
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
        self._begin(layer, output, check_weights)
        self.reset()

    def _begin(self, layer: Recurrent, output: nn.Linear | None, check_weights: bool) -> None:
        self.layer, self.streaming_dtype, self.output, self.check_weights = layer, None, output, check_weights
        self._dtype, self._width = dtype_of(layer), output_width(layer, output)
        self._sizes = ((layer.input_size,), (1, layer.input_size))

    def __call__(self, x: Tensor, **extras: Any) -> Tensor:
        """Take one step; see `Stream`."""
        if self.check_weights and dtype_of(self.layer) is not self._dtype:
            self.refresh()
        given = self._usable(x)
        y, self._state = self._stepped(given.view(1, -1), self._state, extras)
        return y if given.dim() == 2 else y[0]

    def _stepped(self, x: Tensor, state: Any, extras: Mapping[str, Any]) -> tuple[Tensor, Any]:
        check_names(self.layer.cell, extras, "Stream()")
        more: dict[str, Any] = {name: self._extra(name, extras[name]) for name in self.layer._extra_sizes}
        with torch.inference_mode(False), in_evaluation(self.layer, self.output):
            # `forward` and not the layer's call, because no stream runs the layer's hooks.
            y, state = self.layer.forward(x, state, **more)
            return (y if self.output is None else self.output(y)), state

    def _extra(self, name: str, given: Any) -> Tensor:
        v, width = self._checked_extra(name, given, self.layer._extra_sizes[name]), self.layer.cell.extras[name]
        return v.to(self._dtype).reshape(1 if width == "1" else (1, -1))

    def refresh(self) -> None:
        """Check that the layer can still be streamed; there is nothing to pack.

        Raises:
            ConfigError: the layer cannot be streamed, or has another dtype.
        """
        check(self.layer, None, self.output)
        if (dtype := dtype_of(self.layer)) is not self._dtype:
            raise ConfigError(
                f"the layer expected {self._dtype}, as when the stream was made, got {dtype}; make a new stream"
            )

    @property
    def weight_bytes(self) -> int:
        """The size of the parameters in bytes; every step reads all of them."""
        return _weight_bytes(self.layer, self.output)

    @property
    def threads(self) -> int:
        """The number of threads that PyTorch uses for its products."""
        return torch.get_num_threads()

    @property
    def state(self) -> Any:
        """See `Stream`."""
        return _copied(self._state)

    @state.setter
    def state(self, hx: Any) -> None:
        self._state = _copied(self.layer._layout.close(self._opened(hx), batched=False))

    def reset(self) -> None:
        """Go back to the layer's first state: zeros, or what it has learned."""
        if self.layer.options.initial_state.learned:
            check_storage(self.layer.named_parameters())
        with torch.inference_mode(False), in_evaluation(self.layer):
            self._state = _copied(self.layer._layout.close(first_states(self.layer), batched=False))

    def copy(self) -> Stream:
        """Another stream of the same layer, which goes on from this one's state on its own."""
        made = object.__new__(PlainStream)
        made._begin(self.layer, self.output, self.check_weights)
        made.state = self.state
        return made

    def _states(self) -> list[dict[str, Tensor]]:
        layer = self.layer
        return [{n: getattr(s, n) for n in layer._layout.sizes} for s in layer._layout.open(self._state, 1, False)]

    def _put(self, states: Any) -> None:
        self._state = _copied(self.layer._layout.close(states, batched=False))

    def measure_error(self, inputs: Tensor, **extras: Tensor) -> ErrorReport:
        """Report an error of zero, as no weight is rounded."""
        return ErrorReport(0.0, 0.0, len(self._sequence(inputs)))

    def __repr__(self) -> str:
        return f"Stream({self.layer!r}, in plain PyTorch, as {refusal(self.layer)})"


class PlainRows(RowStream, of_rows=True, plain=True):
    """The class of `Stream(layer, rows=N)` if the compiler does not take the cell: the layer's `forward` with the rows' states."""

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
        self.layer, self.streaming_dtype, self.output, self.check_weights = layer, None, output, check_weights
        self._dtype, self._width = dtype_of(layer), output_width(layer, output)
        self._kept = self._room(rows)
        self.reset()

    @torch.inference_mode(False)
    def _room(self, rows: int) -> list[dict[str, Tensor]]:
        sizes = self.layer._layout.sizes
        like = self.layer.all_weights[0][0].detach()
        return [{name: like.new_zeros(rows, sizes[name][at]) for name in sizes} for at in range(self.layer.num_layers)]

    @property
    def rows(self) -> int:
        """N, the number of rows."""
        return len(next(iter(self._kept[0].values())))

    def __call__(self, x: Tensor, rows: Any = None, **extras: Any) -> Tensor:
        """Take one step of some rows; see `RowStream`."""
        which, alone = self.which(rows), is_one(rows)
        x, more = self._usable_rows(x, len(which), alone), self._usable_extras(extras, len(which))
        if self.check_weights and dtype_of(self.layer) is not self._dtype:
            self.refresh()
        if not len(which):  # a user's step need not work with a batch of no rows
            return x.new_empty(0, self._width)
        given: dict[str, Any] = {
            name: v[None, :, 0] if self.layer.cell.extras[name] == "1" else v[None] for name, v in more.items()
        }
        with torch.inference_mode(False), in_evaluation(self.layer, self.output):
            steps = x[:, None] if self.layer.batch_first else x[None]
            if self.layer.batch_first:
                given = {name: v.transpose(0, 1) for name, v in given.items()}
            # `forward` and not the layer's call, because no stream runs the layer's hooks.
            y, state = self.layer.forward(steps, self.state_of(which), **given)
            y = y.flatten(0, 1)
            self.set_state(state, which)
            y = y if self.output is None else self.output(y)
        return y[0] if alone else y

    def outputs_of(self, rows: Any = None) -> None:
        """Return None: the outputs cannot be made from the states; see `RowStream`."""

    def refresh(self) -> None:
        """See `PlainStream`."""
        PlainStream.refresh(self)  # pyright: ignore[reportArgumentType]

    @property
    def weight_bytes(self) -> int:
        """The size of the parameters in bytes; every step reads all of them."""
        return _weight_bytes(self.layer, self.output)

    @property
    def threads(self) -> int:
        """The number of threads that PyTorch uses for its products."""
        return torch.get_num_threads()

    def _states_of(self, which: np.ndarray) -> list[dict[str, Tensor]]:
        rows = torch.as_tensor(which)
        return [{name: v[rows] for name, v in states.items()} for states in self._kept]

    @torch.no_grad()
    def _put_rows(self, states: Any, which: np.ndarray) -> None:
        rows = torch.as_tensor(which)
        for given, kept in zip(states, self._kept, strict=True):
            made = {name: getattr(given, name).detach().to(v.dtype) for name, v in kept.items()}
            for name, v in kept.items():
                v[rows] = made[name]

    def _make_room(self, rows: int) -> None:
        old, self._kept = self._kept, self._room(rows)
        for before, now in zip(old, self._kept, strict=True):
            for name, v in before.items():
                now[name][: len(v)] = v

    def copy(self) -> PlainRows:
        """Another stream of the same layer, whose rows go on from these states on their own."""
        made = PlainRows.__new__(PlainRows, self.layer, rows=self.rows)
        PlainRows.__init__(made, self.layer, rows=self.rows, output=self.output, check_weights=self.check_weights)
        made.state = self.state
        return made

    def measure_error(self, inputs: Tensor, **extras: Tensor) -> ErrorReport:
        """Report an error of zero, as no weight is rounded."""
        return RowStream.measure_error(self, inputs, **extras)

    def __repr__(self) -> str:
        return f"Stream({self.layer!r}, rows={self.rows}, in plain PyTorch, as {refusal(self.layer)})"


def _weight_bytes(layer: Recurrent, output: nn.Linear | None) -> int:
    parameters = [*layer.parameters(), *(() if output is None else output.parameters())]
    return sum(p.nbytes for p in parameters)


def _copied(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach().clone()
    return type(state)(_copied(v) for v in state)
