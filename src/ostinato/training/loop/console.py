"""The console for lines that people read: rich's, but it does not end the program when its reader has gone."""

from __future__ import annotations

import sys
import textwrap

from rich.console import Console
from typing_extensions import override  # typing's own from Python 3.12 on


class _Console(Console):
    @override
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich itself would end Python with status 1


def standard_output() -> Console:
    """A console of standard output.

    If its reader has gone, printing raises BrokenPipeError, as writing to a file does: the caller decides what that means.
    """
    # Plain lines in notebooks: bars need another package there, and moving a cursor has no effect.
    is_notebook = "ipykernel" in sys.modules
    return _Console(highlight=False, force_jupyter=False, force_terminal=False if is_notebook else None)


def say_labelled(console: Console, label: str, words: str) -> None:
    """Print words after a label; in a terminal lines are broken between words, and all but the first are indented."""
    text = f"{label}{words}"
    if console.is_terminal:
        indent = " " * min(len(label), 20)
        text = textwrap.fill(
            text, console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    console.print(text, soft_wrap=True, markup=False)
