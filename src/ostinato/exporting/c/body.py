"""The body of a loop over units: each value is computed once, and has a name if several others need it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ostinato.exporting.c.events import Events, Loop, Result, is_row
from ostinato.exporting.c.expressions import Text, constant, known, operation
from ostinato.exporting.c.text import state
from ostinato.kernels.compiler.graph import Node, name_of

_LONG = 88  # a longer expression gets a name


class Function(Protocol):
    """The C function that contains a loop.

    Attributes:
        events: the events of the step.
        sizes: the number for each letter of a size.
    """

    events: Events

    @property
    def sizes(self) -> Mapping[str, int]:
        """See `Attributes`."""
        ...

    def row(self, node: Node, loop: Loop) -> Text:
        """Return a value that is the same for all units."""
        ...

    def loaded(self, node: Node) -> Text:
        """Return a value that is stored in memory, or one number of a matrix product."""
        ...

    def multiplied_name(self, leaf: Node) -> str:
        """Return the name for one number of a matrix product."""
        ...

    def named(self) -> str:
        """Return a new name."""
        ...

    def target(self, result: Result) -> str:
        """Return the left-hand side of the assignment of a result, with its operator."""
        ...

    def made(self, result: Result, text: Text) -> str:
        """Return the right-hand side of the assignment of a result."""
        ...


@dataclass(frozen=True)
class Parents:
    """Uses of the values in a loop.

    Attributes:
        of: for each value the values that are computed from it.
        results: the values that the loop stores.
    """

    of: Mapping[Node, list[Node]]
    results: set[Node]

    def count(self, node: Node) -> int:
        """Return how often a value is used."""
        return len(self.of.get(node, ())) + (node in self.results)


class LoopBody:
    """The body of a loop over units."""

    def __init__(self, function: Function, loop: Loop, parents: Parents) -> None:
        self._function, self._loop, self._parents = function, loop, parents
        self._known: dict[Node, Text] = {}
        self._lines: list[str] = []

    def write(self) -> list[str]:
        """Return the lines of the body."""
        function, loop = self._function, self._loop
        for node in loop.nodes:
            self._value(node)
        texts = [self._known[result.node] for result in loop.results]
        for result, text in zip(loop.results, texts, strict=True):
            self._lines.append(f"{function.target(result)}{function.made(result, text)};")
        return self._lines

    def _value(self, node: Node) -> Text:
        if node not in self._known:
            self._known[node] = self._named(node, self._made(node))
        return self._known[node]

    def _made(self, node: Node) -> Text:
        function = self._function
        if is_row(node):
            return function.row(node, self._loop)
        if (value := known(node, function.sizes)) is not None:
            return constant(value)
        if function.events.is_loaded(node, self._loop.stage):
            return function.loaded(node)
        if node.op == "unit":
            return Text("(float)i", 6)
        return operation(node.op, [self._value(arg) for arg in node.args])

    def _named(self, node: Node, text: Text) -> Text:
        """Name a value that several need, that is long, or that must be read before it is overwritten."""
        if is_row(node) or (is_name(text) and not self._is_overwritten(node)):
            return text
        is_product = node.op in ("x", "u") and text.text.startswith("dot")
        if not (is_product or self._is_overwritten(node) or self._is_worth_a_name(node, text)):
            return text
        function = self._function
        if is_product:
            name = function.multiplied_name(node)
        elif node.op == "state":
            name = f"old_{state(name_of(node))}"
        else:
            name = function.named()
        self._lines.append(f"const {'int' if node.is_boolean else 'float'} {name} = {text.text};")
        return Text(name)

    def _is_worth_a_name(self, node: Node, text: Text) -> bool:
        is_long = len(text.text) > _LONG and node not in self._parents.results
        return self._parents.count(node) > 1 or is_long

    def _is_overwritten(self, node: Node) -> bool:
        """Whether a value is an old state that a result of this loop overwrites before other results are computed."""
        if node.op != "state" or len(self._loop.results) < 2:
            return False
        new = self._function.events.new.get(name_of(node))
        is_here = any(r.to == ("state", name_of(node)) for r in self._loop.results)
        return is_here and new is not None and new.copied is None


def is_name(text: Text) -> bool:
    """Whether an expression costs nothing to repeat: a number, a name, or an element of an array."""
    return re.fullmatch(r"-?[\w.+-]+|[\w>-]+\[[^\[\]]*\]", text.text) is not None
