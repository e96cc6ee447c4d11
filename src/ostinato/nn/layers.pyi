# Written by `make stubs` from the files in ostinato/cells, not by hand.
from collections.abc import Sequence
from typing import Any, Unpack

import torch

from ostinato.nn.options import LayerOptions
from ostinato.nn.recurrent import Recurrent

class LSTM(Recurrent, torch.nn.LSTM):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Long short-term memory: c' = f c + i g; h' = o tanh(c'). Drops in for `torch.nn.LSTM`.

    The gates i, f and o are sigmoid(W x + b_ih + U h + b_hh), each with rows of its own; g is tanh of such a sum. The rows of
    `weight_ih` (W) and `weight_hh` (U) are in the order i, f, g, o.

    Source: Hochreiter & Schmidhuber 1997, appendix A.1, (7) to (9) in the numbering of the authors' preprint. There c' = c + i g,
    without a forget gate, g is 2 tanh(x / 2), and h' = o tanh(c' / 2). The forget gate: Gers, Schmidhuber & Cummins 2000.

    A call takes `(T, B, I)`: time steps, rows, features. It gives `(output, states)`: the output of every step,
    `(T, B, D H)`, and the states after the last, `h_n, c_n`, `(L D, B, H)` each.
    `lengths=` and `return_states=True` belong to the call: see `Recurrent.forward`.

    Example:
        >>> layer = ostinato.LSTM(10, 20, num_layers=2, zoneout=0.1)
        >>> output, (h_n, c_n) = layer(torch.randn(35, 4, 10), lengths=[35, 12, 0, 20])
        >>> output.shape, h_n.shape
        (torch.Size([35, 4, 20]), torch.Size([2, 4, 20]))

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, at least 1; may be left out if `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. The layout of states does not change.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: add a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: by keyword, `LayerOptions`:
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
            variational_dropout: rates in [0, 1] of dropout of the input of each layer, of each recurrent product, and of the output
                of the last layer; one mask for all time steps (Gal & Ghahramani 2016). One number for all three, or three.
            weight_dropout: rate in [0, 1] of dropped recurrent weights, one mask a call (DropConnect: Merity et al. 2018).
            connection: None, "residual" or "highway", around every layer but the first.
            initial_state: "zeros", "learned", "noisy(std)", or a `FirstState`.
            checkpoint_segments: for long sequences: the number of steps, at least 1, from one kept state to the next in training;
                the backward pass computes the others again (Gruslys et al. 2016). With sqrt(T) the memory beside input and output
                grows with sqrt(T), for about a third more time. None keeps everything.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
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
        proj_size: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class GRU(Recurrent, torch.nn.GRU):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Gated recurrent unit: h' = (1 - z) n + z h, with a reset gate in n; it has two forms. Drops in for `torch.nn.GRU`.

    Source: Cho et al. 2014, arXiv 1406.1078. In its first version the reset acts after the matrix product, as in cuDNN and torch;
    in its third, (5) to (8), before it. In both z = 1 keeps the state. In Chung et al. 2014, arXiv 1412.3555, 3.2, (5) and the
    unnumbered lines after it, the reset acts before the product, and z = 1 replaces the state: the form of `reset_after=False`.

    A call takes `(T, B, I)`: time steps, rows, features. It gives `(output, states)`: the output of every step,
    `(T, B, D H)`, and the states after the last, `h_n`, `(L D, B, H)`.
    `lengths=` and `return_states=True` belong to the call: see `Recurrent.forward`.

    Example:
        >>> layer = ostinato.GRU(10, 20, num_layers=2, zoneout=0.1)
        >>> output, h_n = layer(torch.randn(35, 4, 10), lengths=[35, 12, 0, 20])
        >>> output.shape, h_n.shape
        (torch.Size([35, 4, 20]), torch.Size([2, 4, 20]))

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, at least 1; may be left out if `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. The layout of states does not change.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: add a second direction, from the last step to the first; `D = 2`.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        reset_after: True for torch's form, n = tanh(x_n + r (U_n h + b_n)) and h' = (1 - z) n + z h; False for
            n = tanh(x_n + U_n (r h) + b_n) and h' = (1 - z) h + z n. Weights of one form do not fit the other:
            `ostinato.nn.negate_update_gate` reverses the meaning of z in a `state_dict`, but nothing can move the reset.
        **options: by keyword, `LayerOptions`:
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
            variational_dropout: rates in [0, 1] of dropout of the input of each layer, of each recurrent product, and of the output
                of the last layer; one mask for all time steps (Gal & Ghahramani 2016). One number for all three, or three.
            weight_dropout: rate in [0, 1] of dropped recurrent weights, one mask a call (DropConnect: Merity et al. 2018).
            connection: None, "residual" or "highway", around every layer but the first.
            initial_state: "zeros", "learned", "noisy(std)", or a `FirstState`.
            checkpoint_segments: for long sequences: the number of steps, at least 1, from one kept state to the next in training;
                the backward pass computes the others again (Gruslys et al. 2016). With sqrt(T) the memory beside input and output
                grows with sqrt(T), for about a third more time. None keeps everything.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    reset_after: bool

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
    ) -> None: ...

