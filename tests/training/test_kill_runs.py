import subprocess
import sys
from pathlib import Path


def test_killed_at_random_moments_runs_end_as_if_they_had_not_been():
    """`python -m tests.training.kill_runs 50` does it fifty times."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.kill_runs", "3", "--seed", "1"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stderr == ""
    assert done.stdout.endswith("3 of 3 ended bit for bit like the run that was never killed\n")
    assert done.returncode == 0
