"""Texts that are mapped, against those that are read into memory."""

import json
import random
import socket

import numpy as np
import polars
import pytest

from ostinato.data.records.targets import target_of
from ostinato.data.sources.dialect import Dialect
from ostinato.data.sources.tables import read_examples, read_labelled
from ostinato.data.stored import texts as module
from ostinato.data.stored.texts import map_examples, map_labelled, mapped_sets
from ostinato.data.stored.tokens import token_ids
from ostinato.errors import DataError

CSV = '\ufefftext,label,n\r\n"a ""quoted"", text",yes,1\r\n\r\n,no,2\r\n"two\r\nlines", yes ,3\r\nshort,no\r\nGrüße 😀,yes,4\r\n'
CONTENT = {
    "a.csv": CSV,
    "excel.csv": "sep=;\ntext;label\na;x\nb;y\n",
    "old.csv": "text,label\ra,x\rb,y\r",
    "semicolons.csv": "text;label\na;x\nb;y\n",
    "a.tsv": 'text\tlabel\n"just a mark\tx\nb\ty\n',
    "quoted.tsv": 'text\tlabel\n"a\tb"\tx\n"c ""d"""\ty\n',
    "a.jsonl": '{"text": "a", "label": 1.10}\n\n{"label": true, "text": null}\n{"text": 3, "label": "é"}\n',
}


def written(folder, name):
    path = folder / name
    path.write_bytes(CONTENT[name].encode())
    return path


@pytest.mark.parametrize("name", CONTENT)
def test_they_are_those_that_are_read_into_memory(tmp_path, name):
    path = written(tmp_path, name)
    found, expected = map_examples(path, tmp_path / "kept"), read_examples(path)
    assert tuple(found) == expected
    assert tuple(found[at] for at in range(len(found))) == expected
    assert found[1:] == expected[1:]
    assert found.blanks() == sum(each.had_blanks for each in expected)


def test_parquet_and_compressed_files_and_files_without_a_header(tmp_path):
    table = polars.DataFrame({"n": [1.5, None], "label": [2, 3], "text": ["a", None], "more": [[1], [2]]})
    table.write_parquet(tmp_path / "a.parquet")
    assert tuple(map_examples(tmp_path / "a.parquet", None)) == read_examples(tmp_path / "a.parquet")
    import gzip

    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    assert tuple(map_examples(tmp_path / "a.csv.gz", None)) == read_examples(tmp_path / "a.csv.gz")
    (tmp_path / "bare.csv").write_text("a,x\nb,y\n")
    how = {"dialect": Dialect(header=False), "text": "1", "label": "2"}
    assert tuple(map_examples(tmp_path / "bare.csv", None, **how)) == read_examples(tmp_path / "bare.csv", **how)


