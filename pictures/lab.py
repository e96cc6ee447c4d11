"""What each experiment of the lab shows, at its full size."""

from __future__ import annotations

from pathlib import Path

from ostinato import lab
from pictures import paper


def draw(names: list[str] | None = None) -> list[Path]:
    """Draws the experiments, and prints what their numbers say, for the gallery's words.

    Args:
        names: some of `ostinato.lab.NAMES`; all without it.
    """
    files: list[Path] = []
    for name in names or lab.NAMES:
        result = lab.find(name).run(seed=0)
        print(
            f"{name}: {' '.join(result.sentences)} {'Reproduced.' if result.reproduced else 'NOT REPRODUCED.'}",
            flush=True,
        )
        files += paper.save(result.figure, f"lab_{name}")
    return files
