import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ostinato.data.recordings.arrays import parts_of, read_arrays
from ostinato.errors import DataError

X = np.arange(24, dtype=np.float64).reshape(3, 4, 2)


def pack(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


def times_of(found):
    return [None if item.times is None else item.times.tolist() for item in found.items]


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ">f4", "i8", "u1", "i2"])
def test_an_array_alone(tmp_path, dtype):
    np.save(tmp_path / "a.npy", X.astype(dtype))
    found = read_arrays(tmp_path / "a.npy")
    assert found.channels == ("x0", "x1")
    assert found.notes == ()
    assert [(item.id, item.label, item.labels, item.times, item.group) for item in found.items] == [
        (str(at), None, None, None, None) for at in (1, 2, 3)
    ]
    for item, values in zip(found.items, X, strict=True):
        # What float32 would round stays as it is.
        assert item.values.dtype == (np.float64 if dtype in ("f8", "i8") else np.float32)
        np.testing.assert_array_equal(item.values, values)
    assert parts_of(tmp_path / "a.npy") == ()


def test_one_channel_without_an_axis_of_its_own_and_truths(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3, 4) > 0)
    found = read_arrays(tmp_path / "a.npy")
    assert found.channels == ("x",)
    assert [item.values[:, 0].tolist() for item in found.items] == np.eye(3, 4).tolist()


@pytest.mark.parametrize("name", ["x", "X", "data", "Values", "series", "recordings"])
def test_everything_that_an_archive_can_say(tmp_path, name):
    path = pack(
        tmp_path,
        **{name: X},
        Y=np.array([1, 0, 1]),
        lengths=np.array([4, 1, 3]),
        groups=np.array(["ann", "", "bo"]),
        channels=np.array(["left", "right"]),
        times=np.array([0, 1, 2.5, 4]),
        remarks=np.array([{"not": "read"}], dtype=object),
    )
    found = read_arrays(path)
    assert found.channels == ("left", "right")
    assert [len(item) for item in found.items] == [4, 1, 3]
    assert [item.label for item in found.items] == ["1", "0", "1"]
    assert [item.group for item in found.items] == ["ann", None, "bo"]
    assert times_of(found) == [[0, 1, 2.5, 4], [0], [0, 1, 2.5]]
    for item, values in zip(found.items, X, strict=True):
        np.testing.assert_array_equal(item.values, values[: len(item)])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([3, 0, -1]), ["3", "0", "-1"]),
        (np.array([[3], [0], [7]], dtype=np.uint8), ["3", "0", "7"]),
        (np.array([3.0, np.nan, -1.0]), ["3", None, "-1"]),
        (np.array(["walk", "", "run up"]), ["walk", None, "run up"]),
        (np.array(["gehört", "3", "x"]), ["gehört", "3", "x"]),
        (np.array(["ö".encode(), b"a", b""]), ["ö", "a", None]),
        (np.array([True, False, True]), ["True", "False", "True"]),
    ],
)
@pytest.mark.parametrize("name", ["y", "labels", "label", "targets"])
def test_labels_of_recordings_are_texts(tmp_path, name, labels, expected):
    found = read_arrays(pack(tmp_path, x=X, **{name: labels}))
    assert [item.label for item in found.items] == expected
    assert {item.labels for item in found.items} == {None}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([[0, 1, 1, -1], [2, 2, 2, 2], [-1, 0, 9, 9]]), [("0", "1", "1", None), ("2",), (None, "0", "9")]),
        (np.array([[0, 1, np.nan, -1], [2] * 4, [1] * 4]), [("0", "1", None, None), ("2",), ("1", "1", "1")]),
        (np.array([["a", "", "-1", "b"], ["c"] * 4, ["d"] * 4]), [("a", None, "-1", "b"), ("c",), ("d", "d", "d")]),
    ],
)
def test_labels_of_steps_are_cut_like_the_steps(tmp_path, labels, expected):
    found = read_arrays(pack(tmp_path, x=X, y=labels, lengths=np.array([4, 1, 3])))
    assert [item.labels for item in found.items] == expected
    assert {item.label for item in found.items} == {None}


def test_times_of_each_recording_may_be_anything_beyond_its_length(tmp_path):
    times = np.array([[0, 1, 2, 3], [5, np.nan, 0, 0], [1, 2, 4, 4]], dtype=np.float32)
    found = read_arrays(pack(tmp_path, x=X, times=times, lengths=np.array([4, 1, 3])))
    assert times_of(found) == [[0, 1, 2, 3], [5], [1, 2, 4]]
    assert {item.times.dtype for item in found.items if item.times is not None} == {np.dtype(np.float64)}


def test_groups_that_are_numbers(tmp_path):
    found = read_arrays(pack(tmp_path, x=X, group=np.array([[7], [7], [8]])))
    assert [item.group for item in found.items] == ["7", "7", "8"]


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("x_train", "y_train", "x_test", "y_test"), ("train", "test")),
        (("X_val", "Y_val", "X_train", "Y_train"), ("train", "validation")),
        (
            ("valid_data", "labels_valid", "test_data", "test_labels", "data_train", "train_labels"),
            ("train", "validation", "test"),
        ),
        (("x", "y"), ()),
        (("z_train", "y_train"), ()),
    ],
)
def test_the_parts_of_an_archive(tmp_path, names, parts):
    assert parts_of(pack(tmp_path, **dict.fromkeys(names, X))) == parts


