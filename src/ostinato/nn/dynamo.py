"""Lets torch.compile follow our layers: it refuses to look into an instance of torch.nn.RNN, LSTM or GRU, which ours are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

import torch


def allow(kind: type[torch.nn.Module]) -> None:
    """Have torch.compile look into modules of this kind, whatever their bases are; those of torch.nn are refused as before.

    torch's own switch, `torch._dynamo.config.allow_rnn`, is for all modules of a process: with it, torch.nn's layers would be
    unrolled into graphs of all their steps. So it is set while a module of this kind is looked at, and only then.
    """
    _when_imported("torch._dynamo.variables.builder", lambda module: _change(module, kind))


def hide(function: Callable[..., Any]) -> None:
    """Have torch.compile begin with what this function calls, where it would begin with the function itself.

    So it does with `torch.nn.Module.__call__`. Where it is on its way through another function it looks into this one too.
    """
    code = function.__code__
    if code not in _hidden:  # what one decorator makes is of one code
        _hidden.add(code)
        _when_imported("torch._dynamo", lambda module: module.eval_frame.skip_code(code))


_hidden: set[CodeType] = set()


def _when_imported(name: str, then: Callable[[Any], None]) -> None:
    """As torch.compile takes its time to be imported, it is waited for until somebody else does so."""
    if (module := sys.modules.get(name)) is not None:
        then(module)
    else:
        sys.meta_path.insert(0, _Waiting(name, then))


class _Waiting:
    """Does something with a module as soon as it has been imported."""

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self._name, self._then = name, then

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of that module, as the finders after this one know it."""
        if name != self._name or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_then(module: ModuleType) -> None:
            execute(module)
            self._then(module)

        spec.loader.exec_module = execute_then  # pyright: ignore[reportAttributeAccessIssue]
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
