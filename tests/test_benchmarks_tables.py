"""The benchmark of large tables, with small ones."""

import sys

import numpy as np
import polars
import pytest
from benchmarks import tables
from benchmarks.tables import chunks, make, watch


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "parts"])
def test_the_table_is_the_same_in_every_form(tmp_path, name, monkeypatch):
    monkeypatch.setattr(tables, "_CHUNK_ROWS", 150)
    make(tmp_path / name, 25, 30, "days")
    read = {
        "a.csv": lambda path: polars.read_csv(path, try_parse_dates=True),
        "a.tsv": lambda path: polars.read_csv(path, separator="\t", try_parse_dates=True),
        "a.jsonl": lambda path: polars.read_ndjson(path).with_columns(polars.col("date").str.to_date()),
        "a.parquet": polars.read_parquet,
        "parts": lambda path: polars.read_parquet(path / "**/*.parquet", hive_partitioning=True),
    }[name]
    found = read(tmp_path / name).select(*tables.SCHEMA).sort("id", "date").cast(tables.SCHEMA)
    expected = polars.concat(list(chunks(25, 30, "series"))).sort("id", "date")
    assert found.equals(expected)


def test_the_table_is_like_what_shops_sell():
    table = polars.concat(list(chunks(300, 140, "days")))
    assert table.height == 300 * 140
    assert table["id"].n_unique() == 300
    assert 0.3 < (table["sold"] == 0).mean() < 0.7
    assert table["sold"].min() == 0
    by_day = (
        table.group_by(polars.col("date").dt.weekday()).agg(polars.col("sold").mean()).sort("date")["sold"].to_numpy()
    )
    assert by_day[5:].min() > by_day[:5].max()
    assert table.group_by("id").agg(polars.col("store").n_unique())["store"].max() == 1
    assert np.isfinite(table["price"].to_numpy()).all()


def test_watching_tells_when_a_table_was_read(tmp_path):
    made = f"pathlib.Path({str(tmp_path / 'x')!r}).mkdir()"
    child = f"import time, pathlib; time.sleep(0.4); {made}; time.sleep(2); b = b'x' * 60_000_000; time.sleep(2)"
    found = watch([sys.executable, "-c", child], tmp_path)
    assert 0 < found.until_s < found.seconds
    assert 0 < found.until_bytes < found.peak_bytes
    assert 60_000_000 < found.after_anonymous_bytes <= found.after_bytes <= found.peak_bytes


def test_where_a_table_is_not_mapped_the_whole_run_counts(tmp_path):
    found = watch([sys.executable, "-c", "import time; b = b'x' * 60_000_000; time.sleep(2)"], tmp_path)
    assert found.until_s == 0
    assert 60_000_000 < found.after_anonymous_bytes <= found.after_bytes == found.peak_bytes


def test_training_on_a_table_is_compared_with_ten_of_its_series(tmp_path, monkeypatch):
    make(tmp_path / "a.parquet", 30, 20, "days")
    seen = []
    monkeypatch.setattr(
        tables,
        "train",
        lambda data, run, more: (
            seen.append((polars.read_parquet(data), run, more)) or tables.Watched(after_bytes=len(seen[-1][0]))
        ),
    )
    found = tables.more_than_ten(str(tmp_path / "a.parquet"), tmp_path / "runs", 5)
    assert [each[0]["id"].n_unique() for each in seen] == [10, 30]
    assert all(each[2]["training.max_steps"] == 5 for each in seen)
    assert found["more"]["after_bytes"] == 20 * 20
