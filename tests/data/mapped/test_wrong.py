"""What is wrong is named with its file and row, and the other files are read where that is asked for."""

import json
from pathlib import Path

import polars
import pytest

from ostinato.data.mapped.broken import BrokenFilesError
from ostinato.data.mapped.table import map_series
from ostinato.errors import DataError
from tests.data.mapped.test_table import DAY, HOW, equal, shops, written


def in_parts(tmp_path: Path) -> tuple[Path, polars.DataFrame]:
    """Shops in files of their own, two of which cannot be read, one of another row each."""
    whole, parts = shops(), tmp_path / "parts"
    parts.mkdir()
    for shop in whole["shop"].unique().to_list():
        rows = whole.filter(polars.col("shop") == shop)
        if shop == "01":
            rows = rows.with_columns(
                sold=polars.when(polars.int_range(len(rows)) == 5).then(polars.lit("many")).otherwise("sold")
            )
        if shop == "002":
            rows = rows.with_columns(
                day=polars.when(polars.int_range(len(rows)) == 7).then(polars.lit("")).otherwise("day")
            )
        written(rows, parts / f"{shop}.csv")
    (parts / "x.csv").write_text((parts / "3.csv").read_text() + "1,2,3,4,5,6,7,8,9,10,11\n")
    (parts / "y.csv").write_bytes(b"\xff\xfe\xfd")
    return parts, whole


def test_files_that_cannot_be_read_are_left_out_when_that_is_asked_for(tmp_path):
    parts, whole = in_parts(tmp_path)
    with pytest.raises(BrokenFilesError, match=r"--reading\.skip_broken true leaves such files out") as caught:
        map_series(parts, tmp_path / "kept", **HOW)
    assert {Path(name).name for name in caught.value.reasons} == {"y.csv"}
    for _ in range(2):  # which are told, when they are used again
        found = map_series(parts, tmp_path / "kept", **HOW, skip_broken=True)
        named = " ".join(found.unread)
        for what in ("x.csv, line", "y.csv", "01.csv, row 6 after the header", "002.csv, row 8 after the header"):
            assert what in named
        assert len(found.unread) == 4
        assert "4 of its files cannot be read" in found.notes[-1]
    good = tmp_path / "good"
    good.mkdir()
    for name in set(whole["shop"]) - {"01", "002"}:
        (parts / f"{name}.csv").rename(good / f"{name}.csv")
    equal(found, map_series(good, None, **HOW))
    with pytest.raises(DataError, match="none of its 4 files can be read; the first: "):
        map_series(parts, tmp_path / "kept", **HOW, skip_broken=True)


def test_a_broken_parquet_of_many_is_left_out(tmp_path):
    parts, whole = tmp_path / "parts", shops()
    parts.mkdir()
    for at in range(3):
        written(whole[at::3], parts / f"{at}.parquet")
    content = (parts / "1.parquet").read_bytes()
    (parts / "1.parquet").write_bytes(content[: len(content) // 2])
    (parts / "3.parquet").write_bytes(b"")
    whole.drop("sold").write_parquet(parts / "4.parquet")
    whole.with_columns(sold=polars.concat_list("sold")).write_parquet(parts / "5.parquet")
    found = map_series(parts, tmp_path / "kept", **HOW, skip_broken=True)
    assert [line.partition(":")[0].rpartition("/")[2] for line in sorted(found.unread)] == [
        f"{n}.parquet" for n in (1, 3, 4, 5)
    ]
    written(polars.concat([whole[0::3], whole[2::3]]), tmp_path / "good.parquet")
    equal(found, map_series(tmp_path / "good.parquet", None, **HOW))


def folder_with(tmp_path: Path, name: str, content: bytes) -> Path:
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "a.csv").write_text("id,date,y\n" + "".join(f"a,{DAY + n},{n}\n" for n in range(30)))
    (parts / name).write_bytes(content)
    return parts


GOOD = "".join(f"b,{DAY + n},{n}\n" for n in range(30))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "id,date,y\n" + GOOD + "b,2024-01-01,many\n",
            r"b\.csv, row 31 after the header: expected a number in column 'y', got 'many'",
        ),
        ("id,date,y\n" + GOOD + "b,someday,1\n", r"b\.csv, row 31 after the header: column 'date' has 'someday'"),
        ("id,date,y\n" + GOOD + "b,,1\n", r"b\.csv, row 31 after the header: column 'date' is empty"),
        ("id,date,y\n" + GOOD + ",2024-01-01,1\n", r"b\.csv, row 31 after the header: column 'id', .* is empty"),
        ("id,date,y\n" + GOOD + "b,2024-01-01,1,2\n", r"b\.csv, line 32: has 4 cells, but the first line has 3"),
        ("id,date,x\n" + GOOD, r"b\.csv: has no column 'y'; its columns are id, date, x"),
        ("id,date,y\n" + GOOD + f"b,{DAY},5\n", r"time 2023-01-02.* of series 'b' is there twice"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_with_its_file(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        map_series(folder_with(tmp_path, "b.csv", content.encode()), tmp_path / "kept", ["y"])
    assert not list((tmp_path / "kept").iterdir())


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path):
    bad = ("id,date,y\n" + GOOD).encode() + b"b\xff,2024-01-01,1\n"
    with pytest.raises(DataError, match=r"b\.csv, line 32: expected UTF-8"):
        map_series(folder_with(tmp_path, "b.csv", bad), tmp_path / "kept", ["y"])


def test_a_file_that_is_cut_off_is_named(tmp_path):
    (tmp_path / "parts").mkdir()
    whole = written(shops(), tmp_path / "parts" / "a.parquet")
    (tmp_path / "parts" / "b.parquet").write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"b\.parquet: is not a table that can be read"):
        map_series(tmp_path / "parts", tmp_path / "kept", **HOW)


def test_a_line_that_is_no_object_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [json.dumps({"date": str(DAY + n), "y": n}) for n in range(2000)]
    path.write_text("\n".join([*rows[:1500], '{"date": 5', *rows[1500:]]) + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl, line 1501: is not JSON"):
        map_series(path, tmp_path / "kept")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.csv", "b.parquet"], "got several formats"),
        (["a.txt"], "got none of them"),
        (["x=1/a.csv", "b.csv"], "name other columns"),
    ],
)
def test_files_that_do_not_make_a_table(tmp_path, names, message):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("id,date,y\n")
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match=message):
        map_series(tmp_path, tmp_path / "c" / "kept")


@pytest.mark.parametrize("zoned", [False, True])
@pytest.mark.parametrize("odd", [1, 2])  # one of the files that are looked at first, and one that is not
def test_a_file_whose_times_alone_have_a_zone_or_none_is_named_with_its_row(tmp_path, odd, zoned):
    parts = tmp_path / "parts"
    parts.mkdir()
    for at in range(30):
        zone = "Z" if (at == odd) == zoned else ""
        rows = "".join(f"{at},2024-01-{day + 1:02d}T00:00:00{zone},{day}\n" for day in range(9))
        (parts / f"{at:02d}.csv").write_text(f"id,date,y\n{rows}")
    others = "have none" if zoned else "have one"
    message = (
        rf"0{odd}\.csv, row 1 after the header: column 'date' has '2024.*in all times or in none, and others {others}"
    )
    with pytest.raises(BrokenFilesError, match=message):
        map_series(parts, None)
    found = map_series(parts, None, skip_broken=True)
    assert len(found.series) == 29
    assert len(found.unread) == 1
