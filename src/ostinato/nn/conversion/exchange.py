"""Replace modules inside the modules that contain them: the part that `convert` and `to_torch` share."""

# torch's attributes of a module, and its functions for parametrized modules, have names with an underscore.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Collection, Generator
from typing import Any, cast

import torch
from torch.nn.utils import parametrize

# Attributes that torch derives from the parameters, in another way for each class.
_WORKED_OUT = frozenset({"_flat_weights", "_flat_weight_refs", "_flat_weights_names", "_all_weights"})


def exchange(module: torch.nn.Module, replacement: Callable[[torch.nn.Module], torch.nn.Module]) -> torch.nn.Module:
    """Replace modules wherever they are.

    Args:
        module: the module whose parts, and which itself, may be replaced; it is changed in place.
        replacement: returns the module that replaces its argument, or the argument itself. It is called once for each module.

    Returns:
        `module`, or its replacement.
    """
    made: dict[int, torch.nn.Module] = {}
    held: list[torch.nn.Module] = []  # keeps the old modules alive, so that no new one gets the `id` of an old one

    def of(old: torch.nn.Module) -> torch.nn.Module:
        if id(old) not in made:
            made[id(old)] = replacement(old)
            held.append(old)
        return made[id(old)]

    whole = of(module)
    for parent in list(whole.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and (new := of(child)) is not child:
                parent._modules[name] = new
    return whole


def take_over(new: torch.nn.Module, old: torch.nn.Module, but: Collection[str] = ()) -> None:
    """Move the state of a module to a new one: parameters, hooks, mode, and all attributes that the user set.

    Args:
        new: the new module; it has no parameters that `old` has not.
        old: the old module.
        but: attributes that only the old class has, and that are not moved.
    """
    for attribute, value in old.__dict__.items():
        if attribute not in but and attribute not in _WORKED_OUT:
            new.__dict__[attribute] = value
    if parametrize.is_parametrized(old):
        # torch gives a parametrized module its own class, with a property for each tensor that is computed from others.
        parametrize._inject_new_class(new)
        parametrizations: Any = old.parametrizations
        for tensor in parametrizations:
            parametrize._inject_property(new, tensor)
    hooks = cast("dict[int, Any]", new._load_state_dict_pre_hooks)  # pyright: ignore[reportUnknownMemberType]
    for hook in hooks.values():
        if hook.with_module:
            hook.module = weakref.ref(new)
    if isinstance(new, torch.nn.RNNBase):
        with at_rest(new), torch.no_grad():
            new._init_flat_weights()


@contextlib.contextmanager
def at_rest(module: torch.nn.Module) -> Generator[None]:
    """Keep the module in evaluation mode: in training, reading a computed weight can change its source (spectral norm)."""
    modes = [(m, m.training) for m in module.modules()]
    try:
        for m, _ in modes:
            m.training = False
        yield
    finally:
        for m, training in modes:
            m.training = training
