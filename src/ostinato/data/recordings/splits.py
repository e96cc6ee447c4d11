"""Recordings in three parts: by group, by recording, or, of few long ones, by time; and in windows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.records.splits import Splits, hashed_order, stratified_split
from ostinato.data.records.targets import DrawnBy, drawn_by
from ostinato.errors import ConfigError, DataError

_FEWEST = 10  # recordings that are drawn from
_SHORTEST = 3  # steps of a recording that is cut


def draw_splits(
    found: Recordings,
    name: str,
    validation: float,
    test: float,
    *,
    by_time: bool,
    target: DrawnBy = "class",
) -> Splits[Recordings]:
    """Three parts: where recordings have groups, whole groups are drawn; else recordings, each label in its share.

    Of one group, or of too few where recordings may be cut, no part has groups of its own, and a note tells it.

    Args:
        found: All of them.
        name: Of the data.
        validation: Share, from 0 to below 1.
        test: Likewise.
        by_time: Whether recordings may be cut, where they are too few to draw from: each then begins in training, goes on in
            validation, and ends in the test, so that no step of a later part is learnt from.
        target: What labels are, see `target_of`; only classes are drawn each in its share.

    Raises:
        DataError: There are too few.
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
    """Training and validation, where the test is a part of its own."""
    drawn = draw_splits(found, "", share, 0.0, by_time=by_time, target=target)
    return drawn.train, drawn.validation


def _groups_of(found: Recordings) -> dict[str, list[int]]:
    """The recordings of each group; one of nobody's is a group of its own, where others have groups."""
    groups: dict[str, list[int]] = {}
    if any(each.group is not None for each in found.items):
        for at, each in enumerate(found.items):
            groups.setdefault(f"\0{at}" if each.group is None else each.group, []).append(at)
    return groups


def _without_groups(found: Recordings) -> Recordings:
    """The same as if nobody said whose they are, for too few make no parts; which is told."""
    groups = {each.group for each in found.items if each.group is not None}
    if not groups:
        return found
    said = f"all recordings are of {'one group' if len(groups) == 1 else f'{len(groups)} groups'}: every part has some of each"
    return replace(found, items=tuple(replace(each, group=None) for each in found.items), notes=(*found.notes, said))


def _draw_groups(
    groups: dict[str, list[int]], found: Recordings, validation: float, test: float, target: DrawnBy
) -> tuple[list[int], list[int], list[int]]:
    """The recordings of three parts: groups of each label in its share, where a group has one; of few groups one at least."""
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
    """The steps from `start` to before `end`; its label is that of all its steps, if they agree."""
    labels = None if of.labels is None else of.labels[start:end]
    label = of.label if labels is None else (labels[0] if len(set(labels)) == 1 else None)
    times = None if of.times is None else of.times[start:end] - of.times[start]
    return replace(of, values=of.values[start:end], labels=labels, times=times, label=label)


def cut(found: Recordings, length: int) -> Recordings:
    """Pieces of at most `length` steps, one after the other."""
    items = tuple(
        piece(each, at, min(at + length, len(each))) for each in found.items for at in range(0, len(each), length)
    )
    return replace(found, items=items)


def windows(found: Recordings, length: int, stride: int, by: str) -> Recordings:
    """Every window of `length` steps, each `stride` steps after the one before; a recording that is shorter is one window.

    Args:
        found: Recordings; what lies behind the last whole window of one is left out.
        length: At least 1.
        stride: At least 1.
        by: The label of a window, where its steps have labels: "majority", or that of its "last" step.
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
