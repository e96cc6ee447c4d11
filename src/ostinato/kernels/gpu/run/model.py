"""Which way a layer's loops run."""

from __future__ import annotations

import torch

from ostinato.kernels.gpu.code.blocks import Blocks, power
from ostinato.kernels.gpu.code.module import is_interpreted
from ostinato.kernels.gpu.run.sizes import LayerSizes
from ostinato.kernels.gpu.run.ways import Way, forced


def choose(sizes: LayerSizes, rows: int, dtype: torch.dtype, device: torch.device) -> Way:
    """The way for a layer and a batch."""
    wanted = forced()
    if isinstance(wanted, Way):
        return wanted
    if is_interpreted():
        whole = Blocks(min(32, power(rows)), power(sizes.widest), 64, 2)
        return Way("persistent", whole, whole)
    return Way("steps", Blocks(), Blocks())
