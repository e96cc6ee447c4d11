import gzip
import json

import numpy as np
import pytest
from PIL import Image

from ostinato.data.records.captions import (
    read_caption_splits,
    read_captions,
    read_pictures,
    read_without_captions,
)
from ostinato.errors import DataError
from tests.data.servers import Site, serve


def pictures(folder, shapes):
    for name, (height, width) in shapes.items():
        Image.fromarray(np.full((height, width, 3), 200, np.uint8)).save(folder / name)


def listing(folder, rows):
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_pictures_with_captions(tmp_path):
    pictures(tmp_path, {"a.png": (4, 6), "b.png": (4, 6)})
    listing(
        tmp_path,
        [
            {"file": "a.png", "caption": "one"},
            {"image": "b.png", "text": ["two", "zwei"]},
            {"file": "a.png", "caption": "eins"},
        ],
    )
    found = read_captions(tmp_path)
    assert found.captions == (("one", "eins"), ("two", "zwei"))
    assert found.images.pixels.shape == (2, 4, 6, 3)
    assert (found.images.pixels == 200).all()
    assert found.take([1]).captions == (("two", "zwei"),)
    assert read_captions(tmp_path / "captions.jsonl", grey=True, size=(2, 3)).images.pixels.shape == (2, 2, 3)


def test_pictures_of_two_sizes_are_scaled_or_told(tmp_path):
    pictures(tmp_path, {"a.png": (4, 6), "b.png": (5, 5)})
    listing(tmp_path, [{"file": "a.png", "caption": "one"}, {"file": "b.png", "caption": "two"}])
    with pytest.raises(DataError, match=r"b.png: is 5 x 5, the first picture 4 x 6 .* --reading.size"):
        read_captions(tmp_path)
    assert read_captions(tmp_path, size=(8, 8)).images.pixels.shape == (2, 8, 8, 3)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there is no line in it"),
        ([{"file": "a.png"}], "line 1: expected"),
        ([{"file": "a.png", "caption": 5}], "line 1: expected"),
        ([{"file": "none.png", "caption": "x"}], "none.png: is not a picture that can be read"),
        ([{"file": "captions.jsonl", "caption": "x"}], "captions.jsonl: is not a picture"),
    ],
)
def test_broken_captions_are_told_in_one_line(tmp_path, rows, message):
    pictures(tmp_path, {"a.png": (4, 6)})
    listing(tmp_path, rows)
    with pytest.raises(DataError, match=message):
        read_captions(tmp_path)


def test_parts_are_drawn_by_picture(tmp_path):
    pictures(tmp_path, {f"{i}.png": (2, 3) for i in range(20)})
    listing(tmp_path, [{"file": f"{i % 20}.png", "caption": f"{i % 20} {i}"} for i in range(40)])
    splits = read_caption_splits(tmp_path, validation_share=0.2, test_share=0.3)
    found = [
        {said.split()[0] for each in part.captions for said in each}
        for part in (splits.train, splits.validation, splits.test)
    ]
    assert (
        [len(names) for names in found] == [len(splits.train), len(splits.validation), len(splits.test)] == [10, 4, 6]
    )
    assert set.union(*found) == {str(i) for i in range(20)}


def test_pictures_without_captions(tmp_path):
    pictures(tmp_path, {"b.png": (4, 6), "a.png": (4, 6)})
    (tmp_path / "notes.txt").write_text("not a picture")
    names, images = read_pictures(tmp_path)
    assert names == ("a.png", "b.png")
    assert images.pixels.shape == (2, 4, 6, 3)
    names, images = read_pictures(tmp_path / "b.png", grey=True)
    assert names == ("b.png",)
    assert images.pixels.shape == (1, 4, 6)
    with pytest.raises(DataError, match=r"notes\.txt: is not a picture"):
        read_pictures(tmp_path / "notes.txt")


def test_a_folder_without_pictures_is_told(tmp_path):
    with pytest.raises(DataError, match="there is no picture in this folder"):
        read_pictures(tmp_path)


