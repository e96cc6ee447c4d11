import json

import numpy as np
import pytest
from PIL import Image

from ostinato.data.captions import read_caption_splits, read_captions, read_pictures
from ostinato.errors import DataError


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
