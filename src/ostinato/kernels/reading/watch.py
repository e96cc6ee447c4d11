"""Checks whether what a step reads outside of its arguments has changed: by identity, the only check cheap enough for each call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import attrgetter, call, is_, not_
from types import CellType
from typing import Any

_call: Callable[[Callable[[Any], Any], Any], Any] = call  # pyright: ignore[reportAssignmentType]


class StepWatch:
    """The places where a step reads, and the objects that were there. It keeps these alive, so that no id is used again.

    A look at one place takes about 50 ns, as the loops are those of built-in functions.
    """

    def __init__(self) -> None:
        # For each place: how to look, where, what was there, and its name in messages. All kinds are in one list, as each loop
        # takes time to start.
        self._looks: list[Callable[[Any], Any]] = []
        self._places: list[Any] = []
        self._found: list[Any] = []
        self._labels: list[str] = []
        # Containers, how many items they held, and their names in messages.
        self._containers: list[Collection[Any]] = []
        self._lengths: list[int] = []
        self._wholes: list[str] = []
        self._sets: list[tuple[Collection[Any], tuple[Any, ...], str]] = []

    def __len__(self) -> int:
        return len(self._looks) + len(self._containers) + len(self._sets)

    def _add(self, look: Callable[[Any], Any], place: Any, found: Any, label: str) -> None:
        self._looks.append(look)
        self._places.append(place)
        self._found.append(found)
        self._labels.append(label)

    def names(self, space: Mapping[Any, Any], names: Sequence[Any], label: Callable[[Any], str]) -> None:
        """Watch some names of a namespace (of a module, a class or an object) or keys of a dictionary; they may be missing."""
        for name in names:
            self._add(space.get, name, space.get(name), label(name))

    def attributes(self, owner: object, names: Sequence[str], label: str) -> None:
        """Watch attributes that are in no namespace: a function's code and defaults, slots, the content of a closure's variable."""
        for name in names:
            self._add(attrgetter(name), owner, getattr(owner, name), label)

    def closed(self, cell: CellType, name: str) -> None:
        """Watch a variable that a function closes over."""
        try:
            self.attributes(cell, ("cell_contents",), name)
        except ValueError:  # it is not set yet: this entry never holds, so that the step is read again until it is set
            self._sets.append(((), (None,), name))

    def length(self, container: Collection[Any], label: str) -> None:
        """Watch the number of items of a container, which may grow."""
        if not container:
            self._add(not_, container, True, label)
            return
        self._containers.append(container)
        self._lengths.append(len(container))
        self._wholes.append(label)

    def contents(self, container: Any, label: str) -> None:
        """Watch all items of a container."""
        if isinstance(container, Mapping):
            self.names(container, tuple(container), lambda key: f"{label}[{key!r}]")
            self.length(container, label)
        elif isinstance(container, list):
            for at, value in enumerate(container):
                self._add(container.__getitem__, at, value, f"{label}[{at}]")
            self.length(container, label)
        else:
            self._sets.append((container, tuple(container), label))

    def holds(self) -> bool:
        """Whether the same objects are still there."""
        try:
            return (
                all(map(is_, map(_call, self._looks, self._places), self._found))
                and (not self._containers or list(map(len, self._containers)) == self._lengths)
                and (not self._sets or all(_same(now, kept) for now, kept, _ in self._sets))
            )
        except (
            AttributeError,
            LookupError,
            ValueError,
            RuntimeError,
        ):  # a place is gone, or another thread is changing a container
            return False

    def changed(self) -> list[str]:
        """The labels of the places that have changed."""
        return list(dict.fromkeys(self._changed()))

    def _changed(self) -> Iterator[str]:
        for look, place, found, label in zip(self._looks, self._places, self._found, self._labels, strict=True):
            if not _is(found, look, place):
                yield label
        for container, length, whole in zip(self._containers, self._lengths, self._wholes, strict=True):
            if len(container) != length:
                yield whole
        yield from (label for now, kept, label in self._sets if not _same(now, kept))


def _is(kept: Any, function: Callable[..., Any], *arguments: Any) -> bool:
    try:
        return function(*arguments) is kept
    except (AttributeError, LookupError, ValueError):
        return False


def _same(now: Collection[Any], kept: Sequence[Any]) -> bool:
    return len(now) == len(kept) and all(map(is_, now, kept))
