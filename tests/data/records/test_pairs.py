import gzip

import pytest

from ostinato.data.records.pairs import Pair, Pairs, draw_pair_splits, read_pair_splits, read_pairs, read_sources
from ostinato.data.stored.pairs import map_pairs
from ostinato.errors import DataError


def write(folder, files):
    for name, text in files.items():
        content = text.encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def test_line_n_belongs_to_line_n(tmp_path):
    write(tmp_path, {"a.de": "eins\nzwei  \r\n\nOK\nx\n", "a.en.gz": "one\n two\nthree\nOK\n\n"})
    found = read_pairs(tmp_path / "a.de", tmp_path / "a.en.gz")
    assert found.pairs == (Pair("eins", "one"), Pair("zwei", "two"), Pair("OK", "OK"))
    assert (found.empty, found.equal, len(found)) == ((3, 5), 1, 3)
    assert found.report() == (
        "a.de and a.en.gz: 3 pairs, 2 of them with two different sides; left out 2 with an empty side (line 3 first)"
    )
    kept = read_pairs(tmp_path / "a.de", tmp_path / "a.en.gz", keep_empty=True)
    assert kept.pairs[2:5:2] == (Pair("", "three"), Pair("x", ""))
    assert (len(kept), kept.empty) == (5, ())


def test_two_columns_in_one_file(tmp_path):
    write(tmp_path, {"a.tsv": "eins\tone\tsomebody\n\nzwei\ttwo\n"})
    found = read_pairs(tmp_path / "a.tsv")
    assert found.pairs == (Pair("eins", "one"), Pair("zwei", "two"))
    assert found.empty == (2,)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "1\n2\n3\n", "b": "1\n"}, "a has 3 lines, .*b 1: they differ by 2"),
        ({"a": "1\n", "b": "1\n2\n"}, "they differ by 1"),
        ({"a": "\n", "b": "x\n"}, "there is no pair in which both sides have text"),
        ({"a": "", "b": ""}, "there is no pair"),
        ({"a.tsv": "eins\tone\nzwei two\n"}, "line 2: expected source, tab and target; there is no tab in 'zwei two'"),
        ({"a.de": "eins\n"}, "expected a second file with the targets"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, files, message):
    write(tmp_path, files)
    with pytest.raises(DataError, match=message) as caught:
        read_pairs(*(tmp_path / name for name in files))
    assert "\n" not in str(caught.value)


def test_a_name_that_is_wrong_is_told_as_that(tmp_path):
    with pytest.raises(DataError, match=r"a\.de: no such file or folder"):
        read_pairs(tmp_path / "a.de")


def test_the_parts_of_a_folder(tmp_path):
    write(
        tmp_path,
        {
            "train.de.gz": "a\nb\n",
            "train.en.gz": "A\nB\n",
            "val.de": "c\n",
            "val.en": "C\n",
            "test_2016.de": "d\n\n",
            "test_2016.en": "D\nE\n",
            "README.md": "",
        },
    )
    splits = read_pair_splits(tmp_path, "de", "en")
    assert splits.train.pairs == (Pair("a", "A"), Pair("b", "B"))
    assert splits.validation.pairs == (Pair("c", "C"),)
    assert splits.test.pairs == (Pair("d", "D"), Pair("", "E"))  # line n of a test stays line n
    back = read_pair_splits(tmp_path, "en", "de")
    assert back.train.pairs[0] == Pair("A", "a")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train.de", "train.en"], r"expected validation\.de and validation\.en there"),
        (["train.de", "train.en", "val.de"], r"val\.de: has no counterpart that ends in \.en"),
        (["train.de", "train.en", "val.en"], r"val\.en: has no counterpart that ends in \.de"),
        ([], r"expected train\.de and train\.en there"),
    ],
)
def test_parts_that_are_missing_are_told(tmp_path, files, message):
    write(tmp_path, dict.fromkeys(files, "x\n"))
    with pytest.raises(DataError, match=message):
        read_pair_splits(tmp_path, "de", "en")


def test_a_folder_without_a_test_part_has_an_empty_one(tmp_path):
    write(tmp_path, dict.fromkeys(["train.de", "train.en", "val.de", "val.en"], "x\n"))
    assert len(read_pair_splits(tmp_path, "de", "en").test) == 0
    with pytest.raises(DataError, match="expected a folder"):
        read_pair_splits(tmp_path / "train.de", "de", "en")


def test_a_source_is_in_one_part_only():
    rows = tuple(Pair(f"source {i % 40}", f"target {i}") for i in range(100))
    splits = draw_pair_splits(Pairs("a.tsv", rows, (), 0), 0.2, 0.1)
    parts = [splits.train.pairs, splits.validation.pairs, splits.test.pairs]
    assert sorted(pair.target for part in parts for pair in part) == sorted(pair.target for pair in rows)
    sources = [{pair.source for pair in part} for part in parts]
    assert [len(each) for each in sources] == [28, 8, 4]
    assert len(set.union(*sources)) == 40


