"""The value of every unit of every recurrent layer while a model reads: states, and gates if the cell has any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from ostinato.insight.gates import NO_GATE, nonlinearities
from ostinato.insight.layers import InsightError, trajectories
from ostinato.insight.trajectory import Trajectory
from ostinato.types import Tensor

_BLOCK = 2048  # steps read at once; limits the memory of the values that are recorded besides the states


@dataclass(frozen=True)
class LayerValues:
    """One direction of one recurrent layer over a text.

    Attributes:
        name: "layer 1"; "layer 1 backward"; with the module's name in front if a model has several recurrent modules.
        states: by name, the state after each step: (T, H) float32.
        gates: by name, the value of each gate at each step: (T, H) float32; empty if gates were not requested. A candidate (LSTM's
            g, GRU's n) counts as a gate; gates that enter one nonlinearity together have one value, under both names.
    """

    name: str
    states: Mapping[str, np.ndarray]
    gates: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Activations:
    """The values of every unit over a text.

    Attributes:
        pieces: the text in T pieces, one for each step.
        layers: the values of each layer, first layer first.
    """

    pieces: Sequence[str]
    layers: Sequence[LayerValues]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, steps: slice) -> Activations:
        """The values of some of the steps."""
        layers = [
            LayerValues(
                layer.name,
                {name: values[steps] for name, values in layer.states.items()},
                {name: values[steps] for name, values in layer.gates.items()},
            )
            for layer in self.layers
        ]
        return Activations(self.pieces[steps], layers)

    @property
    def text(self) -> str:
        """The text that was read, joined from the model's tokens."""
        return "".join(self.pieces)

    @property
    def last_characters(self) -> np.ndarray:
        """(T,) the index in `text` of the last character that has been read after each step."""
        return np.maximum(np.cumsum([len(piece) for piece in self.pieces]) - 1, 0)

    def series(self, *, gates: bool = False) -> Iterator[tuple[str, str, np.ndarray]]:
        """Iterate over (layer, name of the state or gate, values (T, H)); with `gates` a layer's gates follow its states."""
        for layer in self.layers:
            for name, values in layer.states.items():
                yield layer.name, name, values
            for name, values in layer.gates.items() if gates else ():
                yield layer.name, name, values

    def unit(self, layer: str, name: str, number: int) -> np.ndarray:
        """The values of one unit over the text, (T,).

        Args:
            layer: the name of the layer.
            name: the name of the state or gate.
            number: the number of the unit, from 0.

        Raises:
            InsightError: there is no such unit.
        """
        for of_layer, of_series, values in self.series(gates=True):
            if (of_layer, of_series) == (layer, name):
                if not 0 <= number < values.shape[1]:
                    raise InsightError(f"unit: expected 0 to {values.shape[1] - 1} of {layer} {name}, got {number}")
                return values[:, number]
        there = ", ".join(f"{each} {name}" for each, name, _ in self.series(gates=True))
        raise InsightError(f"expected one of {there}; got {layer} {name}")


def activations(
    model: nn.Module, text: str | Sequence[str], input: Tensor | None = None, *, gates: bool = False
) -> Activations:
    """Read a text with a model and record every unit of every recurrent layer.

    It works for our layers and for torch.nn's. The model computes in evaluation mode without gradients, and is afterwards as it
    was.

    Args:
        model: any module with recurrent layers; without `input`, a language model: it has a `vocabulary`, and takes ids (T, 1) and
            a state.
        text: the text to read; with `input`, a piece of text for each of its T steps.
        input: the argument of the model's call, with one row; None to encode `text`.
        gates: record the gates too; each takes as much memory as a state.

    Raises:
        InsightError: the model has no recurrent layer, none ran, it cannot encode a text, there are several rows, or text and input
            differ in length.
    """
    with _evaluating(model):
        if input is None:
            ids, pieces = _tokens(model, text)
            layers = _joined(_read(model, ids, gates))
        else:
            pieces = list(text)
            layers = _joined([_values(trajectories(model, input), gates)])
    for layer in layers:
        steps = len(next(iter(layer.states.values())))
        if steps != len(pieces):
            raise InsightError(
                f"expected a piece of text for each of the {steps} steps of {layer.name}, got {len(pieces)}"
            )
    return Activations(pieces, layers)


def _tokens(model: nn.Module, text: str | Sequence[str]) -> tuple[Tensor, list[str]]:
    vocabulary: Any = getattr(model, "vocabulary", None)
    if vocabulary is None or not isinstance(text, str):
        raise InsightError(
            "expected a language model with a vocabulary and one string; for another model give `input`, and a piece of "
            "text for each step"
        )
    ids = vocabulary.encode(text).astype(np.int64)
    if not len(ids):
        raise InsightError("text: expected at least one token, got none; give a text that is not empty")
    decoder = vocabulary.decoder()
    pieces = [decoder.push(id) for id in ids.tolist()]
    pieces[-1] += decoder.flush()
    return torch.from_numpy(ids), pieces


def _read(model: Any, ids: Tensor, gates: bool) -> Iterator[list[LayerValues]]:
    """Read ids (T,) as one row, block by block; each block begins with the state at the end of the one before."""
    device, state = next(model.parameters()).device, None
    # Only the recurrent part, if the model has it as `features`: logits over a large vocabulary would cost more than all else.
    read: Callable[..., Any] = getattr(model, "features", model)

    def go_on(_: Any, block: Tensor) -> None:
        nonlocal state
        _, state = read(block[:, None].to(device), state)

    for start in range(0, len(ids), _BLOCK):
        yield _values(trajectories(model, ids[start : start + _BLOCK], go_on), gates)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, evaluation mode; afterwards every module has its own mode again, even if it differs from its parent's."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _values(runs: Sequence[Trajectory], gates: bool) -> list[LayerValues]:
    if runs[0].rows != 1:
        raise InsightError(f"expected one row, got a batch of {runs[0].rows}; give one text at a time")
    modules = {_module(run) for run in runs}
    layers = []
    for run in runs:
        prefix = f"{_module(run)} " if len(modules) > 1 else ""
        name = f"{prefix}layer {run.layer + 1}{' backward' if run.is_reverse else ''}"
        states = {name: _array(run.states(name)[:, 0]) for name in run.cell.states}
        found = {gate: _array(value) for (gate, _), value in nonlinearities(run).items()} if gates else {}
        order = [*run.cell.gates, *found]  # the order of the cell's description, not that of computation
        kept = {gate: found[gate] for gate in sorted(found, key=order.index) if gate != NO_GATE}
        layers.append(LayerValues(name, states, kept))
    return layers


def _module(run: Trajectory) -> str:
    """The name of the module that the layer belongs to."""
    end = f"l{run.layer}" + ("_reverse" if run.is_reverse else "")
    return run.name.removesuffix(end).removesuffix(".")


def _array(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


def _joined(blocks: Iterator[list[LayerValues]] | list[list[LayerValues]]) -> list[LayerValues]:
    """Join the values of consecutive blocks of a text."""
    return [
        LayerValues(
            parts[0].name,
            {name: np.concatenate([part.states[name] for part in parts]) for name in parts[0].states},
            {name: np.concatenate([part.gates[name] for part in parts]) for name in parts[0].gates},
        )
        for parts in zip(*blocks, strict=True)
    ]
