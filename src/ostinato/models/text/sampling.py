"""Sampling a token from scores: temperature, the k most likely, the nucleus."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ostinato.errors import ConfigError, ModelError


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raises a ConfigError if one of the arguments of `probabilities` is out of range."""
    if not 0.0 <= temperature < float("inf"):
        raise ConfigError(f"temperature: expected 0 (the most likely token) or above, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ConfigError(f"top_k: expected at least 1, got {top_k}; leave it out to allow every token")
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise ConfigError(
            f"top_p: expected a share above 0 and up to 1, got {top_p}; leave it out to allow every token"
        )


def check_numbers(best: float, model: Any, where: str = "the next token") -> None:
    """Raises a ModelError unless the largest of a row's scores is a number; NaN among them makes it NaN.

    Args:
        best: the largest score. Minus infinity passes: it means that nothing can follow.
        model: the model of the scores; if it is a module, the message names its weights that are not finite.
        where: what the scores are for.
    """
    if -math.inf <= best < math.inf:
        return
    weights = model.named_parameters() if isinstance(model, nn.Module) else ()
    broken = [name for name, weight in weights if not bool(weight.isfinite().all())]
    cause = (
        f"weights of the model are not finite ({', '.join(broken[:3])}{', ...' if len(broken) > 3 else ''}): "
        "load earlier ones, or train anew with a smaller learning rate"
        if broken
        else "look for NaN or infinity in what the model was given, in its weights and in its state"
    )
    raise ModelError(
        f"expected scores of {where} that are numbers, got {'NaN' if best != best else 'infinity'}; {cause}"
    )


def probabilities(
    logits: torch.Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> torch.Tensor:
    """The distribution that the next token is drawn from.

    p = softmax(logits / temperature); then only the `top_k` most likely tokens are kept, then of those the smallest set
    of most likely ones whose share is at least `top_p` (Holtzman et al. 2020, arXiv 1904.09751), and what is left is
    scaled to 1. Among equally likely tokens the one with the smaller id comes first.

    Args:
        logits: (V,), any floating point type; at least one is finite, none is NaN or plus infinity.
        temperature: below 1 sharper, above 1 flatter; 0 puts all probability on the most likely token.
        top_k: how many tokens may be drawn; None for all.
        top_p: the share that the tokens which may be drawn must reach, in (0, 1]; None for all.

    Returns:
        (V,) float64, on the device of `logits`.

    Raises:
        ModelError: the logits contain NaN or plus infinity, or are all minus infinity.
    """
    logits = logits.double()
    best, likeliest = logits.detach().max(0)
    if float(best) == -math.inf:
        raise ModelError("expected at least one token that can follow, got minus infinity for all of them")
    check_numbers(float(best), None)
    if temperature == 0.0:
        return torch.zeros_like(logits).index_fill_(0, likeliest.reshape(1), 1.0)
    # Minus the largest first: that one is then 0 at any temperature, and only unlikely tokens can overflow.
    p = torch.softmax((logits - best) / temperature, dim=0)
    if top_k is None and top_p is None:
        return p
    ordered, ids = torch.sort(p, descending=True, stable=True)  # (V,), (V,)
    if top_k is not None:
        ordered[top_k:] = 0.0
        ordered /= ordered.sum()
    if top_p is not None:
        # A token stays if those before it do not yet reach the share; so the first always stays.
        ordered[ordered.cumsum(0) - ordered >= top_p] = 0.0
    kept = torch.zeros_like(p).index_copy_(0, ids, ordered)
    return kept / kept.sum()
