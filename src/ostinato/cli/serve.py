"""`ostinato serve RUN [RUN ...]`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ostinato.errors import ConfigError
from ostinato.extras import check_installed

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser
    from ostinato.serving.http.server.settings import Settings

MEMORY = "memory"
_FILE = "sessions.sqlite"
_REDIS = ("redis://", "rediss://", "unix://")
_LIMITS = (  # flags that are fields of `ostinato.serving.limits.Limits`
    "max_batch",
    "max_wait_us",
    "sessions_in_memory",
    "max_sessions",
    "max_queue",
    "max_tokens",
    "max_marks",
    "idle_seconds",
    "total_seconds",
    "durability",
    "snapshot_seconds",
    "lease_seconds",
)


def parser() -> Parser:
    """The parser of the command's arguments."""
    from ostinato.cli.parser import Parser

    found = Parser(
        "ostinato serve",
        "Serve the models of runs by HTTP: sessions that keep their state, OpenAI's completions, and a page. A model has the name "
        "of its run's folder, or the one you give: NAME=RUN.",
    )
    found.add_argument(
        "run", nargs="*", type=str, help="folders of runs, or NAME=RUN; without them, the latest in runs/"
    )
    found.add_argument("--host", type=str, default="127.0.0.1", help="the address to listen at; 0.0.0.0 for all")
    found.add_argument("--port", type=int, default=8000, help="the port; 0 takes one that is free")
    found.add_argument("--workers", type=int, default=1, help="how many processes answer; they share the sessions")
    found.add_argument(
        "--sessions",
        type=str | None,
        default=None,
        help=f"where sessions are kept: a file, redis://HOST, or {MEMORY}; without it, {_FILE} in the folder of the first run",
    )
    found.add_argument(
        "--tokens", type=str | None, default=None, help="a file of lines name:token; without it, everybody may ask"
    )
    found.add_argument(
        "--cors", type=list[str], default=[], help="the origins whose pages may ask, such as [https://example.org]"
    )
    found.add_argument("--max-batch", type=int, default=64, help="how many sessions of a model step together at most")
    found.add_argument(
        "--max-wait-us", type=int, default=0, help="how many microseconds a step waits for other sessions"
    )
    found.add_argument(
        "--sessions-in-memory",
        type=int,
        default=10_000,
        help="how many sessions of a model stay in memory; the store has the others",
    )
    found.add_argument(
        "--max-sessions",
        type=int,
        default=1_000_000,
        help="how many sessions a model has at most, in memory and in the store",
    )
    found.add_argument(
        "--max-queue", type=int, default=10_000, help="how many requests of a model wait at most; one more gets 429"
    )
    found.add_argument("--max-tokens", type=int, default=16_384, help="how many tokens a request may bring or ask for")
    found.add_argument("--max-marks", type=int, default=16, help="how many marks a session has at most")
    found.add_argument(
        "--idle-seconds", type=float | None, default=None, help="end a session that nobody has used for so long"
    )
    found.add_argument(
        "--total-seconds", type=float | None, default=None, help="end a session so long after it was made"
    )
    found.add_argument(
        "--durability",
        type=Literal["interval", "step"],
        default="interval",
        help="when states are written to disk: every --snapshot-seconds, or before a step is answered",
    )
    found.add_argument("--snapshot-seconds", type=float, default=5.0, help="the seconds between two writings of states")
    found.add_argument(
        "--lease-seconds",
        type=float,
        default=10.0,
        help="after how many seconds others take over the sessions of a replica that died",
    )
    found.add_argument("--max-body", type=int, default=8 * 2**20, help="how many bytes a request may have")
    found.add_argument("--max-connections", type=int, default=10_000, help="how many connections may be open at once")
    found.add_argument(
        "--header-seconds", type=float, default=10.0, help="how many seconds the head of a request may take"
    )
    found.add_argument(
        "--body-seconds", type=float, default=60.0, help="how many seconds the body of a request may take"
    )
    found.add_argument(
        "--idle-connection-seconds", type=float, default=75.0, help="how many seconds a connection may ask nothing"
    )
    found.add_argument(
        "--send-seconds", type=float, default=30.0, help="how many seconds a client may leave an answer unread"
    )
    found.add_argument(
        "--drain-seconds", type=float, default=30.0, help="how many seconds accepted requests have after SIGTERM"
    )
    found.add_argument(
        "--log",
        type=Literal["requests", "errors"],
        default="requests",
        help="which requests get a line of JSON on standard error",
    )
    found.add_argument("--log-text", type=bool, default=False, help="write the bodies of requests into the log too")
    return found


