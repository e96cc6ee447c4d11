"""What stays the same in a series."""

import numpy as np
import pytest

from ostinato.data.series.series import read_series
from ostinato.errors import DataError

KINDS = {"a": ("kiosk", "10"), "b": ("market", "20"), "c": ("kiosk", "")}


def write(path, kinds=KINDS, extra=""):
    lines = ["id,time,kind,size,sold"]
    lines += [f"{id},{t},{kind},{size},{t % 3}" for id, (kind, size) in kinds.items() for t in range(6)]
    path.write_text("\n".join(lines) + "\n" + extra)
    return str(path)


def test_columns_of_one_value_a_series_are_found(tmp_path):
    table = read_series(write(tmp_path / "a.csv"), static=None)
    assert table.values == ("sold",)
    assert table.static == ("kind=kiosk", "kind=market", "size")
    np.testing.assert_array_equal([each.static for each in table.series], [[1, 0, 10], [0, 1, 20], [1, 0, np.nan]])
    assert "has one value for each series in kind, size" in table.notes[0]
    assert table.layout is not None
    assert table.layout.columns.static == ("kind", "size")
    # With none asked for, the size is one of the columns to forecast, as before.
    assert read_series(write(tmp_path / "a.csv")).values == ("size", "sold")


def test_names_that_are_another_id_and_columns_that_change_are_left(tmp_path):
    lines = ["id,time,label,price,sold"]
    lines += [f"{id},{t},name of {id},{t},{t % 3}" for id in "abc" for t in range(6)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines))
    table = read_series(str(path), ["sold"], static=None)
    assert table.static == ()


def test_another_table_is_read_as_training_was(tmp_path):
    first = read_series(write(tmp_path / "a.csv"), static=None)
    other = write(tmp_path / "b.csv", {"z": ("shop", "5")})
    table = read_series(other, like=first.layout)
    np.testing.assert_array_equal(table.series[0].static, [0, 0, 5])
    assert any("training never had 'shop' in column 'kind'" in note for note in table.notes)
    (tmp_path / "c.csv").write_text("id,time,sold\n" + "".join(f"a,{t},{t}\n" for t in range(6)))
    table = read_series(str(tmp_path / "c.csv"), like=first.layout)
    assert np.isnan(table.series[0].static).all()
    assert any("has no kind, size, which training had for each series" in note for note in table.notes)


def test_a_column_that_changes_is_refused_where_it_is_named(tmp_path):
    path = write(tmp_path / "a.csv", extra="a,6,market,10,1\n")
    with pytest.raises(
        DataError, match=r"column 'kind' is to stay the same in a series, but 'a' has 'kiosk' and others"
    ):
        read_series(path, ["sold"], static=["kind"])
    path = write(tmp_path / "a.csv", extra="a,6,kiosk,11,1\n")
    with pytest.raises(DataError, match=r"column 'size' .* 'a' has 10 and 11; name it with --reading.known"):
        read_series(path, ["sold"], static=["size"])
