"""The layout of a table of series: how it was read. A run stores it, to read other tables in the same way."""

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
    """How a table was read, so that other tables are read in the same way.

    Attributes:
        columns: The role of each column.
        grid: The rule for the times of the series; None if they follow no rule.
        own: The grids of series with a grid of their own, by their names.
        filled: Whether times of the grid without a row are steps too, with missing values.
        clock: For times with a zone, whether the grid is one of UTC ("utc") or of local time ("local"); "" for times
            without a zone.
        words: For each covariate of words, its words.
        zone: The name of the time zone; None if the times have none.
        offsets: How many microseconds the local time is ahead of UTC; each different value once.
        decimal: The decimal sign of the numbers, "." or ","; None if no number has a sign.
        day_first: Whether 1/2/2024 is in February; None if days are not written in this way.
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
        """Return the grid of the series called `id`."""
        return self.own.get(id, self.grid)

    @property
    def step(self) -> str:
        """The distance of two steps in words, such as "1 hour"; "row" if the rows are the steps."""
        return "row" if self.grid is None or not self.filled else str(self.grid)

    def to_dict(self) -> dict[str, Any]:
        """Return the layout as plain values, for JSON."""
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
        """Make a layout from what `to_dict` returned; KeyError, TypeError or ValueError for anything else."""
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
