"""Tensors by name: the gates and states that a step gets, and the states that it returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ostinato.types import Tensor


class Named:
    """Tensors by name, in order; immutable. `named.h` reads one, `with_(h=...)` makes a copy with some set."""

    __slots__ = ("_tensors",)
    _tensors: dict[str, Tensor]

    def __init__(self, **tensors: Tensor) -> None:
        object.__setattr__(self, "_tensors", tensors)

    def __getattr__(self, name: str) -> Tensor:
        # Dunder look-ups (copy, pickle) reach here before `_tensors` exists.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._tensors[name]
        except KeyError:
            raise AttributeError(f"expected one of {', '.join(self._tensors)}, got {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change; use with_({name}=...)")

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._tensors.values())

    def __len__(self) -> int:
        return len(self._tensors)

    def __getstate__(self) -> tuple[dict[str, Tensor]]:
        return (self._tensors,)

    def __setstate__(self, state: tuple[dict[str, Tensor]]) -> None:
        object.__setattr__(self, "_tensors", state[0])

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}={tuple(v.shape)}" for name, v in self._tensors.items())
        return f"{type(self).__name__}({shapes})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(self._tensors)

    def with_(self, **tensors: Tensor) -> Any:
        """A copy in which these names hold these tensors (names may be new)."""
        return type(self)(**{**self._tensors, **tensors})


class State(Named):
    """The states of a cell, by name; `State(h=..., c=...)` is what a step returns."""

    __slots__ = ()


class Gates(Named):
    """One tensor a gate, by the gate's name."""

    __slots__ = ()
