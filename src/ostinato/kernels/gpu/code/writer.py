"""Writes the lines of a generated function."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Writer:
    """Writes the body of one function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._indent, self._count = 1, 0
        self._shared: dict[str, str] = {}

    def line(self, text: str) -> None:
        """Write a line at the current indentation."""
        self.lines.append("    " * self._indent + text)

    def new(self, expression: str, name: str = "v") -> str:
        """Write an assignment of an expression to a new name; gives the name."""
        self._count += 1
        self.line(f"{name}{self._count} = {expression}")
        return f"{name}{self._count}"

    def shared(self, expression: str, name: str) -> str:
        """The name of an expression whose value is the same in the whole function, and which is written once.

        Within a block, a new expression is not named but given as it is.
        """
        if expression not in self._shared:
            if self._indent > 1:
                return f"({expression})"
            self._shared[expression] = self.new(expression, name)
        return self._shared[expression]

    @contextlib.contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write a head; the lines written inside `with` are indented under it."""
        self.line(head)
        self._indent += 1
        yield
        self._indent -= 1
