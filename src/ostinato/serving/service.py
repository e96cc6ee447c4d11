"""Models and sessions as a service, without HTTP. Its methods are called on one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ostinato.serving.generating import Generating, Piece
from ostinato.serving.limits import Limits
from ostinato.serving.served import Served


class Service:
    """Models by name, and their sessions.

    `owner` is the name of the token that a request came with, "" without tokens; a session is there for its owner only.

    Args:
        runs: folders of runs, by the name that each model gets.
        limits: bounds.
        store: where sessions are kept: a file for SQLite, "redis://..." (or rediss://, unix://); None for memory alone.
        shared: whether other processes use the store too; always so of Redis.
        on_batch: called on the event loop after each batch of a model: its name, rows, seconds.

    Attributes:
        models: by name.
        ready: whether it takes requests.
    """

    def __init__(
        self,
        runs: Mapping[str, str],
        limits: Limits | None = None,
        *,
        store: str | None = None,
        shared: bool = False,
        on_batch: Callable[[str, int, float], None] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.models: dict[str, Served] = {}
        self.ready = False

    async def start(self) -> None:
        """Opens store and threads; loads the models.

        Raises:
            OstinatoError: a run cannot be read, or the store not be opened.
        """
        raise NotImplementedError

    async def drain(self, seconds: float = 30.0) -> None:
        """Takes nothing new, finishes what was accepted, for so long at most, puts all sessions into the store, and closes."""
        raise NotImplementedError

    async def reload(self, name: str) -> dict[str, Any]:
        """Reads a run again.

        Returns:
            "sessions": how many go on; "gone": how many do not fit and have ended.
        """
        raise NotImplementedError

    async def predict(
        self, model: str, inputs: list[Any], options: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """What `ostinato predict` says about each input; see `ostinato.serving.answers.inputs` for what an input is.

        Args:
            model: its name.
            inputs: one or many.
            options: how to answer, as `--options` of the command.
        """
        raise NotImplementedError

    def generate(self, model: str, prompt: Any, how: Generating) -> AsyncIterator[Piece]:
        """Text that nobody keeps, token by token; close the iterator (`aclose`) to stop.

        Args:
            model: its name.
            prompt: of a language model a text; of a translator a text; of a captioner an image, base64.
            how: see there.
        """
        raise NotImplementedError

    async def open(self, model: str, owner: str, begin: Mapping[str, Any]) -> dict[str, Any]:
        """A new session: its view, with "said" where something was read."""
        raise NotImplementedError

    async def view(self, model: str, owner: str, id: str) -> dict[str, Any]:
        """A session: id, model, task, step, saved, marks, created, expires."""
        raise NotImplementedError

    async def list(self, model: str, owner: str, limit: int = 100, after: str | None = None) -> list[dict[str, Any]]:
        """The views of the owner's sessions in the order of their ids."""
        raise NotImplementedError

    async def steps(
        self, model: str, owner: str, id: str, body: Mapping[str, Any], key: str | None = None
    ) -> dict[str, Any]:
        """Reads, and says what the model says now."""
        raise NotImplementedError

    def write(
        self, model: str, owner: str, id: str, how: Generating, key: str | None = None, prompt: str = ""
    ) -> AsyncIterator[Piece]:
        """Text in a session, which goes on with it."""
        raise NotImplementedError

    async def mark(self, model: str, owner: str, id: str, name: str) -> dict[str, Any]:
        """Names the place where the session is."""
        raise NotImplementedError

    async def rewind(self, model: str, owner: str, id: str, name: str) -> dict[str, Any]:
        """Back to a mark."""
        raise NotImplementedError

    async def fork(self, model: str, owner: str, id: str, mark: str | None = None) -> dict[str, Any]:
        """A new session that goes on from where this one is, or from a mark of it."""
        raise NotImplementedError

    async def state(self, model: str, owner: str, id: str) -> bytes:
        """The state as bytes, which `Stream(model).from_bytes` takes too."""
        raise NotImplementedError

    async def put_state(self, model: str, owner: str, id: str, data: bytes, step: int | None = None) -> dict[str, Any]:
        """Goes on from such bytes.

        Args:
            model: its name.
            owner: whose session.
            id: which.
            data: from `state`.
            step: that they are of; None leaves the session's count.
        """
        raise NotImplementedError

    async def delete(self, model: str, owner: str, id: str) -> None:
        """Ends a session."""
        raise NotImplementedError

    async def units(self, model: str, text: str) -> dict[str, Any]:
        """Of a language model: what its units do over a text, and which mean something."""
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        """By model: "sessions" (in memory), "stored", "evictions", "loads", "queue", "steps", "snapshots"."""
        raise NotImplementedError
