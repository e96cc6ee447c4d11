"""`python -m benchmarks.output_loss`: the loss of an output layer over many words, forward and backward, beside cross_entropy.

torch's `cross_entropy(output(readout), target)` holds all logits and their gradients in memory. Both are first compared in value
and in every gradient, then timed in turns, in float32 and under autocast in bfloat16.
"""

from __future__ import annotations

import argparse

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from benchmarks.case import Subject
from benchmarks.timing import measure
from ostinato.models.text.output_loss import output_cross_entropy

_SMOOTHING = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="samples of each")
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    table = Table("rows, width, words", "products", "torch, ms", "ours, ms", "times as fast")
    for N, R, V in ((1900, 256, 8000), (400, 200, 10_000), (1000, 512, 32_000)):
        output, readout = nn.Linear(R, V), torch.randn(N, R, requires_grad=True)
        target, wanted = torch.randint(V, (N,)), [readout, *output.parameters()]
        for low in (False, True):

            def plain(output: nn.Linear = output, readout: torch.Tensor = readout, target: torch.Tensor = target):
                return F.cross_entropy(output(readout).float(), target, label_smoothing=_SMOOTHING)

            def ours(output: nn.Linear = output, readout: torch.Tensor = readout, target: torch.Tensor = target):
                return output_cross_entropy(output, readout, target, label_smoothing=_SMOOTHING)

            def gradients(loss=plain, low: bool = low, wanted: list[torch.Tensor] = wanted):
                with torch.autocast("cpu", torch.bfloat16, enabled=low):
                    value = loss()
                return value.detach(), *torch.autograd.grad(value, wanted)

            for a, b in zip(gradients(ours), gradients(plain), strict=True):
                assert float((a - b).norm() / b.norm()) < (1e-2 if low else 1e-5)
            subjects = [Subject("plain", gradients, 0.0), Subject("ours", lambda run=gradients, f=ours: run(f), 0.0)]
            found = measure(subjects, {"plain": 0.0, "ours": 0.0}, 10.0, rounds)
            plain_s, ours_s = found["plain"].median_s, found["ours"].median_s
            table.add_row(
                f"{N}, {R}, {V}",
                "bfloat16" if low else "float32",
                f"{plain_s * 1e3:.0f}",
                f"{ours_s * 1e3:.0f}",
                f"{plain_s / ours_s:.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