def test_a_part_has_its_own_arrays_and_shares_channels_and_times(tmp_path):
    path = pack(
        tmp_path,
        X_train=X,
        y_train=np.array([1, 2, 3]),
        lengths_train=np.array([1, 2, 3]),
        X_val=X[:1] + 100,
        y_val=np.array(["a"]),
        times_val=np.array([5, 6, 7, 8]),
        X_test=np.full((1, 4, 2), np.inf),
        channels=np.array(["l", "r"]),
        times=np.arange(4),
    )
    train, validation = (read_arrays(path, part) for part in ("train", "validation"))
    assert train.channels == validation.channels == ("l", "r")
    assert [item.label for item in train.items] == ["1", "2", "3"]
    assert times_of(train) == [[0], [0, 1], [0, 1, 2]]
    assert times_of(validation) == [[5, 6, 7, 8]]
    np.testing.assert_array_equal(validation[0].values, X[0] + 100)
    assert validation[0].label == "a"


def test_compressed_and_far_away(tmp_path):
    import fsspec

    path = pack(tmp_path, x=X, y=np.arange(3))
    (tmp_path / "b.npz.gz").write_bytes(gzip.compress(path.read_bytes()))
    np.save(tmp_path / "c.npy", X)
    (tmp_path / "c.npy.gz").write_bytes(gzip.compress((tmp_path / "c.npy").read_bytes()))
    fsspec.filesystem("memory").pipe("/recordings/a.npz", path.read_bytes())
    fsspec.filesystem("memory").pipe("/recordings/c.npy", (tmp_path / "c.npy").read_bytes())
    for place in (
        tmp_path / "b.npz.gz",
        tmp_path / "c.npy.gz",
        "memory://recordings/a.npz",
        "memory://recordings/c.npy",
    ):
        np.testing.assert_array_equal(read_arrays(place)[2].values, X[2])


def test_missing_values_stay_and_what_may_only_fill_up_is_told(tmp_path):
    x = X.copy()
    x[0, 1, 0] = np.nan
    assert read_arrays(pack(tmp_path, x=x)).notes == ()
    x[1, 2:] = np.nan
    found = read_arrays(pack(tmp_path, x=x))
    np.testing.assert_array_equal(found[1].values, x[1])
    (note,) = found.notes
    assert "a.npz: 1 of 3 recordings end with steps that have no value" in note
    assert read_arrays(pack(tmp_path, x=x, lengths=np.array([4, 2, 4]))).notes == ()


