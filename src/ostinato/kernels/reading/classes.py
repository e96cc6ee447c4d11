"""Objects and classes of a user's own: what code can see of them, and whether that is all that they hold."""

from __future__ import annotations

import collections
import dataclasses
import enum
import reprlib
import types
from collections.abc import Collection, Iterable
from typing import Any

import torch

from ostinato.cells.spec import Cell
from ostinato.kernels.reading import trusted
from ostinato.kernels.reading.bytecode import ANY_NAME

CONTAINERS = (
    list,
    dict,
    set,
    collections.OrderedDict,
    collections.defaultdict,
    collections.Counter,
    collections.deque,
)
BASES = (*CONTAINERS, tuple, frozenset, int, float, str, types.SimpleNamespace, object)
# `_BY_TORCH`: names that torch looks up in a user's classes. `_UNREAD`: names that no code looks up.
_BARE = (*BASES, torch.nn.Module)
_BY_TORCH = frozenset({"forward", "backward", "setup_context", "vmap", "jvp"})
_UNREAD = frozenset(
    {
        *(
            "__module__",
            "__dict__",
            "__weakref__",
            "__doc__",
            "__qualname__",
            "__annotations__",
            "__slots__",
            "__orig_bases__",
        ),
        *("__parameters__", "__match_args__", "__dataclass_params__", "__dataclass_fields__", "__abstractmethods__"),
        *("__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
        *("_abc_impl", "__hash__", "__class_getitem__", "__replace__", "__init_subclass__", "__subclasshook__"),
        *("__repr__", "__str__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__sizeof__"),
    }
)
# Methods that run when an object is made or changed, and not when it is read. They count if code may make an object from another.
_MAKING = frozenset(
    {"__init__", "__new__", "__post_init__", "__del__", "__setattr__", "__delattr__", "__set_name__", "__getnewargs__"}
)
# Names by which code asks for an object as text.
_AS_TEXT = frozenset({"str", "repr", "ascii", "format", "__format__", "__str__", "__repr__"})
_TEXTS = frozenset({"__repr__", "__str__"})
_MADE_ANEW = frozenset({"type", "__class__", "replace", "copy", "deepcopy", "_replace", "_make"})

# The code of the wrapper around a data class's `__repr__`, which only prevents endless recursion.
_GUARDS = frozenset(
    guard(lambda _: "").__code__
    for guard in (reprlib.recursive_repr(), getattr(dataclasses, "_recursive_repr", reprlib.recursive_repr()))
)


def unguarded(function: types.FunctionType) -> types.FunctionType:
    """The function without the guard against recursion, if it is a `__repr__` in such a guard."""
    return vars(function)["__wrapped__"] if function.__code__ in _GUARDS else function


def is_special(name: str) -> bool:
    """Whether Python itself looks the name up."""
    return name.startswith("__") and name.endswith("__")


def is_python(cls: type) -> bool:
    """Whether a class is written in Python, so that its objects hold nothing besides their attributes."""
    heap = 1 << 9
    if not cls.__flags__ & heap:
        return False
    slots = len(list(slots_of(cls)))
    base = max((b.__basicsize__ for b in cls.__mro__ if not b.__flags__ & heap), default=object.__basicsize__)
    return "__module__" in vars(cls) and cls.__basicsize__ <= base + 8 * (slots + 2)


def slots_of(cls: type) -> Iterable[str]:
    """The names of a class's slots."""
    for base in cls.__mro__:
        if base.__flags__ & (1 << 9):
            for name, member in vars(base).items():
                if isinstance(member, types.MemberDescriptorType):
                    yield name


def has_plain_attributes(value: Any, names: Collection[str]) -> bool:
    """Whether a look-up of these attributes gives what is in the object's namespace, and runs no code."""
    if isinstance(value, type | types.FunctionType | Cell | torch.Tensor) or not hasattr(value, "__dict__"):
        return False
    cls = type(value)
    if cls.__getattribute__ is not object.__getattribute__:
        return False
    space = vars(value)
    return isinstance(space, dict) and all(n in space and not any(n in vars(c) for c in cls.__mro__) for n in names)


def members_to_read(cls: type, names: Collection[str], makes: bool) -> list[str]:
    """The names of a class that code may look up: those of `names`, and those that operators and PyTorch look up.

    Args:
        cls: the class, written in Python.
        names: the names in the code.
        makes: whether the code may make objects of the class.
    """
    unread = _UNREAD if makes else _UNREAD | _MAKING
    if not _AS_TEXT.isdisjoint(names):
        unread = unread - _TEXTS
    by_any_name = ANY_NAME in names
    found = [n for n in vars(cls) if n not in unread and (by_any_name or n in names or n in _BY_TORCH or is_special(n))]
    if issubclass(cls, enum.Enum):  # the members are read elsewhere, see `Reader`
        found = [n for n in found if n not in cls.__members__ and (is_special(n) or not _is_of_enum(n))]
    return sorted(found)


def _is_of_enum(name: str) -> bool:
    return name.startswith("_") and name.endswith("_")


def is_read_by_others(cls: type, packages: frozenset[str]) -> bool:
    """Whether a class is, or inherits from, one of `packages`: their code looks up attributes that the user's does not name."""
    known = (base for base in cls.__mro__ if base not in _BARE and trusted.name_of(base, packages) is not None)
    return any(base.__module__ not in ("abc", "typing", "collections.abc", "enum") for base in known)


def may_make(names: Collection[str]) -> bool:
    """Whether code with these names may make an object of the class of another object."""
    return not _MADE_ANEW.isdisjoint(names)
