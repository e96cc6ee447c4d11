import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "words", ["--version", "train nothing", "train lm --seed x", "predict missing - <<< x", "train lm --print_config"]
)
def test_a_command_ends_as_it_does_without_the_process_that_waits(
    words: str, warm_command: Path, tmp_path: Path
) -> None:
    def ended(place: Path) -> tuple[int, str, str]:
        environment = {**os.environ, "PATH": f"{place}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "70"}
        done = subprocess.run(
            ["bash", "-c", f"ostinato {words}"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr

    cold = Path(sys.executable).parent
    assert ended(warm_command) == ended(cold)


def test_what_is_read_and_written_is_that_of_the_command_in_its_folder(warm_command: Path, tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text("class Task: pass\nprint(input())\n")
    done = subprocess.run(
        [warm_command / "ostinato", "train", "sums:Task"], cwd=tmp_path, input="seen\n", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "seen\n")
    assert "expected a class made from ostinato.recipes.task.Task" in done.stderr
