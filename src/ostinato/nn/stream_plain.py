"""A stream of a cell that the compiler does not take: the layer's own step, in plain PyTorch."""

# A stream reads what its layer holds.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ostinato.errors import ConfigError
from ostinato.kernels.storage import check_storage
from ostinato.nn.extras import check_names
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.stream import ErrorReport, Stream, first_states
from ostinato.nn.stream_weights import check, dtype_of, in_evaluation, refusal
from ostinato.types import Tensor


class PlainStream(Stream):
    """What `Stream(layer)` is where the compiler does not take the layer's cell: the same calls, at the price of the layer's.

    Nothing is packed: every step has the weights as they are then, also with `check_weights=False`. Copies share the layer.
    """

    def __init__(
        self, layer: Recurrent, streaming_dtype: torch.dtype | None = None, *, check_weights: bool = True
    ) -> None:
        if streaming_dtype is not None:
            raise ConfigError(
                f"streaming_dtype expected None, as nothing is packed where {refusal(layer)}; got {streaming_dtype}"
            )
        self._begin(layer, check_weights)
        self.reset()

    def _begin(self, layer: Recurrent, check_weights: bool) -> None:
        self.layer, self.streaming_dtype, self.check_weights = layer, None, check_weights
        self._dtype = dtype_of(layer)
        self._sizes = ((layer.input_size,), (1, layer.input_size))

    def __call__(self, x: Tensor, **extras: Any) -> Tensor:
        """One step; see `Stream`."""
        if self.check_weights and dtype_of(self.layer) is not self._dtype:
            self.refresh()
        given = self._usable(x)
        y, self._state = self._stepped(given.view(1, -1), self._state, extras)
        return y if given.dim() == 2 else y[0]

    def _stepped(self, x: Tensor, state: Any, extras: Mapping[str, Any]) -> tuple[Tensor, Any]:
        check_names(self.layer.cell, extras, "Stream()")
        more: dict[str, Any] = {name: self._extra(name, extras[name]) for name in self.layer._extra_sizes}
        with torch.inference_mode(False), in_evaluation(self.layer):
            # Not the layer's call: as in every stream its hooks are left alone.
            return self.layer.forward(x, state, **more)

    def _extra(self, name: str, given: Any) -> Tensor:
        v, width = self._checked_extra(name, given, self.layer._extra_sizes[name]), self.layer.cell.extras[name]
        return v.to(self._dtype).reshape(1 if width == "1" else (1, -1))

    def refresh(self) -> None:
        """Look whether the layer can still be streamed; there is nothing to pack.

        Raises:
            ConfigError: it cannot, or has another dtype.
        """
        check(self.layer, None)
        if (dtype := dtype_of(self.layer)) is not self._dtype:
            raise ConfigError(
                f"the layer expected {self._dtype}, as when the stream was made, got {dtype}; make a new stream"
            )

    @property
    def weight_bytes(self) -> int:
        """Of the layer's parameters, which every step reads."""
        return sum(p.nbytes for p in self.layer.parameters())

    @property
    def threads(self) -> int:
        """Threads that PyTorch has for its products."""
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
        made._begin(self.layer, self.check_weights)
        made.state = self.state
        return made

    def measure_error(self, inputs: Tensor, **extras: Tensor) -> ErrorReport:
        """None of its weights is rounded: the report of no error."""
        return ErrorReport(0.0, 0.0, len(self._sequence(inputs)))

    def __repr__(self) -> str:
        return f"Stream({self.layer!r}, in plain PyTorch, as {refusal(self.layer)})"


def _copied(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach().clone()
    return type(state)(_copied(v) for v in state)
