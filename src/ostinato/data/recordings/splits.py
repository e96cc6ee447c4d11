"""Splits of recordings: three parts by group, by recording, or by time if they are few and long; and windows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.splits import Splits, hashed_order, stratified_split
from ostinato.data.records.targets import DrawnBy, drawn_by
from ostinato.errors import ConfigError, DataError

_FEWEST = 10  # fewer recordings are not drawn from, but cut by time
_SHORTEST = 3  # steps; a shorter recording cannot be cut


def draw_splits(
    found: Recordings,
    name: str,
    validation: float,
    test: float,
    *,
    by_time: bool,
    target: DrawnBy = "class",
) -> Splits[Recordings]:
    """Split recordings into three parts: draw whole groups if there are groups, else recordings, stratified by label.

    Groups are ignored, and a note says so, if there is only one, or if there are too few and recordings may be cut.

    Args:
        found: All recordings.
        name: The name of the data.
        validation: The share for validation, from 0 to below 1.
        test: The share for the test, from 0 to below 1.
        by_time: Whether recordings may be cut if they are too few to draw from: the beginning of each is then for
            training, the middle for validation, and the end for the test, so that no step of a later part is learnt
            from.
        target: What labels are, see `target_of`; only classes are stratified.

    Raises:
        DataError: There are too few recordings or groups.
        ConfigError: A share is out of range.
    """
    groups = _groups_of(found)
    if len(groups) == 1 or (by_time and len(groups) < 1 + (validation > 0) + (test > 0)):
        found, groups = _without_groups(found), {}
    if groups:
        return Splits(name, *map(found.take, _draw_groups(groups, found, validation, test, target)))
    if by_time and len(found) < _FEWEST:
        return Splits(name, *_by_time(found, validation, test))
    labels = drawn_by([each.label for each in found.items], target)
    return Splits(name, *map(found.take, stratified_split(labels, validation, test, what="recordings")))


def draw_validation(
    found: Recordings, share: float, *, by_time: bool, target: DrawnBy = "class"
) -> tuple[Recordings, Recordings]:
    """Split recordings into training and validation, if the test data are separate."""
    drawn = draw_splits(found, "", share, 0.0, by_time=by_time, target=target)
    return drawn.train, drawn.validation


def _groups_of(found: Recordings) -> dict[str, list[int]]:
    """Return the recordings of each group; if some have groups, each recording without one is a group of its own."""
    groups: dict[str, list[int]] = {}
    if any(each.group is not None for each in found.items):
        for at, each in enumerate(found.items):
            groups.setdefault(f"\0{at}" if each.group is None else each.group, []).append(at)
    return groups


def _without_groups(found: Recordings) -> Recordings:
    """Return the recordings without their groups, which are too few to make parts, with a note that says so."""
    groups = {each.group for each in found.items if each.group is not None}
    if not groups:
        return found
    said = f"all recordings are of {'one group' if len(groups) == 1 else f'{len(groups)} groups'}: every part has some of each"
    return replace(found, items=tuple(replace(each, group=None) for each in found.items), notes=(*found.notes, said))


def _draw_groups(
    groups: dict[str, list[int]], found: Recordings, validation: float, test: float, target: DrawnBy
) -> tuple[list[int], list[int], list[int]]:
    """Draw whole groups for three parts; return the recordings of each part.

    Groups whose recordings share one label are stratified by it; if groups are too few for that, each part gets at
    least one group.
    """
    rows, count = list(groups.values()), len(groups)
    said = drawn_by([each.label for each in found.items], target)
    labels = [{said[at] for at in each} for each in rows]
    try:
        parts = stratified_split([min(each, key=str) if len(each) == 1 else None for each in labels], validation, test)
    except DataError:
        numbers = [max(1, round(share * count)) if share else 0 for share in (validation, test)]
        if sum(numbers) >= count:
            raise DataError(
                f"{count} groups are too few for training, validation and test, which share none: give more groups, or files of "
                "their own with --reading.validation and --reading.test"
            ) from None
        order = hashed_order(count)
        parts = (order[sum(numbers) :], order[: numbers[0]], order[numbers[0] : sum(numbers)])
    places: list[list[int]] = [[at for group in part.tolist() for at in rows[int(group)]] for part in parts]
    return sorted(places[0]), sorted(places[1]), sorted(places[2])


def _by_time(found: Recordings, validation: float, test: float) -> tuple[Recordings, Recordings, Recordings]:
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ConfigError(
            f"shares of validation and test must be at least 0 and together less than 1; got {validation} and {test}"
        )
    parts: tuple[list[Recording], ...] = [], [], []
    for each in found.items:
        if len(each) < _SHORTEST:
            raise DataError(
                f"recording {each.id!r} has {len(each)} steps, too few to cut into parts; give more recordings"
            )
        ends = [round(len(each) * (1 - validation - test)), round(len(each) * (1 - test)), len(each)]
        for part, start, end in zip(parts, [0, *ends], ends, strict=False):
            if end > start:
                part.append(piece(each, start, end))
    return tuple(replace(found, items=tuple(part)) for part in parts)  # pyright: ignore[reportReturnType]


def piece(of: Recording, start: int, end: int) -> Recording:
    """Cut out the steps from `start` to `end` - 1; if steps have labels, the piece has their label if all agree."""
    labels = None if of.labels is None else of.labels[start:end]
    label = of.label if labels is None else (labels[0] if len(set(labels)) == 1 else None)
    times = None if of.times is None else of.times[start:end] - of.times[start]
    return replace(of, values=of.values[start:end], labels=labels, times=times, label=label)


def cut(found: Recordings, length: int) -> Recordings:
    """Cut recordings into consecutive pieces of at most `length` steps."""
    items = tuple(
        piece(each, at, min(at + length, len(each))) for each in found.items for at in range(0, len(each), length)
    )
    return replace(found, items=items)


def windows(found: Recordings, length: int, stride: int, by: str) -> Recordings:
    """Cut recordings into windows of `length` steps, one every `stride` steps; a shorter recording is one window.

    Args:
        found: Recordings; steps after the last whole window of one are left out.
        length: Steps of a window, at least 1.
        stride: Steps from the start of a window to the next, at least 1.
        by: How steps with labels give the label of a window: "majority", or "last" for the label of the last step.
    """
    items: list[Recording] = []
    for each in found.items:
        for at in range(0, max(1, len(each) - length + 1), stride):
            end = min(at + length, len(each))
            window = piece(each, at, end)
            if window.labels is not None:
                window = replace(window, label=_label(window.labels, by))
            items.append(replace(window, id=f"{each.id}:{at}-{end}" if each.id else f"{at}-{end}"))
    return replace(found, items=tuple(items))


def _label(labels: tuple[str | None, ...], by: str) -> str | None:
    if by == "last":
        return labels[-1]
    counts = Counter(label for label in labels if label is not None)
    return max(counts, key=lambda label: (counts[label], label)) if counts else None
