"""Naive Bayes over tokens and runs of tokens: what counting says about the class of a text, as logits.

    z_c = log p(c) + 1 / sqrt(n) * sum over the n features f of the text of (log p(f | c) - mean over classes of log p(f | c))
    p(f | c) = (N_fc + 1) / (N_c + F)

N_fc counts the training texts of class c that have the feature f, a token or a run of up to N tokens; N_c is their sum
over the F features. The evidence of neighbouring features is much the same, so that their sum is divided by sqrt(n),
and grows with sqrt(n) rather than n: otherwise the answers to long texts would be far too sure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.models.classifying.counting import FeatureCounts


@dataclass
class Evidence:
    """The evidence of a text so far.

    Attributes:
        last: its last tokens, one fewer than the longest run has.
        seen: its features, as rows of the table of counts.
        sums: (C,) float64, the summed evidence of these features.
        totals: (C,), log(N_c + F).
    """

    LISTS: ClassVar[tuple[str, ...]] = ("last", "seen")

    last: list[int]
    seen: dict[int, None]
    sums: torch.Tensor
    totals: torch.Tensor

    def tensors(self) -> dict[str, torch.Tensor]:
        """The evidence as tensors, without the totals."""
        lists = {name: torch.tensor(list(getattr(self, name)), dtype=torch.int64, device="cpu") for name in self.LISTS}
        return {**lists, "sums": self.sums}

    def with_tensors(self, given: Mapping[str, torch.Tensor]) -> Evidence:
        """Evidence from what `tensors` gave, with these totals."""
        seen = dict.fromkeys(given["seen"].tolist())
        return Evidence(given["last"].tolist(), seen, given["sums"].clone(), self.totals)

    def copy(self) -> Evidence:
        """An independent copy."""
        return Evidence([*self.last], {**self.seen}, self.sums.clone(), self.totals)


class NaiveBayes(nn.Module):
    """Logits from counts, see the module; it has no parameters to train.

    Source: Wang & Manning 2012, "Baselines and bigrams: simple, good sentiment and topic classification": counts of
    tokens and pairs as a baseline that a better model should beat.

    Args:
        vocabulary_size: V.
        num_classes: C.
        runs: how many runs of 2, 3, ... tokens are counted, see `FeatureCounts.sizes`.
    """

    counts: torch.Tensor
    prior: torch.Tensor

    def __init__(self, vocabulary_size: int, num_classes: int, runs: Sequence[int] = ()):
        super().__init__()
        if any(size < 0 for size in runs):
            raise ConfigError(f"naive_bayes: expected numbers of at least 0, got {list(runs)}")
        self.vocabulary_size, self.runs = vocabulary_size, tuple(runs)
        for n, size in enumerate(self.runs, start=2):
            self.register_buffer(f"keys_{n}", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(vocabulary_size + sum(self.runs), num_classes))
        self.register_buffer("prior", torch.zeros(num_classes))

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.vocabulary_size} tokens, {sum(self.runs)} runs of up to {len(self.runs) + 1}"

    @torch.no_grad()
    def take(self, counted: FeatureCounts, *, balanced: bool = False) -> None:
        """Sets the counts.

        Args:
            counted: counts of this module's sizes.
            balanced: take all classes as equally likely before the text is read.
        """
        for n, keys in enumerate(counted.runs, start=2):
            self.get_buffer(f"keys_{n}").copy_(torch.from_numpy(keys))
        self.counts.copy_(torch.from_numpy(counted.counts))
        classes = torch.from_numpy(counted.classes).float() + 1.0
        self.prior.copy_(torch.zeros_like(classes) if balanced else torch.log(classes / classes.sum()))

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits, (B, C).

        Args:
            ids: (T, B) int64.
            lengths: (B,) int64 from 0 to T, the steps that are real; None for all.
        """
        places, is_known = self._features(ids, lengths)  # (P, B)
        log_p = torch.log(self.counts[places] + 1.0) - torch.log(self.counts.sum(0) + len(self.counts))  # (P, B, C)
        log_p = log_p - log_p.mean(-1, keepdim=True)
        number = is_known.sum(0).clamp_min(1)[:, None]  # (B, 1)
        return self.prior + (log_p * is_known[..., None]).sum(0) / number.sqrt()

    # step by step

    def no_evidence(self) -> Evidence:
        """The evidence of a text without tokens, for `go_on`."""
        totals = torch.log(self.counts.sum(0) + len(self.counts))
        return Evidence([], {}, torch.zeros_like(totals, dtype=torch.float64), totals)

    def go_on(self, evidence: Evidence, token: int) -> torch.Tensor:
        """The logits `(C,)` of the text so far with one more token, which is added to `evidence`."""
        run, start = token, self.vocabulary_size
        places = [token]
        for n, size in enumerate(self.runs, start=2):
            if len(evidence.last) < n - 1:
                break
            run += evidence.last[1 - n] * self.vocabulary_size ** (n - 1)
            if size:
                keys = self.get_buffer(f"keys_{n}")
                key = (run + 2**63) % 2**64 - 2**63  # the number that int64 holds after an overflow
                at = min(int(torch.searchsorted(keys, key)), size - 1)
                if int(keys[at]) == key:
                    places.append(start + at)
            start += size
        if new := [place for place in places if place not in evidence.seen]:
            evidence.seen |= dict.fromkeys(new)
            log_p = torch.log(self.counts[new] + 1.0) - evidence.totals
            evidence.sums += (log_p - log_p.mean(-1, keepdim=True)).double().sum(0)
        evidence.last = [*evidence.last, token][-len(self.runs) :] if self.runs else []
        return (self.prior + evidence.sums / max(len(evidence.seen), 1) ** 0.5).to(self.prior.dtype)

    def _features(self, ids: torch.Tensor, lengths: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the table of counts, (P, B) int64; and which of them count: features that are known, once each."""
        steps = torch.arange(len(ids), device=ids.device)[:, None]
        real = torch.full_like(ids[0], len(ids)) if lengths is None else lengths
        key, start = ids, self.vocabulary_size
        places, known = [ids], [steps < real]
        for n, size in enumerate(self.runs, start=2):
            key = key[:-1] * self.vocabulary_size + ids[n - 1 :]
            if size and len(key):
                keys = self.get_buffer(f"keys_{n}")
                at = torch.searchsorted(keys, key.contiguous()).clamp_max(size - 1)
                places.append(start + at)
                known.append((keys[at] == key) & (steps[n - 1 :] < real))
            start += size
        place, is_known = torch.cat(places), torch.cat(known)
        place = place.masked_fill(~is_known, len(self.counts) - 1)
        # Sorted, a repeated feature follows its equal; those that do not count come last.
        order = torch.argsort(place * 2 + (~is_known).long(), dim=0)
        place, is_known = place.gather(0, order), is_known.gather(0, order)
        again = torch.zeros_like(is_known)
        again[1:] = place[1:] == place[:-1]
        return place, is_known & ~again
