"""Lets torch.fx keep our layers whole, as it keeps torch.nn's: its tracer looks into other modules. TorchScript cannot."""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch.fx import Proxy


def is_symbolic(input: Any) -> TypeGuard[Proxy]:
    """Whether a layer is called by `torch.fx.symbolic_trace` or its kin, with a name in the place of a tensor."""
    return isinstance(input, Proxy)


def as_one_node(module: torch.nn.Module, input: Proxy, *args: Any, **kwargs: Any) -> Any:
    """The call of a module as one node of the graph that is being written, of which its `forward` sees nothing."""
    tracer: Any = input.tracer
    return tracer.create_proxy("call_module", tracer.path_of_module(module), (input, *args), kwargs)


def not_scriptable(module: torch.nn.Module) -> TypeError:
    """What `torch.jit.script` is told, which would else fail in the middle of our source."""
    return TypeError(
        f"torch.jit.script takes no ostinato.{type(module).__name__}, whose step is Python; use torch.export or torch.jit.trace, "
        "or ostinato.to_torch(model) first, for layers that torch.nn has too"
    )
