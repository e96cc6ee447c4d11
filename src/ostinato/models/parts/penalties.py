"""Penalties for a recurrent model's training loss, which keep its outputs small and slow."""

from __future__ import annotations

import torch

from ostinato.errors import ConfigError


def check_weight(name: str, weight: float) -> None:
    """Raises a ConfigError unless `weight` is at least 0."""
    if not weight >= 0.0:
        raise ConfigError(f"{name}: expected a number of at least 0, got {weight}")


def activation_penalty(dropped: torch.Tensor, output: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """Activation regularisation (AR) and temporal activation regularisation (TAR) of the last layer.

        alpha mean((m * h_t)^2)  +  beta mean((h_t - h_{t-1})^2)

    Source: Merity, McCann & Socher 2017, arXiv 1708.01009, section 3. They write the norm L2, but compute, as is done
    here, the mean of squares over steps, rows and units; their published values of alpha and beta are for the mean. The
    first step of a chunk has no step before it, and has AR only.

    Args:
        dropped: m * h_t, (T, B, H), as the output layer sees it.
        output: h_t, (T, B, H), before dropout.
        alpha: the weight of AR; at least 0.
        beta: the weight of TAR; at least 0.

    Returns:
        A scalar in float32 or wider.
    """
    total = dropped.new_zeros((), dtype=torch.promote_types(dropped.dtype, torch.float32))
    if alpha:
        total = total + alpha * dropped.to(total.dtype).square().mean()
    if beta and len(output) > 1:
        total = total + beta * (output[1:] - output[:-1]).to(total.dtype).square().mean()
    return total
