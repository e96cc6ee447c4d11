"""Tables that are mapped, beside the same tables read into memory."""

import dataclasses
import datetime
import json
import os
import subprocess
import sys
import zoneinfo
from pathlib import Path

import numpy as np
import polars
import pytest

from ostinato.data.mapped import build, grouping, scratch, store
from ostinato.data.mapped.store import about_table
from ostinato.data.mapped.table import MappedSeries, map_series
from ostinato.data.series.series import SeriesTable, read_series
from ostinato.errors import DataError

DAY = np.datetime64("2023-01-02")


def shops(rows_of_each: int = 40, seed: int = 0) -> polars.DataFrame:
    """What shops sell, in a random order: gaps, missing values, words, two columns to forecast, ids that look like numbers."""
    draw, rows = np.random.default_rng(seed), []
    for shop in range(7):
        for day in range(rows_of_each + 3 * shop):
            if draw.random() < 0.1 and day:
                continue
            sold = draw.poisson(4 + shop)
            rows.append(
                {
                    "shop": f"{shop:0{1 + shop % 3}}",
                    "kind": ("kiosk", "market")[shop % 2],
                    "size": str(10 + shop),
                    "day": str(DAY + day),
                    "price": f"{draw.integers(100, 200) / 100:.2f}",
                    "sky": ("sun", "rain", "")[draw.integers(3)],
                    "temperature": "NA" if draw.random() < 0.1 else f"{draw.normal():.4f}",
                    "sold": "" if draw.random() < 0.1 else str(sold),
                    "returned": str(sold // 3),
                }
            )
    return polars.DataFrame(rows)[draw.permutation(len(rows))]


HOW = {
    "values": ["sold", "returned"],
    "id": "shop",
    "known": ["price", "sky"],
    "observed": ["temperature"],
    "static": None,
}


def equal(found: SeriesTable, expected: SeriesTable) -> None:
    """Number for number."""
    assert isinstance(found.series, MappedSeries)
    if isinstance(expected.series, MappedSeries):
        by_id = {each.id: each for each in expected.series}
        expected = dataclasses.replace(expected, series=tuple(by_id[each.id] for each in found.series))
    for name in ("values", "known", "observed", "static", "step", "layout"):
        assert getattr(found, name) == getattr(expected, name), name
    assert [each.id for each in found.series] == [each.id for each in expected.series]
    for mine, its in zip(found.series, expected.series, strict=True):
        assert mine.grid == its.grid
        np.testing.assert_array_equal(mine.times, its.times)
        for name in ("values", "known", "observed", "static"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(its, name))


def written(frame: polars.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_table_in_any_form_and_order_is_what_the_reader_in_memory_says(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(grouping, "_READ_ROWS", 37)  # series lie in many pieces
    monkeypatch.setattr(grouping, "_SHELF_ROWS", 100)
    path = written(shops(), tmp_path / f"a{suffix}")
    found, expected = map_series(path, tmp_path / "kept", **HOW), read_series(path, **HOW)
    equal(found, expected)
    assert found.notes == tuple(note for note in expected.notes)
    assert expected.static == ("kind=kiosk", "kind=market", "size")
    assert found.written.written(found.series[0].times) == expected.written.written(expected.series[0].times)


def test_typed_columns_of_parquet_are_read_as_they_are(tmp_path):
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=n) for n in range(30)]
    frame = polars.DataFrame(
        {
            "id": [7] * 30 + [12] * 30,
            "date": days * 2,
            "y": np.linspace(0, 1, 60),
            "n": polars.Series(range(60), dtype=polars.Int16),
        }
    )
    path = written(frame, tmp_path / "a.parquet")
    found = map_series(path, tmp_path / "kept")
    equal(found, read_series(path))
    kinds = [each["dtype"] for each in found.series.stored.about["columns"]]
    assert kinds == ["float64", "float32"]  # a third is no float32, a whole number is


@pytest.mark.parametrize(
    "times",
    [
        [f"{1 + n % 28:02}.{1 + n // 28:02}.2024" for n in range(100)],
        [f"2024-{1 + n // 28:02}-{1 + n % 28:02}T{n % 24:02}:15" for n in range(100)],
        [str(n * n) for n in range(60)],
        [f"{2000 + n // 12}{1 + n % 12:02}" for n in range(50)],
        [f"2024-W{n + 1:02}" for n in range(40)],
        [str(np.busday_offset("2024-01-01", n)) for n in range(80)],
    ],
    ids=["days", "irregular", "squares", "months", "weeks", "working days"],
)
def test_times_of_all_kinds(tmp_path, times):
    rows = [(f"{name}", time, n) for name in "ab" for n, time in enumerate(times[:: 1 + (name == "b")])]
    path = tmp_path / "a.csv"
    path.write_text("id,time,y\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows))
    found, expected = map_series(path, tmp_path / "kept"), read_series(path)
    equal(found, expected)
    assert found.written.form == expected.written.form


def test_times_of_a_zone(tmp_path):
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    hours = [datetime.datetime(2024, 3, 29, tzinfo=datetime.UTC) + datetime.timedelta(hours=n) for n in range(100)]
    typed = polars.DataFrame({"time": [hour.astimezone(berlin) for hour in hours], "y": range(100)})
    texts = tmp_path / "b.csv"
    texts.write_text(
        "time,y\n" + "".join(f"{hour.astimezone(berlin).isoformat()},{n}\n" for n, hour in enumerate(hours))
    )
    for path in (written(typed, tmp_path / "a.parquet"), texts):
        found, expected = map_series(path, tmp_path / "kept"), read_series(path)
        equal(found, expected)
        local = expected.layout.clock == "local"
        ahead = expected.series[0].grid.after(expected.series[0].times[-1], 5)
        assert found.written.written(ahead, local=local) == expected.written.written(ahead, local=local)


def test_no_id_and_no_time_are_rows_one_after_the_other(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "".join(f"{n},{n * n}\n" for n in range(20)))
    equal(map_series(path, tmp_path / "kept"), read_series(path))


def test_files_of_a_folder_are_one_table_and_names_of_folders_are_columns(tmp_path):
    frame = shops()
    whole = written(frame, tmp_path / "a.csv")
    parts = tmp_path / "parts"
    for (shop,), rows in frame.group_by("shop"):
        (parts / f"shop={shop}").mkdir(parents=True)
        written(rows.drop("shop"), parts / f"shop={shop}" / "part-0.parquet")
    (parts / "_SUCCESS").write_text("")
    expected = {each.id: each for each in read_series(whole, **HOW).series}
    for data in (parts, f"{parts}/**/*.parquet", f"file://{parts}"):
        found = map_series(data, tmp_path / "kept", **HOW)
        assert {each.id for each in found.series} == set(expected)
        for each in found.series:
            np.testing.assert_array_equal(each.values, expected[each.id].values)
            np.testing.assert_array_equal(each.times, expected[each.id].times)


def test_a_compressed_text_is_read(tmp_path):
    import gzip

    path = written(shops(), tmp_path / "a.csv")
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    equal(map_series(packed, tmp_path / "kept", **HOW), read_series(path, **HOW))


def test_another_table_is_read_as_that_of_training(tmp_path):
    training = map_series(written(shops(), tmp_path / "a.csv"), tmp_path / "kept", **HOW)
    later = shops(30, seed=1).with_columns(polars.lit("hail").alias("sky")).drop("kind")
    path = written(later, tmp_path / "b.csv")
    how = {name: value for name, value in HOW.items() if name != "static"}
    found = map_series(path, tmp_path / "kept", like=training.layout, **how)
    expected = read_series(path, like=training.layout, **how)
    equal(found, expected)
    assert sorted(found.notes) == sorted(expected.notes)
    assert any("hail" in note for note in found.notes)


def test_more_series_than_are_looked_at_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_MOST_LOOKED_AT", 5)
    monkeypatch.setattr(build, "_SAMPLED", 3)
    rows = [(name, DAY + 2 * n, n) for name in range(12) for n in range(20)]
    rows += [(12, DAY + n, n) for n in range(21)]  # whose finer steps no sample shows
    rows.sort(key=lambda row: (row[0] == 11, row[0]))
    path = tmp_path / "a.csv"
    path.write_text("id,date,y\n" + "".join(f"s{a},{b},{c}\n" for a, b, c in rows))
    found = map_series(path, tmp_path / "kept", grid="fill")
    assert found.step == "1 day"
    equal(found, read_series(path, grid="fill"))


# --- kept ---


def test_columns_are_used_again_until_the_table_changes(tmp_path, monkeypatch):
    path, kept = written(shops(), tmp_path / "a.csv"), tmp_path / "kept"
    first = map_series(path, kept, **HOW)
    made = list(kept.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(scratch, "scan", None)  # whoever reads needs it
        patch.setattr(build, "scan", None)
        equal(map_series(path, kept, **HOW), read_series(path, **HOW))
        # For a prediction training's own columns are used too.
        like = {name: value for name, value in HOW.items() if name != "static"}
        equal(map_series(path, kept, like=first.layout, static=None, **like), read_series(path, **HOW))
    assert list(kept.iterdir()) == made
    written(shops(seed=3), path)
    os.utime(path, ns=(1, 1))
    equal(map_series(path, kept, **HOW), read_series(path, **HOW))
    assert len(list(kept.iterdir())) == 1
    assert list(kept.iterdir()) != made


def test_what_a_killed_process_had_read_is_not_read_again(tmp_path, monkeypatch):
    parts, kept, whole = tmp_path / "parts", tmp_path / "kept", shops()
    parts.mkdir()
    for at in range(3):
        written(whole[at::3], parts / f"{at}.csv")
    read: list[str] = []
    into = scratch.Scanned.into

    def counted(scanned: scratch.Scanned, path: Path, columns: list[str]) -> int:
        if len(read) == 2 and not list(kept.glob("*/table.json")):
            raise KeyboardInterrupt
        read.append(scanned.name)
        return into(scanned, path, columns)

    monkeypatch.setattr(scratch.Scanned, "into", counted)
    with pytest.raises(KeyboardInterrupt):
        map_series(parts, kept, **HOW)
    (left,) = kept.iterdir()
    dead = left.rename(left.with_suffix(f".{2**22 + 1}"))  # as of a process that is no more
    other = kept / f".{'0' * 12}.{2**22 + 1}"  # of a table that has changed since
    other.mkdir()
    (second,) = dead.glob("rows-*1.csv.parquet")
    second.write_bytes(second.read_bytes()[:-1] + b"?")  # as after a cut of the current
    (dead / "column-0").write_bytes(b"cut off")
    read.clear()
    found = map_series(parts, kept, **HOW)
    assert [Path(name).name for name in read] == ["1.csv", "2.csv"]
    assert {each.id for each in found.series} == set(whole["shop"])
    assert [each.name for each in kept.iterdir()] == [left.stem[1:]]
    assert not list(kept.glob("*/rows-*"))


def test_what_is_made_twice_at_once_is_there_once(tmp_path, monkeypatch):
    path, kept = written(shops(), tmp_path / "a.csv"), tmp_path / "kept"
    pid, write_index, made = os.getpid(), build.write_index, []

    def overtaken(*given: object) -> int:
        if not made:
            made.append(True)
            monkeypatch.setattr(os, "getpid", lambda: pid + 2**22)
            monkeypatch.setattr(store, "_is_alive", lambda _: True)
            made.append(map_series(path, kept, **HOW))
            monkeypatch.setattr(os, "getpid", lambda: pid)
        return write_index(*given)

    monkeypatch.setattr(build, "write_index", overtaken)
    mine, expected = map_series(path, kept, **HOW), read_series(path, **HOW)
    equal(mine, expected)
    equal(made[1], expected)
    assert len(list(kept.iterdir())) == 1


@pytest.mark.parametrize("name", ["column-0", "column-2", "index.npz", "ids.json", "table.json"])
def test_a_damaged_byte_is_noticed(tmp_path, name, monkeypatch):
    path, kept = written(shops(), tmp_path / "a.csv"), tmp_path / "kept"
    map_series(path, kept, **HOW)
    (folder,) = kept.iterdir()
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 0b100000
    (folder / name).write_bytes(content)
    monkeypatch.setattr(store, "_looked_at", set())  # as in another process
    equal(map_series(path, kept, **HOW), read_series(path, **HOW))


LIMITED = """
import resource, sys
from ostinato.data.mapped.table import map_series
from ostinato.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    map_series(sys.argv[1], sys.argv[2])
except DataError as error:
    print(error)
"""


@pytest.mark.parametrize("size", [50_000, 380_000])
def test_without_room_it_says_so_and_nothing_stays(tmp_path, size):
    rows = 50_000  # 400 kB a column
    frame = polars.DataFrame({"id": ["a"] * rows, "t": range(rows), "y": [0.5] * rows})
    path = written(frame, tmp_path / "a.parquet")
    command = [sys.executable, "-c", LIMITED, str(path), str(tmp_path / "kept"), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "make room" in done.stdout
    assert list((tmp_path / "kept").iterdir()) == []


def test_without_a_folder_nothing_stays(tmp_path):
    table = map_series(written(shops(), tmp_path / "a.csv"), None, **HOW)
    folder = table.series.stored.folder.parent
    assert folder.is_dir()
    del table
    assert not folder.exists()


def test_the_description_says_what_is_there(tmp_path):
    import zlib

    table = map_series(written(shops(), tmp_path / "a.csv"), tmp_path / "kept", **HOW)
    (folder,) = (tmp_path / "kept").iterdir()
    about = about_table(folder)
    assert about is not None
    for at, each in enumerate(about["columns"]):
        content = (folder / f"column-{at}").read_bytes()
        assert each["crc32"] == zlib.crc32(content)
    assert json.loads((folder / "ids.json").read_text()) == [each.id for each in table.series]


def test_progress_goes_from_nothing_to_all(tmp_path):
    path, seen = written(shops(), tmp_path / "a.csv"), []
    map_series(path, tmp_path / "kept", **HOW, on_progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {path.stat().st_size}
    assert sorted(done for done, _ in seen) == [done for done, _ in seen]
    assert seen[-1][0] > 0.85 * path.stat().st_size


def test_a_beginning_of_each_series_is_cut_without_reading_on(tmp_path):
    path = written(shops(), tmp_path / "a.csv")
    table, expected = map_series(path, tmp_path / "kept", **HOW), read_series(path, **HOW)
    cut = table.series.cut(lambda times: int(np.searchsorted(times, DAY + 10)))
    for mine, its in zip(cut, expected.series, strict=True):
        assert (mine.times == its.times[its.times < DAY + 10]).all()
        np.testing.assert_array_equal(mine.values, its.values[: len(mine)])
    counts, largest = cut.counts()
    np.testing.assert_array_equal(counts, [(~np.isnan(each.values)).sum(0) for each in cut])
    np.testing.assert_array_equal(largest, [np.nanmax(np.abs(each.values), 0) for each in cut])


# --- what is wrong is named with its file and row ---


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
    with pytest.raises(DataError, match=r"--reading\.skip_broken true leaves such files out"):
        map_series(parts, tmp_path / "kept", **HOW)
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
    found = map_series(parts, tmp_path / "kept", **HOW, skip_broken=True)
    assert [line.partition(":")[0].rpartition("/")[2] for line in sorted(found.unread)] == [
        f"{n}.parquet" for n in (1, 3, 4)
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