def main(words: Sequence[str]) -> int:
    """Serves until Ctrl-C or SIGTERM; returns 0."""
    given = parser().read(words)
    check_installed("serve")

    from ostinato.serving.http.server.run import bind, run
    from ostinato.serving.http.server.workers import Workers

    settings = _settings(given)
    with bind(settings.host, settings.port) as listening:
        if settings.workers > 1:
            return Workers(settings, listening).run(lambda: _tell(settings, listening))
        run(settings, listening, lambda app: _tell(settings, listening))
    return 0


def _settings(given: Any) -> Settings:
    from ostinato.recipes.registry import task_of
    from ostinato.recipes.runs import latest_run
    from ostinato.serving.http.server.settings import Settings
    from ostinato.serving.limits import Limits

    runs = _named(given.run or [str(latest_run())])
    for run in runs.values():
        task_of(run)  # raises an error for a folder without a run, before a file of sessions is made there
    sessions = given.sessions
    if sessions is not None and "://" in sessions and not sessions.startswith(_REDIS):
        raise ConfigError(f"--sessions: expected a file, redis://HOST, or {MEMORY}, got {sessions}")
    if sessions is None:
        sessions = str(Path(next(iter(runs.values())), _FILE))
    elif sessions == MEMORY:
        sessions = None
    others = ("host", "port", "workers", "tokens", "max_body", "max_connections", "log", "log_text", "header_seconds")
    others += ("body_seconds", "idle_connection_seconds", "send_seconds", "drain_seconds")
    return Settings(
        runs,
        sessions=sessions,
        cors=tuple(given.cors),
        limits=Limits(**{name: given[name] for name in _LIMITS}),
        **{name: given[name] for name in others},
    )


def _named(words: Sequence[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, is_named, run = word.partition("=")
        if not is_named or Path(word).exists():
            name, run = Path(word).resolve().name, word
        if name in found:
            raise ConfigError(f"two models are called {name}: {found[name]} and {run}; name one of them: NAME=RUN")
        found[name] = run
    return found


def _tell(settings: Settings, listening: Any) -> None:
    from ostinato.recipes.registry import task_of
    from ostinato.serving.http.server.run import LOOPBACK, address

    where = address(listening)
    name = next(iter(settings.runs))
    print(f"{where}/ is the page; {where}/docs tells what can be asked")
    token = " -H 'authorization: Bearer TOKEN'" if settings.tokens is not None else ""
    json = f"{token} -H 'content-type: application/json'"
    if task_of(settings.runs[name]) == "lm":
        body = f'{{"model": "{name}", "prompt": "The", "max_tokens": 100}}'
        print(f"curl {where}/v1/completions{json} -d '{body}'", flush=True)
    else:
        print(f"curl {where}/v1/models{token}", flush=True)
    kept = (
        "in memory alone: they end with the server" if settings.sessions is None else f"in {_shown(settings.sessions)}"
    )
    print(f"sessions are kept {kept}", flush=True)
    if settings.tokens is None and settings.host not in LOOPBACK:
        print(
            "whoever reaches this address may ask, as there are no tokens: --tokens FILE", file=sys.stderr, flush=True
        )


def _shown(sessions: str) -> str:
    """An address without its password, for printing."""
    return re.sub(r"(?<=://)[^/@]*@", "...@", sessions)