class RNN(Recurrent, torch.nn.RNN):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Elman's network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh). Drops in for `torch.nn.RNN`.

    Source: Elman 1990, Finding Structure in Time, which draws the network in figure 2 and describes it in words, without equations.
    There a unit's value is between 0 and 1 and the first state is 0.5 ("sigmoid" is nearest to it); tanh and a first state of zero
    are as in `torch.nn.RNN`.

    A call takes `(T, B, I)`: time steps, rows, features. It gives `(output, states)`: the output of every step,
    `(T, B, D H)`, and the states after the last, `h_n`, `(L D, B, H)`.
    `lengths=` and `return_states=True` belong to the call: see `Recurrent.forward`.

    Example:
        >>> layer = ostinato.RNN(10, 20, num_layers=2, zoneout=0.1)
        >>> output, h_n = layer(torch.randn(35, 4, 10), lengths=[35, 12, 0, 20])
        >>> output.shape, h_n.shape
        (torch.Size([35, 4, 20]), torch.Size([2, 4, 20]))

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, at least 1; may be left out if `hidden_size` has one number a layer.
        nonlinearity: "tanh", "relu", or "sigmoid", which torch.nn does not have.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. The layout of states does not change.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: add a second direction, from the last step to the first; `D = 2`.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: by keyword, `LayerOptions`:
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
            variational_dropout: rates in [0, 1] of dropout of the input of each layer, of each recurrent product, and of the output
                of the last layer; one mask for all time steps (Gal & Ghahramani 2016). One number for all three, or three.
            weight_dropout: rate in [0, 1] of dropped recurrent weights, one mask a call (DropConnect: Merity et al. 2018).
            connection: None, "residual" or "highway", around every layer but the first.
            initial_state: "zeros", "learned", "noisy(std)", or a `FirstState`.
            checkpoint_segments: for long sequences: the number of steps, at least 1, from one kept state to the next in training;
                the backward pass computes the others again (Gruslys et al. 2016). With sqrt(T) the memory beside input and output
                grows with sqrt(T), for about a third more time. None keeps everything.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    nonlinearity: str

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
    ) -> None: ...

