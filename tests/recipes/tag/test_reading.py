import io

import pytest

from ostinato.data.sources.syntax import highlight
from ostinato.errors import ConfigError, DataError
from ostinato.recipes.tag.reading import is_python, plain_sentences, read_source, read_splits, read_words
from ostinato.recipes.tag.settings import TagReadingSettings

from ..tagged import sentences, write, write_conllu

READING = TagReadingSettings()


def folder_of_source(path):
    path.mkdir()
    for n in range(6):
        (path / f"m{n}.py").write_text(f"import os\nvalue_{n} = {n}  # number\n" * 5)
    (path / "notes.txt").write_text("no source")
    (path / "old.py").write_text("print 'two' (\n")
    return str(path)


def test_which_data_are_source(tmp_path):
    source = folder_of_source(tmp_path / "source")
    assert is_python(source)
    assert is_python("https://example.org/a.py")
    assert is_python(f"{source}/*.py")
    assert not is_python("a.conllu.gz")
    treebank = tmp_path / "treebank"
    treebank.mkdir()
    (treebank / "check.py").write_text("pass\n")
    write_conllu(treebank / "xx-train.conllu", sentences(4))
    assert not is_python(str(treebank))


def test_source_of_a_folder_is_split_by_file_and_cut_for_training_only(tmp_path):
    splits = read_splits(
        folder_of_source(tmp_path / "source"),
        TagReadingSettings(piece_length=50, validation_share=0.2, test_share=0.2),
    )
    assert max(len(piece.text) for piece in splits.train) == 50
    whole = [*splits.validation, *splits.test]
    assert len({piece.name for piece in splits.train} | {file.name for file in whole}) == 6  # old.py is no Python
    assert not {piece.name for piece in splits.train} & {file.name for file in whole}
    for file in whole:
        assert file.labels.tolist() == highlight(file.text).tolist()


def test_a_single_file_must_be_python_only_where_labels_are_wanted(tmp_path):
    path = tmp_path / "old.py"
    path.write_bytes(b"\xef\xbb\xbfprint 'two' (\r\n")
    (file,) = read_source(str(path), labelled=False)
    assert (file.text, file.labels) == ("print 'two' (\n", None)
    with pytest.raises(DataError, match=r"old[.]py: the text is not Python that can be read"):
        read_source(str(path), labelled=True)
    path.write_bytes(b"a\xff")
    with pytest.raises(DataError, match=r"old[.]py: expected UTF-8, but byte 2 "):
        read_source(str(path), labelled=False)


def test_a_folder_without_source_is_refused(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("text")
    with pytest.raises(DataError, match=r"expected files of Python source \(.py\) there, got none"):
        read_source(str(tmp_path), labelled=False)


@pytest.mark.parametrize("name", ["validation", "test", "column", "vectors"])
def test_source_has_no_columns_and_no_files_of_its_own(name):
    with pytest.raises(ConfigError, match=f"reading.{name}: is for tagged sentences"):
        read_splits(None, TagReadingSettings(**{name: "x"}))


def test_words_are_parted_from_the_marks_around_them():
    lines = enumerate(['He said: "Well, don\'t..."', "", "( a-b ) $5.50 U.S.", "!?", "中文。"], start=1)
    found = [each.words for each in plain_sentences(lines)]
    assert found == [
        ("He", "said", ":", '"', "Well", ",", "don't", "...", '"'),
        (),
        ("(", "a-b", ")", "$", "5.50", "U.S", "."),
        ("!", "?"),
        ("中文", "。"),
    ]


def test_no_word_is_cut_at_a_combining_mark():
    lines = ["नमस्ते दुनिया की", "(สวัสดีครับ) ที่", "தமிழ், cafe\u0301!", "👍🏽👍🏽 ok"]
    found = [each.words for each in plain_sentences(enumerate(lines, start=1))]
    assert found == [
        ("नमस्ते", "दुनिया", "की"),
        ("(", "สวัสดีครับ", ")", "ที่"),
        ("தமிழ்", ",", "cafe\u0301", "!"),
        ("👍🏽👍🏽", "ok"),
    ]


def test_lines_and_files_of_words_can_be_predicted_for(tmp_path, monkeypatch):
    text = tmp_path / "lines.txt"
    text.write_text("the dog\n\na fox sees\n")
    expected = [("the", "dog"), (), ("a", "fox", "sees")]
    assert [each.words for each in read_words(str(text), READING, tagged=False)] == expected
    monkeypatch.setattr("sys.stdin", io.StringIO(text.read_text()))
    assert [each.words for each in read_words("-", READING, tagged=False)] == expected
    columns = tmp_path / "words.conll"
    columns.write_text("the\ndog\n\na\n")
    reading = TagReadingSettings(column="3")
    assert [each.words for each in read_words(str(columns), reading, tagged=False)] == [("the", "dog"), ("a",)]
    with pytest.raises(DataError, match="expected a word and its tag a line"):
        read_words(str(columns), READING, tagged=True)


def test_the_column_can_be_chosen(tmp_path):
    path = write_conllu(tmp_path / "a.conllu", sentences(3))
    assert read_words(path, TagReadingSettings(column="xpos"), tagged=True)[0].tags[0] == "det"
    assert read_words(path, READING, tagged=True)[0].tags[0] == "DET"
    assert read_words(write(tmp_path / "a.conll", sentences(3)), READING, tagged=True)[0].tags[0] == "DET"
    with pytest.raises(ConfigError, match="column must be one of"):
        read_words(path, TagReadingSettings(column="pos"), tagged=True)


def test_standard_input_is_one_file_of_source(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("x = 1\n"))
    (file,) = read_source("-", labelled=True)
    assert (file.name, file.text) == ("-", "x = 1\n")
