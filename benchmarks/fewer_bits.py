"""`python -m benchmarks.fewer_bits RUN`: what weights of fewer bits do to a language model's perplexity, and to a step's time.

The run's own validation text is scored token by token, by streams of the same model whose weights are float32, bfloat16 and int8.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from ostinato import Stream
from ostinato.recipes.lm.task import LanguageModelling
from ostinato.recipes.task import Opening
from ostinato.recipes.trained import load, read_splits

DTYPES = (None, torch.bfloat16, torch.int8)


@dataclass(frozen=True)
class Measured:
    """A stream of one dtype.

    Attributes:
        name: of the dtype.
        weight_bytes: that a step reads.
        nats: a token.
        step_s: the median of a step, from Python, one after the other.
    """

    name: str
    weight_bytes: int
    nats: float
    step_s: float


def measured(model: Any, tokens: list[int]) -> list[Measured]:
    """Score the tokens with each dtype; the steps of all take turns."""
    streams = {dtype: Stream(model, dtype) for dtype in DTYPES}
    logits: dict[Any, list[torch.Tensor]] = {dtype: [] for dtype in DTYPES}
    seconds: dict[Any, list[float]] = {dtype: [] for dtype in DTYPES}
    for begin in range(0, len(tokens) - 1, 50):
        for dtype, stream in streams.items():
            for token in tokens[begin : begin + 50][: len(tokens) - 1 - begin]:
                start = time.perf_counter()
                logits[dtype].append(stream(token))
                seconds[dtype].append(time.perf_counter() - start)
    target = torch.tensor(tokens[1:])
    return [
        Measured(
            str(dtype or torch.float32).removeprefix("torch."),
            streams[dtype].weight_bytes,
            float(F.cross_entropy(torch.stack(logits[dtype]).double(), target)),
            statistics.median(seconds[dtype]),
        )
        for dtype in DTYPES
    ]


def main() -> None:
    """Score a run's validation text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a folder of `ostinato train lm`")
    parser.add_argument("--tokens", type=int, default=20_000, help="how many of the text's first (default: 20000)")
    given = parser.parse_args()
    trained = load(LanguageModelling(), given.run)
    part = read_splits(trained.task, trained.settings, Opening(known=trained.known)).validation
    ids = [int(v) for v in part.tokens.ids[: given.tokens]]
    found = measured(trained.model, ids)
    table = Table(title=f"{len(ids):,} tokens, one after the other")
    for column in ("weights", "MB", "perplexity", "against float32", "a step, microseconds"):
        table.add_column(column, justify="right" if column != "weights" else "left")
    for each in found:
        share = f"{math.exp(each.nats - found[0].nats) - 1:+.3%}"
        figures = f"{each.weight_bytes / 1e6:.2f}", f"{math.exp(each.nats):.4f}", share, f"{each.step_s * 1e6:.1f}"
        table.add_row(each.name, *figures)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
