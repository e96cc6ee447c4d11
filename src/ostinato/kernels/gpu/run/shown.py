"""The Triton source of a cell, for people to read; making it needs neither Triton nor a GPU."""

from __future__ import annotations

import torch

from ostinato.cells.spec import Cell
from ostinato.errors import ConfigError
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.gpu.code.kernel import emit
from ostinato.kernels.gpu.run.kernel import gpu_kernel
from ostinato.kernels.gpu.run.model import DEVICES, way_on
from ostinato.kernels.gpu.run.sizes import LayerSizes

ROWS = 16  # rows of the batch for which tiles are chosen


def source(cell: Cell, bias: bool, dtype: torch.dtype, part: str, sizes: tuple[int, int, int]) -> str:
    """The source of a cell's module for an H100 and a batch of 16 rows.

    Args:
        cell: the cell with its options.
        bias: whether there are biases.
        dtype: the dtype of the parameters.
        part: "inference", "training" or "backward".
        sizes: `I`, `H`, and `P` or 0.

    Raises:
        ConfigError: with the reason, if there are no kernels.
    """
    kernel = gpu_kernel(cell, bias, "P" in cell.states.values())
    if isinstance(kernel, Unsupported):
        raise ConfigError(f"there is no code for {cell.name!r}: {kernel}; it runs on the reference")
    layer = LayerSizes(cell, kernel.plan, bias, *sizes)
    if (why := kernel.too_few(layer.widths)) is not None:
        raise ConfigError(f"there is no code for {cell.name!r}: {why}; it runs on the reference")
    way = way_on(layer, ROWS, dtype, DEVICES["sm_90"])
    if isinstance(way, str):
        raise ConfigError(f"there is no code for {cell.name!r}: {way}; it runs on the reference")
    about = f"the step of {cell.name!r}, {part}"
    return emit(kernel.plan, part, layer.widths, way.blocks(part), dtype=dtype, about=about).source
