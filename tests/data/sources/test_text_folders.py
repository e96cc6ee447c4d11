import pytest

from ostinato.data import read_labelled
from ostinato.data.sources.text_folders import is_text_folder
from ostinato.errors import DataError


def texts(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_a_folder_for_each_class_is_read(tmp_path):
    files = {f"{name}/{n}.txt": f"{name} {n}\n" for name in ("sports", "news") for n in range(20)}
    splits = read_labelled(texts(tmp_path, {**files, "sports/._0.txt": "no text", ".DS_Store": "x", "readme.md": "x"}))
    everything = splits.train + splits.validation + splits.test
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (32, 4, 4)
    assert sorted((each.text, each.label) for each in everything) == sorted(
        (f"{name} {n}", name) for name in ("sports", "news") for n in range(20)
    )


@pytest.mark.parametrize("names", [("train", "test"), ("20news-bydate-train", "20news-bydate-test")])
def test_parts_are_told_by_the_names_of_folders(tmp_path, names):
    train, test = names
    files = {f"{train}/{label}/{n}": f"{label} {n}" for label in ("pos", "neg") for n in range(10)}  # as 20 Newsgroups
    unlabelled = {f"{train}/unsup/{n}.txt": "who knows" for n in range(9)}  # as aclImdb
    splits = read_labelled(texts(tmp_path, {**files, **unlabelled, f"{test}/pos/1.txt": "a", f"{test}/neg/1.txt": "b"}))
    assert {each.label for each in splits.train} == {"pos", "neg"}
    assert (len(splits.train), len(splits.validation)) == (18, 2)
    assert [(each.text, each.label) for each in splits.test] == [("b", "neg"), ("a", "pos")]


def test_a_folder_of_something_else_is_no_folder_of_texts(tmp_path):
    assert not is_text_folder(texts(tmp_path, {"train-images-idx3-ubyte": "x", "pictures/a.png": "x"}))
    with pytest.raises(
        DataError, match=r"expected a table called train.csv .* or a folder of texts \(.txt\) for each class"
    ):
        read_labelled(tmp_path)


def test_a_text_that_is_not_utf_8_is_named_with_its_line(tmp_path):
    with pytest.raises(DataError, match=r"1[.]txt, line 2: expected UTF-8"):
        read_labelled(texts(tmp_path, {"a/1.txt": b"first\n\xe9", "b/1.txt": "x"}))
