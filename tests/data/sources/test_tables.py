import csv
import gzip
import io
import json

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.sources.cells import read_cells
from ostinato.data.sources.tables import Example, read_examples, read_labelled
from ostinato.errors import DataError

ROWS = [("good, really", "1"), ('"bad"', "0"), ("", "1"), ("two\nlines", "0")]
EXAMPLES = tuple(Example(*row) for row in ROWS)


def separated(rows, delimiter, header=("text", "label")):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    return out.getvalue().encode()


def parquet(rows):
    out = io.BytesIO()
    polars.DataFrame(rows, schema=["text", "label"], orient="row").write_parquet(out)
    return out.getvalue()


FORMS = {
    "a.csv": separated(ROWS, ","),
    "a.tsv": separated(ROWS, "\t"),
    "a.csv.gz": gzip.compress(separated(ROWS, ",")),
    "a.jsonl": "\n".join(json.dumps({"text": t, "label": int(y), "more": [1]}) for t, y in ROWS).encode() + b"\n\n",
    "a.parquet": parquet(ROWS),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_examples(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name])
    assert read_examples(tmp_path / name) == EXAMPLES


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12),
            st.text("abc01", min_size=1, max_size=3),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([(",", ".csv"), ("\t", ".tsv")]),
)
def test_what_the_csv_module_writes_is_read(tmp_path_factory, rows, form):
    path = tmp_path_factory.mktemp("table") / f"a{form[1]}"
    path.write_bytes(separated(rows, form[0]))
    assert [(row.text, row.label) for row in read_examples(path)] == rows


@pytest.mark.parametrize(
    ("columns", "text", "label"),
    [
        ("text,label", "text", "label"),
        ("Review,Sentiment", "Review", "Sentiment"),
        ("class,what is said", "what is said", "class"),
        ("id,sentence,category", "sentence", "category"),
        ("utterance", "utterance", None),
        ("text,id", "text", None),
    ],
)
def test_columns_are_guessed_by_their_names(tmp_path, columns, text, label):
    names = columns.split(",")
    (tmp_path / "a.csv").write_text(columns + "\n" + ",".join(f"of {name}" for name in names) + "\n")
    assert read_examples(tmp_path / "a.csv") == (Example(f"of {text}", label and f"of {label}"),)


