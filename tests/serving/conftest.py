import asyncio
import contextlib

import pytest

from ostinato.serving.service import Service
from tests.serving.untrained import untrained_lm


@pytest.fixture(scope="session")
def fox(tmp_path_factory):
    """A run of a language model of characters, untrained."""
    return untrained_lm(tmp_path_factory.mktemp("serving") / "fox")


@contextlib.asynccontextmanager
async def serving(run, limits=None, **arguments):
    """A service of one model, "m"."""
    service = Service({"m": str(run)}, limits, **arguments)
    await service.start()
    try:
        yield service
    finally:
        await service.drain(5.0)


@pytest.fixture
def go():
    """Runs a coroutine, for a minute at most."""

    def run(work):
        return asyncio.run(asyncio.wait_for(work, 60))

    return run
