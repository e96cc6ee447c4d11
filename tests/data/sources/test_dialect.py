import pytest

from ostinato.data.sources.cells import read_cells
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.frames import read_frame
from ostinato.errors import ConfigError, DataError

WRITTEN = {
    "comma.csv": ("a,b\n1,x\n2,y\n", Dialect()),
    "semicolon.csv": ("a;b\n1;x\n2;y\n", Dialect()),
    "bar.csv": ("a|b\n1|x\n2|y\n", Dialect()),
    "tab.csv": ("a\tb\n1\tx\n2\ty\n", Dialect()),
    "comma.tsv": ("a,b\n1,x\n2,y\n", Dialect()),
    "named.csv": ("a:b\n1:x\n2:y\n", Dialect(":")),
    "tab by name.csv": ("a\tb\n1\tx\n2\ty\n", Dialect("tab")),
    "old Macintosh.csv": ("a,b\r1,x\r2,y\r", Dialect()),
    "Windows.csv": ("\ufeffa,b\r\n1,x\r\n\r\n2,y\r\n", Dialect()),
    "empty lines.csv": ("\n\na,b\n1,x\n\n\n2,y\n\n\n", Dialect()),
    "blanks.csv": ("a , b\n1,x\n2,y\n", Dialect()),
    "quoted.csv": ('"a","b"\n"1","x"\n"2","y"\n', Dialect()),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_tables_are_the_same_however_they_are_written(tmp_path, name):
    text, dialect = WRITTEN[name]
    (tmp_path / name).write_bytes(text.encode())
    columns, rows = read_cells(tmp_path / name, dialect)
    assert columns == ["a", "b"]
    assert [tuple(row.values()) for _, row in rows] == [("1", "x"), ("2", "y")]
    frame, _ = read_frame(tmp_path / name, dialect)
    assert (frame.columns, frame.rows()) == (["a", "b"], [("1", "x"), ("2", "y")])


@pytest.mark.parametrize("name", ["comma.csv", "semicolon.csv"])
def test_columns_without_names_are_counted(tmp_path, name):
    lines = WRITTEN[name][0].partition("\n")[2]
    (tmp_path / name).write_text(lines)
    columns, rows = read_cells(tmp_path / name, Dialect(header=False))
    assert columns == ["1", "2"]
    assert rows == [("line 1", {"1": "1", "2": "x"}), ("line 2", {"1": "2", "2": "y"})]
    frame, _ = read_frame(tmp_path / name, Dialect(header=False))
    assert (frame.columns, frame.rows()) == (["1", "2"], [("1", "x"), ("2", "y")])


def test_a_separator_within_a_cell_is_no_separator(tmp_path):
    (tmp_path / "a.csv").write_text("what; it is\ngood\nbad; really\n")
    with pytest.raises(DataError, match=r"expected columns with ',' between them, got one, .* --reading.separator ';'"):
        read_cells(tmp_path / "a.csv")
    assert read_cells(tmp_path / "a.csv", Dialect(","))[0] == ["what; it is"]


@pytest.mark.parametrize("separator", ["", ",,", '"', "\n", "ä"])
def test_a_separator_that_cannot_be_is_refused(separator):
    with pytest.raises(ConfigError, match=r"separator: expected one character, such as ';' or '|', or tab"):
        Dialect(separator)


def test_formats_that_name_their_columns_cannot_be_without_names(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n')
    for read in (read_cells, read_frame):
        with pytest.raises(DataError, match=r"names its columns itself; --reading.header false is for CSV"):
            read(tmp_path / "a.jsonl", Dialect(header=False))


def test_a_first_row_that_says_the_same_twice_may_be_no_header(tmp_path):
    (tmp_path / "a.csv").write_text("1,1\n2,3\n")
    with pytest.raises(DataError, match=r"two columns are called '1'.* --reading.header false"):
        read_frame(tmp_path / "a.csv")
