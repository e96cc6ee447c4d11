"""A step of a whole network while it is written: its lines, and the memory of what lives shorter than a step.

Arrays that are not needed at the same time lie at the same place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ostinato.exporting.c.text import INDENT, block
from ostinato.exporting.c.weights import Constants


@dataclass
class Room:
    """An array, and when it is needed.

    Attributes:
        name: in the code.
        size: in floats.
        first: the event that writes it.
        last: the last event that reads it.
        offset: where it lies, once `arrange` has said so.
    """

    name: str
    size: int
    first: int
    last: int
    offset: int = 0

    def overlaps(self, other: Room) -> bool:
        """Whether both are needed at some time."""
        return self.first <= other.last and other.first <= self.last


def arrange(rooms: list[Room]) -> int:
    """Give each a place, the largest first, at the lowest offset where no other that is needed at that time lies.

    Returns how many floats all of them take.
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
    """What a part keeps from step to step.

    Attributes:
        name: in the state.
        size: how many numbers; 0 for one that is no array.
        first: what each begins with; one without it is set by another function than the reset.
        kind: "float" or "int".
        told: what it is, for the header.
    """

    name: str
    size: int = 0
    first: str | None = "0.0f"
    kind: str = "float"
    told: str = ""

    @property
    def floats(self) -> int:
        """How many times four bytes it takes."""
        return max(1, self.size)

    def declaration(self) -> str:
        """In the state."""
        text = f"{self.kind} {self.name}{f'[{self.size}]' if self.size else ''};"
        return f"{text} /* {self.told} */" if self.told else text

    def reset(self) -> list[str]:
        """What makes it that of a sequence which begins."""
        if self.first is None:
            return []
        if not self.size:
            return [f"s->{self.name} = {self.first};"]
        return loop(self.size, f"s->{self.name}[i] = {self.first};")


@dataclass(frozen=True)
class Argument:
    """What a step is given besides its state.

    Attributes:
        name: in C.
        kind: "float", "int" or "const float *".
        told: what it is, for the header.
        reading: how it is called in Python, where it is not x.
        counts: what the header says of its size: names and numbers.
    """

    name: str
    kind: str
    told: str
    reading: str = ""
    counts: tuple[tuple[str, int], ...] = ()

    @property
    def declaration(self) -> str:
        """Of a parameter."""
        return f"{self.kind}{'' if self.kind.endswith('*') else ' '}{self.name}"


@dataclass
class StepWriter:
    """Collects a step.

    Attributes:
        constants: where numbers are.
        lines: of the body, behind the declarations of memory.
        rooms: memory by name.
        now: the event that is written.
    """

    constants: Constants
    lines: list[str] = field(default_factory=list[str])
    rooms: dict[str, Room] = field(default_factory=dict[str, Room])
    now: int = 0

    def array(self, name: str, size: int) -> str:
        """Memory that is needed now, and until `reads` says so last."""
        self.rooms.setdefault(name, Room(name, size, self.now, self.now)).last = self.now
        return name

    def reads(self, name: str) -> None:
        """What lies there is needed until now, if it is memory of the work area."""
        if name in self.rooms:
            self.rooms[name].last = self.now

    def next(self, *read: str) -> None:
        """The next event, which needs these."""
        self.now += 1
        for name in read:
            self.reads(name)

    def loop(self, count: int, *body: str) -> None:
        """A loop over numbers."""
        self.lines += loop(count, *body)

    def arrange(self) -> int:
        """Give everything its place. Returns how many floats the work area has."""
        return arrange(list(self.rooms.values()))

    def places(self) -> Iterable[str]:
        """The declarations of what lies in the work area."""
        for room in sorted(self.rooms.values(), key=lambda room: room.offset):
            yield f"float *const {room.name} = work{f' + {room.offset}' if room.offset else ''}; /* {room.size} */"


def loop(count: int, *body: str) -> list[str]:
    """The lines of a loop over `i`."""
    head = f"for (int i = 0; i < {count}; i++)"
    if len(body) == 1:
        return [head, INDENT + body[0]]
    return [head + " {", *block(body), "}"]
