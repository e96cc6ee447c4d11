"""Temperature scaling: a classifier's probabilities are made to agree with how often it is right."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F


def best_scales(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """The factors for the logits of several models, whose sum then gives the targets the highest likelihood.

        s = argmin over s > 0 of  sum over n of -log softmax(sum over k of s_k z_kn)[target_n] + sum over k of (log K s_k)^2 / 2

    For one model, 1 / s is its temperature, and no answer changes. The last term is a prior around the mean of the
    models; it matters for few examples only: without it, a few that are all right would make the scale infinite.

    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2, for one model; Hinton 2002, "Training products of experts", for several.

    Args:
        logits: (K, N, C), of K models.
        target: (N,) int64; targets that are no class from 0 to C - 1 are left out, as are rows with a logit that is not
            finite.
        weight: (C,), the weight of an example of each class; None for 1 each.

    Returns:
        (K,) float64, above 0.
    """
    models, _, classes = logits.shape
    kept = (target >= 0) & (target < classes) & logits.isfinite().all(-1).all(0)
    z, y = logits[:, kept].detach().double(), target[kept]
    log_scale = torch.full((models,), -math.log(models), dtype=torch.float64, device=z.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_scale], max_iter=100, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )
    weight = None if weight is None else weight.double()

    def cost() -> torch.Tensor:
        optimizer.zero_grad()
        combined = torch.einsum("k,knc->nc", log_scale.exp(), z)
        total = F.cross_entropy(combined, y, weight, reduction="sum") + ((log_scale + math.log(models)) ** 2).sum() / 2
        total.backward()
        return total

    with torch.enable_grad():
        optimizer.step(cost)
    return log_scale.detach().exp()
