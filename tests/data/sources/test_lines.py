import bz2
import glob
import gzip
import io
import lzma

import pytest

from ostinato.data.sources.lines import PART_NAMES, find_parts, lines_of_stdin, numbered_lines, open_file, suffix_of
from ostinato.errors import DataError

TEXT = "eins\r\nzwei\u2028noch zwei\n\nvier"
LINES = [(1, "eins"), (2, "zwei\u2028noch zwei"), (3, ""), (4, "vier")]


@pytest.mark.parametrize(
    ("name", "compress"), [("a.txt", bytes), ("a.gz", gzip.compress), ("a.xz", lzma.compress), ("a.bz2", bz2.compress)]
)
def test_lines_are_numbered_whatever_the_compression(tmp_path, name, compress):
    (tmp_path / name).write_bytes(compress(TEXT.encode()))
    assert list(numbered_lines(tmp_path / name)) == LINES


def test_lines_of_a_url(tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    assert list(numbered_lines((tmp_path / "a.txt").as_uri())) == LINES


def test_a_byte_order_mark_is_left_out(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n")
    assert list(numbered_lines(tmp_path / "a")) == [(1, "a"), (2, "\ufeffb")]


def test_bytes_that_are_not_utf_8_are_named_with_their_line(tmp_path):
    (tmp_path / "a").write_bytes("é\n".encode() + b"gr\xfc\xdfe\n")
    with pytest.raises(DataError, match=r"a, line 2: expected UTF-8, but byte 3 of the line \(0xfc\)"):
        list(numbered_lines(tmp_path / "a"))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_standard_input_is_read_like_a_file_whatever_the_locale(monkeypatch, encoding):
    def put(content):
        raw = io.BytesIO(content)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(raw, encoding=encoding, errors="surrogateescape"))

    put(b"\xef\xbb\xbf" + TEXT.encode())
    assert list(lines_of_stdin()) == LINES
    put(b"a\ngr\xfc\xdfe\n")
    with pytest.raises(DataError, match=r"standard input, line 2: expected UTF-8, but byte 3 of the line \(0xfc\)"):
        list(lines_of_stdin())


@pytest.mark.parametrize("ending", ["gz", "xz", "bz2"])
def test_a_file_that_is_not_compressed_as_it_says(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"no such thing")
    with pytest.raises(DataError, match=f"a.{ending}: cannot be read"):
        list(numbered_lines(path))


def test_one_file_is_expected(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    with pytest.raises(DataError, match="this is a folder"), open_file(tmp_path):
        pass
    with pytest.raises(DataError, match="stands for 2"), open_file(tmp_path / "*.txt"):
        pass
    with pytest.raises(DataError, match="no such file"), open_file(tmp_path / "c.txt"):
        pass


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.csv", ".csv"),
        ("b/a.CSV.gz", ".csv"),
        ("a", ""),
        ("a.gz", ""),
        ("x.y.tsv.zst", ".tsv"),
        ("https://x.org/a.csv?raw=1", ".csv"),
    ],
)
def test_the_suffix_tells_the_format(name, suffix):
    assert suffix_of(name) == suffix


def test_parts_are_found_by_the_names_that_people_give_them(tmp_path):
    for name in (
        "en_ewt-ud-train.conllu.gz",
        "dev.conllu",
        "test_2016_flickr.conllu",
        "training.md",
        "notes.conllu",
        "._dev.conllu",
    ):
        (tmp_path / name).write_text("")
    found = {part: file.name for part, file in find_parts(tmp_path, PART_NAMES, (".conllu",)).items()}
    assert found == {
        "train": "en_ewt-ud-train.conllu.gz",
        "validation": "dev.conllu",
        "test": "test_2016_flickr.conllu",
    }


def test_two_files_for_one_part_are_told(tmp_path):
    for name in ("dev.csv", "val.csv"):
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=r"dev.csv and val.csv could both be the validation part"):
        find_parts(tmp_path, PART_NAMES, (".csv",))


def test_line_ends_of_old_macs_are_known_where_there_is_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\rtwo\r")
    assert list(numbered_lines(path)) == [(1, "one"), (2, ""), (3, "two")]
    path.write_bytes(b"one\rstill one\ntwo\n")
    assert list(numbered_lines(path)) == [(1, "one\rstill one"), (2, "two")]


def test_files_that_are_numbered_are_one_part_where_several_may_be(tmp_path):
    folder = tmp_path / "a [b]"
    folder.mkdir()
    for name in ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001.parquet"):
        (folder / name).touch()
    found = find_parts(folder, PART_NAMES, (".parquet",), numbered=True)
    assert sorted(map(str, folder.glob("train*"))) == sorted(glob.glob(str(found["train"])))
    assert found["test"] == folder / "test-00000-of-00001.parquet"
    with pytest.raises(DataError, match="could both be the train part"):
        find_parts(folder, PART_NAMES, (".parquet",))
    (folder / "train-00000-of-00003.parquet").touch()
    with pytest.raises(DataError, match="could both be the train part"):
        find_parts(folder, PART_NAMES, (".parquet",), numbered=True)
