"""What the commands with `--engine` share: their flags, and workers on Ray."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.cli.parser import Parser
    from ostinato.recipes.engines.crew import Team
    from ostinato.recipes.engines.work import Work, Worker


def add_flags(found: Parser, what: str) -> None:
    """Adds the flags for an engine.

    Args:
        found: the parser of a command.
        what: the help of `--engine`: what its workers do.
    """
    found.add_argument(
        "--engine", type=Literal["ray"] | None, default=None, help=f"{what}; without it, this process does all"
    )
    found.add_argument(
        "--address",
        type=str | None,
        default=None,
        help="of a cluster of Ray, such as auto or 10.0.0.1:6379; without it, workers are processes of this machine",
    )
    found.add_argument(
        "--workers", type=int | None, default=None, help="how many at once; without it, one a GPU or a core"
    )


def check_flags(given: Any, *, needs: tuple[str, ...] = ()) -> None:
    """Raises `ConfigError` if flags do not go together.

    Args:
        given: the flags that were read.
        needs: flags that need an engine, besides those of `add_flags`.
    """
    alone = [name for name in ("address", "workers", *needs) if given[name] not in (None, False)]
    if given.engine is None and alone:
        raise ConfigError(f"--{alone[0]} belongs to --engine; give both, or leave it out")
    for name in ("workers", "part_rows"):
        value = given.get(name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name}: expected an integer of at least 1, got {value}")


@contextmanager
def team_on_ray(given: Any, make: type[Worker] | None = None) -> Iterator[Callable[[Work], Team]]:
    """Gives a function that makes a team of workers for a work; the workers are stopped at the end.

    Args:
        given: the flags that were read.
        make: the class of the workers; None for workers that predict.
    """
    import dataclasses

    from ostinato.recipes.engines.crew import Team
    from ostinato.recipes.engines.on_ray import RayCrew, ray_at
    from ostinato.recipes.engines.work import Worker

    def say(line: str) -> None:
        print(f"ostinato: {line}", file=sys.stderr)

    with ray_at(given.address, given.workers) as ray:
        crew = RayCrew(ray, given.workers, given.device)

        def team(work: Work) -> Team:
            told = dataclasses.replace(work, threads=crew.threads)
            return Team(crew.told(make or Worker, told), crew.workers, say)

        yield team