def test_what_lies_beyond_a_recording_is_not_looked_at(tmp_path):
    x = X.copy()
    x[1, 2:] = np.inf
    found = read_arrays(pack(tmp_path, x=x, lengths=np.array([4, 2, 4])))
    np.testing.assert_array_equal(found[1].values, X[1, :2])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_was_filled_up_is_read_as_it_was(tmp_path_factory, data):
    channels = data.draw(st.integers(1, 3))
    floats = st.floats(width=32, allow_infinity=False)
    shapes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    written = [data.draw(hnp.arrays(np.float32, (steps, channels), elements=floats)) for steps in shapes]
    x = np.zeros((len(shapes), max(shapes), channels), dtype=np.float32)
    for row, values in zip(x, written, strict=True):
        row[: len(values)] = values
    found = read_arrays(pack(tmp_path_factory.mktemp("npz"), x=x, lengths=np.array(shapes)))
    for item, values in zip(found.items, written, strict=True):
        np.testing.assert_array_equal(item.values, values)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": X}, "expected an array called x .or data, values, series, recordings., got z$"),
        ({"x_train": X, "x_test": X}, "got x_train, x_test; it has the parts train, test"),
        ({"x": np.zeros(3)}, r"expected recordings as numbers \(N, T, C\).* in the array x, got float64 \(3,\)"),
        ({"x": np.zeros((2, 2, 2, 2))}, r"got float64 \(2, 2, 2, 2\)"),
        ({"x": np.zeros((0, 2, 2))}, r"got float64 \(0, 2, 2\)"),
        ({"x": np.zeros((2, 2), complex)}, r"got complex128 \(2, 2\)"),
        ({"x": np.array([["a", "b"]])}, r"got <U1 \(1, 2\)"),
        (
            {"x": np.array([np.zeros(2), np.zeros(3)], dtype=object)},
            r"the array x is one of .* \(N, T, C\), .* lengths .* table",
        ),
        ({"x": X, "y": np.array(["a", None, "b"], dtype=object)}, "the array y is one of Python objects, .* dtype=str"),
        ({"x": np.where(X == 13, np.inf, X)}, r"in the array x, got inf at \[1, 2, 1\]; write NaN"),
        ({"x": np.where(X == 13, -1e39, X)}, r"got -1e\+39 at \[1, 2, 1\]"),
        ({"x": np.full((1, 2), np.inf)}, r"got inf at \[0, 0, 0\]"),
        (
            {"x": X, "y": np.zeros(2)},
            r"a class for each recording, \(3,\), or for each step, \(3, 4\), in the array y, got .* \(2,\)",
        ),
        ({"x": X, "y": np.zeros((3, 5))}, r"got float64 \(3, 5\); .* y.argmax"),
        ({"x": X, "y": np.zeros((3, 1, 1))}, r"got float64 \(3, 1, 1\)"),
        ({"x": X, "y": np.array([1, np.inf, 2])}, "got inf as number 2"),
        ({"x": X, "y": np.array([1, 2, 3j])}, "expected whole numbers or texts in the array y, got complex128"),
        ({"x": X, "y": np.array([b"\xff", b"a", b"b"])}, "expected texts in UTF-8 in the array y"),
        (
            {"x": X, "lengths": np.array([1, 2])},
            r"a whole number for each recording, \(3,\), in the array lengths, got int64 \(2,\)",
        ),
        ({"x": X, "lengths": np.array([1.0, 2, 3])}, r"got float64 \(3,\)"),
        ({"x": X, "lengths": np.array([1, 0, 3])}, "lengths from 1 to 4 in the array lengths, got 0 of recording 2"),
        ({"x": X, "lengths": np.array([1, 2, 5])}, "got 5 of recording 3"),
        (
            {"x": X, "groups": np.array([1, 2])},
            r"a group for each recording, \(3,\), in the array groups, got int64 \(2,\)",
        ),
        (
            {"x": X, "channels": np.array(["a"])},
            r"a name for each channel, \(2,\), in the array channels, got <U1 \(1,\); name",
        ),
        (
            {"x": X, "channels": np.array(list("abcd"))},
            r"got <U1 \(4,\); turn the recordings, .* x.transpose\(0, 2, 1\)",
        ),
        ({"x": X, "channels": np.array(["a", "a"])}, "names that differ in the array channels, got 'a', 'a'"),
        ({"x": X, "channels": np.array(["a", ""])}, "got 'a', ''"),
        (
            {"x": X, "times": np.arange(3)},
            r"times as numbers, \(4,\) or \(3, 4\), in the array times, got int64 \(3,\); write a time",
        ),
        (
            {"x": X, "times": np.arange(4).astype("M8[s]")},
            r"got datetime64\[s\] \(4,\); of dates write \(times - times",
        ),
        (
            {"x": X, "times": np.array([0, 1, 1, 2])},
            "times that increase in the array times, got 1.0 at step 3 of recording 1",
        ),
        (
            {"x": X, "times": np.array([[0, 1, 2, 3], [0, 1, np.nan, 3], [0, 1, 2, 3]])},
            "got nan at step 3 of recording 2",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        read_arrays(pack(tmp_path, **arrays))
    assert str(caught.value).startswith(str(tmp_path / "a.npz"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "part", "message"),
    [
        ({"x": X}, "train", "expected an array called x_train, got x$"),
        ({"x_train": X}, "validation", "expected an array called x_validation, got x_train; it has the parts train"),
        ({"x_train": X, "y": np.zeros(3)}, "train", "expected an array called y_train beside x_train, got y, which"),
        ({"x_train": X, "lengths": np.ones(3, int)}, "train", "expected an array called lengths_train"),
        ({"x": X}, "dev", "expected the part train, validation, test, got 'dev'"),
    ],
)
def test_a_part_that_is_not_there_is_told(tmp_path, arrays, part, message):
    with pytest.raises(DataError, match=message):
        read_arrays(pack(tmp_path, **arrays), part)


def test_a_single_array_that_is_none_is_told(tmp_path):
    np.save(tmp_path / "a.npy", np.array([np.zeros(2), np.zeros(3)], dtype=object))
    with pytest.raises(DataError, match=r"a\.npy: is not a whole array of numbers .* filled up to the longest"):
        read_arrays(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(b"1,2,3\n")
    with pytest.raises(DataError, match=r"b\.npy: is not a whole array of numbers .* numpy\.save$"):
        read_arrays(tmp_path / "b.npy")
    pack(tmp_path, x=X).rename(tmp_path / "c.npy")
    with pytest.raises(DataError, match=r"c\.npy: is an archive of arrays, not one array; call it \.npz"):
        read_arrays(tmp_path / "c.npy")
    np.save(tmp_path / "d.npy", X)
    with pytest.raises(DataError, match=r"d\.npy: expected the part train, but a \.npy file has no parts"):
        read_arrays(tmp_path / "d.npy", "train")
    (tmp_path / "d.npy").rename(tmp_path / "e.npz")
    with pytest.raises(DataError, match=r"e\.npz: is not a whole NumPy archive"):
        read_arrays(tmp_path / "e.npz")


def test_numbers_with_fractions_are_labels(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=[1.0, 0.25, np.nan])
    assert [each.label for each in read_arrays(tmp_path / "a.npz").items] == ["1.0", "0.25", None]
