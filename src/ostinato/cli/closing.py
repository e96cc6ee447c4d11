"""Telling a user at the end of a command what can be done next."""

from __future__ import annotations

import shlex
import sys


def tell_next(steps: dict[str, list[str]]) -> None:
    """Prints commands on standard error if it is a terminal, as a program may read standard output.

    Args:
        steps: the words of each command, by what the command does.
    """
    if not sys.stderr.isatty():
        return
    width = max(map(len, steps))
    for what, words in steps.items():
        print(f"{what:{width}}  {shlex.join(words)}", file=sys.stderr)
