"""Warn users who quantise a model with torch's own tools: these skip our layers, as they know torch.nn's classes only."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import torch

_TORCHS = (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN, torch.nn.LSTMCell, torch.nn.GRUCell, torch.nn.RNNCell)


class Qconfig:
    """The attribute `qconfig` of a module, which `torch.ao.quantization` sets on every module before it replaces those it knows.

    The value is stored where torch stores it. Setting it warns if torch was asked to quantise the module, but will leave it in
    float.
    """

    def __get__(self, module: Any, owner: Any = None) -> Any:
        """The value that was set."""
        if module is None:
            return self
        if "qconfig" not in module.__dict__:
            raise AttributeError(f"{type(module).__name__!r} object has no attribute 'qconfig'")
        return module.__dict__["qconfig"]

    def __set__(self, module: Any, value: Any) -> None:
        """Set the value, and warn if torch will not quantise the module."""
        module.__dict__["qconfig"] = value
        if value is not None or _is_asked_for(module):
            name = type(module).__name__
            warnings.warn(
                f"torch.ao.quantization leaves ostinato.{name} in float: it knows torch.nn's classes only. "
                "Use ostinato.to_torch(model) first, or keep narrow weights in an ostinato.Stream",
                UserWarning,
                stacklevel=2,
            )

    def __delete__(self, module: Any) -> None:
        """Delete the value."""
        if "qconfig" not in module.__dict__:
            raise AttributeError("qconfig")
        del module.__dict__["qconfig"]


def _is_asked_for(module: torch.nn.Module) -> bool:
    """Whether a user would expect the module among those that torch was asked to quantise.

    That is so if torch was asked for the module's class, for a base of it, or for a recurrent class of torch.nn. The classes are in
    `qconfig_dict`, a variable of the calling functions of torch; without it the answer is True.
    """
    frame = inspect.currentframe()
    while frame is not None and "qconfig_dict" not in frame.f_locals:
        frame = frame.f_back
    if frame is None:
        return True
    kinds = tuple(kind for kind in frame.f_locals["qconfig_dict"] if isinstance(kind, type))
    return isinstance(module, kinds) or any(kind in _TORCHS for kind in kinds)
