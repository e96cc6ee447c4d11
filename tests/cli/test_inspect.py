import shutil
from pathlib import Path


def test_it_writes_the_report_and_says_where(ostinato, run, tmp_path):
    copy = str(shutil.copytree(run, tmp_path / "run"))
    status, out, _ = ostinato("inspect", copy)
    assert status == 0
    assert out == f"{copy}/inspection.html\n"
    assert Path(out.strip()).read_text().startswith("<!doctype html>")


def test_what_is_wrong_is_said_in_one_line(ostinato, run, tmp_path):
    missing = tmp_path / "no"
    assert ostinato("inspect", str(missing))[::2] == (
        2,
        f"ostinato: no run folder at {missing}; check the name, or make one with `ostinato train TASK --run {missing}`\n",
    )
    status, out, error = ostinato("inspect", run, "--data", "missing.txt")
    assert (status, out) == (2, "")
    assert error.splitlines()[-1].startswith("ostinato: missing.txt: no such file or folder")
    status, _, error = ostinato("inspect", run, "--outptu", "x")
    assert status == 2
    assert "did you mean --output?" in error
