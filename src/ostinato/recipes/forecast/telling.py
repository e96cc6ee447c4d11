"""What a user should know about series that are learnt or forecast, and which values a head cannot have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ostinato.errors import DataError
from ostinato.models.forecasting.heads import AMOUNT_HEADS, COUNT_HEADS
from ostinato.recipes.forecast.answers.calibration import FEW
from ostinato.recipes.forecast.data import ForecastPart, Track, ids_of
from ostinato.recipes.forecast.known import ForecastKnown


def check_head(head: str, train: ForecastPart) -> None:
    """Raises a DataError if training has values that the head cannot produce."""
    if not is_never_below_zero(head):
        return
    for track, end in zip(train.tracks, train.fitted, strict=True):
        values = track.values[:end]
        if (at := _first(values < 0)) is not None:
            raise DataError(
                f"{_named(train.name, track.id)} has {values[at]:g} in training, and the head {head} never forecasts below 0; take "
                "--model.head student-t, or auto, which tries those that suit"
            )
        if head == "log-normal" and (at := _first(values == 0)) is not None:
            raise DataError(
                f"{_named(train.name, track.id)} is 0 in training {int((values == 0).sum()):,} times, and the head log-normal is "
                "of amounts above 0; take --model.head rectified, which has zeros, or auto, which tries those that suit"
            )


def is_never_below_zero(head: str) -> bool:
    """Whether a head never produces a value below 0, whatever the series."""
    return head in (*COUNT_HEADS, *AMOUNT_HEADS)


def of_training(known: ForecastKnown, season: int | None) -> list[str]:
    """Lines about the season that was found, and about heads that suit the values better."""
    lines: list[str] = []
    if season is None and known.season > 1:
        lines.append(f"season: {known.season} steps, found in the training data; --reading.season sets another")
    elif season is None:
        lines.append("season: none found in the training data; if you know one, say it: --reading.season 7")
    is_count = known.head in COUNT_HEADS
    if known.trials:
        return lines  # the head was tried
    if known.whole and known.nonnegative and all(known.nonnegative) and not is_count:
        lines.append("training has whole numbers from 0 on only: --model.head auto tries the heads of counts too")
    if is_count and not known.whole:
        lines.append(
            f"training has values that are no whole numbers, and the head {known.head} forecasts such only: take --model.head "
            "rectified for amounts, or auto, which tries those that suit"
        )
    return lines


def of_validation(validation: ForecastPart) -> list[str]:
    """A line if validation is too short to calibrate intervals well."""
    count = len(validation.apart())
    if count >= FEW:
        return []
    line = (
        f"{validation.name}: validation has {len(validation):,} forecasts, of which {count} do not overlap, few to calibrate "
        "intervals by: these are moved only where they are surely too wide or too narrow. More rows, a larger "
        "--reading.validation_share or a shorter --reading.horizon gives more"
    )
    return [line]


@dataclass(frozen=True)
class Ends:
    """A summary of N series up to their ends.

    Attributes:
        ids: the names of the series.
        behind: (N,) int64, the step after the last value of each.
        seen: (N,) int64, how many values each has.
        moved: (N,), the mean absolute change of each.
        lowest: (N,), the least value of each.
        odd: (N,), the first value of each that is no whole number; NaN if there is none.
    """

    ids: tuple[str, ...]
    behind: np.ndarray
    seen: np.ndarray
    moved: np.ndarray
    lowest: np.ndarray
    odd: np.ndarray


def ends_of(tracks: Sequence[Track]) -> Ends:
    """Summarises all series, one after the other."""
    rows: list[tuple[float, ...]] = []
    for track in tracks:
        at = _first(np.abs(track.values - track.values.round()) > 0)
        odd = np.nan if at is None else track.values[at]
        rows.append((track.last[-1] + 1, track.seen[-1], track.moved[-1], track.lowest[-1], odd))
    behind, seen, moved, lowest, odd = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    return Ends(ids_of(tracks), behind.astype(np.int64), seen, moved, lowest, odd)


def of_series(data: str, known: ForecastKnown, ends: Ends) -> list[str]:
    """Lines about series to forecast that training never had, and about values that it never had.

    Raises:
        DataError: a value is below 0, which the run's head never produces.
    """
    lines = [*_strange(data, known, ends), *_still(data, known, ends)]
    below = [at for at in np.flatnonzero(ends.lowest < 0).tolist() if known.is_floored(ends.ids[at])]
    if below and is_never_below_zero(known.head):
        raise DataError(
            f"{_named(data, ends.ids[below[0]])} has {ends.lowest[below[0]]:g}, but training had nothing below 0, and the head "
            f"{known.head} never forecasts it: check the value, or train on data that have such with --model.head student-t"
        )
    if below:
        which = listed([ends.ids[at] for at in below])
        of_them = "the series has" if len(ends.ids) == 1 else f"series {which} have"
        lines.append(
            f"{data}: {of_them} values below 0, which training never had: forecasts may be below 0 too, and less sure than they say"
        )
    if known.head in COUNT_HEADS and known.whole and len(odd := np.flatnonzero(~np.isnan(ends.odd))):
        lines.append(
            f"{_named(data, ends.ids[odd[0]])} has {ends.odd[odd[0]]:g}, and training had whole numbers only: forecasts are such "
            "too"
        )
    return lines


def _first(wrong: np.ndarray) -> int | None:
    """The first place where a condition is true; comparisons with NaN are False."""
    return int(wrong.argmax()) if wrong.any() else None


def _named(data: str, id: str) -> str:
    return f"{data}: series {id!r}" if id else f"{data}: the series"


def listed(ids: Sequence[str]) -> str:
    """Some names of series, the first few of many."""
    return ", ".join(map(repr, ids[:5])) + (", ..." if len(ids) > 5 else "")


def _strange(data: str, known: ForecastKnown, ends: Ends) -> list[str]:
    """A line if training had several series, but not all of these."""
    strange = [id for id in ends.ids if not known.number(id)] if len(known.ids) > 1 else []
    if not strange:
        return []
    had = listed(known.ids)
    return [f"{data}: training never had the series {listed(strange)} (it had {had}): forecast by what their past says"]


def _still(data: str, known: ForecastKnown, ends: Ends) -> list[str]:
    """Lines about series that have not changed so far, so that their own values do not tell how far they may go."""
    alone = [ends.ids[at] for at in np.flatnonzero(ends.seen == 1) if known.width(ends.ids[at]) > 0]
    there = set(alone)
    still = [ends.ids[at] for at in np.flatnonzero(ends.moved == 0) if ends.ids[at] not in there]
    lines = []
    for ids, have, then in (
        (alone, "one value", "the forecast is as far around it as the values of training are apart"),
        (still, "one value, or the same everywhere", "the forecast stays at it, with intervals of no width"),
    ):
        of_them = "its only series has" if len(ends.ids) == 1 else f"series {listed(ids)} have"
        lines += [f"{data}: {of_them} {have}: {then}"] if ids else []
    return lines
