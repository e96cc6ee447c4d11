"""`ostinato lab list` and `ostinato lab run NAME`."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser

FOLDER = Path("lab")
NOT_REPRODUCED = 1
_HELP = """usage: ostinato lab list
       ostinato lab run NAME [--output FOLDER] [--seed SEED] [--quick]

Run experiments on how recurrent networks learn, and why they do not. Each
checks a claim from the literature.

  list        list the experiments with their claims and sources
  run NAME    run one, or all: write a picture and a table, and say whether the
              claim is reproduced; the exit status is 1 where it is not

`ostinato lab run --help` tells the options."""


def main(words: Sequence[str]) -> int:
    """Lists or runs experiments. Returns 0, or 1 if a claim was not reproduced at full size."""
    if words and words[0] == "list":
        return _list(words[1:])
    if words and words[0] == "run":
        return _run(words[1:])
    if words and words[0] in ("-h", "--help"):
        print(_HELP)
        return 0
    raise ConfigError("expected `ostinato lab list`, `ostinato lab run NAME` or `ostinato lab run all`")


def _list(words: Sequence[str]) -> int:
    from ostinato.cli.parser import Parser

    Parser("ostinato lab list", "List the experiments, each with its claim and where the claim comes from.").read(words)

    from ostinato.cli.closing import tell_next
    from ostinato.lab import NAMES, find

    for name in NAMES:
        found = find(name)
        print("\n".join([name, _lines(found.claim), _lines(found.source)]))
    tell_next({"run one": ["ostinato", "lab", "run", NAMES[0]]})
    return 0


def _lines(text: str, indent: str = "    ") -> str:
    """A text wrapped between words for a terminal; otherwise in one line, for programs."""
    if not sys.stdout.isatty():
        return indent + text
    width = shutil.get_terminal_size().columns - 1
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent="    ")


def parser() -> Parser:
    """The parser of the arguments of `ostinato lab run`."""
    from ostinato.cli.parser import Parser

    found = Parser(
        "ostinato lab run", "Run an experiment: write a picture and a table, and say whether the claim is reproduced."
    )
    found.add_argument("name", type=str, help="the experiment, or all; `ostinato lab list` lists them")
    found.add_argument("--output", type=str, default=str(FOLDER), help="the folder to write into")
    found.add_argument("--seed", type=int, default=0, help="the seed of all random numbers")
    found.add_argument(
        "--quick", type=bool, default=False, help="take a second or two, at sizes too small to check the claim"
    )
    return found


def _run(words: Sequence[str]) -> int:
    given = parser().read(words)
    if not 0 <= given.seed < 2**63:
        raise ConfigError(f"--seed: expected an integer from 0 to 2^63 - 1, got {given.seed}")

    from ostinato.lab import NAMES, find
    from ostinato.lab.record import command, make_folder, outcome, write

    failed, folder = 0, Path(given.output)
    chosen = [find(name) for name in (NAMES if given.name == "all" else [given.name])]
    make_folder(folder)
    for found in chosen:
        start = time.monotonic()
        result = found.run(given.seed, given.quick)
        picture, *_ = write(found, result, folder, given.seed, given.quick)
        print(_lines(f"{found.name}: {found.claim}", ""))
        print(_lines(" ".join(result.sentences)))
        print(_lines(outcome(result, given.quick)))
        print(
            f"    {picture}, {time.monotonic() - start:.0f} s; again: {command(found, folder, given.seed, given.quick)}"
        )
        failed += not result.reproduced
    return NOT_REPRODUCED if failed and not given.quick else 0
