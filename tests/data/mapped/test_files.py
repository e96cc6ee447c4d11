"""Which tables are mapped."""

import gzip

import polars
import pytest

from ostinato.data.mapped import files
from ostinato.data.mapped.files import find_tables, is_large


def test_small_files_are_read_into_memory_and_large_ones_or_several_are_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 1000)
    monkeypatch.setattr(files, "MOST_ROWS", 50)
    small, large, packed = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv.gz"
    small.write_text("x" * 1000)
    large.write_text("x" * 1001)
    packed.write_bytes(gzip.compress(bytes(range(256)) * 1))
    polars.DataFrame({"y": [1] * 50}).write_parquet(tmp_path / "d.parquet")
    polars.DataFrame({"y": [1] * 51}).write_parquet(tmp_path / "e.parquet")
    found = {
        name: is_large(str(tmp_path / name))
        for name in ("a.csv", "b.csv", "c.csv.gz", "d.parquet", "e.parquet", "", "*.csv")
    }
    assert found == {
        "a.csv": False,
        "b.csv": True,
        "c.csv.gz": True,
        "d.parquet": False,
        "e.parquet": True,
        "": True,
        "*.csv": True,
    }
    assert not is_large(str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        ("parts", {"year": "2024", "shop": "a b"}),
        ("parts/year=2024", {"shop": "a b"}),
        ("parts/*/shop=a%20b/*.csv", {"year": "2024", "shop": "a b"}),
        ("parts/year=2024/shop=a%20b/x.csv", {}),
    ],
)
def test_folders_below_the_one_that_is_named_are_columns(tmp_path, data, keys):
    folder = tmp_path / "parts" / "year=2024" / "shop=a%20b"
    folder.mkdir(parents=True)
    (folder / "x.csv").write_text("y\n1\n")
    (found,) = find_tables(str(tmp_path / data)).files
    assert found.keys == keys