def test_pictures_are_grey_where_all_of_them_are(tmp_path):
    Image.fromarray(np.full((2, 3), 7, np.uint8)).save(tmp_path / "a.png")
    assert read_pictures(tmp_path)[1].pixels.tolist() == [[[7] * 3] * 2]
    Image.fromarray(np.full((2, 3), 3 * 2**14, np.uint16)).save(tmp_path / "b.png")  # of sixteen bits
    assert read_pictures(tmp_path)[1].pixels[1].tolist() == [[3 * 2**6 - 1] * 3] * 2  # 191.25
    pictures(tmp_path, {"c.png": (2, 3)})
    assert read_pictures(tmp_path)[1].pixels[0].tolist() == [[[7] * 3] * 3] * 2
    assert read_pictures(tmp_path, grey=True)[1].pixels.shape == (3, 2, 3)


def test_what_can_be_seen_through_is_seen_on_white(tmp_path):
    pixels = np.zeros((1, 2, 4), np.uint8)
    pixels[0, 0] = 9, 9, 9, 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_pictures(tmp_path)[1].pixels.tolist() == [[[[9] * 3, [255] * 3]]]


def test_a_picture_taken_upright_is_read_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: the camera was turned
    Image.fromarray(np.zeros((2, 5), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert read_pictures(tmp_path)[1].pixels.shape == (1, 5, 2)


def test_pictures_by_a_pattern_or_by_their_names(tmp_path):
    pictures(tmp_path, {"a1.png": (1, 1), "a2.png": (1, 1), "b.png": (1, 1)})
    assert read_pictures(tmp_path / "a*.png")[0] == ("a1.png", "a2.png")
    names = [str(tmp_path / "b.png"), str(tmp_path / "a1.png")]
    assert read_pictures(names)[0] == tuple(names)
    with pytest.raises(DataError, match="no file has such a name"):
        read_pictures(tmp_path / "c*.png")


def test_a_picture_that_breaks_off_is_told(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    with pytest.raises(DataError, match=r"a\.png: is not a picture that can be read"):
        read_pictures(tmp_path / "a.png")


def test_parts_may_have_files_of_their_own(tmp_path):
    pictures(tmp_path, {"a.png": (2, 3), "b.png": (4, 4)})
    pictures(tmp_path, {f"{i}.png": (2, 3) for i in range(10)})
    rows = {"train": [{"file": f"{i}.png", "caption": str(i)} for i in range(10)]}
    rows |= {"dev": [{"file": "a.png", "caption": "a"}], "test": [{"file": "b.png", "caption": "b"}]}
    for name, lines in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    splits = read_caption_splits(tmp_path)
    assert [part.names for part in (splits.train, splits.validation, splits.test)] == [
        tuple(f"{i}.png" for i in range(10)),
        ("a.png",),
        ("b.png",),
    ]
    assert splits.test.images.pixels.shape == (1, 2, 3, 3)  # scaled to what is learnt from
    named = read_caption_splits(tmp_path / "train.jsonl", test=tmp_path / "test.jsonl", validation_share=0.2)
    assert [len(part) for part in (named.train, named.validation, named.test)] == [8, 2, 1]
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(DataError, match=r"there is dev\.jsonl, but no train\.jsonl"):
        read_caption_splits(tmp_path)


def test_pictures_far_away(tmp_path):
    """Beside their listing, wherever that is; a listing may be compressed."""
    pictures(tmp_path, {"a b.png": (4, 6)})
    row = json.dumps({"file": "a b.png", "caption": "one"}).encode()
    files = {
        "/x/c.jsonl": row,
        "/x/c.jsonl.gz": gzip.compress(row),
        "/x/a%20b.png": (tmp_path / "a b.png").read_bytes(),
    }
    with serve(Site(files)) as site:
        for name in ("c.jsonl", "c.jsonl.gz"):
            found = read_captions(f"{site.url}/x/{name}")
            assert found.captions == (("one",),)
            assert (found.images.pixels == 200).all()
        names, images = read_pictures(f"{site.url}/x/a%20b.png")
        assert len(names) == len(images) == 1
        with pytest.raises(DataError, match=r"missing.jsonl: not found"):
            read_caption_splits(f"{site.url}/x/missing.jsonl")


def test_the_listing_of_a_folder_may_be_compressed(tmp_path):
    pictures(tmp_path, {"a.png": (4, 6)})
    (tmp_path / "captions.jsonl.gz").write_bytes(gzip.compress(b'{"file": "a.png", "caption": "one"}'))
    assert read_captions(tmp_path).captions == (("one",),)


@pytest.mark.parametrize(
    ("values", "kind", "white"),
    [
        ([0, 2048, 4095], np.uint16, 4095),  # twelve bits kept in sixteen
        ([0, 32768, 65535], np.uint16, 65535),
        ([0.0, 0.5, 1.0], np.float32, 1),
        ([0.0, 128.0, 255.0], np.float32, 255),
        ([-1.0, 32768.0, 65535.0], np.float32, 65535),
        ([np.nan, 0.5, 1.0], np.float32, 1),
    ],
)
def test_pictures_of_more_bits_are_as_bright_as_they_were(tmp_path, values, kind, white):
    Image.fromarray(np.array([values], kind)).save(tmp_path / "a.tif")
    images = read_pictures(tmp_path)[1]
    assert images.pixels.tolist() == [[[0, 128, 255]]]
    assert images.deep_white == white


def test_what_is_white_is_the_same_in_all_pictures_and_in_those_that_come_later(tmp_path):
    for name, value in (("a.png", 4095), ("b.png", 400)):
        Image.fromarray(np.full((1, 1), value, np.uint16)).save(tmp_path / name)
    images = read_pictures(tmp_path)[1]
    assert images.pixels.ravel().tolist() == [255, 25]
    later = read_pictures(tmp_path / "b.png", white=images.deep_white, grey=False)[1]
    assert later.pixels.ravel().tolist() == [25, 25, 25]


def test_what_systems_leave_in_a_folder_is_no_picture(tmp_path):
    pictures(tmp_path, {"a.png": (2, 3)})
    for name in ("._a.png", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"no picture")
    assert read_pictures(tmp_path)[0] == ("a.png",)
    assert read_pictures(tmp_path / "*")[0] == ("a.png",)


def test_broken_pictures_are_left_out_where_that_is_wanted(tmp_path):
    pictures(tmp_path, {f"{n}.png": (4, 6) for n in range(8)})
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:40])
    (tmp_path / "5.png").write_bytes(b"")
    names = [f"{n}.png" for n in range(8)]
    listing(tmp_path, [{"file": name, "caption": name} for name in [*names, "none.png"]])
    with pytest.raises(DataError, match=r"3\.png.*; training with --reading.skip_broken true leaves such files out$"):
        read_captions(tmp_path)
    found = read_captions(tmp_path, skip_broken=True)
    kept = [name for name in names if name not in ("3.png", "5.png")]
    assert found.names == tuple(kept)
    assert found.captions == tuple((name,) for name in kept)
    assert len(found.images) == 6
    assert [name in line for name, line in zip(("3.png", "5.png", "none.png"), found.unread, strict=True)] == [True] * 3
    assert "3 of its files cannot be read, and are left out" in found.notes[0]
    assert found.take([0]).notes == found.notes
    assert found.take([0]).unread == found.unread
    splits = read_caption_splits(tmp_path, validation_share=0.2, test_share=0.2, skip_broken=True)
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 6
    assert read_pictures(tmp_path, skip_broken=True)[0] == tuple(kept)
    assert read_without_captions([str(tmp_path / name) for name in names], skip_broken=True).unread == found.unread[:2]
    (tmp_path / "b").mkdir()
    for name in ("3.png", "5.png"):
        (tmp_path / name).rename(tmp_path / "b" / name)
    with pytest.raises(DataError, match=r"none of its 2 files can be read; the first: .*3\.png"):
        read_without_captions(tmp_path / "*" / "*.png", skip_broken=True)


def test_a_pattern_of_pictures_goes_through_folders_and_takes_no_other_files(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        pictures(tmp_path / folder, {"a.png": (2, 3)})
        (tmp_path / folder / "notes.txt").write_text("no picture")
    assert read_pictures(tmp_path / "*" / "*")[0] == ("x/a.png", "y/a.png")
    assert read_pictures(tmp_path / "**" / "a*")[0] == ("x/a.png", "y/a.png")
    assert read_pictures(tmp_path / "y" / "*")[0] == ("a.png",)
