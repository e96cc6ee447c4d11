import dataclasses
import json

import numpy as np
import pytest
import torch

from ostinato.data.records.images import Images
from ostinato.data.sources.tables import Example, read_labelled
from ostinato.errors import DataError
from ostinato.recipes.classify.data import (
    ClassifyKnown,
    ImageRows,
    Texts,
    prepared,
)
from ostinato.recipes.classify.reading import is_texts, large_texts, read_all, read_pictures, read_texts
from ostinato.recipes.classify.settings import ClassifyReadingSettings

READING = ClassifyReadingSettings(tokens="word")


def table(*rows):
    return tuple(Example(text, label) for text, label in rows)


TRAIN = table(("Good, good film!", "yes"), ("bad film", "no"), ("good", "yes"), ("once", "no"))


def images(count=6, classes=3):
    pixels = np.arange(count * 12, dtype=np.uint8).reshape(count, 4, 3)
    return Images(pixels, np.arange(count) % classes, tuple("abcd"), 255.0)


def test_words_and_marks_are_tokens_without_regard_to_case():
    assert prepared("Good, isn't it?", READING) == "good , isn ' t it ?"
    assert prepared("Good?", dataclasses.replace(READING, lower_case=False)) == "Good ?"
    assert prepared("फिल्म अच्छी!", READING) == "फिल्म अच्छी !"
    assert prepared("cafe\u0301", dataclasses.replace(READING, normalisation="nfc")) == "caf\u00e9"


def test_words_of_a_run_of_before_are_read_as_they_were():
    content = ClassifyKnown.of(TRAIN, READING).to_dict()
    assert ClassifyKnown.from_dict(content).breaks == "clusters"
    del content["breaks"]
    assert ClassifyKnown.from_dict(content).breaks == "code points"
    assert prepared("फि", READING, "code points") == "फ ि"
    assert prepared("Good?", dataclasses.replace(READING, tokens="char")) == "good?"


def test_rare_and_new_words_are_one_and_the_same_unknown_word():
    known = ClassifyKnown.of(TRAIN, READING)
    assert known.vocabulary is not None
    assert known.vocabulary.encode("once").tolist() == known.vocabulary.encode("zebra").tolist() == [0]
    assert known.vocabulary.encode("good film").min() > 0
    all_rare = ClassifyKnown.of(table(("one", "a"), ("two", "b")), READING)
    assert all_rare.vocabulary is not None
    assert all_rare.vocabulary.encode("one").min() > 0


def test_texts_become_batches_with_their_lengths():
    known = ClassifyKnown.of(TRAIN, READING)
    examples = Texts(table(("good film", "no"), ("", "yes"), ("film", None), ("bad", "maybe")), known, READING)
    assert examples.lengths.tolist() == [2, 0, 1, 1]
    assert examples.labels.tolist() == [0, 1, -1, 2]
    assert examples.counts.tolist() == [1, 1, 0, 0]
    batch = examples.batch(np.array([1, 0]))
    assert known.vocabulary is not None
    good, film = known.vocabulary.encode("good film").tolist()
    assert batch.input.tolist() == [[0, good], [0, film]]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [0, 2]
    assert batch.target.tolist() == [1, 0]


def test_a_sequence_is_read_up_to_its_longest_length():
    short = dataclasses.replace(READING, max_length=2)
    known = ClassifyKnown.of(TRAIN, short)
    assert Texts(table(("good good good good", "yes")), known, short).lengths.tolist() == [2]
    assert ImageRows(images(), ClassifyKnown.of(images(), short), short).batch(np.array([0])).input.shape == (2, 1, 3)


def test_the_rows_of_an_image_are_steps_of_mean_0_and_deviation_1():
    known = ClassifyKnown.of(images(), READING)
    examples = ImageRows(images(), known, READING)
    batch = examples.batch(np.arange(6))
    assert batch.input.shape == (4, 6, 3)
    assert batch.lengths is None
    flat = torch.as_tensor(batch.input).double()
    assert flat.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert flat.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)
    expected = (images().pixels / 255.0 - known.mean) / known.deviation
    torch.testing.assert_close(flat.transpose(0, 1), torch.from_numpy(expected), rtol=1e-5, atol=1e-5)


def test_classes_are_those_that_training_has():
    assert ClassifyKnown.of(images(), READING).classes == ("a", "b", "c")  # d is never shown
    known = ClassifyKnown.of(TRAIN, READING)
    assert (known.classes, known.counts) == (("no", "yes"), (2, 2))
    assert known.with_unknown(table(("x", "yes"), ("x", "zz"), ("x", "aa"), ("x", None))) == ["no", "yes", "aa", "zz"]


