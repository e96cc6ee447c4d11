"""What can be done next, at the end of a command."""

from __future__ import annotations

import shlex
import sys


def tell_next(steps: dict[str, list[str]]) -> None:
    """Prints commands on standard error, where that is a terminal: a program may read what is on standard output.

    Args:
        steps: the words of each command, by what it does.
    """
    if not sys.stderr.isatty():
        return
    width = max(map(len, steps))
    for what, words in steps.items():
        print(f"{what:{width}}  {shlex.join(words)}", file=sys.stderr)
