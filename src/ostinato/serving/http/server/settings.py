"""The settings of a server."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ostinato.errors import ConfigError
from ostinato.serving.limits import Limits
from ostinato.serving.stores.file_lock import is_remote

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # safe in a path of a URL and in the keys of a store
RESERVED = ("models", "completions")  # parts of the paths of OpenAI's API


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    Attributes:
        runs: folders of runs, by the name that each model gets.
        host: the address to listen at.
        port: the port to listen at; 0 for any free one.
        workers: the number of processes that answer.
        sessions: where sessions are stored: a file, or redis://...; None for memory only.
        tokens: a file of lines `name:token`; None admits everybody.
        cors: origins whose pages may send requests.
        max_body: the most bytes of a request's body.
        max_connections: the most connections that are open at once.
        header_seconds: how long the head of a request may take.
        body_seconds: how long its body may take.
        idle_connection_seconds: how long a connection may wait for its next request.
        send_seconds: how long a client may not read an answer that is ready.
        drain_seconds: how long accepted requests may take after SIGTERM.
        log: "requests" for a line for each, or "errors" for failed ones only.
        log_text: write the bodies of requests into the log too.
        limits: the limits of the service.

    Raises:
        ConfigError: a value is out of its range, or a model has a name that is not allowed.
    """

    runs: Mapping[str, str]
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    sessions: str | None = None
    tokens: str | None = None
    cors: tuple[str, ...] = ()
    max_body: int = 8 * 2**20
    max_connections: int = 10_000
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_connection_seconds: float = 75.0
    send_seconds: float = 30.0
    drain_seconds: float = 30.0
    log: str = "requests"
    log_text: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in self.runs:
            if name in RESERVED or not _NAME.fullmatch(name):
                raise ConfigError(
                    f"a model cannot be called {name!r}: expected letters, digits, '.', '_' and '-', not beginning with '.', and "
                    f"not {' or '.join(RESERVED)}; give it another name: NAME=RUN"
                )
        if not 0 <= self.port < 65536:
            raise ConfigError(f"--port: expected from 0 to 65535, got {self.port}")
        for name in ("workers", "max_body", "max_connections"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{_flag(name)}: expected an integer of at least 1, got {getattr(self, name)}")
        for each in dataclasses.fields(self):
            if each.name.endswith("_seconds") and not getattr(self, each.name) > 0:
                raise ConfigError(f"--{_flag(each.name)}: expected more than 0, got {getattr(self, each.name)}")
        for origin in self.cors:
            if origin != "*" and ("://" not in origin or origin.count("/") != 2):
                raise ConfigError(f"--cors: expected origins such as https://example.org, or *, got {origin}")
        if self.workers > 1 and self.sessions is None:
            raise ConfigError("--workers: expected --sessions FILE or redis://..., which all of them share")

    @property
    def shared(self) -> bool:
        """Whether other processes use the sessions too."""
        return self.workers > 1 or is_remote(self.sessions)

    def to_json(self) -> str:
        """Return all settings as JSON, for another process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read settings from a text of `to_json`."""
        given: dict[str, Any] = json.loads(text)
        limits = Limits(**given.pop("limits"))
        return cls(**{**given, "cors": tuple(given["cors"])}, limits=limits)


def _flag(name: str) -> str:
    return name.replace("_", "-")
