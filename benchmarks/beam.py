"""`python -m benchmarks.beam`: beam search over many sentences at once, beside one sentence at a time.

The translator has random weights, so that no sentence ends before its limit, and all have a limit of their own; both ways are the
same function and must give the same hypotheses.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.case import Subject
from benchmarks.timing import measure
from ostinato.models import BeamSettings, Seq2Seq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="samples of each")
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, nargs="*", default=[1000, 8000], help="sizes V")
    given = parser.parse_args()
    B = given.sentences
    torch.manual_seed(0)
    table = Table("V", "beam", "one at a time, s", "together, s", "sentences/s", "times as fast")
    for V in given.vocabulary:
        model = Seq2Seq(V, V, begin=0, end=1, embedding_size=256, hidden_size=320, cell="gru").eval()
        source, lengths = torch.randint(2, V, (20, B)), torch.randint(5, 21, (B,))
        limits = torch.randint(5, 21, (B,)).tolist()
        beam = BeamSettings(5)

        def together(
            model: Any = model, source: Any = source, lengths: Any = lengths, limits: Any = limits, beam: Any = beam
        ):
            return model.translate(source, lengths, max_length=limits, beam=beam)

        def alone(
            model: Any = model, source: Any = source, lengths: Any = lengths, limits: Any = limits, beam: Any = beam
        ):
            return [
                model.translate(source[:n, b : b + 1], max_length=limits[b], beam=beam)[0]
                for b, n in enumerate(lengths.tolist())
            ]

        same = [a[0].tokens == b[0].tokens for a, b in zip(together(), alone(), strict=True)]
        if (
            sum(same) < 0.9 * B
        ):  # float32 adds in another order for another number of rows, and near ties fall otherwise
            raise SystemExit(f"expected the same hypotheses both ways, {B - sum(same)} of {B} differ")
        subjects = [Subject("alone", alone, 0.0), Subject("together", together, 0.0)]
        found = measure(subjects, {"alone": 0.0, "together": 0.0}, 10.0, given.rounds)
        alone_s, together_s = found["alone"].median_s, found["together"].median_s
        table.add_row(
            f"{V}",
            "5",
            f"{alone_s:.2f}",
            f"{together_s:.2f}",
            f"{B / together_s:.0f}",
            f"{alone_s / together_s:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
