"""Whether what a step reads from outside of its arguments is still what it was: by identity, as that is what a call can afford."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import call, is_
from types import CellType
from typing import Any

_call: Callable[[Callable[[Any], Any], Any], Any] = call  # pyright: ignore[reportAssignmentType]


class Watch:
    """Places where a step reads, and what was there. It holds on to all of it, so that no identity is used again.

    A look at one place takes about 50 ns, as it is all done by loops of Python's own.
    """

    def __init__(self) -> None:
        # Of namespaces: how to look a name up, the name, what was there (None where it was not), and how a reader would call it.
        self._gets: list[Callable[[Any], Any]] = []
        self._names: list[Any] = []
        self._found: list[Any] = []
        self._labels: list[str] = []
        # Of objects: the owner, the attribute, what was there, and the label.
        self._owners: list[object] = []
        self._attributes: list[str] = []
        self._values: list[Any] = []
        self._titles: list[str] = []
        # Containers, how many they held, and the label.
        self._containers: list[Collection[Any]] = []
        self._lengths: list[int] = []
        self._wholes: list[str] = []
        self._sets: list[tuple[Collection[Any], tuple[Any, ...], str]] = []

    def __len__(self) -> int:
        return len(self._gets) + len(self._owners) + len(self._containers) + len(self._sets)

    def names(self, space: Mapping[Any, Any], names: Sequence[Any], label: Callable[[Any], str]) -> None:
        """Some names of a namespace: of a module, a class, an object; or of a dictionary."""
        for name in names:
            self._gets.append(space.get)
            self._names.append(name)
            self._found.append(space.get(name))
            self._labels.append(label(name))

    def attributes(self, owner: object, names: Sequence[str], label: str) -> None:
        """Attributes that lie in no namespace: a function's code and defaults, slots, the content of a closed over variable."""
        for name in names:
            self._owners.append(owner)
            self._attributes.append(name)
            self._values.append(getattr(owner, name))
            self._titles.append(label)

    def closed(self, cell: CellType, name: str) -> None:
        """A variable that a function closes over."""
        try:
            self.attributes(cell, ("cell_contents",), name)
        except ValueError:  # not set yet: looked at again and again until it is
            self._sets.append(((), (None,), name))

    def length(self, container: Collection[Any], label: str) -> None:
        """How many there are in something that may grow."""
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
                self._gets.append(container.__getitem__)
                self._names.append(at)
                self._found.append(value)
                self._labels.append(f"{label}[{at}]")
            self.length(container, label)
        else:
            self._sets.append((container, tuple(container), label))

    def holds(self) -> bool:
        """Whether the same objects are there."""
        try:
            return (
                all(map(is_, map(_call, self._gets, self._names), self._found))
                and all(map(is_, map(getattr, self._owners, self._attributes), self._values))
                and list(map(len, self._containers)) == self._lengths
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
        for get, name, found, label in zip(self._gets, self._names, self._found, self._labels, strict=True):
            if not _is(found, get, name):
                yield label
        for owner, name, value, title in zip(self._owners, self._attributes, self._values, self._titles, strict=True):
            if not _is(value, getattr, owner, name):
                yield title
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
