from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.http.running import Running, running
from tests.serving.untrained import untrained_lm

ADA, GRACE = "ada-has-this-token-1815", "grace-has-this-token-1906"


@pytest.fixture(scope="session")
def lm_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(untrained_lm(tmp_path_factory.mktemp("served") / "lm"))


@pytest.fixture(scope="session")
def server(lm_run: str) -> Iterator[Running]:
    """One without tokens, which keeps sessions in memory."""
    with running({"lm": lm_run}) as found:
        yield found


@pytest.fixture(scope="session")
def guarded(lm_run: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One with tokens, of ada and of grace, and a page of another site that may ask."""
    file = Path(tmp_path_factory.mktemp("tokens"), "tokens")
    file.write_text(f"# who may come in\nada:{ADA}\n\ngrace:{GRACE}\n")
    with running({"lm": lm_run}, tokens=str(file), cors=("https://example.org",)) as found:
        yield found
