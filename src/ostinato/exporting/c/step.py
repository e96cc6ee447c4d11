"""A step of a whole network while it is written: its lines, and the temporary arrays that it needs.

Arrays that are not needed at the same time may share memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ostinato.exporting.c.text import INDENT, block
from ostinato.exporting.c.weights import Constants


@dataclass
class Room:
    """A temporary array, and when it is needed.

    Attributes:
        name: its name in the code.
        size: its size in floats.
        first: the event that writes it.
        last: the last event that reads it.
        offset: its place in the work area in floats, which `arrange` sets.
    """

    name: str
    size: int
    first: int
    last: int
    offset: int = 0

    def overlaps(self, other: Room) -> bool:
        """Whether both arrays are needed at the same time."""
        return self.first <= other.last and other.first <= self.last


def arrange(rooms: list[Room]) -> int:
    """Place each array, the largest first, at the lowest offset that no array has which is needed at the same time.

    Returns the number of floats of the work area.
    """
    placed: list[Room] = []
    for room in sorted(rooms, key=lambda r: (-r.size, r.first, r.name)):
        room.offset = 0
        for other in sorted((p for p in placed if p.overlaps(room)), key=lambda p: p.offset):
            if room.offset + room.size <= other.offset:
                break
            room.offset = max(room.offset, other.offset + other.size)
        placed.append(room)
    return max((r.offset + r.size for r in rooms), default=0)


@dataclass(frozen=True)
class Field:
    """A field of the state: values that a part keeps from step to step.

    Attributes:
        name: the name in the state.
        size: the number of values; 0 for a single number, not an array.
        first: the first value of each; None for a field that the reset does not set, but another function.
        kind: "float" or "int".
        told: a description for the header.
    """

    name: str
    size: int = 0
    first: str | None = "0.0f"
    kind: str = "float"
    told: str = ""

    @property
    def floats(self) -> int:
        """The size in units of four bytes."""
        return max(1, self.size)

    def declaration(self) -> str:
        """Return the field's declaration in the state."""
        text = f"{self.kind} {self.name}{f'[{self.size}]' if self.size else ''};"
        return f"{text} /* {self.told} */" if self.told else text

    def reset(self) -> list[str]:
        """Return the lines that set the field to its first value."""
        if self.first is None:
            return []
        if not self.size:
            return [f"s->{self.name} = {self.first};"]
        return loop(self.size, f"s->{self.name}[i] = {self.first};")


@dataclass(frozen=True)
class Argument:
    """An argument of a step after its state.

    Attributes:
        name: the name in C.
        kind: "float", "int" or "const float *".
        told: a description for the header.
        reading: the name in Python; "" for x.
        counts: names and numbers of sizes that the header defines.
    """

    name: str
    kind: str
    told: str
    reading: str = ""
    counts: tuple[tuple[str, int], ...] = ()

    @property
    def declaration(self) -> str:
        """The declaration of the parameter."""
        return f"{self.kind}{'' if self.kind.endswith('*') else ' '}{self.name}"


@dataclass
class StepWriter:
    """Collects the lines and the temporary arrays of a step.

    Attributes:
        constants: the constants of the file.
        lines: the lines of the body after the declarations of arrays.
        rooms: the temporary arrays by name.
        now: the number of the event that is being written.
    """

    constants: Constants
    lines: list[str] = field(default_factory=list[str])
    rooms: dict[str, Room] = field(default_factory=dict[str, Room])
    now: int = 0

    def array(self, name: str, size: int) -> str:
        """Add a temporary array that is needed now, and until the last call of `reads` for it. Return its name."""
        self.rooms.setdefault(name, Room(name, size, self.now, self.now)).last = self.now
        return name

    def reads(self, name: str) -> None:
        """Note that an array is read now; other names than temporary arrays' are ignored."""
        if name in self.rooms:
            self.rooms[name].last = self.now

    def next(self, *read: str) -> None:
        """Begin the next event, which reads these arrays."""
        self.now += 1
        for name in read:
            self.reads(name)

    def loop(self, count: int, *body: str) -> None:
        """Write a loop over `i` from 0 to `count - 1`."""
        self.lines += loop(count, *body)

    def arrange(self) -> int:
        """Place all temporary arrays. Returns the number of floats of the work area."""
        return arrange(list(self.rooms.values()))

    def places(self) -> Iterable[str]:
        """Yield the declarations of the temporary arrays."""
        for room in sorted(self.rooms.values(), key=lambda room: room.offset):
            yield f"float *const {room.name} = work{f' + {room.offset}' if room.offset else ''}; /* {room.size} */"


def loop(count: int, *body: str) -> list[str]:
    """Return the lines of a loop over `i` from 0 to `count - 1`."""
    head = f"for (int i = 0; i < {count}; i++)"
    if len(body) == 1:
        return [head, INDENT + body[0]]
    return [head + " {", *block(body), "}"]
