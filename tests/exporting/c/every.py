"""`python -m tests.exporting.c.every`: every named cell with every option as C, in both kinds of weights, with all settings.

It takes about ten minutes; words that are given choose the cases whose names hold one of them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ostinato import backend
from ostinato.errors import ConfigError
from ostinato.exporting.c.models import network_of
from tests.cells.language import extras
from tests.contracts.menu import CATALOGUE, CELLS, NOT_FOR, OPTIONS, cell_of, layer
from tests.exporting.c.compiled import compiled

STEPS = 12


def cases() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Names, and the arguments of `write_c`; each setting goes round among the cases."""
    settings = ({}, {"weights": "int8"}, {"work": "state"}, {"weights": "int8", "math": "own"})
    for name in (*CELLS, *CATALOGUE):
        for at, option in enumerate(o for o in OPTIONS if o not in NOT_FOR[name]):
            for how in (settings[at % 2], settings[2 + at % 2]):
                yield f"{name} {option} {' '.join(how.values())}", name, option, how


def difference(name: str, option: str, how: dict[str, Any], folder: Path) -> float:
    """The largest from the layer, or from what PyTorch makes of rounded weights."""
    torch.manual_seed(0)
    layers = 1 if cell_of(name).extras else 2
    whole = layer(name, 6, 6, layers, **OPTIONS[option]).eval()
    x, more = torch.randn(STEPS, 1, 6), extras(whole, STEPS, 1, torch.float32)
    row = {n: v[:, 0] for n, v in more.items()}
    got = compiled(whole, folder, **how)(x[:, 0], row)
    if how.get("weights") == "int8":
        want = network_of(whole, "net", "int8").run(x[:, 0], row)
    else:
        with torch.no_grad(), backend("reference"):
            want = whole(x, **more)[0][:, 0]
    return float(((got - want).abs() / want.abs().clamp_min(1)).max())


def main(words: list[str]) -> int:
    """Try them; prints what differs by more than 1e-5, and how many there were."""
    tried, refused, wrong = 0, 0, 0
    for title, name, option, how in cases():
        if words and not any(word in title for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = difference(name, option, how, Path(folder))
            except ConfigError as error:
                refused += 1
                print(f"{title}: {error}")
                continue
        tried += 1
        if not found <= 1e-5:
            wrong += 1
            print(f"{title}: {found:.1e}")
    print(f"{tried} computed, {wrong} of them differ by more than 1e-5; {refused} have no C")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
