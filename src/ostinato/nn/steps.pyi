# Written by `make stubs` from the files in ostinato/cells, not by hand.
from typing import Any, Unpack

import torch

from ostinato.nn.options import StepOptions
from ostinato.nn.step import Step

class LSTMCell(Step, torch.nn.LSTMCell):  # pyright: ignore[reportIncompatibleMethodOverride]
    """One step of `LSTM`. Drops in for `torch.nn.LSTMCell`.

    Long short-term memory: c' = f c + i g; h' = o tanh(c').

    The gates i, f and o are sigmoid(W x + b_ih + U h + b_hh), each with rows of its own; g is tanh of such a sum. The rows of
    `weight_ih` (W) and `weight_hh` (U) are in the order i, f, g, o.

    Source: Hochreiter & Schmidhuber 1997, appendix A.1, (7) to (9) in the numbering of the authors' preprint. There c' = c + i g,
    without a forget gate, g is 2 tanh(x / 2), and h' = o tanh(c' / 2). The forget gate: Gers, Schmidhuber & Cummins 2000.

    A call takes `(B, I)` and the states before, and gives those after: `h, c`, `(B, H)` each.

    Example:
        >>> step = ostinato.LSTMCell(10, 20)
        >>> h, c = step(torch.randn(4, 10))
        >>> h.shape
        torch.Size([4, 20])

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: by keyword, `StepOptions`:
            zoneout: probability in [0, 1] that a unit keeps its value: a number for all states, one for each, or a dict by name.
            recurrent_dropout: rate in [0, 1] of dropout of what is written into the memory (Semeniuta et al. 2016).
            layer_norm: normalise the products and the cell state (Ba et al. 2016).
            peephole: the gates see the cell state (Gers et al. 2002).
            coupled_gates: i = 1 - f (Greff et al. 2017).
            num_heads: `N`, at least 1, a divisor of `H`: the recurrent matrix is block-diagonal, and each head of `H / N` units
                reads only its own units of the step before (Beck et al. 2024). `weight_hh` is `(G H, H / N)`.
            forget_bias: the initial sum of both biases of the gate that keeps the memory (Jozefowicz et al. 2015: 1); a gate that
                writes it gets the negative. None for the cell's own value, if it has one.
            init: "torch", "xavier", "he", "orthogonal", "chrono(T_max)", or an `Initialisation`.
            backend: "auto" for the fastest that can run the call, or one by name: "compiled" (machine code made from the step, on
                CPU), "triton" (kernels made from the step, on CUDA), "vendor" (torch's own kernels, plain cells only) or
                "reference" (the step in a loop, in plain PyTorch).

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[StepOptions],
    ) -> None: ...

class GRUCell(Step, torch.nn.GRUCell):  # pyright: ignore[reportIncompatibleMethodOverride]
    """One step of `GRU`. Drops in for `torch.nn.GRUCell`.

    Gated recurrent unit: h' = (1 - z) n + z h, with a reset gate in n; it has two forms.

    Source: Cho et al. 2014, arXiv 1406.1078. In its first version the reset acts after the matrix product, as in cuDNN and torch;
    in its third, (5) to (8), before it. In both z = 1 keeps the state. In Chung et al. 2014, arXiv 1412.3555, 3.2, (5) and the
    unnumbered lines after it, the reset acts before the product, and z = 1 replaces the state: the form of `reset_after=False`.

    A call takes `(B, I)` and the states before, and gives those after: `h`, `(B, H)`.

    Example:
        >>> step = ostinato.GRUCell(10, 20)
        >>> h = step(torch.randn(4, 10))
        >>> h.shape
        torch.Size([4, 20])

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        reset_after: True for torch's form, n = tanh(x_n + r (U_n h + b_n)) and h' = (1 - z) n + z h; False for
            n = tanh(x_n + U_n (r h) + b_n) and h' = (1 - z) h + z n. Weights of one form do not fit the other:
            `ostinato.nn.negate_update_gate` reverses the meaning of z in a `state_dict`, but nothing can move the reset.
        **options: by keyword, `StepOptions`:
            zoneout: probability in [0, 1] that a unit keeps its value: a number for all states, one for each, or a dict by name.
            recurrent_dropout: rate in [0, 1] of dropout of what is written into the memory (Semeniuta et al. 2016).
            layer_norm: normalise the products and the cell state (Ba et al. 2016).
            peephole: the gates see the cell state (Gers et al. 2002).
            coupled_gates: i = 1 - f (Greff et al. 2017).
            num_heads: `N`, at least 1, a divisor of `H`: the recurrent matrix is block-diagonal, and each head of `H / N` units
                reads only its own units of the step before (Beck et al. 2024). `weight_hh` is `(G H, H / N)`.
            forget_bias: the initial sum of both biases of the gate that keeps the memory (Jozefowicz et al. 2015: 1); a gate that
                writes it gets the negative. None for the cell's own value, if it has one.
            init: "torch", "xavier", "he", "orthogonal", "chrono(T_max)", or an `Initialisation`.
            backend: "auto" for the fastest that can run the call, or one by name: "compiled" (machine code made from the step, on
                CPU), "triton" (kernels made from the step, on CUDA), "vendor" (torch's own kernels, plain cells only) or
                "reference" (the step in a loop, in plain PyTorch).

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    reset_after: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        reset_after: bool = True,
        **options: Unpack[StepOptions],
    ) -> None: ...

