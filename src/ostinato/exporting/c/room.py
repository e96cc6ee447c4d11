"""Memory for what lives shorter than a step: arrays that are not needed at the same time lie at the same place."""

from __future__ import annotations

from dataclasses import dataclass


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
