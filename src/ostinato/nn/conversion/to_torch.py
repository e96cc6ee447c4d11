"""Convert whole models from Ostinato back to torch.nn with their weights, for tools that need torch's own classes."""

# torch's attributes of a module have names with an underscore.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch.nn.utils import parametrize

from ostinato.errors import ConfigError, told_kind
from ostinato.nn.conversion.convert import convert_known
from ostinato.nn.conversion.exchange import exchange, take_over
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.step import Step

# By torch's name of a mode (a module's attribute `mode`): the class and the arguments.
_LAYERS: Mapping[str, tuple[type[torch.nn.RNNBase], dict[str, Any]]] = {
    "LSTM": (torch.nn.LSTM, {}),
    "GRU": (torch.nn.GRU, {}),
    "RNN_TANH": (torch.nn.RNN, {"nonlinearity": "tanh"}),
    "RNN_RELU": (torch.nn.RNN, {"nonlinearity": "relu"}),
}
_STEPS: Mapping[str, tuple[type[torch.nn.RNNCellBase], dict[str, Any]]] = {
    "LSTM": (torch.nn.LSTMCell, {}),
    "GRU": (torch.nn.GRUCell, {}),
    "RNN_TANH": (torch.nn.RNNCell, {"nonlinearity": "tanh"}),
    "RNN_RELU": (torch.nn.RNNCell, {"nonlinearity": "relu"}),
}
# Options that do not change what a layer computes after it has been made.
_NEUTRAL = frozenset({"init", "forget_bias", "backend", "checkpoint_segments"})
_IN_TRAINING = ", which acts in training"
_OF_TRAINING = frozenset({"variational_dropout", "recurrent_dropout", "weight_dropout"})


def to_torch(module: torch.nn.Module, *, inference: bool = False, leave: bool = False) -> torch.nn.Module:
    """Replace every recurrent layer and single step of Ostinato inside `module` by torch.nn's, weights kept: `convert`'s inverse.

    The parameters are the same objects; names, `state_dict`, mode, hooks, parametrizations and sharing are kept.
    `torch.ao.quantization.quantize_dynamic` and `torch.jit.script` work with the new layers.

    Args:
        module: any module; it is changed in place. A module that is itself a recurrent layer cannot be changed in place: use the
            return value.
        inference: drop options that act in training only, such as `variational_dropout`; the module is then for evaluation only.
        leave: instead of raising an error, leave layers without a counterpart in torch.nn as they are, with a warning.

    Returns:
        `module`, or its replacement if it is a recurrent layer itself.

    Raises:
        ConfigError: layers have something that torch.nn has not; the message names each layer, and what it has. Nothing is changed.

    Warns:
        UserWarning: layers were left as they are because of `leave`.
    """
    if not isinstance(module, torch.nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"to_torch expected a torch.nn.Module, got {told_kind(module)}")
    told = [
        f"{name or 'the module itself'} ({_class(m)}: {why})"
        for name, m in cast("Iterator[tuple[str, torch.nn.Module]]", module.named_modules())
        if isinstance(m, Recurrent | Step) and (why := _lacks(m, inference))
    ]
    if told and not leave:
        further = " inference=True drops what acts in training only;" if _IN_TRAINING in " ".join(told) else ""
        raise ConfigError(
            f"torch.nn has no counterpart of {'; '.join(told)}.{further} leave=True leaves these layers as they are"
        )
    if told:
        warnings.warn(f"ostinato.to_torch left as they are: {'; '.join(told)}", UserWarning, stacklevel=2)

    def replacement(old: torch.nn.Module) -> torch.nn.Module:
        is_known = isinstance(old, Recurrent | Step) and not _lacks(old, inference)
        return _back(old) if is_known else old

    return exchange(module, replacement)


def _class(module: torch.nn.Module) -> str:
    return parametrize.type_before_parametrizations(module).__name__


def _lacks(module: Recurrent | Step, inference: bool) -> str:
    """What the module has and torch.nn lacks, as text; empty if torch.nn has a counterpart."""
    found: list[str] = []
    known = _LAYERS if isinstance(module, Recurrent) else _STEPS
    if parametrize.type_before_parametrizations(module).__module__.partition(".")[0] != __name__.partition(".")[0]:
        found.append("a subclass, whose changes are not known here")
    if module.base_cell.vendor not in known:
        found.append(f"the cell {module.base_cell.name!r}")
    for name, value in module.options.changed().items():
        is_training = name in _OF_TRAINING or (name == "initial_state" and not value.learned)
        if name in _NEUTRAL or (inference and is_training):
            continue
        found.append(f"{name}={value!r}" + (_IN_TRAINING if is_training else ""))
    if isinstance(module, Recurrent) and len(set(module.hidden_sizes)) > 1:
        found.append(f"layers of different widths, {list(module.hidden_sizes)}")
    return ", ".join(found)


def _back(old: torch.nn.Module) -> torch.nn.Module:
    assert isinstance(old, Recurrent | Step)
    kind, more = (_LAYERS if isinstance(old, Recurrent) else _STEPS)[str(old.base_cell.vendor)]
    arguments: dict[str, Any] = {"input_size": old.input_size, "hidden_size": old.hidden_size, "bias": old.bias, **more}
    if isinstance(old, Recurrent):
        arguments["hidden_size"] = old.hidden_sizes[0]
        arguments |= {name: getattr(old, name) for name in ("num_layers", "batch_first", "bidirectional")}
        arguments["dropout"] = 0.0 if old.num_layers == 1 else old.dropout  # torch warned when the layer was made
        if old.proj_size:
            arguments["proj_size"] = old.proj_size
    new = kind(**arguments, device="meta")
    ours = convert_known(new, {}).__dict__.keys() - new.__dict__.keys()
    take_over(new, old, ours)
    return new
