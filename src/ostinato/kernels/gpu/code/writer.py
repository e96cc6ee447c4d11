"""Lines of a generated function."""

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
        """A line at the present indentation."""
        self.lines.append("    " * self._indent + text)

    def new(self, expression: str, name: str = "v") -> str:
        """A fresh name for the value of an expression."""
        self._count += 1
        self.line(f"{name}{self._count} = {expression}")
        return f"{name}{self._count}"

    def shared(self, expression: str, name: str) -> str:
        """The name of what has this value throughout the function, written once; within a block the expression itself."""
        if expression not in self._shared:
            if self._indent > 1:
                return f"({expression})"
            self._shared[expression] = self.new(expression, name)
        return self._shared[expression]

    @contextlib.contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Lines that are one level deeper, under a head."""
        self.line(head)
        self._indent += 1
        yield
        self._indent -= 1
