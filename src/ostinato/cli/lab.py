"""`ostinato lab list` and `ostinato lab run NAME`."""

from __future__ import annotations

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

Experiments on how recurrent networks learn and why they do not, each with a claim from the literature that is checked.

  list        the experiments, their claims and where these come from
  run NAME    runs one, or all: a picture, a table, and whether the claim is reproduced; exit status 1 where it is not

`ostinato lab run --help` tells the options."""


def main(words: Sequence[str]) -> int:
    """Lists or runs experiments. Returns 0, or 1 where a claim was not reproduced at full size."""
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

    from ostinato.lab import NAMES, find

    for name in NAMES:
        found = find(name)
        print(f"{name}\n    {found.claim}\n    {found.source}")
    return 0


def parser() -> Parser:
    """What `ostinato lab run` takes."""
    from ostinato.cli.parser import Parser

    found = Parser("ostinato lab run", "Run an experiment: a picture, a table, and whether its claim is reproduced.")
    found.add_argument("name", type=str, help="of the experiment, or all; see ostinato lab list")
    found.add_argument("--output", type=str, default=str(FOLDER), help="folder to write into")
    found.add_argument("--seed", type=int, default=0, help="of all random numbers")
    found.add_argument("--quick", type=bool, default=False, help="a second or two, too small to bear a claim out")
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
        print(f"{found.name}: {found.claim}")
        print(f"    {' '.join(result.sentences)}")
        print(f"    {outcome(result, given.quick)}")
        print(
            f"    {picture}, {time.monotonic() - start:.0f} s; again: {command(found, folder, given.seed, given.quick)}"
        )
        failed += not result.reproduced
    return NOT_REPRODUCED if failed and not given.quick else 0