RAW = [
    f"{stem}.{language}.gz"
    for stem in ("train", "val", "test_2016_flickr", "test_2017_mscoco")
    for language in ("de", "en", "fr")
]


def test_of_several_files_for_a_part_the_message_says_what_to_give_and_that_is_taken(tmp_path):
    write(tmp_path, {name: f"{name}\n" for name in RAW} | {"._train.de": "x"})
    with pytest.raises(DataError) as caught:
        read_pair_splits(tmp_path, "de", "en")
    named = f"{tmp_path}/test_2016_flickr.de.gz,{tmp_path}/test_2016_flickr.en.gz"
    assert str(caught.value) == (
        f"{tmp_path}: test_2016_flickr.de.gz and test_2017_mscoco.de.gz could both be the test part; say which, such as "
        f"--reading.test {named}"
    )
    test = read_pairs(*named.split(","))
    splits = read_pair_splits(tmp_path, "de", "en", test=test)
    assert splits.train.pairs == (Pair("train.de.gz", "train.en.gz"),)
    assert splits.test == test


def test_a_part_is_one_that_has_both_sides_and_rather_one_of_its_very_name(tmp_path):
    files = [
        "train.de",
        "train.en",
        "val.de",
        "val.en",
        "test.de",
        "test.en",
        "test_2017.de",
        "test_2017.en",
        "test_2018.en",
    ]
    write(tmp_path, {name: f"{name}\n" for name in files})
    assert read_pair_splits(tmp_path, "de", "en").test.pairs == (Pair("test.de", "test.en"),)
    for name in ("test.de", "test.en"):
        (tmp_path / name).unlink()
    assert read_pair_splits(tmp_path, "de", "en").test.pairs == (Pair("test_2017.de", "test_2017.en"),)


def test_several_files_to_train_on_are_told(tmp_path):
    write(tmp_path, dict.fromkeys(["train.1.de", "train.1.en", "train.2.de", "train.2.en", "val.de", "val.en"], "x\n"))
    with pytest.raises(
        DataError, match=r"train part; say which, such as --data .*train\.1\.de,.*, and the other parts likewise"
    ):
        read_pair_splits(tmp_path, "de", "en")
    with pytest.raises(DataError, match=r"--reading.source de --reading.target en \(there are de, en\)"):
        read_pair_splits(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.csv", 'source,target\neins,"one, two"\n,x\n', None),
        ("a.csv", 'id,en,de\n1,"one, two",eins\n2,x,\n', ("de", "en")),
        ("a.csv", 'de,en\neins,"one, two"\n ,x\n', None),
        ("a.jsonl", '{"src": "eins", "tgt": "one, two", "n": 1}\n{"src": null, "tgt": "x"}\n', None),
        (
            "a.jsonl.gz",
            '{"translation": {"en": "one, two", "de": " eins "}}\n{"translation": {"en": "x"}}\n',
            ("de", "en"),
        ),
    ],
)
def test_tables_name_their_columns(tmp_path, name, content, columns):
    write(tmp_path, {name: content})
    found = read_pairs(tmp_path / name, columns=columns)
    assert found.pairs == (Pair("eins", "one, two"),)
    assert found.empty == (3 if name == "a.csv" else 2,)
    assert read_sources(tmp_path / name, columns and columns[0])[0].strip() == "eins"


def test_a_folder_may_hold_tables(tmp_path):
    write(tmp_path, {f"{part}.csv": f"en,de\n{part},x\n" for part in ("train", "dev", "test")})
    splits = read_pair_splits(tmp_path, "de", "en")
    assert [part.pairs[0].target for part in (splits.train, splits.validation, splits.test)] == ["train", "dev", "test"]


def test_numbered_tables_are_one_part(tmp_path):
    for part, files in (("train", 2), ("validation", 1)):
        for at in range(files):
            name = f"{part}-{at:05d}-of-{files:05d}.csv"
            (tmp_path / name).write_text(f"source,target\n{part} {at},t\n")
    splits = read_pair_splits(tmp_path, read=map_pairs)
    assert [each.source for each in splits.train.pairs] == ["train 0", "train 1"]
    assert [each.source for each in splits.validation.pairs] == ["validation 0"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            None,
            "a.csv: expected columns source and target, got id, de, en; name both: --reading.source de --reading.target en",
        ),
        (("fr", "en"), "a.csv: expected columns fr and en, got id, de, en"),
    ],
)
def test_columns_that_are_missing_are_told(tmp_path, columns, message):
    write(tmp_path, {"a.csv": "id,de,en\n1,a,b\n"})
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / "a.csv", columns=columns)
