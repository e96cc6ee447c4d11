"""Convert whole models from torch.nn to Ostinato with their weights, and weights between the two forms of a GRU's update gate."""

# torch's attributes of a module have names with an underscore.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, Unpack, cast

import torch
from torch.nn.utils import parametrize

from ostinato.nn.conversion.exchange import at_rest, exchange, take_over
from ostinato.nn.layers import GRU, LSTM, RNN
from ostinato.nn.options import LayerOptions
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.step import Step
from ostinato.nn.steps import GRUCell, LSTMCell, RNNCell
from ostinato.types import Tensor

AnyModule = TypeVar("AnyModule", bound=torch.nn.Module)

_LAYERS: dict[type[torch.nn.Module], type[torch.nn.Module]] = {
    torch.nn.RNN: RNN,
    torch.nn.LSTM: LSTM,
    torch.nn.GRU: GRU,
}
_STEPS: dict[type[torch.nn.Module], type[torch.nn.Module]] = {
    torch.nn.RNNCell: RNNCell,
    torch.nn.LSTMCell: LSTMCell,
    torch.nn.GRUCell: GRUCell,
}
_NAMES = {kind.__name__ for kind in (*_LAYERS, *_STEPS)}
_LAYER_ARGUMENTS = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")


def convert(module: torch.nn.Module, **options: Unpack[LayerOptions]) -> torch.nn.Module:
    """Replace every torch.nn RNN, LSTM, GRU and cell inside `module` by Ostinato's, and keep the weights.

    The parameters are the same objects, so an optimiser that holds them goes on working; mode, hooks, parametrizations and sharing
    are kept. `to_torch` is the way back. Subclasses of torch.nn's layers stay as they are, because their changes are not known; so
    do layers that torch has quantized or turned into TorchScript. One warning names each of them and the reason.

    Args:
        module: any module; it is changed in place. A module that is itself a recurrent layer cannot be changed in place: use the
            return value.
        **options: options of `LayerOptions` for every layer (not for single cells), if they neither add nor remove parameters.

    Returns:
        `module`, or its replacement if it is a recurrent layer itself.

    Raises:
        ValueError: if an option changes the parameters.

    Warns:
        UserWarning: recurrent modules were left as they are.
    """
    whole = convert_known(module, options)
    named = cast("Iterator[tuple[str, torch.nn.Module]]", whole.named_modules())
    left = [f"{name or 'the module itself'} ({reason})" for name, m in named if (reason := _reason(m))]
    if left:
        warnings.warn(f"ostinato.convert left as they are: {'; '.join(left)}", UserWarning, stacklevel=2)
    return whole


def convert_known(module: torch.nn.Module, options: Mapping[str, Any]) -> torch.nn.Module:
    """Do what `convert` does, without a warning about the layers that stay as they are."""
    return exchange(module, lambda old: _converted(old, options))


def _reason(module: torch.nn.Module) -> str | None:
    """The reason why a recurrent module was not converted; None for one of ours, and for a module that is not recurrent."""
    kind = parametrize.type_before_parametrizations(module)
    if isinstance(module, Recurrent | Step):
        return None
    if isinstance(module, torch.nn.RNNBase | torch.nn.RNNCellBase):
        return f"{kind.__name__}, a subclass whose changes are not known here; let it inherit from ostinato's layer"
    if isinstance(module, torch.jit.ScriptModule) and module.original_name in _NAMES:
        return f"{module.original_name} in TorchScript; convert the module that it was made of"
    if kind.__name__ in _NAMES and kind.__module__.startswith("torch.ao."):
        return f"{kind.__name__}, quantized; convert the module that it was made of"
    return None


def _converted(old: torch.nn.Module, options: Any) -> torch.nn.Module:
    kind = parametrize.type_before_parametrizations(old)
    extra: dict[str, Any] = {}
    named: Any = old
    if kind in _LAYERS:
        extra = {name: getattr(old, name) for name in _LAYER_ARGUMENTS}
        new_kind = _LAYERS[kind]
        if new_kind is LSTM:
            extra["proj_size"] = named.proj_size
        extra |= options
    elif kind in _STEPS:
        extra = {name: getattr(old, name) for name in ("input_size", "hidden_size", "bias")}
        new_kind = _STEPS[kind]
    else:
        return old
    if new_kind in (RNN, RNNCell):
        extra["nonlinearity"] = named.nonlinearity
    if extra.get("num_layers") == 1:
        extra["dropout"] = 0.0  # torch warned when the layer was made; once is enough
    new = new_kind(**extra, device="meta")
    # Look for attributes of the layer, not for parameters: parametrizations, weight norm and pruning rename the parameter and make
    # the weight a computed attribute.
    with at_rest(old), torch.no_grad():
        shapes = {
            name: getattr(old, name).shape
            for name, p in new._parameters.items()
            if p is not None and hasattr(old, name)
        }
    if added := [name for name, p in new._parameters.items() if p is not None and name not in shapes]:
        raise ValueError(
            f"convert keeps the weights, so its options must add no parameters, but these are new: {', '.join(added)}. "
            "Build the layer anew for that"
        )
    for name, shape in shapes.items():
        parameter = new._parameters[name]
        if parameter is not None and shape != parameter.shape:
            raise ValueError(
                f"convert keeps the weights, but the options ask for another shape of {name}; build the layer anew"
            )
    take_over(new, old)
    return new


def negate_update_gate(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn the meaning of a GRU's update gate around: h' = (1 - z) n + z h becomes h' = (1 - z) h + z n, and back.

    As sigmoid(-a) = 1 - sigmoid(a), the rows of z change their sign. torch.nn's GRU and `reset_after=False` differ in this *and*
    in where the reset gate acts; the second has no equivalent, so the two compute the same only where r is 1 or the recurrent
    weights of n are zero.

    Args:
        state_dict: that of a GRU or GRUCell; only its `weight_ih*`, `weight_hh*`, `bias_ih*` and `bias_hh*` entries change.
    """
    turned: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        if name.startswith(("weight_ih", "weight_hh", "bias_ih", "bias_hh")):
            r, z, n = value.chunk(3)
            turned[name] = torch.cat([r, -z, n])
        else:
            turned[name] = value
    return turned
