"""Flags that take names."""

from __future__ import annotations

from collections.abc import Sequence

from ostinato.errors import ConfigError


def check_names(flag: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise `ConfigError` for a name that is not known."""
    for name in names:
        if name not in known:
            raise ConfigError(f"{flag} expected some of {' '.join(known)}, got {name!r}")
