"""Many to one, with several labels at once: each of C labels applies or not."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from ostinato.data.batches.batches import Batch
from ostinato.models.classifying.classifier import Classifier
from ostinato.nn.lengths import takes_lists
from ostinato.types import Lengths


class MultiLabelClassifier(Classifier):
    """A classifier's network in which each output is a label of its own: p(label | sequence) = sigmoid(logit).

    A label is in the answer if its probability is at least `threshold`, which `choose_threshold` sets on data that were
    not trained on.

    Args:
        num_labels: C.
        **given: the arguments of `Classifier`; `class_weights` are the weights of an example with the label, where one
            without it has 1.
    """

    threshold: torch.Tensor

    def __init__(self, num_labels: int, **given: Any):
        super().__init__(num_labels, **given)
        self.register_buffer("threshold", torch.tensor(0.5))

    @takes_lists
    def forward(self, input: torch.Tensor, lengths: Lengths | None = None) -> torch.Tensor:
        """Logits, (B, C)."""
        return self._network(input, lengths)

    def loss(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, None]:
        """The binary cross entropy in nats, summed over labels, mean over examples with known labels; and None."""
        return self.label_loss(self(batch.input, batch.lengths), batch.target), None

    def label_loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of logits, see `loss`.

        Args:
            logits: (B, C).
            target: (B, C), 1 or 0; NaN for an example whose labels are not known.
        """
        logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
        known = target.isfinite().all(-1)
        target = target.masked_fill(~known[:, None], 0.0).to(logits.dtype)
        weight = None
        if self.training:
            target = target * (1.0 - self.label_smoothing) + self.label_smoothing / 2
            weight = self.class_weights
        losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=weight).sum(-1)
        return losses.masked_fill(~known, 0.0).sum() / known.sum().clamp_min(1)

    def choose_threshold(self, probabilities: torch.Tensor, target: torch.Tensor) -> None:
        """Sets the threshold with the best F1 over all labels together; the one nearest to 1/2 if there are several.

        All labels share one threshold: with few examples, a label has too few to choose its own.

        Args:
            probabilities: (N, C).
            target: (N, C); rows with NaN are left out.
        """
        known = target.isfinite().all(-1)
        p, y = probabilities[known].double().flatten(), target[known].flatten() > 0.5
        if not y.any():
            return
        order = p.argsort(descending=True, stable=True)
        p, y = p[order], y[order]
        right = y.cumsum(0).double()
        f1 = 2 * right / (torch.arange(1, len(p) + 1, device=p.device) + y.sum())
        # Thresholds between one probability and the next lower one; equal probabilities cannot be separated.
        ends = torch.cat([p[:-1] > p[1:], torch.ones(1, dtype=torch.bool, device=p.device)])
        below = torch.cat([p[1:], torch.zeros(1, dtype=p.dtype, device=p.device)])
        best = (f1 >= f1[ends].max() - 1e-12) & ends
        between = ((p + below) / 2)[best]
        self.threshold.fill_(float(between[(between - 0.5).abs().argmin()]))
