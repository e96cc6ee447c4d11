"""`python -m benchmarks.crf`: the negative log likelihood of a CRF, forward and backward, beside a loop over the steps.

The loop is how the textbooks and the packages in use write it: one `logsumexp` a step in the type of the emissions, differentiated
by autograd. Both are first compared in value and in every gradient, then timed in turns.
"""

from __future__ import annotations

import argparse

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.case import Subject
from benchmarks.timing import measure
from ostinato.nn import CRF


def loop(crf: CRF, e: torch.Tensor, tags: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The mean negative log likelihood, step by step."""
    T, B, _ = e.shape
    rows, valid = torch.arange(B), torch.arange(T).unsqueeze(1) < lengths
    score = crf.start[tags[0]] + e[0, rows, tags[0]]
    a = crf.start + e[0]
    for t in range(1, T):
        score = score + (crf.transitions[tags[t - 1], tags[t]] + e[t, rows, tags[t]]) * valid[t]
        after = torch.logsumexp(a.unsqueeze(2) + crf.transitions + e[t].unsqueeze(1), dim=1)
        a = torch.where(valid[t].unsqueeze(1), after, a)
    score = score + crf.end[tags[lengths - 1, rows]]
    return (torch.logsumexp(a + crf.end, dim=1) - score).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="samples of each")
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    table = Table("batch x steps x tags", "loop, ms", "CRF, ms", "times as fast")
    for B, T, N in ((32, 40, 17), (8, 40, 17), (64, 100, 9), (32, 40, 60)):
        crf, e = CRF(N), torch.randn(T, B, N, requires_grad=True)
        tags, lengths = torch.randint(N, (T, B)), torch.randint(1, T + 1, (B,))
        wanted = [e, *crf.parameters()]

        def fused(crf: CRF = crf, e: torch.Tensor = e, tags: torch.Tensor = tags, lengths: torch.Tensor = lengths):
            return -crf.log_likelihood(e, tags, lengths).mean()

        def plain(crf: CRF = crf, e: torch.Tensor = e, tags: torch.Tensor = tags, lengths: torch.Tensor = lengths):
            return loop(crf, e, tags, lengths)

        torch.testing.assert_close(fused(), plain())
        for ours, theirs in zip(
            torch.autograd.grad(fused(), wanted), torch.autograd.grad(plain(), wanted), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        subjects = [
            Subject("loop", lambda plain=plain, wanted=wanted: torch.autograd.grad(plain(), wanted), 0.0),
            Subject("crf", lambda fused=fused, wanted=wanted: torch.autograd.grad(fused(), wanted), 0.0),
        ]
        found = measure(subjects, {"loop": 0.0, "crf": 0.0}, 10.0, rounds)
        loop_s, crf_s = found["loop"].median_s, found["crf"].median_s
        table.add_row(f"{B} x {T} x {N}", f"{loop_s * 1e3:.2f}", f"{crf_s * 1e3:.2f}", f"{loop_s / crf_s:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
