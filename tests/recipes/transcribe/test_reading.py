"""What a transcriber can be trained on: tables, archives, folders, pictures; and what is said of others."""

import csv
import json

import numpy as np
import PIL.Image
import pytest

from ostinato.data.recordings.pictures import recording_of
from ostinato.errors import DataError
from ostinato.recipes.recordings.settings import RecordingSettings
from ostinato.recipes.transcribe.data import TranscribeKnown
from ostinato.recipes.transcribe.reading import read_part, read_splits
from ostinato.recipes.transcribe.settings import TranscribeReadingSettings
from tests.recipes.transcribe.strokes import CHANNELS, recordings, small


def texts(part):
    return [each.label for each in part.items]


def all_of(splits):
    return sorted(texts(splits.train) + texts(splits.validation) + texts(splits.test))


def write_long(path, found, column="text"):
    """A row a step; what is written stands in the first row of each."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", *CHANNELS, column])
        for each in found.items:
            for at, step in enumerate(each.values.tolist()):
                rows.writerow([each.id, *step, each.label if at == 0 else ""])
    return str(path)


def test_long_tables(tmp_path):
    part = recordings(40)
    splits = read_splits(small("run", write_long(tmp_path / "a.csv", part)))
    assert splits.train.channels == CHANNELS
    assert all_of(splits) == sorted(texts(part))
    by_id = {each.id: each for each in splits.train.items}
    np.testing.assert_allclose(by_id["r0"].values, part[0].values, rtol=1e-5)
    named = small("run", write_long(tmp_path / "b.csv", part, "says"), reading=TranscribeReadingSettings(text="says"))
    assert all_of(read_splits(named)) == sorted(texts(part))
    with pytest.raises(DataError, match=r"called text; name the one of texts with --reading.text"):
        read_splits(small("run", write_long(tmp_path / "c.csv", part, "says")))


def test_archives(tmp_path):
    part = recordings(30)
    longest = max(map(len, part.items))
    x = np.zeros((30, longest, 3), np.float32)
    for at, each in enumerate(part.items):
        x[at, : len(each)] = each.values
    lengths = np.array([len(each) for each in part.items])
    np.savez(tmp_path / "a.npz", x=x, lengths=lengths, text=np.array(texts(part)))
    splits = read_splits(small("run", str(tmp_path / "a.npz")))
    assert all_of(splits) == sorted(texts(part))
    assert max(map(len, splits.train.items)) <= longest
    parts = {
        f"{name}_{part_of}": v[:10] for part_of in ("train", "test") for name, v in {"x": x, "lengths": lengths}.items()
    }
    written = {f"text_{part_of}": np.array(texts(part)[:10]) for part_of in ("train", "test")}
    np.savez(tmp_path / "b.npz", **parts, **written)
    assert texts(read_splits(small("run", str(tmp_path / "b.npz"))).test) == texts(part)[:10]


def test_parquet_with_lists(tmp_path):
    import polars

    part = recordings(30)
    rows = {"values": [each.values.astype(float).tolist() for each in part.items], "transcript": texts(part)}
    polars.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    assert all_of(read_splits(small("run", str(tmp_path / "a.parquet")))) == sorted(texts(part))


def test_folders_of_tables_with_a_list(tmp_path):
    part = recordings(30)
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "text"])
        for each in part.items:
            rows.writerow([f"{each.id}.csv", each.label])
            lines = [",".join(CHANNELS), *(",".join(map(str, step)) for step in each.values.tolist())]
            (tmp_path / f"{each.id}.csv").write_text("\n".join(lines))
    assert all_of(read_splits(small("run", str(tmp_path)))) == sorted(texts(part))


def test_groups_stay_in_one_part(tmp_path):
    part = recordings(60)
    with (tmp_path / "a.jsonl").open("w", encoding="utf-8") as file:
        for at, each in enumerate(part.items):
            row = {
                "values": each.values.astype(float).tolist(),
                "text": each.label,
                "writer": "x",
                "subject": f"p{at % 12}",
            }
            file.write(json.dumps(row) + "\n")
    splits = read_splits(small("run", str(tmp_path / "a.jsonl")))
    groups = [{each.group for each in part.items} for part in (splits.train, splits.validation, splits.test)]
    assert sum(map(len, groups)) == 12
    assert all(groups)


def test_a_text_is_no_class_so_that_each_may_be_there_once(tmp_path):
    """A class that is there once would stay in training."""
    from tests.recipes.transcribe.strokes import write

    part = recordings(20)
    items = tuple(type(each)(each.id, each.values, f"{each.label} {at}") for at, each in enumerate(part.items))
    splits = read_splits(small("run", write(tmp_path / "a.jsonl", type(part)(CHANNELS, items))))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (16, 2, 2)


# --- pictures ---


def page(seed, width=40, height=20):
    """Dark marks on light paper."""
    draw = np.random.default_rng(seed)
    pixels = np.full((height, width), 230, np.uint8)
    for at in range(4, width - 6, 9):
        pixels[4 : 6 + int(draw.integers(1, 10)), at : at + 3] = 20
    return pixels


def write_pages(folder, count=12):
    folder.mkdir(parents=True)
    for at in range(count):
        PIL.Image.fromarray(page(at, 40 + at)).save(folder / f"{at:02}.png")
    return [f"line {at}" for at in range(count)]


@pytest.mark.parametrize("how", ["csv", "jsonl", "beside", "gt"])
def test_pictures_with_their_texts(tmp_path, how):
    folder = tmp_path / "pages"
    said = write_pages(folder)
    if how == "csv":
        lines = ["file,text", *(f"{at:02}.png,{text}" for at, text in enumerate(said))]
        (folder / "labels.csv").write_text("\n".join(lines))
    elif how == "jsonl":
        lines = [f'{{"file": "{at:02}.png", "text": "{text}"}}' for at, text in enumerate(said)]
        (folder / "lines.jsonl").write_text("\n".join(lines))
    else:
        for at, text in enumerate(said):
            (folder / f"{at:02}{'.txt' if how == 'beside' else '.gt.txt'}").write_text(f"{text}\n")
    settings = small("run", str(folder), reading=TranscribeReadingSettings(height=10, validation_share=0.2))
    splits = read_splits(settings)
    assert all_of(splits) == sorted(said)
    assert len(splits.train.channels) == 10
    assert {len(each) for each in splits.train.items} <= {round((40 + at) / 2) for at in range(12)}
    known = TranscribeKnown.of(splits.train, settings.reading, None, 10)
    one = read_part(settings, known, str(folder / "03.png"), labelled=False)
    assert [each.id for each in one.items] == ["03.png"]
    assert len(read_part(settings, known, str(folder / "0*.png"), labelled=False)) == 10
    assert texts(read_part(settings, known, str(folder), labelled=True)) == said


def test_pictures_in_parts_and_what_is_missing(tmp_path):
    for part in ("train", "validation", "test"):
        said = write_pages(tmp_path / "all" / part)
        lines = ["file,text", *(f"{at:02}.png,{text}" for at, text in enumerate(said))]
        (tmp_path / "all" / part / "labels.csv").write_text("\n".join(lines))
    splits = read_splits(small("run", str(tmp_path / "all")))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (12, 12, 12)
    write_pages(tmp_path / "bare")
    with pytest.raises(DataError, match=r"put labels\.csv beside them"):
        read_splits(small("run", str(tmp_path / "bare")))
    (tmp_path / "bare" / "labels.csv").write_text("file,text\nzebra.png,a\n")
    with pytest.raises(DataError, match=r"line 2: there is no file 'zebra.png'"):
        read_splits(small("run", str(tmp_path / "bare")))
    (tmp_path / "bare" / "labels.csv").write_text("file,said\n00.png,a\n")
    with pytest.raises(DataError, match=r"name the one of texts with --reading.text"):
        read_splits(small("run", str(tmp_path / "bare")))
    (tmp_path / "bare" / "labels.csv").write_text("file,text\n00.png,\n01.png,\n")
    with pytest.raises(DataError, match="nothing says what is written"):
        read_splits(small("run", str(tmp_path / "bare")))


def test_dark_on_light_and_light_on_dark_are_the_same():
    dark = recording_of(page(1), 20, "a", None).values
    light = recording_of(255 - page(1), 20, "a", None).values
    np.testing.assert_allclose(dark, light, atol=1e-6)
    pale = recording_of((230 - (230 - page(1).astype(float)) / 3).astype(np.uint8), 20, "a", None).values
    np.testing.assert_allclose(dark, pale, atol=0.02)
    assert np.abs(np.median(dark)) < 1e-6
    assert dark.max() == pytest.approx(1.0, abs=0.05)


def test_an_empty_page_is_no_ink():
    assert np.abs(recording_of(np.full((20, 30), 200, np.uint8), 20, "a", None).values).max() == 0.0


def test_the_frames_of_a_recording_follow_from_how_long_its_texts_are():
    part = recordings(40)
    reading = TranscribeReadingSettings()
    assert TranscribeKnown.of(part, reading, None, None).stride == 1
    slow = tuple(type(each)(each.id, np.repeat(each.values, 5, axis=0), each.label) for each in part.items)
    known = TranscribeKnown.of(type(part)(CHANNELS, slow), reading, None, None)
    assert known.stride > 3
    assert known.stack == 2 * known.stride
    assert TranscribeKnown.from_dict(known.to_dict()).to_dict() == known.to_dict()
    given = TranscribeKnown.of(part, TranscribeReadingSettings(stride=2), 7, None)
    assert (given.stride, given.stack) == (2, 7)


def test_recordings_of_other_channels_are_refused(tmp_path):
    from tests.recipes.transcribe.strokes import write

    part = recordings(30)
    settings = small("run", write(tmp_path / "a.jsonl", part), recording=RecordingSettings(channels=list(CHANNELS)))
    known = TranscribeKnown.of(read_splits(settings).train, settings.reading, None, None)
    narrow = type(part)(CHANNELS[:2], tuple(type(each)(each.id, each.values[:, :2], each.label) for each in part.items))
    with pytest.raises(DataError, match="steps of 3 numbers"):
        read_part(settings, known, write(tmp_path / "b.jsonl", narrow), labelled=True)
