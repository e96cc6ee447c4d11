# Written by `make stubs` from the files in ostinato/cells, not by hand.
from collections.abc import Callable, Sequence
from typing import Any, Unpack

import torch

from ostinato.cell_names import CellName
from ostinato.cells.spec import Cell
from ostinato.nn.options import LayerOptions, StepOptions
from ostinato.nn.recurrent import Recurrent
from ostinato.nn.step import Step

def names() -> list[str]:
    """The names of all cells, the built-in ones first."""

def make(
    cell: CellName | Cell,
    input_size: int,
    hidden_size: int | Sequence[int],
    num_layers: int = 1,
    **options: Any,
) -> Recurrent:
    """The layer of a cell, by name.

    Args:
        cell: a name, such as "janet"; the place of a cell of your own, "module:cell"; or a cell.
        input_size: `I`.
        hidden_size: `H`, or a list with one number for each layer.
        num_layers: `L`; may be left out where `hidden_size` is a list.
        **options: what the layer takes besides, such as `zoneout=0.1`, and the cell's own arguments, such as `beta=0.0`.

    Raises:
        ConfigError: there is no such cell.
    """

def cell(
    name: CellName,
    **own: Any,
) -> Cell:
    """The cell itself, by name.

    Args:
        name: such as "janet"; or the place of a cell of your own, "module:cell".
        **own: the cell's own arguments, such as `beta=0.0`.

    Raises:
        ConfigError: there is no such cell.
    """

def layer_of(
    cell: CellName | Cell,
) -> Callable[..., Recurrent]:
    """What makes layers of a cell: the class that has its name, or `Recurrent` of it.

    Raises:
        ConfigError: there is no such cell.
    """

class JANET(Recurrent):
    """Just another network: h' = sigmoid(s) h + (1 - sigmoid(s - beta)) tanh(W_c x + U_c h + b_c), s = W_f x + U_f h + b_f.

    The authors start b_f by chrono initialisation.

    Source: van der Westhuizen & Lasenby 2018, arXiv 1804.04849.

    Args:
        input_size: `I`.
        hidden_size: `H`, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        beta: at 0 what is written is what is forgotten; above 0 more is written.
        **options: see `LayerOptions`; each has a row in the documentation.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
    """

    beta: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        beta: float = 1.0,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class JANETCell(Step):
    """One step of `JANET`.

    Just another network: h' = sigmoid(s) h + (1 - sigmoid(s - beta)) tanh(W_c x + U_c h + b_c), s = W_f x + U_f h + b_f.

    The authors start b_f by chrono initialisation.

    Source: van der Westhuizen & Lasenby 2018, arXiv 1804.04849.

    Args:
        input_size: `I`.
        hidden_size: `H`.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        beta: at 0 what is written is what is forgotten; above 0 more is written.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
    """

    beta: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        beta: float = 1.0,
        **options: Unpack[StepOptions],
    ) -> None: ...

__all__ = [
    "cell",
    "make",
    "names",
    "JANET",
    "JANETCell",
]
