"""Measuring the weights of all attention in a model in one pass, and drawing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ostinato.extras import needed
from ostinato.insight.layers import Loss
from ostinato.models.classifying.pooling import Pooling
from ostinato.nn.attention import Attention

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def attention_weights(model: nn.Module, batch: Any, loss: Loss) -> dict[str, torch.Tensor]:
    """The weights of each attention of a model for a batch.

    Args:
        model: a model; it may contain `ostinato.nn.attention.Attention` and `Pooling("attention")`.
        batch: a batch for `loss`.
        loss: `loss(model, batch)` runs the model.

    Returns:
        (T_out, B, T_mem) by the name of the module: for each step of the answer (one for a pooling), the share of each
        place looked at. Empty if the model has no attention, or if none was used.
    """
    found: dict[str, list[torch.Tensor]] = {}

    def looked(name: str, module: nn.Module) -> Any:
        def hook(_: nn.Module, given: tuple[Any, ...], result: Any) -> None:
            weights = module.weights(*given).T[None] if isinstance(module, Pooling) else result.weights
            found.setdefault(name or type(module).__name__, []).append(weights.detach().float().cpu())

        return module.register_forward_hook(hook)

    attentive = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Attention) or (isinstance(module, Pooling) and module.name == "attention")
    }
    handles = [looked(name, module) for name, module in attentive.items()]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=()):
            loss(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    # A decoder that is fed step by step calls its attention once a step.
    return {name: torch.cat(parts) for name, parts in found.items() if len({part.shape[1:] for part in parts}) == 1}


def plot_weights(weights: torch.Tensor) -> Figure:
    """Draws the weights, a picture for each row.

    Args:
        weights: (T_out, B, T_mem), shares; B is at least 1.
    """
    with needed():
        from matplotlib.ticker import MaxNLocator

    from ostinato.insight.plots import SEQUENTIAL, figure, name_axes

    T, B, places = weights.shape
    width, height = max(3.2, min(0.14 * places + 2.0, 9.0)), max(1.5, min(0.18 * T + 1.2, 5.0))
    made, axes = figure(width, height * B, rows=B)
    for row in range(B):
        shown = weights[:, row].numpy()
        axes[row].imshow(shown, vmin=0.0, vmax=1.0, cmap=SEQUENTIAL, aspect="auto", interpolation="nearest")
        axes[row].grid(False)
        for axis in (axes[row].xaxis, axes[row].yaxis):
            axis.set_major_locator(MaxNLocator("auto", integer=True))
        below = "place that is looked at (from 0)" if row == B - 1 else ""
        name_axes(axes[row], below, "step (from 0)", f"example {row + 1}")
    made.colorbar(axes[0].images[0], ax=axes, label="weight (share of 1)")
    return made
