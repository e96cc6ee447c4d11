"""Tables on disk stay, are used again, go on after a kill, and are noticed when they are damaged."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars
import pytest

from ostinato.data.mapped import build, scratch, store
from ostinato.data.mapped.store import about_table
from ostinato.data.mapped.table import map_series
from ostinato.data.series.series import read_series
from ostinato.errors import DataError
from tests.data.mapped.test_table import DAY, HOW, equal, shops, written


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
    here = left.suffix.rpartition("-")[0]
    dead = left.rename(left.with_suffix(f"{here}-{2**22 + 1}"))  # as of a process that is no more
    other = kept / f".{'0' * 12}{here}-{2**22 + 1}"  # of a table that has changed since
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


def test_of_another_machine_only_what_is_quiet_for_long_was_left(tmp_path):
    path, kept = written(shops(), tmp_path / "a.csv"), tmp_path / "kept"
    map_series(path, kept, **HOW)
    (made,) = kept.iterdir()
    made.rename(tmp_path / "away")
    places = [kept / f".{name}.elsewhere-{process}" for name in (made.name, "0" * 12) for process in (1, 2**22 + 1)]
    for place in places:
        place.mkdir()
        (place / "column-0").write_bytes(b"begun")
    old = time.time() - 1000
    for at in (1, 3):
        os.utime(places[at] / "column-0", (old, old))
        os.utime(places[at], (old, old))
    map_series(path, kept, **HOW)
    assert sorted(kept.iterdir()) == sorted([made, places[0], places[2]])


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path, kept = written(shops(), tmp_path / "a.csv"), tmp_path / "kept"
    write_index = build.write_index

    def changed(*given: object) -> int:
        with path.open("a") as file:
            file.write("\n")
        return write_index(*given)

    monkeypatch.setattr(build, "write_index", changed)
    with pytest.raises(DataError, match="changed while they were read"):
        map_series(path, kept, **HOW)
    assert not list(kept.iterdir())


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
from tests.data.servers import Site, serve
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
