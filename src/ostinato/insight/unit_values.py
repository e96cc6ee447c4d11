"""What every unit of every recurrent layer does while a model reads: states, and gates where there are."""

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

_BLOCK = 2048  # steps read at once; bounds the memory of what is kept beside the states


@dataclass(frozen=True)
class LayerValues:
    """One direction of one recurrent layer over a text.

    Attributes:
        name: "layer 1"; "layer 1 backward"; with the module's name before it where a model has several.
        states: by name, the state after each step: (T, H) float32.
        gates: by name, the value of each gate at each step: (T, H) float32; empty where they were not asked for. A candidate
            (LSTM's g, GRU's n) is among them; gates that enter one nonlinearity together have one value, with both names.
    """

    name: str
    states: Mapping[str, np.ndarray]
    gates: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Activations:
    """Every unit over a text.

    Attributes:
        pieces: the text, one piece a step; T of them.
        layers: first layer first.
    """

    pieces: Sequence[str]
    layers: Sequence[LayerValues]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, steps: slice) -> Activations:
        """Some of the steps."""
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
        """What was read, as the model's tokens have it."""
        return "".join(self.pieces)

    @property
    def last_characters(self) -> np.ndarray:
        """(T,) the place in `text` of the last character that has been read after each step."""
        return np.maximum(np.cumsum([len(piece) for piece in self.pieces]) - 1, 0)

    def series(self, *, gates: bool = False) -> Iterator[tuple[str, str, np.ndarray]]:
        """Goes through (layer, name of the state or gate, values (T, H)); with `gates` a layer's gates after its states."""
        for layer in self.layers:
            for name, values in layer.states.items():
                yield layer.name, name, values
            for name, values in layer.gates.items() if gates else ():
                yield layer.name, name, values

    def unit(self, layer: str, name: str, number: int) -> np.ndarray:
        """One unit over the text, (T,).

        Args:
            layer: its name.
            name: of the state or gate.
            number: of the unit, from 0.

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
    """Reads a text with a model and keeps every unit of every recurrent layer.

    Ours and torch.nn's layers are seen alike. The model computes in evaluation mode without gradients, and is afterwards as it was.

    Args:
        model: any module that holds recurrent layers; without `input`, a language model: it has a `vocabulary`, and takes ids
            (T, 1) and a state.
        text: what is read; with `input`, a piece of text for each of its T steps.
        input: what the model is called with, of one row; None to encode `text`.
        gates: keep the gates too; each takes as much memory as a state.

    Raises:
        InsightError: the model holds no recurrent layer, none ran, it cannot encode a text, there are several rows, or text and
            input differ in length.
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
    """Reads ids (T,) as one row, block by block, each with the state that the one before ended with."""
    device, state = next(model.parameters()).device, None
    # The recurrent part alone, where the model says which that is: logits over a large vocabulary would cost more than all else.
    read: Callable[..., Any] = getattr(model, "features", model)

    def go_on(_: Any, block: Tensor) -> None:
        nonlocal state
        _, state = read(block[:, None].to(device), state)

    for start in range(0, len(ids), _BLOCK):
        yield _values(trajectories(model, ids[start : start + _BLOCK], go_on), gates)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module has its own mode again, whatever its parents' are."""
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
        order = [*run.cell.gates, *found]  # as the cell names them, not as its step computes them
        kept = {gate: found[gate] for gate in sorted(found, key=order.index) if gate != NO_GATE}
        layers.append(LayerValues(name, states, kept))
    return layers


def _module(run: Trajectory) -> str:
    """The name of the module that the layer is of."""
    end = f"l{run.layer}" + ("_reverse" if run.is_reverse else "")
    return run.name.removesuffix(end).removesuffix(".")


def _array(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


def _joined(blocks: Iterator[list[LayerValues]] | list[list[LayerValues]]) -> list[LayerValues]:
    """The layers of a text from those of its blocks."""
    return [
        LayerValues(
            parts[0].name,
            {name: np.concatenate([part.states[name] for part in parts]) for name in parts[0].states},
            {name: np.concatenate([part.gates[name] for part in parts]) for name in parts[0].gates},
        )
        for parts in zip(*blocks, strict=True)
    ]
