"""Let torch.compile trace our layers. They inherit from torch.nn.RNN, LSTM or GRU, whose instances it refuses to trace."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

import torch


def allow(kind: type[torch.nn.Module]) -> None:
    """Have torch.compile trace modules of this kind, whatever their bases are. It still refuses torch.nn's own.

    torch's own switch, `torch._dynamo.config.allow_rnn`, acts on all modules of a process: with it, torch.nn's layers would be
    unrolled into graphs of all their steps. So it is set only while torch.compile wraps a module of this kind.
    """
    _when_imported("torch._dynamo.variables.builder", lambda module: _change(module, kind))


def hide(function: Callable[..., Any]) -> None:
    """If torch.compile would begin with this function, let it begin with the functions that this one calls instead.

    It treats `torch.nn.Module.__call__` in this way. If torch.compile is already tracing a caller, it traces this function too.
    """
    code = function.__code__
    if code not in _hidden:  # all functions that one decorator makes share one code object
        _hidden.add(code)
        _when_imported("torch._dynamo", lambda module: module.eval_frame.skip_code(code))


_hidden: set[CodeType] = set()


def _when_imported(name: str, then: Callable[[Any], None]) -> None:
    """Call `then` with the module once another import has loaded it: importing torch.compile here would take long."""
    if (module := sys.modules.get(name)) is not None:
        then(module)
    else:
        sys.meta_path.insert(0, _Waiting(name, then))


class _Waiting:
    """An import finder that calls a function with a module as soon as the module has been imported."""

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self._name, self._then = name, then

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec as the other finders give it, with the function called after the module has run."""
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
