"""Pairs that are mapped, against those that are read into memory."""

import json

import polars
import pytest

from ostinato.data.records.pairs import draw_pair_splits, read_pairs
from ostinato.data.stored.pairs import draw_mapped_splits, map_pairs
from ostinato.errors import DataError

GERMAN, ENGLISH = "\ufeffja\r\n\r\n Grüße \nnein\nok\n", "yes\nno\n greetings\n\nok\n"


def same(found, expected):
    assert (found.name, tuple(found.pairs), tuple(found.empty), found.equal) == (
        expected.name,
        tuple(expected.pairs),
        tuple(expected.empty),
        expected.equal,
    )
    assert found.report() == expected.report()


@pytest.mark.parametrize("keep_empty", [False, True])
def test_two_files(tmp_path, keep_empty):
    (tmp_path / "a.de").write_bytes(GERMAN.encode())
    (tmp_path / "a.en").write_bytes(ENGLISH.encode())
    files = tmp_path / "a.de", tmp_path / "a.en"
    same(map_pairs(*files, tmp_path / "kept", keep_empty=keep_empty), read_pairs(*files, keep_empty=keep_empty))


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "nested.jsonl", "a.parquet"])
def test_one_file(tmp_path, name):
    path = tmp_path / name
    rows = [("ja", "yes"), ("", "no"), ("ok", "ok"), ("ü", "ue")]
    if name == "a.parquet":
        polars.DataFrame(rows, schema=["source", "target"], orient="row").write_parquet(path)
    elif name.endswith("jsonl"):
        named = ({"source": left, "target": right} for left, right in rows)
        path.write_text(
            "".join(json.dumps({"translation": row} if name == "nested.jsonl" else row) + "\n" for row in named)
        )
    else:
        mark = "\t" if name == "a.tsv" else ","
        head = "" if name == "a.tsv" else "source,target\n"
        path.write_text(head + "".join(f"{left}{mark}{right}\n" for left, right in rows))
    same(map_pairs(path), read_pairs(path))


def test_several_files_belong_together_in_order(tmp_path):
    for at in range(2):
        (tmp_path / f"{at}.de").write_text(f"ja {at}\n")
        (tmp_path / f"{at}.en").write_text(f"yes {at}\n")
    found = map_pairs(tmp_path / "*.de", tmp_path / "*.en")
    assert [(each.source, each.target) for each in found.pairs] == [("ja 0", "yes 0"), ("ja 1", "yes 1")]
    (tmp_path / "2.de").write_text("a\n")
    with pytest.raises(DataError, match="has 3 files"):
        map_pairs(tmp_path / "*.de", tmp_path / "*.en")
    (tmp_path / "2.en").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"2\.de has 1 lines, .*2\.en 2"):
        map_pairs(tmp_path / "*.de", tmp_path / "*.en")
    (tmp_path / "x.tsv").write_text("a\tb\nno tab\n")
    with pytest.raises(DataError, match=r"x\.tsv, line 2: expected source, tab and target"):
        map_pairs(tmp_path / "*.tsv")


def test_parts_are_drawn_as_in_memory(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"source {n * n % 37}\ttarget {n}\n" for n in range(200)))
    found, expected = draw_mapped_splits(map_pairs(path), 0.1, 0.2), draw_pair_splits(read_pairs(path), 0.1, 0.2)
    for part in ("train", "validation", "test"):
        same(getattr(found, part), getattr(expected, part))
    assert found.train.pairs[0] == expected.train.pairs[0]
    assert found.test.pairs[:3] == expected.test.pairs[:3]