class RHN(Recurrent):
    """Recurrent highway network: `depth` small layers in every step, s_l = t_l h_l + (1 - t_l) s_{l-1}; see `ostinato.cells.rhn`.

    A layer's `num_layers` counts whole networks above each other, as everywhere. `forget_bias` is 2.0 by default, so that the bias
    of every transform gate starts at -2.

    Source: Zilly et al. 2017, arXiv 1607.03474, (6) to (9).

    A call takes `(T, B, I)`: time steps, rows, features. It gives `(output, states)`: the output of every step,
    `(T, B, D H)`, and the states after the last, `h_n`, `(L D, B, H)`.
    `lengths=` and `return_states=True` belong to the call: see `Recurrent.forward`.

    Example:
        >>> layer = ostinato.RHN(10, 20, num_layers=2, zoneout=0.1)
        >>> output, h_n = layer(torch.randn(35, 4, 10), lengths=[35, 12, 0, 20])
        >>> output.shape, h_n.shape
        (torch.Size([35, 4, 20]), torch.Size([2, 4, 20]))

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, at least 1; may be left out if `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. The layout of states does not change.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: add a second direction, from the last step to the first; `D = 2`.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        depth: layers in a step, at least 1. The input enters the first one only.
        **options: by keyword, `LayerOptions`:
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
            variational_dropout: rates in [0, 1] of dropout of the input of each layer, of each recurrent product, and of the output
                of the last layer; one mask for all time steps (Gal & Ghahramani 2016). One number for all three, or three.
            weight_dropout: rate in [0, 1] of dropped recurrent weights, one mask a call (DropConnect: Merity et al. 2018).
            connection: None, "residual" or "highway", around every layer but the first.
            initial_state: "zeros", "learned", "noisy(std)", or a `FirstState`.
            checkpoint_segments: for long sequences: the number of steps, at least 1, from one kept state to the next in training;
                the backward pass computes the others again (Gruslys et al. 2016). With sqrt(T) the memory beside input and output
                grows with sqrt(T), for about a third more time. None keeps everything.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    depth: int

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
    ) -> None: ...

class MinGRU(Recurrent):
    """The minimal gated recurrent unit: h' = (1 - z) h + z (W_h x + b_h), z = sigmoid(W_z x + b_z).

    Its gates depend on the input only: there is no `weight_hh`, and the step is linear in its state. Options that act on a
    recurrent product (`weight_dropout`, the recurrent rate of `variational_dropout`) raise.

    Source: Feng et al. 2024, arXiv 2410.01201v3, 3.1.3.

    A call takes `(T, B, I)`: time steps, rows, features. It gives `(output, states)`: the output of every step,
    `(T, B, D H)`, and the states after the last, `h_n`, `(L D, B, H)`.
    `lengths=` and `return_states=True` belong to the call: see `Recurrent.forward`.

    Example:
        >>> layer = ostinato.MinGRU(10, 20, num_layers=2, zoneout=0.1)
        >>> output, h_n = layer(torch.randn(35, 4, 10), lengths=[35, 12, 0, 20])
        >>> output.shape, h_n.shape
        (torch.Size([35, 4, 20]), torch.Size([2, 4, 20]))

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, at least 1; may be left out if `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. The layout of states does not change.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: add a second direction, from the last step to the first; `D = 2`.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        positive: put g(v) = v + 0.5 for v >= 0, else sigmoid(v), around what is written, as the authors' log-space form does
            (appendix B); states that start at 0 or above stay there.
        **options: by keyword, `LayerOptions`:
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
            variational_dropout: rates in [0, 1] of dropout of the input of each layer, of each recurrent product, and of the output
                of the last layer; one mask for all time steps (Gal & Ghahramani 2016). One number for all three, or three.
            weight_dropout: rate in [0, 1] of dropped recurrent weights, one mask a call (DropConnect: Merity et al. 2018).
            connection: None, "residual" or "highway", around every layer but the first.
            initial_state: "zeros", "learned", "noisy(std)", or a `FirstState`.
            checkpoint_segments: for long sequences: the number of steps, at least 1, from one kept state to the next in training;
                the backward pass computes the others again (Gruslys et al. 2016). With sqrt(T) the memory beside input and output
                grows with sqrt(T), for about a third more time. None keeps everything.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    positive: bool

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
    ) -> None: ...

class MinLSTM(Recurrent):
    """The minimal LSTM: h' = f / (f + i) h + i / (f + i) (W_h x + b_h), with sigmoid gates f and i.

    Its gates depend on the input only: there is no `weight_hh`, and the step is linear in its state. Options that act on a
    recurrent product (`weight_dropout`, the recurrent rate of `variational_dropout`) raise. `forget_bias` opens f, but i still
    writes, so long memories need chrono initialisation, which closes i too.

    Source: Feng et al. 2024, arXiv 2410.01201v3, 3.2.4.

    A call takes `(T, B, I)`: time steps, rows, features. It gives `(output, states)`: the output of every step,
    `(T, B, D H)`, and the states after the last, `h_n`, `(L D, B, H)`.
    `lengths=` and `return_states=True` belong to the call: see `Recurrent.forward`.

    Example:
        >>> layer = ostinato.MinLSTM(10, 20, num_layers=2, zoneout=0.1)
        >>> output, h_n = layer(torch.randn(35, 4, 10), lengths=[35, 12, 0, 20])
        >>> output.shape, h_n.shape
        (torch.Size([35, 4, 20]), torch.Size([2, 4, 20]))

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, at least 1; may be left out if `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. The layout of states does not change.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: add a second direction, from the last step to the first; `D = 2`.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        positive: put g(v) = v + 0.5 for v >= 0, else sigmoid(v), around what is written, as the authors' log-space form does
            (appendix B); states that start at 0 or above stay there.
        **options: by keyword, `LayerOptions`:
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
            variational_dropout: rates in [0, 1] of dropout of the input of each layer, of each recurrent product, and of the output
                of the last layer; one mask for all time steps (Gal & Ghahramani 2016). One number for all three, or three.
            weight_dropout: rate in [0, 1] of dropped recurrent weights, one mask a call (DropConnect: Merity et al. 2018).
            connection: None, "residual" or "highway", around every layer but the first.
            initial_state: "zeros", "learned", "noisy(std)", or a `FirstState`.
            checkpoint_segments: for long sequences: the number of steps, at least 1, from one kept state to the next in training;
                the backward pass computes the others again (Gruslys et al. 2016). With sqrt(T) the memory beside input and output
                grows with sqrt(T), for about a third more time. None keeps everything.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    positive: bool

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
    ) -> None: ...

__all__ = [
    "LSTM",
    "GRU",
    "RNN",
    "RHN",
    "MinGRU",
    "MinLSTM",
]
