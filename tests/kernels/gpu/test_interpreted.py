"""The kernels in Triton's interpreter. It is switched on before a kernel is made, and for good: so in a process of its own.

All that is tried there, which takes minutes: TRITON_INTERPRET=1 python -m pytest tests/kernels/gpu/interpreted/check_*.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOM = Path(__file__).parent / "interpreted"


@pytest.mark.parametrize("file", sorted(ROOM.glob("check_*.py")), ids=lambda file: file.stem)
def test_in_the_interpreter(file: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("there is no Triton")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "not more", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
