"""Random requests by the OpenAPI document: `python -m tests.serving.http.random_requests [--requests 10000]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
)


def ask_at_random(url: str, requests: int, session: str = "", seed: int = 0) -> Counter[int]:
    """Sends valid and invalid requests of every operation, about as many of each.

    Args:
        url: of the server.
        requests: how many in all, about.
        session: the id of one that is there, for paths that name one.
        seed: of what is drawn.

    Returns:
        How many answers had each status.

    Raises:
        Exception: an answer is not what the document says, or is 500.
    """
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [each.ok() for each in schema.get_all_operations()]
    found: Counter[int] = Counter()
    for operation in operations:
        for mode in GenerationMode:
            _ask(operation, mode, max(1, requests // (2 * len(operations))), session, seed, found)
    return found


def _ask(operation: Any, mode: GenerationMode, count: int, session: str, seed: int, found: Counter[int]) -> None:
    try:
        cases = operation.as_strategy(generation_mode=mode)
        here = st.booleans()

        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            derandomize=not seed,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, is_here=here)
        def ask(case: Any, is_here: bool) -> None:
            if session and is_here and "id" in (case.path_parameters or {}) and operation.method != "delete":
                case.path_parameters["id"] = session
            response = case.call(timeout=30)
            found[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        ask()
    except Unsatisfiable:  # nothing of it can be wrong
        pass


def main(words: list[str]) -> int:
    """Asks a server of its own."""
    from tests.serving.http.running import running
    from tests.serving.untrained import untrained_lm

    parser = argparse.ArgumentParser(prog="tests.serving.http.random_requests", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        run = untrained_lm(Path(folder) / "lm")
        with running({"lm": str(run)}) as server, server.client() as client:
            session = client.post("/v1/lm/sessions", json={}).json()["id"]
            start = time.perf_counter()
            found = ask_at_random(server.url, options.requests, session, options.seed)
            assert client.get("/readyz").status_code == 200
    print(f"{sum(found.values())} requests in {time.perf_counter() - start:.0f} s: {dict(sorted(found.items()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
