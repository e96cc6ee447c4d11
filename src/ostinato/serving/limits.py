"""The limits of a service: sizes, counts and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ostinato.errors import ConfigError

Durability = Literal["interval", "step"]


@dataclass(frozen=True)
class Limits:
    """The limits of a service.

    Attributes:
        max_batch: the most sessions of a model that step together.
        max_wait_us: microseconds that a step waits for more sessions to be ready.
        sessions_in_memory: the most sessions of a model in memory; those used last stay, the others are in the store.
        max_sessions: the most sessions of a model, in memory and in the store; beyond it a new one is refused.
        max_queue: the most requests of a model that wait for their steps; beyond it more are refused.
        max_tokens: the most tokens that a request may bring or have written.
        max_marks: the most marks of a session.
        idle_seconds: a session ends after so long without use; None for never.
        total_seconds: a session ends so long after its beginning; None for never.
        durability: "interval": states are written to disk every `snapshot_seconds`; "step": before each answer.
        snapshot_seconds: the interval for `durability` "interval".
        lease_seconds: with a store that replicas share, how long a silent replica keeps a session from the others.

    Raises:
        ConfigError: a number is out of its range.
    """

    max_batch: int = 64
    max_wait_us: int = 0
    sessions_in_memory: int = 10_000
    max_sessions: int = 1_000_000
    max_queue: int = 10_000
    max_tokens: int = 16_384
    max_marks: int = 16
    idle_seconds: float | None = None
    total_seconds: float | None = None
    durability: Durability = "interval"
    snapshot_seconds: float = 5.0
    lease_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("max_batch", "sessions_in_memory", "max_sessions", "max_queue", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("max_wait_us", "max_marks"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected at least 0, got {getattr(self, name)}")
        for name in ("idle_seconds", "total_seconds", "snapshot_seconds", "lease_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name}: expected more than 0 seconds, got {value}")
        if self.durability not in ("interval", "step"):
            raise ConfigError(f"durability: expected interval or step, got {self.durability}")
