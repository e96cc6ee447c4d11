"""Where lines for people go: rich's console, without the one thing that it decides for a whole program."""

from __future__ import annotations

from rich.console import Console
from typing_extensions import override  # typing's own from Python 3.12 on


class _Console(Console):
    @override
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would end Python with status 1


def standard_output() -> Console:
    """A console of standard output.

    Once whoever read it has gone, printing raises BrokenPipeError, as writing to a file does: what that means is for the caller
    to say.
    """
    return _Console(highlight=False, force_jupyter=False)  # lines in notebooks too, whose bars need another package
