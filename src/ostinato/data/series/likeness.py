"""Reading a table as the training table was read: its columns, its static columns, its clock."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.data.series.columns import find_columns
from ostinato.data.series.layout import Clock, Layout
from ostinato.data.series.times import Times, zone_offsets
from ostinato.errors import DataError
from ostinato.extras import needed

if TYPE_CHECKING:
    import polars


def as_in_training(
    path: str | Path, table: polars.DataFrame, like: Layout, time: str | None, id: str | None, notes: list[str]
) -> tuple[Sequence[str], str | None, str | None]:
    """Return the columns of training to forecast, and those of time and id, if the table has them.

    If training forecast one column and the table has one of numbers, it is taken whatever its name is.
    """
    was, columns = like.columns, table.columns
    time = time or (was.time if was.time in columns else None)
    id = id or (was.id if was.id in columns else None)
    missing = [name for name in was.values if name not in columns]
    if not missing:
        return was.values, time, id
    others = [name for name in columns if name not in (was.time, was.id, *was.known, *was.observed)]
    found: list[str] = []
    if others:
        found += find_columns(path, table.select(others), None, (), (), None, None).values
    if len(was.values) == len(found) == 1:
        notes.append(
            f"{path}: has no column {missing[0]!r}, which training forecast; took {found[0]!r}, its only one of numbers"
        )
        return found, time, id
    raise DataError(
        f"{path}: has no column {missing[0]!r}, which training forecast; its columns are {', '.join(columns)}: call it as "
        "in training"
    )


def static_like(
    path: str | Path, table: polars.DataFrame, like: Layout | None, static: Sequence[str], notes: list[str]
) -> tuple[polars.DataFrame, Sequence[str]]:
    """Give the table the static columns of training; a column that it lacks is added and empty."""
    if like is None:
        return table, static
    with needed():
        import polars

    static = like.columns.static
    if missing := [name for name in static if name not in table.columns]:
        notes.append(f"{path}: has no {', '.join(missing)}, which training had for each series: not known")
        table = table.with_columns(polars.lit(None, dtype=polars.String).alias(name) for name in missing)
    return table, static


def same_clock(path: str | Path, times: Times, like: Layout, notes: list[str]) -> tuple[Times, Clock]:
    """Convert times to the clock of training, UTC or local time; return them and the clock."""
    if times.moments.dtype.kind != "M" or (times.offsets is None and like.clock == ""):
        return times, like.clock
    if times.offsets is None:
        where = "UTC" if like.clock == "utc" else "the zone of training's"
        notes.append(f"{path}: its times have no zone, but those of training have; took them as times of {where}")
        return times, like.clock
    if like.clock == "":
        notes.append(f"{path}: its times have a zone, but those of training have none; took what the clocks there show")
        return times, "local"
    if like.clock == "local" and like.zone is not None:
        there = zone_offsets(times.moments, like.zone)
        return dataclasses.replace(times, offsets=there, zone=like.zone), like.clock
    if like.clock == "local" and not set(times.offsets.tolist()) <= set(like.offsets):
        notes.append(
            f"{path}: its times are ahead of UTC by other hours than those of training; took what the clocks there show"
        )
    return times, like.clock
