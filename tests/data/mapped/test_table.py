"""Tables that are mapped, beside the same tables read into memory."""

import dataclasses
import datetime
import gzip
import zoneinfo
from pathlib import Path

import fsspec
import numpy as np
import polars
import pytest

from ostinato.data.mapped import build, grouping
from ostinato.data.mapped.table import MappedSeries, map_series
from ostinato.data.series.series import SeriesTable, read_series
from tests.data.servers import Site, serve

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


# --- far away ---


@pytest.mark.parametrize("name", ["a.csv", "b.parquet", "c.csv.gz"])
def test_a_table_of_a_web_server_is_read(tmp_path, name):
    frame = shops()
    expected = read_series(written(frame, tmp_path / "a.csv"), **HOW)
    written(frame, tmp_path / "b.parquet")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    content = (tmp_path / name).read_bytes()
    with serve(Site({f"/{name}": content}, fail_at=len(content) // 2, failures=1)) as site:
        equal(map_series(f"{site.url}/{name}", tmp_path / "kept", **HOW), expected)


def test_tables_of_an_object_store_are_found_by_folders_and_globs(tmp_path):
    frame = shops()
    expected = {each.id: each for each in read_series(written(frame, tmp_path / "a.csv"), **HOW).series}
    store = fsspec.filesystem("memory")
    for (shop,), rows in frame.group_by("shop"):
        for suffix in ("csv", "parquet"):
            path = written(rows.drop("shop"), tmp_path / f"part.{suffix}")
            store.pipe(f"/far/{suffix}/shop={shop}/part.{suffix}", path.read_bytes())
    try:
        for data in ("far/parquet", "far/csv/", "far/parquet/**/*.parquet", "far/csv/*/part.csv"):
            found = map_series(f"memory://{data}", tmp_path / "kept", **HOW)
            assert {each.id for each in found.series} == set(expected)
            for each in found.series:
                np.testing.assert_array_equal(each.values, expected[each.id].values)
    finally:
        store.rm("/far", recursive=True)
