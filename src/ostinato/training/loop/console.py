"""Where lines for people go: rich's console, without the one thing that it decides for a whole program."""

from __future__ import annotations

import sys
import textwrap

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
    # In notebooks lines: bars need another package there, and what moves a cursor does nothing.
    is_notebook = "ipykernel" in sys.modules
    return _Console(highlight=False, force_jupyter=False, force_terminal=False if is_notebook else None)


def say_labelled(console: Console, label: str, words: str) -> None:
    """Prints words behind a label; a terminal gets lines that are cut between words, those behind the first indented."""
    text = f"{label}{words}"
    if console.is_terminal:
        indent = " " * min(len(label), 20)
        text = textwrap.fill(
            text, console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    console.print(text, soft_wrap=True, markup=False)
