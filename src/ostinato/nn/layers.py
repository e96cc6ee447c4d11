"""The layers by name: torch.nn's arguments in torch.nn's order, then, by keyword only, what torch.nn has never had.

`RNN`, `LSTM` and `GRU` drop in for torch.nn's; `RHN`, `MinGRU` and `MinLSTM` have no peer there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch

from ostinato.cells.elman import BY_NONLINEARITY
from ostinato.cells.gru import gru, gru_reset_before
from ostinato.cells.highway import rhn
from ostinato.cells.lstm import lstm
from ostinato.cells.minimal import min_gru, min_gru_positive, min_lstm, min_lstm_positive
from ostinato.nn.options import LayerOptions
from ostinato.nn.recurrent import Recurrent

# Bound now: someone may put our classes in the place of torch.nn's.
_TORCH_RNN: Any = torch.nn.RNN
_TORCH_GRU: Any = torch.nn.GRU


def _no_projection(torch_class: Any, options: Any) -> None:
    if "proj_size" in options:
        torch_class(1, 1, proj_size=options["proj_size"])  # raises with torch.nn's own words


class RNN(Recurrent, torch.nn.RNN):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Elman's network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh). Drops in for `torch.nn.RNN`.

    The arguments not told here are `Recurrent`'s.

    Args:
        nonlinearity: "tanh", "relu", or (new) "sigmoid".
        **options: see `LayerOptions`.
    """

    torch_class = torch.nn.RNN

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        _no_projection(_TORCH_RNN, options)
        if nonlinearity not in BY_NONLINEARITY:
            _TORCH_RNN(1, 1, nonlinearity=nonlinearity)  # raises with torch.nn's own words
        cell = BY_NONLINEARITY[nonlinearity]
        super().__init__(
            cell,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
            **options,
        )
        self.nonlinearity = nonlinearity


class LSTM(Recurrent, torch.nn.LSTM):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Long short-term memory: c' = f c + i g; h' = o tanh(c'). Drops in for `torch.nn.LSTM`.

    The arguments not told here are `Recurrent`'s.

    Args:
        **options: see `LayerOptions`.
    """

    torch_class = torch.nn.LSTM

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            lstm,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            **options,
        )


class GRU(Recurrent, torch.nn.GRU):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Gated recurrent unit, in both forms. Drops in for `torch.nn.GRU`.

    The arguments not told here are `Recurrent`'s.

    Args:
        reset_after: True for torch's form, reset after the matrix product and h' = (1 - z) n + z h; False for
            n = tanh(x_n + U_n (r h) + b_n) and h' = (1 - z) h + z n. `ostinato.nn.convert.negate_update_gate` turns the meaning
            of z around in a `state_dict`; where the reset acts cannot be converted.
        **options: see `LayerOptions`.
    """

    torch_class = torch.nn.GRU

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
        reset_after: bool = True,
        **options: Unpack[LayerOptions],
    ) -> None:
        _no_projection(_TORCH_GRU, options)
        cell = gru if reset_after else gru_reset_before
        super().__init__(
            cell,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
            **options,
        )

    @property
    def reset_after(self) -> bool:
        """Whether the reset gate acts after the recurrent product, as in torch."""
        return self.base_cell is gru


class RHN(Recurrent):
    """Recurrent highway network: `depth` small layers in every step, s_l = t_l h_l + (1 - t_l) s_{l-1}; see `ostinato.cells.rhn`.

    The arguments not told here are `Recurrent`'s. `num_layers` counts whole networks above each other, as everywhere.

    Source: Zilly et al. 2017, arXiv 1607.03474, (6) to (9).

    Args:
        depth: layers in a step, at least 1. The input enters the first one only.
        **options: see `LayerOptions`. `forget_bias` is 2.0 where it is not given, so that every transform gate starts at -2.
    """

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
        depth: int = 4,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            rhn(depth),
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
            **options,
        )


class MinGRU(Recurrent):
    """The minimal gated recurrent unit: h' = (1 - z) h + z (W_h x + b_h), z = sigmoid(W_z x + b_z).

    Its gates see the input alone: there is no `weight_hh`, and the step is linear in its state. The arguments not told here are
    `Recurrent`'s; options that act on a recurrent product (`weight_dropout`, the recurrent rate of `variational_dropout`) raise.

    Source: Feng et al. 2024, arXiv 2410.01201.

    Args:
        positive: put g(v) = v + 0.5 for v >= 0, else sigmoid(v), around what is written, as the authors' log-space form does
            (appendix B); states that start at 0 or above stay there.
        **options: see `LayerOptions`.
    """

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
        positive: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            min_gru_positive if positive else min_gru,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
            **options,
        )


class MinLSTM(Recurrent):
    """The minimal LSTM: h' = f / (f + i) h + i / (f + i) (W_h x + b_h), with sigmoid gates f and i.

    Its gates see the input alone: there is no `weight_hh`, and the step is linear in its state. The arguments not told here are
    `Recurrent`'s; options that act on a recurrent product (`weight_dropout`, the recurrent rate of `variational_dropout`) raise.
    `forget_bias` opens f; as i goes on writing, long memories need chrono initialisation, which closes i too.

    Source: Feng et al. 2024, arXiv 2410.01201.

    Args:
        positive: put g(v) = v + 0.5 for v >= 0, else sigmoid(v), around what is written, as the authors' log-space form does
            (appendix B); states that start at 0 or above stay there.
        **options: see `LayerOptions`.
    """

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
        positive: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            min_lstm_positive if positive else min_lstm,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
            **options,
        )
