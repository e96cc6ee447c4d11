"""What all tests share."""

import os
import tempfile

# Before torch is imported: its threads spin while they wait, and two test processes that spin on two cores stand still.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if "PYTEST_XDIST_WORKER" not in os.environ:
    # What the tests compile goes into a folder of their own, which the processes of one run share and nothing outlives.
    _folder = tempfile.TemporaryDirectory(prefix="ostinato-tests-")
    os.environ["OSTINATO_CACHE_DIR"] = _folder.name
