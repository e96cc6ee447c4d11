"""Lets torch.compile follow our layers: it refuses to look into an instance of torch.nn.RNN, LSTM or GRU, which ours are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch

_MODULE = "torch._dynamo.variables.builder"


def allow(kind: type[torch.nn.Module]) -> None:
    """Have torch.compile look into modules of this kind, whatever their bases are; those of torch.nn are refused as before.

    torch's own switch, `torch._dynamo.config.allow_rnn`, is for all modules of a process: with it, torch.nn's layers would be
    unrolled into graphs of all their steps. So it is set while a module of this kind is looked at, and only then. As torch.compile
    takes its time to be imported, it is waited for until somebody else does so.
    """
    if (module := sys.modules.get(_MODULE)) is not None:
        _change(module, kind)
    else:
        sys.meta_path.insert(0, _Waiting(kind))


class _Waiting:
    """Changes the module as soon as it has been imported."""

    def __init__(self, kind: type[torch.nn.Module]) -> None:
        self._kind = kind

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of that module, as the finders after this one know it."""
        if name != _MODULE or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def then(module: ModuleType) -> None:
            execute(module)
            _change(module, self._kind)

        spec.loader.exec_module = then  # pyright: ignore[reportAttributeAccessIssue]
        return spec


def _change(module: Any, kind: type[torch.nn.Module]) -> None:
    builder, config = module.VariableBuilder, module.config
    wrap = builder.wrap_module

    def wrap_module(self: Any, value: torch.nn.Module) -> Any:
        if not isinstance(value, kind):
            return wrap(self, value)
        with config.patch(allow_rnn=True):
            return wrap(self, value)

    builder.wrap_module = wrap_module
