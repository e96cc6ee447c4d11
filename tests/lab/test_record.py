import csv
from pathlib import Path

import pytest

from ostinato.errors import OstinatoError
from ostinato.lab.experiment import ExperimentResult, table
from ostinato.lab.pictures import panels
from ostinato.lab.record import command, outcome, write

from .test_experiment import make


def result(*, reproduced=True):
    return ExperimentResult(table("side", [(0.5,)]), panels(1)[0], ("It fell.", "Again."), reproduced)


def test_a_run_leaves_a_picture_in_two_formats_a_table_and_a_page(tmp_path):
    paths = write(make(), result(), tmp_path / "new", 3, quick=False)
    assert [path.name for path in paths] == ["coin.png", "coin.svg", "coin.csv", "coin.md"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in paths[1].read_text()
    assert list(csv.reader(paths[2].read_text().splitlines())) == [["side"], ["0.5"]]
    page = paths[3].read_text()
    for part in (
        "A coin falls.",
        "Nobody 1900",
        "It fell. Again.",
        "The claim is reproduced.",
        "--seed 3",
    ):
        assert part in page


def test_the_same_result_is_written_the_same(tmp_path):
    first = write(make(), result(), tmp_path / "one", 0, quick=True)
    second = write(make(), result(), tmp_path / "two", 0, quick=True)
    for a, b in zip(first[:3], second[:3], strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_a_claim_that_is_not_reproduced_is_said_to_be_so():
    assert outcome(result(reproduced=False), quick=False) == "The claim is not reproduced."
    assert outcome(result(reproduced=False), quick=True) == "The claim is not reproduced, at the sizes of a quick run."


def test_the_command_repeats_the_run_also_from_a_folder_with_a_space_in_its_name():
    assert command(make(), Path("my lab"), 3, quick=True) == "ostinato lab run coin --output 'my lab' --seed 3 --quick"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OstinatoError, match=r"cannot be written to .*; choose another folder"):
        write(make(), result(), tmp_path / "file", 0, quick=True)
