import subprocess
import sys

import polars
import pytest

from ostinato.data.sources import memory
from ostinato.data.sources.cells import read_cells
from ostinato.data.sources.memory import check_texts, holding
from ostinato.errors import DataError


class PanicException(BaseException):
    """As polars raises one."""


@pytest.mark.parametrize(
    "error",
    [MemoryError(), PanicException("PyObject pointer is null"), RuntimeError("[enforce fail] can't allocate memory")],
)
def test_data_that_do_not_fit_are_told_as_that(error):
    with pytest.raises(DataError, match=r"a\.csv: there is not enough memory to hold it as a whole"), holding("a.csv"):
        raise error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), RuntimeError("no")])
def test_other_errors_stay_as_they_are(error):
    with pytest.raises(type(error)), holding("a.csv"):
        raise error


def test_few_texts_that_are_named_often_are_told_before_they_are_taken_one_by_one(tmp_path, monkeypatch):
    table = polars.DataFrame({"text": ["x" * 10_000] * 50_000, "label": [1] * 50_000})
    table.write_parquet(tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 20_000
    check_texts("a", table)
    monkeypatch.setattr(memory, "_free_bytes", lambda: 400_000_000)
    with pytest.raises(DataError, match=r"a\.parquet: there is not enough memory .*\(0\.5 GB\)"):
        read_cells(tmp_path / "a.parquet")


def test_a_limit_of_the_process_counts():
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
from ostinato.data.sources.memory import _free_bytes
print(_free_bytes())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 8 * 2**30
