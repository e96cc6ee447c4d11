import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ostinato.data.records.images import Images, read_idx, read_image_splits, read_images
from ostinato.errors import DataError

TYPES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def idx(array, dtype="u1"):
    return struct.pack(f">HBB{array.ndim}I", 0, TYPES[dtype], array.ndim, *array.shape) + array.astype(dtype).tobytes()


def some(count, seed=0, size=(4, 3)):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, *size), dtype=np.uint8), np.arange(count) % 5


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(TYPES)).flatmap(
        lambda t: st.tuples(
            st.just(t), hnp.arrays(np.dtype(t), hnp.array_shapes(max_dims=4, max_side=4), elements=st.integers(0, 100))
        )
    ),
    st.booleans(),
)
def test_idx_is_read_as_it_was_written(tmp_path_factory, case, compressed):
    dtype, array = case
    path = tmp_path_factory.mktemp("idx") / ("a.gz" if compressed else "a")
    path.write_bytes(gzip.compress(idx(array, dtype)) if compressed else idx(array, dtype))
    found = read_idx(path)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an IDX file"),
        (b"\x89PNG", "expected an IDX file"),
        (b"\0\0\x08\x02\0\0\0", "ends within its header of 12 bytes"),
        (idx(np.zeros((2, 3)))[:-1], "header says 2 x 3, 6 bytes, but 5 follow"),
        (idx(np.zeros((2, 3))) + b"x", "6 bytes, but 7 follow"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "bytes, but 0 follow"),
    ],
)
def test_a_broken_idx_file_is_told_in_one_line(tmp_path, content, message):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "a")


def test_rows_are_steps_from_0_to_1():
    pixels, _ = some(6)
    images = Images(pixels, None, (), 255.0)
    rows = images.rows()
    assert (rows.shape, rows.dtype) == ((6, 4, 3), np.float32)
    np.testing.assert_allclose(rows, pixels / 255, rtol=1e-6)
    np.testing.assert_array_equal(images.rows([4, 1]), rows[[4, 1]])
    colours = Images(np.stack([pixels, pixels], axis=-1), None, (), 255.0)
    assert colours.rows().shape == (6, 4, 6)
    np.testing.assert_array_equal(colours.rows()[:, :, 0::2], rows)


def test_images_are_taken_with_their_labels():
    pixels, labels = some(6)
    taken = Images(pixels, labels, tuple("01234"), 255.0).take(np.array([5, 2]))
    np.testing.assert_array_equal(taken.pixels, pixels[[5, 2]])
    assert taken.labels is not None
    assert taken.labels.tolist() == [0, 2]
    assert len(taken) == 2


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_folder_with_mnists_names(tmp_path, ending):
    for part, count in (("train", 50), ("t10k", 10)):
        pixels, labels = some(count)
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            content = idx(array)
            (tmp_path / f"{part}-{kind}-ubyte{ending}").write_bytes(gzip.compress(content) if ending else content)
    splits = read_image_splits(tmp_path, validation_share=0.2)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [41, 9, 10]
    np.testing.assert_array_equal(splits.test.pixels, some(10)[0])
    assert splits.train.classes == tuple("01234")
    both = np.sort(np.concatenate([splits.train.pixels, splits.validation.pixels]).reshape(50, -1), axis=0)
    np.testing.assert_array_equal(both, np.sort(some(50)[0].reshape(50, -1), axis=0))
    assert read_images(tmp_path / f"t10k-images-idx3-ubyte{ending}").labels is not None


@pytest.mark.parametrize("names", [("x_train", "y_train", "x_test", "y_test"), ("images", "labels")])
def test_an_archive(tmp_path, names):
    train, test = some(50), some(10, seed=1)
    np.savez(tmp_path / "a.npz", **dict(zip(names, (*train, *test), strict=False)))
    splits = read_image_splits(tmp_path / "a.npz", validation_share=0.2, test_share=0.2)
    if len(names) == 4:
        np.testing.assert_array_equal(splits.test.pixels, test[0])
        assert len(splits.train) + len(splits.validation) == 50
    else:
        assert len(splits.train) + len(splits.validation) + len(splits.test) == 50
        assert len(splits.test) == 9


def test_floats_and_wide_numbers_are_scaled_by_the_largest(tmp_path):
    pixels, _ = some(5)
    np.savez(tmp_path / "a.npz", images=pixels.astype(np.float64) / 10)
    assert read_images(tmp_path / "a.npz").rows().max() == 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros(3)}, r"got float64 \(3,\)"),
        ({"pictures": np.zeros((2, 2, 2))}, "expected an array called images"),
        ({"images": np.zeros((2, 2, 2)), "labels": np.zeros(3, int)}, "has 2 images, but 3 labels"),
        ({"images": np.zeros((2, 2, 2)), "labels": np.array([0.5, 1])}, "whole numbers"),
        ({"images": np.zeros((2, 2, 2)), "labels": np.array([0, 10**9])}, "has the label 1000000000"),
        ({"images": np.full((2, 2, 2), np.nan)}, "not finite"),
        ({"images": np.array([[["a"]]])}, "expected images as numbers"),
        ({"images": np.array([None]), "labels": np.zeros(1, int)}, "is not a whole NumPy archive of numbers"),
    ],
)
def test_an_archive_that_holds_no_images_is_told(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_images(tmp_path / "a.npz")


def test_a_damaged_archive_and_missing_labels_are_told(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match="is not a whole NumPy archive"):
        read_images(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", images=some(5)[0])
    with pytest.raises(DataError, match="expected labels"):
        read_image_splits(tmp_path / "b.npz")
    with pytest.raises(DataError, match="expected train-images-idx3-ubyte"):
        read_image_splits(tmp_path)
