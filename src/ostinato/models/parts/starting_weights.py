"""Starting all weights as some papers do: uniform in one range."""

from __future__ import annotations

import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.nn import Recurrent
from ostinato.nn.initialisation import set_forget_bias


@torch.no_grad()
def fill_uniform(embedding: nn.Embedding, recurrent: Recurrent, output: nn.Linear, bound: float) -> None:
    """Every weight and bias from U(-bound, bound), as in Zaremba et al. 2014, arXiv 1409.2329, section 4.1.

    The bias that the cell or the option `forget_bias` asks for is set again afterwards. Parameters that a cell starts
    at a fixed number (the gains of layer norm), first states and the biases of highway connections stay unchanged.
    """
    check_bound("initial_range", bound)
    own = {parameter.name for parameter in recurrent.cell.parameters if parameter.fill is not None}
    for name, parameter in recurrent.named_parameters():
        if name.startswith(("weight_", "bias_")) and name.rpartition("_l")[0] not in own:
            nn.init.uniform_(parameter, -bound, bound)
    for parameter in (embedding.weight, output.weight, output.bias):
        nn.init.uniform_(parameter, -bound, bound)
    wanted = recurrent.options.forget_bias
    bias = recurrent.cell.forget_bias if wanted is None else wanted
    if bias is not None and recurrent.bias:
        for layer, hidden_size in enumerate(recurrent.hidden_sizes):
            ending = f"_l{layer}"
            weights = {
                name.removesuffix(ending): parameter
                for name, parameter in recurrent.named_parameters()
                if name.endswith(ending)
            }
            set_forget_bias(recurrent.cell, weights, hidden_size, bias)


@torch.no_grad()
def fill_ends(embedding: nn.Embedding, output: nn.Linear, bound: float) -> None:
    """Embedding and output weights from U(-bound, bound), the output bias 0; recurrent layers stay unchanged.

    Source: Merity et al. 2017, arXiv 1708.02182, section 5, and the authors' code for the bias.
    """
    check_bound("embedding_range", bound)
    for weight in (embedding.weight, output.weight):
        nn.init.uniform_(weight, -bound, bound)
    nn.init.zeros_(output.bias)


def check_bound(name: str, bound: float) -> None:
    """Raises a ConfigError unless `bound` is above 0."""
    if not bound > 0.0:
        raise ConfigError(f"{name}: expected a number above 0, or null, got {bound}")
