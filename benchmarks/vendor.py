"""The vendor path against torch.nn itself: at most 3 % or 20 microseconds a call slower.

python -m benchmarks.vendor            # a table
python -m benchmarks.vendor --json     # machine-readable, one line a size
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator

import torch

import ostinato
from benchmarks.timing import Comparison, compare, machine

SIZES = [(1, 1, 32, 32), (35, 20, 200, 200), (64, 64, 256, 256), (100, 32, 128, 256)]  # T, B, I, H
LIMIT_RATIO, LIMIT_S = 1.03, 20e-6


def _inference(layer: torch.nn.Module, x: torch.Tensor) -> Callable[[], object]:
    def call() -> None:
        with torch.no_grad():
            layer(x)

    return call


def _training(layer: torch.nn.Module, x: torch.Tensor) -> Callable[[], object]:
    def call() -> None:
        layer.zero_grad(set_to_none=True)
        layer(x)[0].sum().backward()

    return call


def cases() -> Iterator[tuple[str, Comparison]]:
    """Every cell, size, and inference or training."""
    for kind in ("RNN", "LSTM", "GRU"):
        for steps, batch, size_in, hidden in SIZES:
            theirs = getattr(torch.nn, kind)(size_in, hidden)
            ours = getattr(ostinato, kind)(size_in, hidden)
            ours.load_state_dict(theirs.state_dict())
            x = torch.randn(steps, batch, size_in)
            for mode, make in (("inference", _inference), ("training", _training)):
                name = f"{kind:4} {mode:9} T={steps:<3} B={batch:<2} I={size_in:<3} H={hidden:<3}"
                yield name, compare(make(ours, x), make(theirs, x))


def main() -> None:
    """Print one line a case, and whether it is within the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    if not as_json:
        print(machine())
    for name, c in cases():
        within = c.ratio <= LIMIT_RATIO or c.difference <= LIMIT_S
        if as_json:
            print(json.dumps({"case": name, **c.__dict__, "within": within}), flush=True)
        else:
            print(
                f"{name}  ours {c.ours * 1e6:10.1f} us  torch {c.theirs * 1e6:10.1f} us  ratio {c.ratio:.3f}  "
                f"difference {c.difference * 1e6:+7.1f} us  {'ok' if within else 'OVER'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