class RNNCell(Step, torch.nn.RNNCell):  # pyright: ignore[reportIncompatibleMethodOverride]
    """One step of `RNN`. Drops in for `torch.nn.RNNCell`.

    Elman's network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Source: Elman 1990, Finding Structure in Time, which draws the network in figure 2 and describes it in words, without equations.
    There a unit's value is between 0 and 1 and the first state is 0.5 ("sigmoid" is nearest to it); tanh and a first state of zero
    are as in `torch.nn.RNN`.

    A call takes `(B, I)` and the states before, and gives those after: `h`, `(B, H)`.

    Example:
        >>> step = ostinato.RNNCell(10, 20)
        >>> h = step(torch.randn(4, 10))
        >>> h.shape
        torch.Size([4, 20])

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        nonlinearity: "tanh", "relu", or "sigmoid", which torch.nn does not have.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: by keyword, `StepOptions`:
            zoneout: probability in [0, 1] that a unit keeps its value: a number for all states, one for each, or a dict by name.
            recurrent_dropout: rate in [0, 1] of dropout of what is written into the memory (Semeniuta et al. 2016).
            layer_norm: normalise the products and the cell state (Ba et al. 2016).
            peephole: the gates see the cell state (Gers et al. 2002).
            coupled_gates: i = 1 - f (Greff et al. 2017).
            num_heads: `N`, at least 1, a divisor of `H`: the recurrent matrix is block-diagonal, and each head of `H / N` units
                reads only its own units of the step before (Beck et al. 2024). `weight_hh` is `(G H, H / N)`.
            forget_bias: the initial sum of both biases of the gate that keeps the memory (Jozefowicz et al. 2015: 1); a gate that
                writes it gets the negative. None for the cell's own value, if it has one.
            init: "torch", "xavier", "he", "orthogonal", "chrono(T_max)", or an `Initialisation`.
            backend: "auto" for the fastest that can run the call, or one by name: "compiled" (machine code made from the step, on
                CPU), "triton" (kernels made from the step, on CUDA), "vendor" (torch's own kernels, plain cells only) or
                "reference" (the step in a loop, in plain PyTorch).

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[StepOptions],
    ) -> None: ...

class RHNCell(Step):
    """One step of `RHN`.

    Recurrent highway network: `depth` small layers in every step, s_l = t_l h_l + (1 - t_l) s_{l-1}; see `ostinato.cells.rhn`.

    A layer's `num_layers` counts whole networks above each other, as everywhere. `forget_bias` is 2.0 by default, so that the bias
    of every transform gate starts at -2.

    Source: Zilly et al. 2017, arXiv 1607.03474, (6) to (9).

    A call takes `(B, I)` and the states before, and gives those after: `h`, `(B, H)`.

    Example:
        >>> step = ostinato.RHNCell(10, 20)
        >>> h = step(torch.randn(4, 10))
        >>> h.shape
        torch.Size([4, 20])

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        depth: layers in a step, at least 1. The input enters the first one only.
        **options: by keyword, `StepOptions`:
            zoneout: probability in [0, 1] that a unit keeps its value: a number for all states, one for each, or a dict by name.
            recurrent_dropout: rate in [0, 1] of dropout of what is written into the memory (Semeniuta et al. 2016).
            layer_norm: normalise the products and the cell state (Ba et al. 2016).
            peephole: the gates see the cell state (Gers et al. 2002).
            coupled_gates: i = 1 - f (Greff et al. 2017).
            num_heads: `N`, at least 1, a divisor of `H`: the recurrent matrix is block-diagonal, and each head of `H / N` units
                reads only its own units of the step before (Beck et al. 2024). `weight_hh` is `(G H, H / N)`.
            forget_bias: the initial sum of both biases of the gate that keeps the memory (Jozefowicz et al. 2015: 1); a gate that
                writes it gets the negative. None for the cell's own value, if it has one.
            init: "torch", "xavier", "he", "orthogonal", "chrono(T_max)", or an `Initialisation`.
            backend: "auto" for the fastest that can run the call, or one by name: "compiled" (machine code made from the step, on
                CPU), "triton" (kernels made from the step, on CUDA), "vendor" (torch's own kernels, plain cells only) or
                "reference" (the step in a loop, in plain PyTorch).

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    depth: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        depth: int = 4,
        **options: Unpack[StepOptions],
    ) -> None: ...

