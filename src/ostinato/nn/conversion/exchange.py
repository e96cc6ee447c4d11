"""Puts another module in the place of one, inside of whatever holds it: what `convert` and `to_torch` have in common."""

# What torch keeps in a module, and how it makes parametrized ones, has names with an underscore.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Collection, Generator
from typing import Any, cast

import torch
from torch.nn.utils import parametrize

# What torch works out of the parameters, for each class in its own way.
_WORKED_OUT = frozenset({"_flat_weights", "_flat_weight_refs", "_flat_weights_names", "_all_weights"})


def exchange(module: torch.nn.Module, replacement: Callable[[torch.nn.Module], torch.nn.Module]) -> torch.nn.Module:
    """Replace modules wherever they are.

    Args:
        module: whose parts are looked at, and itself; it is changed in place.
        replacement: gives for a module the one that takes its place, or the same. It is called once for each.

    Returns:
        `module`, or what takes its place.
    """
    made: dict[int, torch.nn.Module] = {}
    held: list[torch.nn.Module] = []  # so that no other gets the number of one that is gone

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
    """Make a fresh module what another one was: its parameters, hooks, mode, and whatever the user hung on it.

    Args:
        new: of the new class, without parameters of its own that `old` has not.
        old: of the old one.
        but: attributes that only the old class has.
    """
    for attribute, value in old.__dict__.items():
        if attribute not in but and attribute not in _WORKED_OUT:
            new.__dict__[attribute] = value
    if parametrize.is_parametrized(old):
        # torch gives a parametrized module a class of its own, with a property for each tensor that is made of others.
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
    """The module in evaluation, so that a look at a weight changes nothing that it is made of (spectral norm)."""
    modes = [(m, m.training) for m in module.modules()]
    try:
        for m, _ in modes:
            m.training = False
        yield
    finally:
        for m, training in modes:
            m.training = training
