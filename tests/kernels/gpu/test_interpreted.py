"""The kernels in Triton's interpreter, and compiled for GPUs that are not here; in processes of their own.

The interpreter is switched on before a kernel is made, and for good. And Triton lies beside the environment, see the Makefile:
torch imports it wherever it is, which takes time and, beside a build for CPU, leaves a page of warnings behind every process.

All that is tried in the interpreter takes minutes: TRITON_INTERPRET=1 python -m pytest tests/kernels/gpu/interpreted/check_*.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOM, ROOT = Path(__file__).parent, Path(__file__).parents[3]
BESIDE = Path(sys.prefix) / "triton"  # where `make test` puts Triton
CHECKS = {file: {"TRITON_INTERPRET": "1"} for file in sorted((ROOM / "interpreted").glob("check_*.py"))}
CHECKS[ROOM / "check_ahead.py"] = {}


@pytest.mark.parametrize("file", CHECKS, ids=lambda file: file.stem)
def test_in_a_process_of_its_own(file: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("there is no Triton")
    path = os.pathsep.join([str(BESIDE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path} | CHECKS[file]
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # none is needed, and some take seconds to import
    # With xdist for a hook in tests/conftest.py.
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "no:cacheprovider", "-k", "not more", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
