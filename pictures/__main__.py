"""`python -m pictures [NAME ...]` draws all pictures, or some, into `docs/pictures`; some minutes for all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from pictures import badges, lab, measured, notes, promise, runs, scaling, screens, tasks

PICTURES: dict[str, Callable[[], list[Path]]] = {
    "badges": badges.draw,
    "promise": promise.draw,
    "measured": measured.draw,
    "forecast": runs.forecast,
    "colours": runs.colours,
    "attention": runs.attention,
    "sensors": runs.sensors,
    "report": screens.report,
    "served": screens.served,
    "lab": lab.draw,
    "notes": notes.draw,
    "scaling": scaling.draw,
    "tasks": tasks.draw,
}


def main(names: list[str]) -> int:
    """Draws.

    Args:
        names: of `PICTURES`; all without any.
    """
    if unknown := [name for name in names if name not in PICTURES]:
        print(f"{unknown[0]} is no picture; expected some of {', '.join(PICTURES)}", file=sys.stderr)
        return 2
    for name in names or PICTURES:
        for file in PICTURES[name]():
            print(f"{file}  {file.stat().st_size / 1000:.0f} kB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