def test_columns_can_be_named(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,x1,x2\na,b,c,d\n")
    assert read_examples(tmp_path / "a.csv", text="x1", label="x2") == (Example("c", "d"),)
    assert read_examples(tmp_path / "a.csv", text="label", label="text") == (Example("b", "a"),)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "there is nothing in it"),
        ("a.csv", b"text,label\n", "there is no row in it"),
        ("a.csv", b"text,label\na,b\nc,d,e\n", "line 3: has 3 cells, but the header has 2"),
        ("a.csv", b"text,label\na,b\nc\n", "line 3: column 'label' is empty"),
        ("a.csv", b"text,label\n\xff,b\n", "line 2: expected UTF-8"),
        ("a.csv", b"a,b,c\n1,2,3\n", "none of the columns a, b, c is called text; name it with --reading.text"),
        ("a.csv", b"text,b,c\n1,2,3\n", "none of its columns is called label"),
        (
            "a.jsonl",
            b'{"text": "a", "label": 1}\n{"text": }\n',
            r"line 2: is not JSON \(Expecting value at character 10\);",
        ),
        (
            "a.jsonl",
            b'{"text": "a", "label": 1}\n\n[1]\n',
            "line 3: expected a JSON object with named values, got list",
        ),
        ("a.jsonl", b"", "there is nothing in it"),
        ("a.csv", b'text,label\na,b\n"c,d\n', "line 3: unexpected end of data; double a quotation mark"),
        ("a.csv", b'text,label\n"a" b,c\n', "line 2: ',' expected after '\"'"),
        ("a.csv", b"text,text\na,b\n", "line 1: two columns are called 'text'"),
        ("a.csv", "text,label\n".encode("utf-16"), "line 1: expected UTF-8.*iconv -f utf-16 -t utf-8"),
        ("a.csv", b"text,label\n\xff,b\n", "line 2: expected UTF-8.*iconv -f latin1 -t utf-8"),
        ("a.csv", b"text;label\na;b;c\n", "line 1: expected columns with ',' between them, got one, 'text;label'"),
        ("a.csv", b"text\tlabel\na\tb\tc\n", "name what separates its cells"),
        ("a.jsonl", b'{"text": ["a"], "label": 1}\n', "line 1: column 'text' holds list, expected a text or a number"),
        ("a.jsonl", b'\n{"text": "\\ud800", "label": 1}\n', "line 2: column 'text' has half a character"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "b"}\n', "line 2: column 'label' is empty"),
        ("a.parquet", b"PAR1", "is not a whole Parquet file"),
        ("a.doc", b"x", "expected a name that ends in .csv"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_labelled(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_column_that_is_not_there(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    with pytest.raises(
        DataError, match=r"has no column 'txt'; its columns are text, label: name one with --reading.text"
    ):
        read_examples(tmp_path / "a.csv", text="txt")


def test_parts_are_drawn_or_files_of_their_own(tmp_path):
    rows = [(f"text {i}", "ab"[i % 2]) for i in range(100)]
    for name, some in (("train.csv", rows), ("dev.csv", rows[:3]), ("test.csv.gz", rows[:5])):
        content = separated(some, ",")
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    drawn = read_labelled(tmp_path / "train.csv", validation_share=0.1, test_share=0.2)
    assert [len(part) for part in (drawn.train, drawn.validation, drawn.test)] == [71, 10, 19]
    assert {row.text for part in (drawn.train, drawn.validation, drawn.test) for row in part} == {t for t, _ in rows}
    own = read_labelled(tmp_path)
    assert [len(part) for part in (own.train, own.validation, own.test)] == [100, 3, 5]
    half = read_labelled(tmp_path / "train.csv", tmp_path / "dev.csv", test_share=0.2)
    assert len(half.validation) == 3
    assert len(half.train) + len(half.test) == 100


def test_a_folder_without_a_training_table_is_told(tmp_path):
    with pytest.raises(DataError, match=r"expected a table called train\.csv"):
        read_labelled(tmp_path)


def test_empty_lines_between_rows_are_passed_over(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbftext,label\r\n\r\na,b\r\n\r\n"two\nlines",c\r\n')
    columns, rows = read_cells(tmp_path / "a.csv")
    assert columns == ["text", "label"]
    assert rows == [("line 3", {"text": "a", "label": "b"}), ("line 5", {"text": "two\nlines", "label": "c"})]


def test_quotation_marks_of_a_tsv_file_are_characters_unless_they_are_paired(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"hi\t1\nsay "you" \t0\n')
    assert read_examples(tmp_path / "a.tsv") == (Example('"hi', "1"), Example('say "you" ', "0"))
    (tmp_path / "a.tsv").write_text('text\tlabel\n"a\tb"\t1\n')
    assert read_examples(tmp_path / "a.tsv") == (Example("a\tb", "1"),)


def test_a_cell_of_any_length_is_read(tmp_path):
    long = "word " * 100_000
    (tmp_path / "a.csv").write_text(f"text,label\n{long},1\n")
    limit = csv.field_size_limit()
    assert read_examples(tmp_path / "a.csv") == (Example(long, "1"),)
    assert csv.field_size_limit() == limit


def test_what_stands_in_the_column_of_labels_is_passed_over_where_none_are_wanted(tmp_path):
    """As in tables whose labels are to be found."""
    (tmp_path / "a.csv").write_text("words,stars\nfine,\nawful,1\n")
    expected = (Example("fine", None), Example("awful", None))
    assert read_examples(tmp_path / "a.csv", label="stars", with_labels=False) == expected
    assert read_examples(tmp_path / "a.csv", text="words", with_labels=False) == expected
    (tmp_path / "b.csv").write_text("words\nfine\nawful\n")
    assert read_examples(tmp_path / "b.csv", label="stars", with_labels=False) == expected
    (tmp_path / "c.csv").write_text("text,label\nfine,\nawful,1\n")
    assert read_examples(tmp_path / "c.csv", with_labels=False) == expected


def test_columns_without_a_name_may_be_several(tmp_path):
    """As spreadsheets write them."""
    (tmp_path / "a.csv").write_text("text,label,,\nfine,1,,\n")
    assert read_examples(tmp_path / "a.csv") == (Example("fine", "1"),)


def test_blanks_around_a_label_make_no_class_of_its_own(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nx,good\ny, good\nz,good \n")
    assert [(each.label, each.had_blanks) for each in read_examples(tmp_path / "a.csv")] == [
        ("good", False),
        ("good", True),
        ("good", True),
    ]


def test_a_label_of_blanks_is_empty(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nx,good\ny,  \n")
    with pytest.raises(DataError, match=r"a[.]csv, line 3: column 'label' is empty"):
        read_examples(tmp_path / "a.csv")


def test_labels_are_as_they_are_written(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nx,NA\ny,001\nz,1.0\nw,None\n")
    assert [each.label for each in read_examples(tmp_path / "a.csv")] == ["NA", "001", "1.0", "None"]