class MinGRUCell(Step):
    """One step of `MinGRU`.

    The minimal gated recurrent unit: h' = (1 - z) h + z (W_h x + b_h), z = sigmoid(W_z x + b_z).

    Its gates depend on the input only: there is no `weight_hh`, and the step is linear in its state. Options that act on a
    recurrent product (`weight_dropout`, the recurrent rate of `variational_dropout`) raise.

    Source: Feng et al. 2024, arXiv 2410.01201v3, 3.1.3.

    A call takes `(B, I)` and the states before, and gives those after: `h`, `(B, H)`.

    Example:
        >>> step = ostinato.MinGRUCell(10, 20)
        >>> h = step(torch.randn(4, 10))
        >>> h.shape
        torch.Size([4, 20])

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        positive: put g(v) = v + 0.5 for v >= 0, else sigmoid(v), around what is written, as the authors' log-space form does
            (appendix B); states that start at 0 or above stay there.
        **options: by keyword, `StepOptions`:
            zoneout: probability in [0, 1] that a unit keeps its value: a number for all states, one for each, or a dict by name.
            recurrent_dropout: rate in [0, 1] of dropout of what is written into the memory (Semeniuta et al. 2016).
            layer_norm: normalise the products and the cell state (Ba et al. 2016).
            peephole: the gates see the cell state (Gers et al. 2002).
            coupled_gates: i = 1 - f (Greff et al. 2017).
            num_heads: `N`, at least 1, a divisor of `H`: the recurrent matrix is block-diagonal, and each head of `H / N` units
                reads only its own units of the step before (Beck et al. 2024). `weight_hh` is `(G H, H / N)`.
            forget_bias: the initial sum of both biases of the gate that keeps the memory (Jozefowicz et al. 2015: 1); a gate that
                writes it gets the negative. None for the cell's own value, if it has one.
            init: "torch", "xavier", "he", "orthogonal", "chrono(T_max)", or an `Initialisation`.
            backend: "auto" for the fastest that can run the call, or one by name: "compiled" (machine code made from the step, on
                CPU), "triton" (kernels made from the step, on CUDA), "vendor" (torch's own kernels, plain cells only) or
                "reference" (the step in a loop, in plain PyTorch).

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    positive: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        positive: bool = False,
        **options: Unpack[StepOptions],
    ) -> None: ...

class MinLSTMCell(Step):
    """One step of `MinLSTM`.

    The minimal LSTM: h' = f / (f + i) h + i / (f + i) (W_h x + b_h), with sigmoid gates f and i.

    Its gates depend on the input only: there is no `weight_hh`, and the step is linear in its state. Options that act on a
    recurrent product (`weight_dropout`, the recurrent rate of `variational_dropout`) raise. `forget_bias` opens f, but i still
    writes, so long memories need chrono initialisation, which closes i too.

    Source: Feng et al. 2024, arXiv 2410.01201v3, 3.2.4.

    A call takes `(B, I)` and the states before, and gives those after: `h`, `(B, H)`.

    Example:
        >>> step = ostinato.MinLSTMCell(10, 20)
        >>> h = step(torch.randn(4, 10))
        >>> h.shape
        torch.Size([4, 20])

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        positive: put g(v) = v + 0.5 for v >= 0, else sigmoid(v), around what is written, as the authors' log-space form does
            (appendix B); states that start at 0 or above stay there.
        **options: by keyword, `StepOptions`:
            zoneout: probability in [0, 1] that a unit keeps its value: a number for all states, one for each, or a dict by name.
            recurrent_dropout: rate in [0, 1] of dropout of what is written into the memory (Semeniuta et al. 2016).
            layer_norm: normalise the products and the cell state (Ba et al. 2016).
            peephole: the gates see the cell state (Gers et al. 2002).
            coupled_gates: i = 1 - f (Greff et al. 2017).
            num_heads: `N`, at least 1, a divisor of `H`: the recurrent matrix is block-diagonal, and each head of `H / N` units
                reads only its own units of the step before (Beck et al. 2024). `weight_hh` is `(G H, H / N)`.
            forget_bias: the initial sum of both biases of the gate that keeps the memory (Jozefowicz et al. 2015: 1); a gate that
                writes it gets the negative. None for the cell's own value, if it has one.
            init: "torch", "xavier", "he", "orthogonal", "chrono(T_max)", or an `Initialisation`.
            backend: "auto" for the fastest that can run the call, or one by name: "compiled" (machine code made from the step, on
                CPU), "triton" (kernels made from the step, on CUDA), "vendor" (torch's own kernels, plain cells only) or
                "reference" (the step in a loop, in plain PyTorch).

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    positive: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        positive: bool = False,
        **options: Unpack[StepOptions],
    ) -> None: ...

__all__ = [
    "LSTMCell",
    "GRUCell",
    "RNNCell",
    "RHNCell",
    "MinGRUCell",
    "MinLSTMCell",
]
