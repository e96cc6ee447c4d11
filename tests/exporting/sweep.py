"""Exports every cell that has a name, in all of its variants, and every option: `python -m tests.exporting.sweep [NAME ...]`.

A line each: which operators, how far from the layer at lengths and batches other than the example's; or why not. With names, those
cells only. It takes some minutes, so it is not part of the test suite.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ostinato import catalogue
from ostinato.cell_names import every
from ostinato.cells.places import find
from ostinato.errors import OstinatoError
from tests.contracts.menu import OPTIONS
from tests.exporting.support import exported, filled


def layers(names: list[str]) -> Iterator[tuple[str, Any]]:
    """What each is called, and what makes it."""
    for each in every():
        if not names or each.key in names:
            for own in find(each.key).variants or [{}]:
                yield f"{each.key} {own or ''}", lambda key=each.key, own=own: catalogue.make(key, 4, 6, **own)
    for cell in ("lstm", "gru") if not names else ():
        for name, options in OPTIONS.items():
            yield f"{cell}, {name}", lambda cell=cell, options=options: catalogue.make(cell, 4, 6, 2, **options)


def main(names: list[str]) -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, make in layers(names):
            torch.manual_seed(0)
            try:
                written, _ = exported(filled(make()), Path(folder), states=True, lengths=True)
                said = f"{written.operators}, {written.difference.largest:.0e}"
            except (
                OstinatoError,
                ValueError,
            ) as error:  # an option that the cell does not take is no failure of the export
                is_option = isinstance(error, ValueError) or "cannot be exported" not in str(error)
                failed += not is_option
                said = " ".join(str(error).split())[:160]
            print(f"{name:50} {said}", flush=True)
    print(f"{failed} cannot be exported")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