def test_partitions_are_one_table_and_their_folders_may_say_the_label(tmp_path):
    for label in ("good", "bad news"):
        place = tmp_path / "data" / f"label={label}"
        place.mkdir(parents=True)
        polars.DataFrame({"text": [f"{label} {n}" for n in range(3)]}).write_parquet(place / "part.parquet")
    found = map_examples(tmp_path / "data", None)
    assert [(each.text, each.label) for each in found] == [
        (f"{label} {n}", label) for label in ("bad news", "good") for n in range(3)
    ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("b.csv", b"text,label\nfine,x\nb\xff,y\n", "b.csv, line 3: expected UTF-8"),
        ("b.csv", b"text,label\nfine,\n", "b.csv, line 2: column 'label' is empty"),
        ("b.csv", b"text,label\na,b,c\n", "b.csv, line 2: has 3 cells"),
        ("b.csv", b'text,label\n"a,b\n', "b.csv, line 2: unexpected end of data"),
        ("b.csv", b"words,label\na,b\n", "b.csv: has no column 'text', which the files before have"),
        ("b.csv", b"", "b.csv: there is nothing in it"),
    ],
)
def test_what_is_wrong_with_a_part_is_told_with_its_row(tmp_path, name, content, told):
    (tmp_path / "a.csv").write_text("text,label\na,x\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=told):
        map_examples(tmp_path, tmp_path / "kept")
    assert not [*(tmp_path / "kept").glob("[!.]*")]


def test_a_damaged_part_of_parquet_is_told(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        polars.DataFrame({"text": ["x" * 100] * 50, "label": ["y"] * 50}).write_parquet(
            tmp_path / "data" / f"{name}.parquet", compression="uncompressed"
        )
    damaged = tmp_path / "data" / "b.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"b\.parquet: is not a whole Parquet file"):
        map_examples(tmp_path / "data", None)


def test_what_is_read_is_kept_until_the_file_is_another(tmp_path, monkeypatch):
    path, kept = written(tmp_path, "a.csv"), tmp_path / "kept"
    first = tuple(map_examples(path, kept))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", None)
        assert tuple(map_examples(path, kept)) == first
    path.write_text("text,label\nanother,x\n")
    assert [each.text for each in map_examples(path, kept)] == ["another"]
    assert len([*kept.iterdir()]) == 1
    column = next(kept.iterdir()) / "text"
    column.write_bytes(b"not whole")
    assert [each.text for each in map_examples(path, kept)] == ["another"]


def test_progress_ends_with_all_that_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr("ostinato.data.stored.rows._TOLD_BYTES", 1)
    told = []
    path = written(tmp_path, "a.jsonl")
    map_examples(path, None, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (path.stat().st_size, path.stat().st_size)


def test_going_through_the_texts_is_told_as_reading_them_is(tmp_path, monkeypatch):
    monkeypatch.setattr("ostinato.data.stored.ragged.BLOCK", 2)
    told = []
    texts = map_examples(written(tmp_path, "a.jsonl"), None, on_progress=lambda *progress: told.append(progress)).texts
    told.clear()
    lengths = [len(text.encode()) for text in texts]
    assert told == [(sum(lengths[:end]), sum(lengths)) for end in range(2, len(lengths) + 1, 2)]
    assert told


def rows_of(seed, labels):
    generator = random.Random(seed)
    return [(f"text {n}", generator.choice(labels)) for n in range(300)]


@pytest.mark.parametrize(
    "labels", [["b", "a", "c"], [str(n + 0.5) for n in range(40)], ["a;b", "a", "b;c", "c", "a;c"]]
)
@pytest.mark.parametrize("few", [True, False])
def test_parts_are_drawn_as_in_memory(tmp_path, labels, few, monkeypatch):
    if not few:
        if labels[0] == "b":
            labels = [str(n + 0.5) for n in range(60)]
        monkeypatch.setattr(module, "MOST_NAMES", 4)
    path = tmp_path / "a.jsonl"
    rows = rows_of(1, labels)
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    found, expected = map_labelled({"train": str(path)}, "a", None), read_labelled(path)
    for part in ("train", "validation", "test"):
        its, wanted = getattr(found, part), getattr(expected, part)
        assert tuple(its) == wanted
        assert its.label_counts() == {
            label: sum(each.label == label for each in wanted) for label in {each.label for each in wanted}
        }
        assert its.target() == target_of([each.label for each in wanted])
        assert list(its.labels()) == [each.label for each in wanted]
    codes = found.train.codes()
    assert (codes is None) == (not few and len(set(labels)) > 4)
    assert codes is None or isinstance(codes, np.ndarray)


class _Bytes:
    """Counts how often it is asked."""

    how = "bytes"

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, text: str) -> np.ndarray:
        self.asked += 1
        return np.frombuffer(text.encode(), np.uint8)


def test_ids_of_one_file_stay_when_those_of_another_are_made_and_go_when_it_changes(tmp_path):
    kept, encode, parts = tmp_path / "kept", _Bytes(), []
    for name in ("train.csv", "dev.csv"):
        (tmp_path / name).write_text(f"text,label\n{name},x\nb,y\n")
        parts.append(map_examples(tmp_path / name, kept))
    for part in (*parts, *parts):
        assert token_ids(part.texts, encode, np.dtype(np.uint8))[0].tobytes().decode() == part[0].text
        assert mapped_sets(part, ("x", "y")).tolist() == [[1, 0], [0, 1]]
    assert encode.asked == 4
    assert len(list(kept.iterdir())) == 6
    (tmp_path / "dev.csv").write_text("text,label\nchanged,x\nb,y\n")
    changed = map_examples(tmp_path / "dev.csv", kept)
    token_ids(changed.texts, encode, np.dtype(np.uint8))
    mapped_sets(changed, ("x", "y"))
    assert encode.asked == 6
    assert len(list(kept.iterdir())) == 6


def test_who_makes_the_same_at_once_takes_nothing_away_from_who_was_first(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("text,label\na,x\nb,y\n")
    kept, write, first = tmp_path / "kept", module._write, []

    def overtaken(*given):
        if not first:
            first.append(0)
            with monkeypatch.context() as patch:
                patch.setattr(socket, "gethostname", lambda: "elsewhere")
                map_examples(tmp_path / "a.csv", kept)
            (folder,) = (each for each in kept.iterdir() if not each.name.startswith("."))
            first[0] = (folder / "text").stat().st_ino
        return write(*given)

    monkeypatch.setattr(module, "_write", overtaken)
    assert tuple(map_examples(tmp_path / "a.csv", kept)) == read_examples(tmp_path / "a.csv")
    (folder,) = kept.iterdir()
    assert (folder / "text").stat().st_ino == first[0]
