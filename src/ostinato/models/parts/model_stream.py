"""A model one step at a time: its layers in a `Stream`, and the memory that it needs besides their states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.models.parts.beside import parted
from ostinato.models.parts.reading import reading
from ostinato.nn import ErrorReport, Stream
from ostinato.nn.streams.rows import Rows, is_one
from ostinato.nn.streams.snapshot import Shape, shapes_of, state_from_bytes, state_to_bytes
from ostinato.nn.streams.stream import described

PROBE_STEPS = 100


class ModelStream:
    """`Stream(model)`: gives the model's output after each step, without reading the earlier steps again.

    For one row it is called as `y = stream(x)`, or with `rows=N` for any of N rows together, `y = stream(x, [3, 17])`;
    states, weights and errors are those of `Stream` and `RowStream`. It computes what the model computes in evaluation
    mode.

    Args:
        model: a model with layers of one direction, `model.recurrent`, in float32 or float64, on the CPU.
        streaming_dtype: the dtype of the layers' and the output layer's weights, see `Stream`.
        rows: see `Stream`.
        check_weights: see `Stream`.
        output: a linear layer that is computed together with the layers, see `Stream`.

    Attributes:
        model: the model.
        layers: the stream of its layers.

    Raises:
        ConfigError: the model cannot be streamed; the message says why.
    """

    _dims = 0  # dimensions of an input of one row

    @torch.inference_mode(False)  # as these tensors are written to in any mode
    def __init__(
        self,
        model: Any,
        *,
        streaming_dtype: torch.dtype | None = None,
        rows: int | None = None,
        check_weights: bool = True,
        output: nn.Linear | None = None,
    ) -> None:
        self.model = model
        self.rows, self._arguments = rows, (streaming_dtype, check_weights)
        self._open(output)
        self._memory = self._fresh(rows or 1)

    def _open(self, output: nn.Linear | None) -> None:
        dtype, check_weights = self._arguments
        self._modules = self.model.recurrent, output
        with reading(self.model):
            self.layers: Any = Stream(
                self.model.recurrent, dtype, rows=self.rows, output=output, check_weights=check_weights
            )

    def _follow(self) -> None:
        """Follows the model if its layers or its output layer have been replaced."""
        layers, output = self._modules
        now = None if output is None else self.model.output
        if self.model.recurrent is not layers or now is not output:
            state = self.layers.state
            self._open(now)
            self.layers.state = state

    # what a kind of model says

    def _enter(self, input: Any, which: torch.Tensor) -> torch.Tensor:
        """Checks an input of n rows, and returns the layers' input, `(n, I)`."""
        raise NotImplementedError

    def _answer(self, h: torch.Tensor, input: Any, which: torch.Tensor) -> torch.Tensor:
        """The model's output `(n, ...)` from the layers' outputs for some rows, `(n, W)`; may change their memory."""
        return h

    def _fresh(self, rows: int) -> dict[str, torch.Tensor]:
        """The memory of so many new rows besides the layers' states, `(rows, ...)`."""
        return {}

    # steps

    def __call__(self, input: Any, rows: Rows | None = None) -> torch.Tensor:
        """Takes one step.

        Args:
            input: the model's input at a step; for n rows with `rows=N`, see the class for the model.
            rows: with `rows=N`, n different numbers from 0 to N - 1; None for all. A single number for one row, whose
                input and output then have no dimension of rows.

        Returns:
            The model's output now, without gradient; `(n, ...)` with `rows=N`.

        Raises:
            ConfigError: the input or the rows do not fit. No row has taken a step then.
        """
        if self.rows is None:
            if rows is not None:
                raise ConfigError(
                    "rows expected None, as this is a stream of one row; Stream(model, rows=N) has several"
                )
            which, alone = torch.zeros(1, dtype=torch.int64, device="cpu"), True
        else:
            which, alone = torch.from_numpy(self.layers.which(rows)), is_one(rows)
        if isinstance(input, torch.Tensor) and input.requires_grad and torch.is_grad_enabled():
            raise ConfigError("input expected no gradient, as a stream gives none; use input.detach()")
        self._follow()
        # The model's mode makes no difference here.
        with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False):
            if alone:
                input, alone = self._one(input)
            x, extras = parted(self.model.recurrent, self._enter(input, which))
            h = self.layers(x, **extras) if self.rows is None else self.layers(x, which, **extras)
            said = self._answer(h, input, which)
        return said[0] if alone else said

    def _one(self, input: Any) -> tuple[Any, bool]:
        """The input of one row with a dimension of rows; and whether this dimension was added here."""
        try:
            v = torch.as_tensor(input, device="cpu" if not isinstance(input, torch.Tensor) else None)
        except (TypeError, ValueError, RuntimeError):
            raise ConfigError(f"input expected numbers, got {type(input).__name__}") from None
        has_rows = v.dim() == self._dims + 1 and len(v) == 1
        return (v, False) if has_rows else (v[None], True)

    # state

    @torch.inference_mode(False)
    def reset(self, rows: Rows | None = None) -> None:
        """Begins some rows, or all, anew."""
        which = self._which(rows)
        if self.rows is None:
            self.layers.reset()
        else:
            self.layers.reset(which)
        for name, fresh in self._fresh(len(which)).items():
            self._memory[name][which] = fresh

    @torch.inference_mode(False)
    def grow(self, rows: int) -> None:
        """Grows to N rows in all, at least as many as now; the new ones begin anew.

        Raises:
            ConfigError: there are already more rows, or this is a stream of one row.
        """
        if self.rows is None:
            raise ConfigError("grow expected a stream of several rows, Stream(model, rows=N), got one of one row")
        before = self.rows
        self.layers.grow(rows)
        self.rows = rows
        added = self._fresh(rows - before)
        self._memory = {name: torch.cat([v, added[name]]) for name, v in self._memory.items()}

    def state_bytes(self, row: int = 0) -> bytes:
        """The whole memory of a row, with a version and a checksum; `from_bytes` continues from it, in any process."""
        return state_to_bytes(self._state(row), self._described())

    @torch.inference_mode(False)
    def from_bytes(self, data: bytes, row: int = 0) -> None:
        """Lets a row continue from what `state_bytes` gave.

        Raises:
            StateError: it is damaged, or of a model of another kind, size or dtype. The row stays unchanged.
        """
        given = state_from_bytes(data, self._shapes(row), self._described())
        layers = {name: v for name, v in given.items() if not name.startswith("memory.")}
        if self.rows is None:
            self.layers.put_state_tensors(layers)
        else:
            self.layers.put_state_tensors(layers, row)
        self._put_memory({name.removeprefix("memory."): v for name, v in given.items() if name not in layers}, row)

    def _described(self) -> str:
        sizes = ", ".join(
            f"{name} {tuple(v.shape)}"
            for name, v in self.model.state_dict().items()
            if not name.startswith("recurrent.")
        )
        return f"{type(self.model).__name__} of {described(self.model.recurrent)}, {sizes}"

    def _state(self, row: int) -> dict[str, torch.Tensor]:
        self._row(row)
        layers = self.layers.state_tensors() if self.rows is None else self.layers.state_tensors(row)
        return layers | {f"memory.{name}": v for name, v in self._memory_of(row).items()}

    def _shapes(self, row: int) -> Mapping[str, Shape]:
        return shapes_of(self._state(row))

    def _memory_of(self, row: int) -> dict[str, torch.Tensor]:
        return {name: v[row] for name, v in self._memory.items()}

    def _put_memory(self, given: Mapping[str, torch.Tensor], row: int) -> None:
        for name, v in given.items():
            self._memory[name][row] = v

    def _which(self, rows: Rows | None) -> torch.Tensor:
        if self.rows is not None:
            return torch.from_numpy(self.layers.which(rows))
        if rows is not None and not (is_one(rows) and rows == 0):
            raise ConfigError(f"row expected 0, as this is a stream of one row, got {rows}")
        return torch.zeros(1, dtype=torch.int64, device="cpu")

    def _row(self, row: Any) -> torch.Tensor:
        """The number of one row as a tensor, `(1,)`."""
        if not is_one(row):
            raise ConfigError(f"row expected the number of one row, got {row!r}")
        return self._which(row)

    def __copy__(self) -> Self:
        return self.copy()

    @torch.inference_mode(False)
    def copy(self) -> Self:
        """An independent stream with the same weights, which continues from this one's state."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.layers = self.layers.copy()
        made._memory = {name: v.clone() for name, v in self._memory.items()}
        return made

    # weights

    def refresh(self) -> None:
        """Takes over the current weights, see `Stream.refresh`."""
        with reading(self.model):
            self.layers.refresh()

    @property
    def weight_bytes(self) -> int:
        """The bytes of the weights that every step reads."""
        return self.layers.weight_bytes

    @property
    def streaming_dtype(self) -> torch.dtype | None:
        """The dtype of these weights; None if they are the model's own."""
        return self.layers.streaming_dtype

    @property
    def threads(self) -> int:
        """The number of threads that read the weights."""
        return self.layers.threads

    @property
    def error_report(self) -> ErrorReport | None:
        """The error of `streaming_dtype` for standard normal inputs of the layers, see `Stream.error_report`."""
        with reading(self.model):
            return self.layers.error_report

    def measure_error(self, inputs: Any) -> ErrorReport:
        """The error of `streaming_dtype` in what is computed with the layers, for a sequence of inputs.

        Args:
            inputs: T inputs, as for a call with T rows.
        """
        with reading(self.model):
            x, extras = parted(self.model.recurrent, self._enter(inputs, torch.arange(len(inputs))))
            return self.layers.measure_error(x, **extras)

    def __repr__(self) -> str:
        return f"Stream({type(self.model).__name__}(...), layers={self.layers!r})"


def embedded(embedding: nn.Embedding, tokens: Any, count: int) -> torch.Tensor:
    """The vectors of `count` tokens, `(count, E)`.

    Raises:
        ConfigError: they are no numbers of tokens, or not `count` of them.
    """
    try:
        given = tokens if isinstance(tokens, torch.Tensor) else torch.as_tensor(tokens, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"tokens expected {count} whole numbers, got {type(tokens).__name__}") from None
    if given.dim() == 1 and not len(given):
        given = given.long()
    if given.shape != (count,) or given.is_floating_point() or given.dtype is torch.bool:
        raise ConfigError(
            f"tokens expected {count} whole numbers, ({count},), got {tuple(given.shape)} of {given.dtype}"
        )
    V = embedding.num_embeddings
    if count and not (int(given.min()) >= 0 and int(given.max()) < V):
        raise ConfigError(f"tokens expected numbers from 0 to {V - 1}, got {int(given.min())} to {int(given.max())}")
    return embedding(given.to(torch.int64))


def is_table(embedding: nn.Embedding) -> bool:
    """Whether the vectors of an embedding are rows of its weights, without anything more."""
    return type(embedding).forward is nn.Embedding.forward and embedding.max_norm is None
