"""What all tests share."""

import gc
import os
import tempfile
from typing import Any

import pytest

from tests.pairwise import beyond_pairs

# Before torch is imported: its threads spin while they wait, and two test processes that spin on two cores stand still.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if "PYTEST_XDIST_WORKER" not in os.environ:
    # What the tests compile goes into a folder of their own, which the processes of one run share and nothing outlives.
    _folder = tempfile.TemporaryDirectory(prefix="ostinato-tests-")
    os.environ["OSTINATO_CACHE_DIR"] = _folder.name


LEFT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pairs", action="store_true", help="of the tests marked cross, only as many as meet all pairs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("pairs"):
        left = beyond_pairs(items)
        config.stash[LEFT] = len(left)
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def pytest_collection_finish() -> None:
    # What is imported and collected by now stays to the end: the garbage collector need not look through it all, again and again.
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left"] = session.config.stash.get(LEFT, 0)


def pytest_testnodedown(node: Any) -> None:
    """Each process has left the same tests out, and pytest-xdist does not say so."""
    node.config.stash[LEFT] = node.workeroutput["left"]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.stash.get(LEFT, 0):
        terminalreporter.write_line(f"{config.stash[LEFT]} more tests of crosses are left to `make test-all`")
