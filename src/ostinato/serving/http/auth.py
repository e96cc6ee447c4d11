"""Authentication by bearer tokens from a file."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from ostinato.errors import ConfigError
from ostinato.serving.http.refusals import TokenError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
LEAST_TOKEN = 16


class Tokens:
    """The tokens that are accepted.

    Args:
        file: a file with lines `name:token`; lines that begin with # are comments. None admits everybody, as the owner
            "".

    Raises:
        ConfigError: the file cannot be read, or a line has another form.
    """

    def __init__(self, file: str | None = None):
        self.file = file
        self._known: list[tuple[bytes, str]] = []
        self.reload()

    def reload(self) -> None:
        """Read the file again; if that fails, the old tokens stay."""
        if self.file is None:
            return
        try:
            lines = Path(self.file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--tokens {self.file}: cannot be read ({error}); expected lines name:token") from None
        known: dict[bytes, str] = {}
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            name, colon, token = line.partition(":")
            if not colon or not _NAME.fullmatch(name) or not token.isascii() or len(token) < LEAST_TOKEN:
                raise ConfigError(
                    f"--tokens {self.file}, line {number}: expected name:token, the name of letters, digits, . _ -, and the "
                    f"token of at least {LEAST_TOKEN} ASCII characters"
                )
            if known.setdefault(_digest(token.encode()), name) != name:
                raise ConfigError(f"--tokens {self.file}, line {number}: this token has another name already")
        if not known:
            raise ConfigError(f"--tokens {self.file}: expected at least one line name:token")
        self._known = list(known.items())

    def owner(self, authorization: bytes | None) -> str:
        """Return the name of the token in a header.

        Raises:
            TokenError: there is no token, or it is unknown.
        """
        if self.file is None:
            return ""
        scheme, _, token = (authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            raise TokenError("expected the header authorization: Bearer TOKEN")
        given, found = _digest(token.strip()), None
        # All digests, of equal length, are compared, so that the time reveals nothing about a token.
        for digest, name in self._known:
            if hmac.compare_digest(digest, given):
                found = name
        if found is None:
            raise TokenError("this token is unknown")
        return found


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
