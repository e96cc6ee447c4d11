"""Tagged sentences that are mapped, against those that are read into memory."""

import pytest

from ostinato.data.records.conll import read_sentence_splits, read_sentences
from ostinato.data.stored.sentences import map_sentences
from ostinato.errors import ConfigError, DataError

COLUMNS = "-DOCSTART- O\n\n# id 7 domain=en\nThe O\n# O\ncat B-X\n\n\nsat O\r\nGrüße I-X\n"
CONLLU = "".join(
    f"# text\n1\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n2-3\tx\t_\t_\t_\t_\t_\t_\t_\t_\n2\tb\t_\t_\t_\t_\t_\t_\t_\t_\n\n"
    for word, tag in (("a", "NOUN"), ("c d", "VERB"))
)
FILES = {"a.bio": COLUMNS, "tabs.tsv": COLUMNS.replace(" ", "\t"), "a.conllu": CONLLU}


@pytest.mark.parametrize("name", FILES)
def test_they_are_those_that_are_read_into_memory(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FILES[name].encode())
    found, expected = map_sentences(path, folder=tmp_path / "kept"), read_sentences(path)
    assert tuple(found) == expected
    assert found[-1] == expected[-1]
    assert tuple(found.words()) == tuple(word for each in expected for word in each.words)
    assert tuple(found.tags()) == tuple(each.tags for each in expected)
    tags = [tag for each in expected for tag in each.tags if tag is not None]
    assert found.tag_counts() == {tag: tags.count(tag) for tag in tags}


def test_parts_are_drawn_as_in_memory_and_files_are_read_one_behind_the_other(tmp_path):
    parts = ["".join(f"w{n}\tT{n % 3}\nv\tT0\n\n" for n in range(begin, begin + 40)) for begin in (0, 40)]
    (tmp_path / "whole.tsv").write_text("".join(parts))
    for at, part in enumerate(parts):
        (tmp_path / f"part-{at}.bio").write_text(part)
    expected = read_sentence_splits(tmp_path / "whole.tsv")
    found = read_sentence_splits(tmp_path / "whole.tsv", read=map_sentences)
    for part in ("train", "validation", "test"):
        assert tuple(getattr(found, part)) == tuple(getattr(expected, part))
    some = found.validation
    assert list(some.words()) == [word for each in expected.validation for word in each.words]
    several = map_sentences(tmp_path / "part-*.bio")
    assert [each.words for each in several] == [each.words for each in read_sentences(tmp_path / "whole.tsv")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a\tX\nb\n", r"b\.bio, line 1: expected a word and its tag|b\.bio, line 2: expected 2 columns"),
        ("a\tX\n\tY\n", r"b\.bio, line 2: expected a word in column 0"),
        ("1\tX\n2\tY\n", r"b\.bio, line 1: column 0 counts the words"),
        ("\n\n", r"b\.bio: there is no sentence in it"),
        ("a\tX\nb\t\udcff\n", r"b\.bio, line 2: expected UTF-8"),
    ],
)
def test_what_is_wrong_with_a_part_is_told_with_its_line(tmp_path, content, told):
    (tmp_path / "a.bio").write_text("a\tX\n")
    (tmp_path / "b.bio").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=told):
        map_sentences(tmp_path / "*.bio", folder=tmp_path / "kept")


def test_a_column_that_is_none_is_told(tmp_path):
    (tmp_path / "a.bio").write_text("a\tX\n")
    with pytest.raises(ConfigError, match="has 2 columns"):
        map_sentences(tmp_path / "a.bio", 5)
    with pytest.raises(ConfigError, match="must be a number"):
        map_sentences(tmp_path / "a.bio", "upos")