@pytest.mark.parametrize("kind", ["word", "char", "byte", "bpe"])
def test_what_is_known_comes_back_from_plain_values(kind):
    reading = dataclasses.replace(READING, tokens=kind, vocabulary_size=300)
    for part in (TRAIN, images()):
        known = ClassifyKnown.of(part, reading)
        again = ClassifyKnown.from_dict(known.to_dict())
        assert again.to_dict() == known.to_dict()
        assert (again.classes, again.counts, again.mean) == (known.classes, known.counts, known.mean)


def test_a_text_a_line_can_be_predicted_for(tmp_path, monkeypatch):
    lines = tmp_path / "lines.txt"
    lines.write_text("good\n\nbad film\n")
    assert [each.text for each in read_texts(str(lines), READING, with_labels=False)] == ["good", "", "bad film"]
    with lines.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert [each.text for each in read_texts("-", READING, with_labels=False)] == ["good", "", "bad film"]


def test_which_data_are_texts(tmp_path):
    assert is_texts("reviews.csv")
    assert is_texts("reviews.jsonl.gz")
    assert not is_texts("images.npz")
    assert not is_texts(str(tmp_path))
    (tmp_path / "train.tsv").write_text("text\tlabel\n")
    assert is_texts(str(tmp_path))


@pytest.mark.parametrize("below", ["", "data"])
def test_numbered_files_are_the_parts_that_they_are_called(tmp_path, below):
    folder, expected = tmp_path / "set" / below, {"train": [], "dev": [], "test": []}
    folder.mkdir(parents=True)
    (tmp_path / "set" / "README.md").write_text("what it is")
    for part, files in (("train", 3), ("dev", 1), ("test", 2)):
        for at in range(files):
            rows = [Example(f"{part} {at} {row}", "xy"[row]) for row in range(2)]
            content = "".join(f"{each.text},{each.label}\n" for each in rows)
            (folder / f"{part}-{at:05d}-of-{files:05d}.csv").write_text(f"text,label\n{content}")
            expected[part] += rows
    data = str(tmp_path / "set")
    places = large_texts(data, READING)
    assert places is not None
    splits = read_all(data, READING, places)
    assert tuple(splits.train) == tuple(expected["train"])
    assert tuple(splits.test) == tuple(expected["test"])
    assert tuple(read_texts(data, READING, with_labels=True)) == tuple(expected["test"])
    splits = read_labelled(folder)
    assert (splits.train, splits.test) == (tuple(expected["train"]), tuple(expected["test"]))
    (folder.parent / "other").mkdir()
    if below:
        (folder.parent / "other" / "train.csv").write_text("text,label\na,x\n")
        with pytest.raises(DataError, match="data and other both have parts called train"):
            large_texts(data, READING)


def test_images_must_be_like_those_of_training(tmp_path):
    known = ClassifyKnown.of(images(), READING)
    path = tmp_path / "wide.npz"
    np.savez(path, images=np.zeros((2, 4, 5), np.uint8))
    with pytest.raises(DataError, match="expected images whose rows have 3 values, like those of training, got 5"):
        read_pictures(str(path), known, with_labels=False)
    np.savez(path, images=np.ones((2, 9, 3), np.float32))
    assert read_pictures(str(path), known, with_labels=False).white == 255.0  # not what is white in this file
    with pytest.raises(DataError, match="expected labels for the images"):
        read_pictures(str(path), known, with_labels=True)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["Anna Müller", "Jean Dupont", "Giulia Rossi"], "char"),
        (["我很喜欢这部电影", "这部电影太无聊了"], "char"),
        (["a good film", "a bad film", "the film was good"], "word"),
    ],
)
def test_tokens_are_characters_where_words_hardly_occur_twice(texts, kind):
    part = table(*((text, "ab"[n % 2]) for n, text in enumerate(texts)))
    known = ClassifyKnown.of(part, ClassifyReadingSettings(), counting=True)
    assert known.vocabulary is not None
    assert known.vocabulary.kind == kind
    assert known.runs is not None
    assert len(known.runs) == {"char": 3, "word": 1}[kind]
    chosen = dataclasses.replace(READING, tokens="word")
    assert ClassifyKnown.of(table((texts[0], "a"), (texts[1], "b")), chosen).vocabulary.kind == "word"  # pyright: ignore


def test_what_was_counted_is_known_by_its_size():
    assert ClassifyKnown.of(TRAIN, READING).runs is None
    known = ClassifyKnown.of(TRAIN, READING, counting=True)
    again = ClassifyKnown.from_dict(json.loads(json.dumps(known.to_dict())))
    assert (again.runs, again.counted) == (known.runs, None)
    older = {name: value for name, value in known.to_dict().items() if name != "runs"}
    assert ClassifyKnown.from_dict(older).runs is None
