"""What all tests share."""

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pairwise import beyond_pairs
from tests.warm import warm

# Before torch is imported: its threads spin while they wait, and two test processes that spin on two cores stand still.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Imports, collecting and tracing make far more that stays than they leave as garbage: it need not be looked for every 700 objects.
gc.set_threshold(20_000)

LEFT = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def warm_command() -> Iterator[Path]:
    """A folder with an `ostinato` that does not wait for imports."""
    with warm() as folder:
        yield folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pairs", action="store_true", help="of the tests marked cross, only as many as meet all pairs")


def pytest_configure(config: pytest.Config) -> None:
    """Let the processes of one run share what is compiled.

    With --pairs it is kept for later runs as well: it is found again only by the same sources of the compiler, versions and
    processor (tests/kernels/cpu/code/test_kernel.py). A whole run compiles everything anew.
    """
    if hasattr(config, "workerinput"):
        return
    if config.getoption("pairs"):
        os.environ["OSTINATO_CACHE_DIR"] = str(config.rootpath / ".pytest_cache" / "kernels")
    else:
        folder = tempfile.TemporaryDirectory(prefix="ostinato-tests-")
        config.add_cleanup(folder.cleanup)
        os.environ["OSTINATO_CACHE_DIR"] = folder.name


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
    if (to_tell := getattr(session.config, "workeroutput", None)) is not None:
        to_tell["left"] = session.config.stash.get(LEFT, 0)


def pytest_testnodedown(node: Any) -> None:
    """Each process has left the same tests out, and pytest-xdist does not say so."""
    if "left" in (told := getattr(node, "workeroutput", {})):  # one that crashed tells nothing
        node.config.stash[LEFT] = told["left"]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.stash.get(LEFT, 0):
        terminalreporter.write_line(f"{config.stash[LEFT]} more tests of crosses are left to `make test-all`")
