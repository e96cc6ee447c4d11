"""Let torch.fx treat our layers as single nodes, as it does torch.nn's; other modules it traces. TorchScript is refused."""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch.fx import Proxy


def is_symbolic(input: Any) -> TypeGuard[Proxy]:
    """Whether the input is a placeholder of `torch.fx.symbolic_trace` or its kin in place of a tensor."""
    return isinstance(input, Proxy)


def as_one_node(module: torch.nn.Module, input: Proxy, *args: Any, **kwargs: Any) -> Any:
    """Record the call of a module as one node of the graph, without running its `forward`."""
    tracer: Any = input.tracer
    return tracer.create_proxy("call_module", tracer.path_of_module(module), (input, *args), kwargs)


def not_scriptable(module: torch.nn.Module) -> TypeError:
    """The error for `torch.jit.script`, which would otherwise fail in the middle of our source."""
    return TypeError(
        f"torch.jit.script takes no ostinato.{type(module).__name__}, whose step is Python; use torch.export or torch.jit.trace, "
        "or ostinato.to_torch(model) first, for layers that torch.nn has too"
    )
