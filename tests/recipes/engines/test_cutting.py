"""What is read of the pieces of a file is what is read of the file."""

from types import SimpleNamespace

import polars
import pytest

from ostinato.data.records.conll import read_conllu
from ostinato.data.sources.cells import json_lines, read_cells
from ostinato.data.sources.lines import numbered_lines
from ostinato.errors import DataError
from ostinato.recipes.engines.cutting import cut, rows_of_table

CSV = 'text,label\n"a, b",x\n\n"two\nlines",y\n"a ""mark""",x\nc,\n  \n"",z\nd;e,f\n'
CONLLU = "".join(f"# text = w{at}\n1\tw{at}\t_\tNOUN" + "\t_" * 6 + "\n\n" for at in range(5)) + "# alone\n\n"


def cells(path):
    return [cells for _, cells in read_cells(path)[1]]


READERS = {
    "records": ("x.csv", CSV.encode(), cells),
    "quoted at the end": ("x.csv", b'a,b\n1,"2\n3"', cells),
    "windows": ("x.csv", CSV.replace("\n", "\r\n").encode(), cells),
    "tabs": ("x.tsv", b"text\tlabel\na\tb\nc\td\ne\tf\n", cells),
    "lines": ("x.txt", b"one\n\n  three\r\nfour", lambda path: [line for _, line in numbered_lines(path)]),
    "objects": ("x.jsonl", b'{"a": 1}\n\n{"a": 2}\n  \n{"a": 3}', lambda path: [row for _, row in json_lines(path)]),
    "blocks": ("x.conllu", CONLLU.encode(), lambda path: [each.words for each in read_conllu(path)]),
}


def cut_by(path, most, **reading):
    names = {".txt": "lines", ".conllu": "blocks"}

    def rows_as(settings, known, suffix):
        return names.get(suffix) or rows_of_table(suffix)

    settings = SimpleNamespace(reading=SimpleNamespace(**reading))
    return cut(SimpleNamespace(rows_as=rows_as), SimpleNamespace(settings=settings, known=None), str(path), most)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_pieces_of_text_hold_every_row_once(tmp_path, kind, most):
    name, content, read = READERS[kind]
    path = tmp_path / name
    path.write_bytes(content)
    pieces = cut_by(path, most)
    found, numbers = [], []
    for piece in pieces:
        with piece.held():
            rows = read(piece.file)
        assert len(rows) == piece.rows <= most
        assert piece.before == len(found)
        found += rows
        numbers.append(piece.number)
    assert found == read(path)
    assert numbers == list(range(-(-len(found) // most)))


def test_pieces_of_parquet_hold_every_row_once(tmp_path):
    table = polars.DataFrame({"text": [f"t{at}" for at in range(7)], "n": range(7)})
    table.write_parquet(tmp_path / "x.parquet", row_group_size=2)
    found = []
    for piece in cut_by(tmp_path / "x.parquet", 3):
        with piece.held():
            found += cells(piece.file)
    assert found == table.to_dicts()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", b"sep=;\na;b\n1;2\n"),  # what it says of itself is above its first line
        ("x.csv", b"a;b\n1;2\n3;4\n"),  # all rows together tell what separates cells
        ("x.tsv", b'a\tb\n"1"\t2\n3 "\t4\n'),  # ... and what a quotation mark is
        ("x.txt", b"one\rtwo\rthree"),
        ("x.py", b"pass\n"),
    ],
)
def test_a_file_whose_rows_cannot_be_read_alone_is_read_whole(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert cut_by(tmp_path / name, 1) is None


def test_files_of_a_folder_are_cut_one_after_the_other_and_a_packed_one_is_a_piece(tmp_path):
    import gzip

    (tmp_path / "a.csv").write_text("text\na\nb\nc\n")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"text\nd\ne\n"))
    (tmp_path / "_SUCCESS").write_text("")
    pieces = cut_by(tmp_path, 2)
    assert [piece.rows for piece in pieces] == [2, 1, None]
    assert [str(piece) for piece in pieces] == [
        f"2 rows from line 2 on of {tmp_path / 'a.csv'}",
        f"1 rows from line 4 on of {tmp_path / 'a.csv'}",
        f"all rows of {tmp_path / 'b.csv.gz'}",
    ]
    found = []
    for piece in pieces:
        with piece.held():
            found += cells(piece.file)
    assert found == [{"text": each} for each in "abcde"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", b"text,label\na,b\nc,d\ne,f,g\n", "x.csv, line 4: has 3 cells"),
        ("x.csv", b'text,label\na,b\nc,d\n"e"f,g\n', "x.csv, line 4: "),
        ("x.csv", b"text,label\na,b\nc,d\n\xe9,f\n", "x.csv, line 4: expected UTF-8"),
        ("x.jsonl", b'{"a": 1}\n\n{"a": 2}\n{"a": \n', "x.jsonl, line 4: is not JSON"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line_in_the_file(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    *others, piece = cut_by(tmp_path / name, 1)
    for other in others:
        with other.held():
            assert len(cells(other.file)) == 1
    with piece.held(), pytest.raises(DataError) as error:
        cells(piece.file)
    assert says in piece.named(str(error.value))
