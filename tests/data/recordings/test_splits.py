"""Parts of recordings, pieces and windows."""

from collections import Counter

import numpy as np
import pytest

from ostinato.data.recordings.recording import Recording, Recordings
from ostinato.data.recordings.splits import cut, draw_splits, draw_validation, piece, windows
from ostinato.errors import ConfigError, DataError


def several(count, steps=4, *, labels="uv", groups=None):
    items = tuple(
        Recording(
            str(n),
            np.full((steps, 1), n, np.float32),
            labels[n % len(labels)],
            group=None if groups is None else groups[n % len(groups)],
        )
        for n in range(count)
    )
    return Recordings(("x",), items, ("a note",))


def long(name, steps, labels=None, times=None):
    """Values count the steps."""
    return Recording(name, np.arange(steps, dtype=np.float32)[:, None], None, labels, times)


def ids(part):
    return [each.id for each in part.items]


def parts(splits):
    return splits.train, splits.validation, splits.test


def steps(part):
    return [each.values[:, 0].astype(int).tolist() for each in part.items]


def test_each_recording_is_in_one_part_and_each_label_has_its_share():
    found = several(100, labels="uuuv")
    splits = draw_splits(found, "name", 0.2, 0.12, by_time=False)
    assert splits.name == "name"
    assert sorted(name for part in parts(splits) for name in ids(part)) == sorted(ids(found))
    counts = [Counter(each.label for each in part.items) for part in parts(splits)]
    for part, share in zip(counts[1:], (0.2, 0.12), strict=True):
        assert abs(part["u"] - 75 * share) <= 1
        assert abs(part["v"] - 25 * share) <= 1
    assert all((part.channels, part.notes) == (("x",), ("a note",)) for part in parts(splits))


@pytest.mark.parametrize("by_time", [False, True])
def test_groups_are_never_split(by_time):
    found = several(60, groups=[f"g{n}" for n in range(12)])
    splits = draw_splits(found, "", 0.25, 0.25, by_time=by_time)
    groups = [{each.group for each in part.items} for part in parts(splits)]
    assert all(abs(len(each) - wanted) <= 1 for each, wanted in zip(groups, (6, 3, 3), strict=True))
    assert len(set.union(*groups)) == 12 == sum(map(len, groups))
    assert [len(part) for part in parts(splits)] == [5 * len(each) for each in groups]


def test_who_has_no_group_is_one_of_its_own():
    found = several(8, groups=["ann", None])
    splits = draw_splits(found, "", 0.4, 0.0, by_time=False)
    assert (
        len({"ann"} & {each.group for each in splits.train.items})
        + len({"ann"} & {each.group for each in splits.validation.items})
        == 1
    )
    assert sorted(ids(splits.train) + ids(splits.validation)) == ids(found)
    assert len(splits.test) == 0


def test_too_few_are_told():
    with pytest.raises(DataError, match="3 recordings with 2 labels are too few"):
        draw_splits(several(3), "", 0.1, 0.1, by_time=False)


def test_few_long_recordings_are_cut_by_time_without_overlap():
    found = Recordings(
        ("x",),
        (
            long("a", 100, tuple("u" * 75 + "v" * 25), np.arange(100) * 0.5 + 7),
            long("b", 11, tuple("w" * 11)),
        ),
    )
    splits = draw_splits(found, "", 0.1, 0.2, by_time=True)
    a, b = ([step for part in parts(splits) for step in steps(part)[at]] for at in (0, 1))
    assert (a, b) == ([*range(100)], [*range(11)])
    assert [len(part[0]) for part in parts(splits)] == [70, 10, 20]
    assert [part[0].label for part in parts(splits)] == ["u", None, "v"]
    assert [part[1].label for part in parts(splits)] == ["w"] * 3
    assert [part[0].times.tolist()[:2] for part in parts(splits)] == [[0.0, 0.5]] * 3


def test_many_recordings_are_drawn_even_where_they_may_be_cut():
    splits = draw_splits(several(20), "", 0.2, 0.2, by_time=True)
    assert sum(map(len, parts(splits))) == 20
    assert all(len(each) == 4 for part in parts(splits) for each in part.items)


def test_a_part_without_a_share_is_empty():
    found = Recordings(("x",), (long("a", 10),))
    splits = draw_splits(found, "", 0.0, 0.3, by_time=True)
    assert [sum(map(len, part.items)) for part in parts(splits)] == [7, 0, 3]
    train, validation = draw_validation(found, 0.2, by_time=True)
    assert steps(train) + steps(validation) == [[*range(8)], [8, 9]]


def test_what_cannot_be_cut_is_told():
    with pytest.raises(DataError, match="recording 'a' has 2 steps, too few to cut into parts; give more recordings"):
        draw_splits(Recordings(("x",), (long("a", 2),)), "", 0.1, 0.1, by_time=True)
    for shares in ((-0.1, 0.1), (0.5, 0.5)):
        with pytest.raises(
            ConfigError, match="shares of validation and test must be at least 0 and together less than 1"
        ):
            draw_splits(Recordings(("x",), (long("a", 9),)), "", *shares, by_time=True)


def test_a_piece_is_what_its_steps_are():
    whole = Recording(
        "a", np.arange(6.0)[:, None], None, ("u", "u", None, "v", "v", "v"), np.array([0, 1, 3, 6, 7, 9.0]), "g"
    )
    found = piece(whole, 3, 5)
    assert (found.id, found.group, found.label, found.labels) == ("a", "g", "v", ("v", "v"))
    assert found.times is not None
    assert (found.values[:, 0].tolist(), found.times.tolist()) == ([3, 4], [0, 1])
    assert piece(whole, 1, 4).label is None
    assert piece(Recording("a", np.zeros((4, 1)), "w"), 1, 2).label == "w"


def test_pieces_go_on_to_the_end():
    found = cut(Recordings(("x",), (long("a", 7), long("b", 3), long("c", 1))), 3)
    assert steps(found) == [[0, 1, 2], [3, 4, 5], [6], [0, 1, 2], [0]]
    assert ids(found) == ["a", "a", "a", "b", "c"]


@pytest.mark.parametrize(
    ("length", "stride", "expected"),
    [
        (3, 3, [[0, 1, 2], [3, 4, 5]]),
        (3, 2, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
        (3, 5, [[0, 1, 2]]),
        (7, 1, [[*range(7)]]),
        (8, 2, [[*range(7)]]),
        (1, 4, [[0], [4]]),
    ],
)
def test_windows(length, stride, expected):
    found = windows(Recordings(("x",), (long("a", 7), long("", 7))), length, stride, "majority")
    assert steps(found) == expected * 2
    names = [f"{each[0]}-{each[-1] + 1}" for each in expected]
    assert ids(found) == [f"a:{name}" for name in names] + names


def test_labels_of_windows():
    labels = ("u", "u", "v", None, "v", None, None, "u", None)
    found = Recordings(("x",), (long("a", 9, labels), Recording("b", np.zeros((2, 1)), "w")))
    of = {by: [each.label for each in windows(found, 3, 3, by).items] for by in ("majority", "last")}
    assert of == {"majority": ["u", "v", "u", "w"], "last": ["v", None, None, "w"]}
    nothing = Recordings(("x",), (long("a", 2, (None, None)),))
    assert windows(nothing, 2, 1, "majority")[0].label is None
