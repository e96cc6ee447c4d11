"""Whether what a step reads from outside of its arguments is still what it was: by identity, as that is what a call can afford."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import attrgetter, call, is_, not_
from types import CellType
from typing import Any

_call: Callable[[Callable[[Any], Any], Any], Any] = call  # pyright: ignore[reportAssignmentType]


class StepWatch:
    """Places where a step reads, and what was there. It holds on to all of it, so that no identity is used again.

    A look at one place takes about 50 ns, as it is all done by loops of Python's own.
    """

    def __init__(self) -> None:
        # How to look, where, what was there, and how a reader would call it. One list for all kinds, as every loop takes its
        # time to begin.
        self._looks: list[Callable[[Any], Any]] = []
        self._places: list[Any] = []
        self._found: list[Any] = []
        self._labels: list[str] = []
        # Containers, how many they held, and the label.
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
        """Some names of a namespace, of a module, a class, an object; or of a dictionary. None for what is not there."""
        for name in names:
            self._add(space.get, name, space.get(name), label(name))

    def attributes(self, owner: object, names: Sequence[str], label: str) -> None:
        """Attributes that lie in no namespace: a function's code and defaults, slots, the content of a closed over variable."""
        for name in names:
            self._add(attrgetter(name), owner, getattr(owner, name), label)

    def closed(self, cell: CellType, name: str) -> None:
        """A variable that a function closes over."""
        try:
            self.attributes(cell, ("cell_contents",), name)
        except ValueError:  # not set yet: looked at again and again until it is
            self._sets.append(((), (None,), name))

    def length(self, container: Collection[Any], label: str) -> None:
        """How many there are in something that may grow."""
        if not container:
            self._add(not_, container, True, label)
            return
        self._containers.append(container)
        self._lengths.append(len(container))
        self._wholes.append(label)

    def contents(self, container: Any, label: str) -> None:
        """All of a container."""
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
        """Whether the same objects are there."""
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
        ):  # gone, or another thread is changing a container
            return False

    def changed(self) -> list[str]:
        """The labels of what is not as it was."""
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
