import io

import polars
import pytest

from ostinato.data.sources.frames import read_frame
from ostinato.errors import DataError


def parquet():
    out = io.BytesIO()
    polars.DataFrame({"date": ["2024-01-01", "2024-01-02"], "x": [1.0, 2.5], "y": [None, 3]}).write_parquet(out)
    return out.getvalue()


FORMS = {
    "a.csv": b"date,x,y\n2024-01-01,1,\n2024-01-02,2.5,3\n",
    "a.tsv": b"date\tx\ty\n2024-01-01\t1\t\n2024-01-02\t2.5\t3\n",
    "a.jsonl": b'{"date": "2024-01-01", "x": 1}\n\n{"date": "2024-01-02", "x": 2.5, "y": 3}\n',
    "a.parquet": parquet(),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_table(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    table, separator = read_frame(tmp_path / name)
    expected = [("2024-01-01", "1", None), ("2024-01-02", "2.5", "3")]
    typed = [("2024-01-01", 1.0, None), ("2024-01-02", 2.5, 3)]
    assert table.rows() == (typed if name == "a.parquet" else expected)
    assert separator == {"a.csv": ",", "a.tsv": "\t"}.get(name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "there is nothing in it"),
        ("a.csv", b"x,y\n1,2\n3,4,5\n", "line 3: has 3 cells, but the first line has 2"),
        (
            "a.csv",
            b"# of May\nx,y\n1,2\n",
            "the first line, '# of May', has one cell, but line 2 has 2; leave out what stands above",
        ),
        ("a.csv", b"x,y\n1,2\n\xff,4\n", "line 3: expected UTF-8"),
        ("a.csv", "x,y\n1,2\n".encode("utf-16"), "line 1: expected UTF-8"),
        ("a.csv", b"x,x\n1,2\n", "line 1: two columns are called 'x'"),
        (
            "a.csv",
            b"x;y\n1;2;3\n",
            "line 1: expected columns with ',' between them, got one, 'x;y'.* --reading.separator ';'",
        ),
        ("a.csv", b'x,y\n1,2\n"3,4\n', "is not a table that can be read"),
        ("a.jsonl", b"", "there is nothing in it"),
        ("a.jsonl", b'{"x": "a"}\n{"x": {"y": 2}}\n', "its objects do not make a table"),
        ("a.parquet", b"PAR1", "is not a whole Parquet file"),
        ("a.xls", b"x", r"expected a name that ends in \.csv"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_frame(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_is_told_whatever_its_name(tmp_path):
    for name in ("nothing", "nothing.xls"):
        with pytest.raises(DataError, match=r"nothing.*: no such file or folder"):
            read_frame(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        b"x,y\n1,2,\n3,4,\n",
        b"x,y,\n1,2,\n3,4,\n",
        b'"x", "y"\r\n1,  "2"\r\n3, 4\r\n',
        b"\xef\xbb\xbfsep=;\r\nx;y\r\n1;2\r\n3;4\r\n",
    ],
)
def test_what_spreadsheets_write_around_cells_is_no_cell(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    assert read_frame(tmp_path / "a.csv")[0].select("x", "y").rows() == [("1", "2"), ("3", "4")]
