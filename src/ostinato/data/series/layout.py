"""How a table of series was read: what a run keeps, to read other tables in the same way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ostinato.data.series.columns import Columns
from ostinato.data.series.grids import Grid, grid_from_dict

Clock = Literal["", "utc", "local"]


@dataclass(frozen=True)
class Layout:
    """How a table was read, for others to be read in the same way.

    Attributes:
        columns: Which part each column had.
        grid: Which times the series have; None where they follow no rule.
        own: The grids of series that have others, by their names.
        filled: Whether times of the grid that have no row are steps too, of missing values.
        clock: Of times with a zone, whether the grid is that of UTC or of the clocks there; "" for times without one.
        words: Of covariates that are words, those that they have.
        zone: The name of the time zone, where the times have one.
        offsets: Microseconds that the clocks there are ahead of UTC, each once.
        decimal: What comes before the decimals of its numbers, "." or ","; None where no number had any sign.
        day_first: Whether 1/2/2024 is in February; None where days are not written so.
    """

    columns: Columns
    grid: Grid | None = None
    own: Mapping[str, Grid] = field(default_factory=dict[str, Grid])
    filled: bool = True
    clock: Clock = ""
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    zone: str | None = None
    offsets: tuple[int, ...] = ()
    decimal: str | None = None
    day_first: bool | None = None

    def grid_of(self, id: str) -> Grid | None:
        """The grid of a series."""
        return self.own.get(id, self.grid)

    @property
    def step(self) -> str:
        """How far apart two steps are, as a person says it; "row" where rows are the steps."""
        return "row" if self.grid is None or not self.filled else str(self.grid)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "columns": dataclasses.asdict(self.columns),
            "grid": None if self.grid is None else self.grid.to_dict(),
            "own": {id: grid.to_dict() for id, grid in self.own.items()},
            "filled": self.filled,
            "clock": self.clock,
            "words": {name: list(words) for name, words in self.words.items()},
            "zone": self.zone,
            "offsets": list(self.offsets),
            "decimal": self.decimal,
            "day_first": self.day_first,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Layout:
        """The inverse; KeyError, TypeError or ValueError for what it cannot be."""
        columns, grid, own = content["columns"], content["grid"], content["own"]
        parts = {name: tuple(columns[name]) for name in ("values", "known", "observed")}
        return cls(
            Columns(**parts, time=columns["time"], id=columns["id"], static=tuple(columns.get("static", ()))),
            None if grid is None else grid_from_dict(grid),
            {id: grid_from_dict(each) for id, each in own.items()},
            bool(content["filled"]),
            content["clock"],
            {name: tuple(words) for name, words in content["words"].items()},
            content["zone"],
            tuple(content["offsets"]),
            content.get("decimal"),
            content.get("day_first"),
        )
