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
    """Make the layer of a cell, by name.

    Args:
        cell: a name, such as "janet"; the place of a cell of your own, "module:cell"; or a cell.
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units, or a list with one number for each layer.
        num_layers: `L`; may be left out if `hidden_size` is a list.
        **options: further arguments of the layer, such as `zoneout=0.1`, and the cell's own, such as `beta=0.0`.

    Raises:
        ConfigError: there is no such cell.
    """

def cell(
    name: CellName,
    **own: Any,
) -> Cell:
    """The cell itself, by name.

    Args:
        name: a name, such as "janet"; or the place of a cell of your own, "module:cell".
        **own: the cell's own arguments, such as `beta=0.0`.

    Raises:
        ConfigError: there is no such cell.
        TypeError: the cell does not have an argument.
    """

def layer_of(
    cell: CellName | Cell,
) -> Callable[..., Recurrent]:
    """The function that makes layers of a cell: the class with its name, or `Recurrent` with the cell.

    Raises:
        ConfigError: there is no such cell.
    """

class ATR(Recurrent):
    """The addition-subtraction twin-gated network: h' = sigmoid(p + q) p + sigmoid(p - q) h, with p = W x + b and q = U h + b'.

    The paper has p = W x and q = U h (`bias=False` here); the authors' code adds a bias to q only. The second gate is that of the
    code (bzhangGo/ATR), where the authors say that the paper misprints it; with the paper's gate the state explodes. Their
    translation system also offers 1 - sigmoid(p - q) as the first gate, which they found more stable.

    Source: Zhang et al. 2018, arXiv 1810.12546, Simplifying neural machine translation with addition-subtraction twin-gated
    recurrent networks.

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class AntisymmetricRNN(Recurrent):
    """Antisymmetric network: h' = h + epsilon tanh((W - W^T - gamma I) h + V x + b).

    W and V start normal, of variance one over their columns; biases at 0. `weight_hh` (`weight` if `gated`) is the full W, though
    the half above its diagonal would suffice.

    Source: Chang et al. 2019, arXiv 1902.09689, (12), or (13) if `gated`; (10) is (12) with `gamma=0.0`. The paper chooses epsilon,
    gamma and the variance of W by validation.

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
        gated: h' = h + epsilon z tanh(...), with a gate z that shares the matrix W and has its own V and b.
        epsilon: the length of a step, above 0.
        gamma: the strength of the diffusion, at least 0; it keeps Euler's method stable.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    gated: bool
    epsilon: float
    gamma: float

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
        gated: bool = False,
        epsilon: float = 0.01,
        gamma: float = 0.01,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class BRC(Recurrent):
    """The bistable cell: h' = c h + (1 - c) tanh(W_h x + a h), a = 1 + tanh(W_a x + w_a h), c = sigmoid(W_c x + w_c h).

    Each unit reads its own state only: w_a and w_c are vectors, and there is no `weight_hh`. A unit with a above 1 is bistable.
    Weights start as in the authors' code: Xavier, w_a and w_c at 1. Their code adds biases to a and c, which the paper leaves out;
    here W_h x has a bias too, and all biases start at 0.

    Source: Vecoven, Ernst & Drion 2021 (2020), arXiv 2006.05252, A bio-inspired bistable recurrent cell allows for long-lasting
    memory.

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class CFN(Recurrent):
    """The chaos free network: h' = theta tanh(h) + eta tanh(W_c x), with sigmoid gates theta and eta of x and h.

    As in the paper, weights start uniform in +-0.07, the biases of theta at 1 and those of eta at -1. `layer_norm` leaves W_c x as
    it is.

    Source: Laurent & von Brecht 2017 (2016), arXiv 1612.06212, A recurrent neural network without chaos, (1) and (2).

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class CfC(Recurrent):
    """The closed-form continuous-time network: h' = (1 - t) f + t g, with the time gate t = sigmoid(a dt + b).

    f and g are tanh of a linear map, a and b are linear, all of a backbone z = 1.7159 tanh(0.666 (W x + U h + b)). The extra `dt`,
    `(T, B)`, is the time since the step before: ones if all steps are equally long. The authors initialise with `init="xavier"`,
    which is best here too.

    Source: Hasani et al. 2022, arXiv 2106.13898v2, (10). It follows the authors' code (raminmh/CfC, mlech26l/ncps), where
    sigmoid(a dt + b) is the share of g, while the paper writes sigmoid(-f t) as the share of the other term; a backbone of several
    layers is not supported. "pure" is (9) with -A for its B, and f(x) for its f(-x), as in their code. There w_tau starts at zero,
    where |w_tau| has no slope; here it starts in [0, 0.1].

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
        mode: "default"; "no_gate" for h' = f + t g; "pure" for h' = A - A exp(-dt (|w_tau| + |f|)) f, the solution itself.
        backbone: the width of the backbone for each hidden unit, which has `backbone * hidden_size` units; 0 for none: f, g, a and
            b are then made directly from linear maps of x and h.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    mode: str
    backbone: int

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
        mode: str = "default",
        backbone: int = 1,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class CoRNN(Recurrent):
    """Coupled oscillators: z' = z + dt (tanh(W y + W_z z + V x + b) - gamma y - epsilon z); y' = y + dt z'.

    W and W_z are the rows of `weight_hh`. The output is y.

    Source: Rusch & Mishra 2021, arXiv 2010.00951, (3), which has both forms of the damping; the authors' code has the explicit one.
    The default numbers are the authors' for sequential MNIST.

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
        dt: the length of a step, above 0.
        gamma: the strength that pulls y back to 0.
        epsilon: the strength of the damping of z.
        implicit: use epsilon z', with the new z', as damping; it is stable for every dt.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    dt: float
    gamma: float
    epsilon: float
    implicit: bool

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
        *,
        dt: float = 0.042,
        gamma: float = 2.7,
        epsilon: float = 4.7,
        implicit: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class ES2N(Recurrent):
    """Echo state network at the edge of stability: h' = beta tanh(W x + U h + b) + (1 - beta) O h. Nothing of it is learned.

    O starts orthogonal, W and b uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; put a
    learned layer behind this one. An `init` other than "torch" does not use these scales.

    Source: Ceni & Gallicchio 2023, arXiv 2308.02902, Edge of stability echo state networks, (5). The paper has no b (`bias=False`
    here). Its U is normal, of variance one over its columns, times a number that is close to the spectral radius of the result.

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
        beta: the share of the tanh, in (0, 1]; the rest of the state is rotated by O and kept.
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0.
        input_scaling: the largest magnitude of input weights and biases, at least 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    beta: float
    spectral_radius: float
    input_scaling: float

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
        beta: float = 0.1,
        spectral_radius: float = 0.9,
        input_scaling: float = 1.0,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class ESN(Recurrent):
    """Echo state network of leaky units: h' = (1 - leak) h + leak tanh(W x + U h + b). Nothing of it is learned.

    W and b start uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; put a learned layer
    behind this one. An `init` other than "torch" does not use these scales.

    Source: Jaeger, Lukosevicius, Popovici & Siewert 2007, Optimization and applications of echo state networks with
    leaky-integrator neurons, Neural Networks 20; Jaeger 2001. The equation is (1) of Ceni & Gallicchio 2023, arXiv 2308.02902, who
    have no b (`bias=False` here).

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
        leak: the share of the state that is new in a step, in (0, 1].
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0; that of (1 - leak) I + leak U is near it.
        input_scaling: the largest magnitude of input weights and biases, at least 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    leak: float
    spectral_radius: float
    input_scaling: float

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
        leak: float = 1.0,
        spectral_radius: float = 0.9,
        input_scaling: float = 1.0,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class FastGRNN(Recurrent):
    """A gated network with the matrices of an ungated one: h' = (zeta (1 - z) + nu) tanh(v + b_h) + z h, z = sigmoid(v + b_z).

    v = W x + U h is used in both places. b_h is `bias_ih` + `bias_hh`, and b_z is b_h + `bias_z`. zeta and nu are the sigmoids of
    two learned numbers a layer, which start at 1 and -4; b_h and b_z start at 1. All are as in the authors' code.

    Source: Kusupati et al. 2018, arXiv 1901.02358, (6); a low rank, (7).

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
        rank: the rank of U = U1 U2, at least 1; None for a full matrix. For a W of low rank put a
            `torch.nn.Linear(I, rank, bias=False)` before the layer, whose `input_size` is then that rank.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    rank: int | None

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
        rank: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class FastRNN(Recurrent):
    """A network with a weighted residual connection: h' = alpha tanh(W x + U h + b) + beta h.

    alpha and beta are the sigmoids of two learned numbers a layer, which start at -3 and 3, as in the authors' code.

    Source: Kusupati et al. 2018, arXiv 1901.02358, (2).

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
        rank: the rank of U = U1 U2, at least 1; None for a full matrix. For a W of low rank put a
            `torch.nn.Linear(I, rank, bias=False)` before the layer, whose `input_size` is then that rank.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    rank: int | None

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
        rank: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class GRUD(Recurrent):
    """GRU-D, for series with missing values: a missing value decays from the last observed one to the mean; the state decays too.

    It has two extras, `(T, B, I)` each: `mask`, 1 for an observed value and 0 for a missing one, and `dt`, the time since that
    variable was last observed. Input values with `mask` 0 have no effect, but must be finite numbers. `mean_l0` is the mean of each
    variable: copy it there before training; it is not learned, and is zero at first. As the extras are as wide as the input,
    `num_layers` must be 1 unless `input_size` is `hidden_size`.

    Source: Che et al. 2018, arXiv 1606.01865, (11) to (16), Recurrent neural networks for multivariate time series with missing
    values. The authors' code (PeterChe1990/GRU-D) has inputs of mean zero, gives the gates 1 - m instead of m, and computes
    h' = z h + (1 - z) n with the h before its decay. Its decay weights start at zero, where max(0, .) has no slope; here those of
    the input start in [0, 1], and those of the state in [0, 0.1].

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
        **options: see `LayerOptions`.

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

class HGRN(Recurrent):
    """Hierarchically gated network: c' = f exp(i theta) c + (1 - f) silu(z), of complex c and z, with f >= lower_bound.

    f = lower_bound + (1 - lower_bound) sigmoid(W_f x + b_f), and theta is learned, one number a unit. In the output
    h' = P (p re) + Q (q im) the gates p and q, silu of W x + b, scale real and imaginary part. The cell is the paper's HGRU without
    two parts: the layer norm of the output (between c' and the gates in the authors' code, after the gates in their description),
    and the bias of the output product. The GLU of the paper is a separate layer.

    The paper learns a bound for every layer, by a cumulative softmax over the layers: 0 in the lowest, near 1 in the highest. Here
    it is one number for all layers of a stack; for another number in each layer, stack layers with `num_layers=1`.

    Source: Qin et al. 2023, arXiv 2311.04823, section 3. The recurrence is in the caption of figure 1; the whole cell is in the
    authors' description of the algorithm (OpenNLPLab/HGRN), whose g is p and q here, and whose W_o is P and Q.

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
        lower_bound: the lower bound of the forget gate f, in [0, 1).
        real: use no complex numbers: c' = f c + (1 - f) silu(z) and h' = silu(p) c', the ablation of the paper; P and the layer
            norm are separate layers.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    lower_bound: float
    real: bool

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
        *,
        lower_bound: float = 0.0,
        real: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class IndRNN(Recurrent):
    """Independently recurrent network: h' = relu(W x + u h + b), with one recurrent weight u a unit.

    Only the layer above combines units, so stack several layers. u starts in [0, 1], as in the authors' code. The paper bounds |u|
    by 2^(1/T) for sequences of T steps, so that nothing explodes, and the code clips u after every update:
    `layer.u_l0.data.clamp_(-2 ** (1 / T), 2 ** (1 / T))`. In the last layer, if only its last step is used, the code starts u
    between 0.5^(1/T) and 2^(1/T).

    Source: Li et al. 2018, arXiv 1803.04831, (2).

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
        nonlinearity: "relu" or "tanh".
        **options: see `LayerOptions`.

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
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        nonlinearity: str = "relu",
        **options: Unpack[LayerOptions],
    ) -> None: ...

class JANET(Recurrent):
    """Just another network: h' = sigmoid(s) h + (1 - sigmoid(s - beta)) tanh(W_c x + U_c h + b_c), s = W_f x + U_f h + b_f.

    The authors start b_f by chrono initialisation. Their code had beta = 1 from the beginning, the paper only since an update.

    Source: van der Westhuizen & Lasenby 2018, arXiv 1804.04849.

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
        beta: a finite number; at 0 the cell writes as much as it forgets, above 0 more.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
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

class LEM(Recurrent):
    """Long expressive memory: z' = (1 - a) z + a tanh(W_z y + V_z x + b_z); y' = (1 - b) y + b tanh(W_y z' + V_y x + b_y).

    The time steps a = dt sigmoid(W_a y + V_a x + b_a) and b, likewise, are the paper's Delta t and Delta t bar. The output is y.
    All parameters start in [-1, 1] / sqrt(H), as torch's and the authors' do.

    Source: Rusch et al. 2022, arXiv 2110.04744, (3).

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
        dt: the longest time step, above 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    dt: float

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
        *,
        dt: float = 1.0,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class LMU(Recurrent):
    """Legendre memory unit: u = e_x x + e_h h + e_m m; m' = A m + B u; h' = tanh(W_x x + W_h h + W_m m' + b).

    u is one number, and m has the Legendre coefficients of the last theta steps of u. A and B are not learned. As in the authors'
    code, e_x and e_h start as LeCun's uniform, e_m at 0, and the matrices as Glorot's normal. b, which the paper does not have,
    starts at 0.

    Source: Voelker et al. 2019, Legendre Memory Units, NeurIPS, (1) to (7).

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
        order: how many coefficients m has, at least 1.
        theta: the length of the window, in steps, above 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    order: int
    theta: float

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
        *,
        order: int = 32,
        theta: float = 100.0,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class LRU(Recurrent):
    """Linear recurrent unit: x' = lambda x + exp(gamma) B u; y' = Re(C x') + D u, of complex x, lambda, B and C.

    lambda = exp(-exp(nu) + i exp(theta)), one number a unit. `ring` holds nu, theta and gamma one after the other; `weight_ih` has
    the rows of B's real part, of B's imaginary part, and of D. lambda starts uniform on the ring between r_min and r_max, gamma at
    log sqrt(1 - |lambda|^2).

    The cell is the paper's LRU. The other parts of the paper's block are separate layers: the normalisation before the LRU, and the
    nonlinearity, gated linear unit and dropout after it; its skip connection is `connection="residual"`. D is a full matrix, so
    that I and H may differ, while the paper's is diagonal; B u has a bias, which starts at 0.

    Source: Orvieto et al. 2023, arXiv 2303.06349, (7), with lambda as in section 3.3; appendix A.

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
        r_min: the least magnitude of lambda at the start, in [0, 1), below r_max.
        r_max: the largest magnitude at the start, in (0, 1]; near 1 for long memories.
        max_phase: the largest angle of lambda at the start, in radians, above 0; a tenth of a turn or less for long sequences.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    r_min: float
    r_max: float
    max_phase: float

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
        *,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 6.283185307179586,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class LTC(Recurrent):
    """The liquid time-constant network: dh/dt = -(1 / tau + f) h + f A, with f = sigmoid(W x + U h + b).

    The fused solver of the paper takes `unfolds` steps of dt / unfolds each: h = (h + dt f A) / (1 + dt (1 / tau + f)). The extra
    `dt`, `(T, B)`, is the time since the step before: ones if all steps are equally long. tau is positive; its logarithm is
    learned, starting at tau = 1.

    Source: Hasani et al. 2021, arXiv 2006.04439, (1), and (3) with algorithm 1. The paper leaves the nonlinearity of f open; its
    example is tanh. The authors' code (raminmh/liquid_time_constant_networks, mlech26l/ncps) has another f: every pair of units has
    a synapse w sigmoid(sigma (v - mu)) with its own reversal potential in place of A; a unit adds up its synapses, most of which a
    wiring may leave out. Here a unit has one f and one A.

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
        unfolds: the number of steps of the solver, at least 1; the authors use 6.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    unfolds: int

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
        unfolds: int = 6,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class LiGRU(Recurrent):
    """The light GRU: h' = z h + (1 - z) relu(W_h x + U_h h + b_h), z = sigmoid(W_z x + U_z h + b_z).

    The paper normalises W_z x and W_h x over the batch, which keeps its rectified units stable. Here `layer_norm=True` does that:
    it needs no batch and normalises U h too. U_z and U_h start orthogonal, as in the paper.

    Source: Ravanelli et al. 2018, arXiv 1803.10225, Light gated recurrent units for speech recognition.

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class MGU(Recurrent):
    """The minimal gated unit: h' = (1 - f) h + f tanh(W_h x + U_h (f h) + b_h), f = sigmoid(W_f x + U_f h + b_f).

    An open f writes, though it is called the forget gate: that is the paper's sign; some libraries have the opposite (Flax).

    Sources: Zhou et al. 2016, arXiv 1603.09420; its forms MGU1 to MGU3: Heck & Salem 2017, arXiv 1701.03452.

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
        variant: 0 for the unit itself; 1, 2 and 3 for f = sigmoid(U_f h + b_f), f = sigmoid(U_f h) and f = sigmoid(b_f). In the
            last two f is not a gate of the layer, so that `forget_bias` and chrono initialisation cannot act on it.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    variant: int

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
        variant: int = 0,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class MLSTM(Recurrent):
    """The mLSTM of xLSTM, whose memory is a matrix for each of `num_heads`: C' = f C + i v k^T, read as sigmoid(o) C' q.

    All its gates depend on the input only: there is no `weight_hh`. The states are h, C `(N, d, d)`, n `(N, d)` and m `(N,)`, for N
    heads of d = H / N units. The compiler does not support matrices as states, so the cell runs in plain PyTorch, step by step.

    Source: Beck et al. 2024, arXiv 2405.04517, (19) to (27); (26) allows sigmoid or exp for the forget gate, and this is sigmoid.
    It is the recurrence only: the authors' block (NX-AI/xlstm) has a convolution before q and k and a normalisation of each head
    after the memory; its i and f read q, k and v instead of x, and it adds eps = 1e-6 to the divisor. As in their code, i and f
    start with weights of zero, f with biases from 3 to 6 over the heads.

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
        **options: see `LayerOptions`.

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

class MUT1(Recurrent):
    """The first mutant: h' = (1 - z) h + z tanh(U_h (r h) + tanh(W_h x) + b_h), with z = sigmoid(W_z x + b_z), r of x and h.

    The paper has tanh(x), as its inputs have the width of the state; W_h allows any width. `layer_norm` leaves W_h x as it is.
    In the `state_dict` the rows of z are W_z in `weight_ih` and U_h in `weight_hh`.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class MUT2(Recurrent):
    """The second mutant: h' = (1 - z) h + z tanh(W_h x + U_h (r h) + b_h), with z and r of x and h.

    The paper has r = sigmoid(x + U_r h + b_r), as its inputs have the width of the state; W_r allows any width, and makes this a
    GRU with the reset before the product. W_r is initialised as in a GRU; set it to the identity for the paper's form.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class MUT3(Recurrent):
    """The third mutant: h' = (1 - z) h + z tanh(W_h x + U_h (r h) + b_h), z = sigmoid(W_z x + U_z tanh(h) + b_z), r of x and h.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class MinimalRNN(Recurrent):
    """MinimalRNN: h' = u h + (1 - u) z, with z = tanh(W x + b_z) and u = sigmoid(U_h h + U_z z + b_u).

    `weight_hh` has U_h in the rows of u and U_z in those of z. z is the paper's map of the input, in the form that the paper
    studies: one layer with tanh.

    Source: Chen 2017, arXiv 1711.06788, MinimalRNN: toward more interpretable and trainable recurrent neural networks.

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class MogrifierLSTM(Recurrent):
    """The Mogrifier LSTM: input and state gate each other, x = 2 sigmoid(Q h) x and h = 2 sigmoid(R x) h in turns, then an LSTM.

    Source: Melis, Kocisky & Blunsom 2020, arXiv 1909.01792, (1) and (2). The authors' code adds a bias to each Q h and R x, and
    limits the input gate to at most 1 - f.

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
        rounds: the number of rounds of gating, each with its own matrix; the first gates the input. The authors use 5 or 6.
        rank: the rank of these matrices, each of which is then a product of two; 0 for full matrices.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    rounds: int
    rank: int

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
        *,
        rounds: int = 5,
        rank: int = 0,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class MultiplicativeLSTM(Recurrent):
    """The multiplicative LSTM, the older of two cells called mLSTM: the LSTM of x and m = (W_mx x) (W_mh h) in place of h.

    `forget_bias` is 1.0 by default, as in the authors' code for Chainer.

    Source: Krause, Lu, Murray & Renals 2016, arXiv 1609.07959, Multiplicative LSTM for sequence modelling, (18) to (22) in the
    numbering of its ICLR 2017 workshop version. (16) of that version is h' = tanh(o c'), as with `late_tanh`.

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
        late_tanh: c' = f c + i g and h' = tanh(o c'), as in the authors' code for MATLAB, which adds the bias of g inside that
            tanh; else c' = f c + i tanh(g) and h' = o tanh(c'), as in their code for Chainer.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    late_tanh: bool

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
        *,
        late_tanh: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class NAS(Recurrent):
    """The cell that neural architecture search has found: c' = tanh(tanh(a) + c) tanh(b); h' = tanh(c' tanh(tanh(d) + sigmoid(e))).

    With n_k = W_k x + U_k h + b_k, but for n_3 = (W_3 x + b_3) (U_3 h + b'_3): a = sigmoid(n_0) relu(n_1),
    b = sigmoid(n_2) + relu(n_3), d = tanh(n_4) sigmoid(n_5), e = tanh(n_6) + sigmoid(n_7).

    The paper draws the cell in figure 8, without equations; these are the equations of TensorFlow's `NASCell`
    (`tf.contrib.rnn.NASCell`). There biases are off by default (`bias=False` here), and are added to U h only.

    Source: Zoph & Le 2017, arXiv 1611.01578, Neural architecture search with reinforcement learning.

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
        **options: see `LayerOptions`.

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

class NBRC(Recurrent):
    """The neuromodulated bistable cell: as `BRC`, with a = 1 + tanh(W_a x + U_a h) and c = sigmoid(W_c x + U_c h).

    Weights start as in the authors' code, Xavier and biases at 0. `layer_norm` leaves W_h x as it is.

    Source: Vecoven, Ernst & Drion 2021 (2020), arXiv 2006.05252.

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class PeepholeLSTM(Recurrent):
    """The LSTM whose gates read its memory: i + w_ci c, f + w_cf c and o + w_co c', with one weight a unit, which starts at 0.

    It is `ostinato.LSTM(..., peephole=True)` under a name of its own, with the same `state_dict`.

    Source: Gers & Schmidhuber 2000, Recurrent Nets that Time and Count; the equations are those of Graves 2013, arXiv 1308.0850.

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
        **options: see `LayerOptions`.

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

class PhasedLSTM(Recurrent):
    """The phased LSTM, for events at any time: a unit is updated in one part of its period, and keeps its state in the rest.

    With the phase p = ((t - shift) mod period) / period: k = 2 p / ratio if p < ratio / 2, 2 - 2 p / ratio if p < ratio, else
    leak p. An LSTM with peepholes proposes c~ and h~, of which a share k is taken: h' = k h~ + (1 - k) h, c' likewise. The extra
    `t` is the time of each step, `(T, B)`, in a unit that fits the periods. As in the authors' code, which is for times of up to
    1000, periods start in U(10, 100) and shifts in U(0, 1000); for other times set them, `layer.period_l0.uniform_(1, 5)`. The
    ratio, 0.05, is not learned.

    Source: Neil, Pfeiffer & Liu 2016, arXiv 1610.09513, (1) to (10). In (4) o reads c'; in their code (dannyneil/public_plstm) it
    reads the proposed c~, as here, and the first author has said that (4) means c~. The code adds the shift to t, and its leak is
    zero in evaluation: for that, load the same `state_dict` with `leak=0.0`. Its peepholes start in N(0, 0.1), and its forget gate
    at 2, as here.

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
        leak: the openness k in the closed phase is leak p; above 0 it lets gradients pass.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    leak: float

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
        *,
        leak: float = 0.001,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class QRNN(Recurrent):
    """Quasi-recurrent network: c' = f c + (1 - f) z; h' = o c', with z = tanh(W_z x_t + V_z x_{t-1} + b_z), f and o likewise.

    The gates depend on the input only: there is no `weight_hh`. The authors' code writes 1 - f for the paper's f, and masks it for
    zoneout. The states of a layer also have V x_{t-1} of every gate, so that a sequence can be continued in another call.

    Source: Bradbury et al. 2017, arXiv 1611.01576, (2) to (5).

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
        pooling: "f", h' = f h + (1 - f) z; "fo"; or "ifo", c' = f c + w z (the paper's i).
        window: the number of time steps whose inputs the gates read, 1 or 2, as in the authors' code.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    pooling: str
    window: int

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
        *,
        pooling: str = "fo",
        window: int = 2,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class RAN(Recurrent):
    """The recurrent additive network: c' = i W_c x + f c; h' = tanh(c'), with gates i and f of x and h.

    `layer_norm` leaves the content W_c x as it is.

    Source: Lee, Levy & Zettlemoyer 2017, arXiv 1705.07393, Recurrent additive networks, (1).

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
        linear: h' = c', the paper's other choice of the output.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    linear: bool

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
        *,
        linear: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class RGLRU(Recurrent):
    """Real-gated linear recurrent unit: h' = a h + sqrt(1 - a^2) (i v), with a = sigmoid(Lambda)^(8 r), gates r and i.

    r, i and v are W x + b each. In Griffin's block a linear layer and a convolution over four steps make v first, and the gates are
    made from v with block-diagonal matrices. Here all three are made from x, which without the convolution is the same but for the
    matrices. The block's convolution, its gated second branch and its last layer are separate layers. An open r forgets, so
    `forget_bias` closes it.

    Lambda starts so that a, for a fully open r, is uniform in [0.9, 0.999], as the paper says; in the authors' code the square of
    sigmoid(Lambda) itself is uniform between the squares of these numbers. Their code also writes i v unscaled in the first step of
    a sequence, and bounds the gradient of the root.

    Source: De et al. 2024, arXiv 2402.19427, (1) to (4).

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class SCRN(Recurrent):
    """The structurally constrained network: s' = (1 - alpha) B x + alpha s; h' = sigmoid(P s' + A x + R h).

    The output is h'. The paper's next layer also reads s', y = f(U h' + V s'): `return_states=True` gives both. The paper has no
    bias (`bias=False` here). In the authors' code (`facebookarchive/SCRNNs`) h' depends on the slow units before the step, P s.

    Source: Mikolov et al. 2014, arXiv 1412.7753, Learning longer memory in recurrent neural networks, section 3.

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
        context: the number of slow units, at least 1.
        alpha: the share of their old value that slow units keep in a step, in [0, 1), the same for all.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    context: int
    alpha: float

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
        *,
        context: int = 40,
        alpha: float = 0.95,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class SLSTM(Recurrent):
    """The sLSTM of xLSTM: c' = f c + exp(i) tanh(z); n' = f n + exp(i); h' = sigmoid(o) c' / n', stabilised by m.

    `num_heads` gives it heads, which do not read each other's states. It is the recurrence only: the authors' block has a
    convolution, a normalisation of each head and a feed-forward part around it. As in their code, the recurrent matrix starts at
    zero, and the biases of f go from 5 down to -7 in each head. The options `zoneout` of c, n or m, `peephole` and `coupled_gates`
    are made for the LSTM: here they would act on numbers that the stabiliser has scaled, or on gates that are not sigmoids.

    Source: Beck et al. 2024, arXiv 2405.04517, (8) to (17). Of the two forget gates that (13) allows, sigmoid and exp, this is
    sigmoid, as in the authors' code.

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
        **options: see `LayerOptions`.

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

class SRU(Recurrent):
    """Simple recurrent unit: c' = f c + (1 - f) W_z x; h' = r c' + (1 - r) W_x x, gates f and r of x and, unit by unit, of c.

    There is no `weight_hh`. W_x is the fourth matrix that the authors' code has if I and H differ; if they are equal, their code
    and the paper use x itself, times sqrt(3). W_z x and W_x x have biases here; all biases start at 0. As in the authors' code,
    weights start with variance 1 / I, those of f and r with half of it, W_x with three times 1 / I, and v_f and v_r with variance
    1/2.

    Source: Lei et al. 2018, arXiv 1709.02755, (1) to (4).

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
        skip: whether the input is added to h'; without it, h' = r c'.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    skip: bool

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
        *,
        skip: bool = True,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class STAR(Recurrent):
    """The stackable recurrent cell: h' = tanh((1 - k) h + k z), k = sigmoid(W_k x + U_k h + b_k), z = tanh(W_z x + b_z).

    Matrices start orthogonal, as in the authors' code, which also starts b_k by chrono initialisation (`init="chrono(784)"`; an
    open gate of theirs keeps, an open k here writes). `layer_norm` and `bias=False` leave W_z x + b_z as it is.

    Source: Turkoglu et al. 2021 (2019), arXiv 1911.11033, Gating revisited: deep multi-layer RNNs that can be trained, figure 3.
    The authors' convolutional code (0zgur0/multi-stage-convSTAR-network) has no outer tanh and a gate that keeps, whose bias starts
    at 1: h' = k h + (1 - k) z.

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
        as_run: compute what the authors' code computes, h' = tanh((1 - sigmoid(a)) h + sigmoid(a + 1) z), with
            a = W_k x + U_k h + b_k; like JANET it writes more than it forgets.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    as_run: bool

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
        as_run: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class UGRNN(Recurrent):
    """The update gate RNN: h' = g h + (1 - g) tanh(W_c x + U_c h + b_c), g = sigmoid(W_g x + U_g h + b_g).

    `forget_bias` is 1.0 by default. The paper adds a constant to b_g and finds it by a search; it is 1 in the authors' code in
    TensorFlow (`tf.contrib.rnn.UGRNNCell`). Here b_g starts at that constant. The paper also chooses the nonlinearity, tanh or
    ReLU, by a search; this is tanh. The paper learns the first state, as `initial_state="learned"` does.

    Source: Collins, Sohl-Dickstein & Sussillo 2017, arXiv 1611.09913, Capacity and trainability in recurrent neural networks,
    (2) to (4).

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
        **options: see `LayerOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class UnICORNN(Recurrent):
    """Undamped independent controlled oscillators: z' = z - e (tanh(w y + V x + b) + alpha y); y' = y + e z', e = dt sigmoid(c).

    w and c are one number a unit, so only the layer above combines units: stack several layers. The output is y. As in the authors'
    code, w starts in [0, 1], c in [-0.1, 0.1], V as `torch.nn.init.kaiming_uniform_(a=8)`, and b at 0; their code allows another dt
    in every layer.

    Source: Rusch & Mishra 2021, arXiv 2103.05487, section 2. The default numbers are the authors' for permuted MNIST.

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
        dt: the longest step, above 0.
        alpha: the strength that pulls y back to 0, at least 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option, or its step and its description disagree.
    """

    dt: float
    alpha: float

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
        *,
        dt: float = 0.19,
        alpha: float = 30.65,
        **options: Unpack[LayerOptions],
    ) -> None: ...

class ATRCell(Step):
    """One step of `ATR`.

    The addition-subtraction twin-gated network: h' = sigmoid(p + q) p + sigmoid(p - q) h, with p = W x + b and q = U h + b'.

    The paper has p = W x and q = U h (`bias=False` here); the authors' code adds a bias to q only. The second gate is that of the
    code (bzhangGo/ATR), where the authors say that the paper misprints it; with the paper's gate the state explodes. Their
    translation system also offers 1 - sigmoid(p - q) as the first gate, which they found more stable.

    Source: Zhang et al. 2018, arXiv 1810.12546, Simplifying neural machine translation with addition-subtraction twin-gated
    recurrent networks.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class AntisymmetricRNNCell(Step):
    """One step of `AntisymmetricRNN`.

    Antisymmetric network: h' = h + epsilon tanh((W - W^T - gamma I) h + V x + b).

    W and V start normal, of variance one over their columns; biases at 0. `weight_hh` (`weight` if `gated`) is the full W, though
    the half above its diagonal would suffice.

    Source: Chang et al. 2019, arXiv 1902.09689, (12), or (13) if `gated`; (10) is (12) with `gamma=0.0`. The paper chooses epsilon,
    gamma and the variance of W by validation.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        gated: h' = h + epsilon z tanh(...), with a gate z that shares the matrix W and has its own V and b.
        epsilon: the length of a step, above 0.
        gamma: the strength of the diffusion, at least 0; it keeps Euler's method stable.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    gated: bool
    epsilon: float
    gamma: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        gated: bool = False,
        epsilon: float = 0.01,
        gamma: float = 0.01,
        **options: Unpack[StepOptions],
    ) -> None: ...

class BRCCell(Step):
    """One step of `BRC`.

    The bistable cell: h' = c h + (1 - c) tanh(W_h x + a h), a = 1 + tanh(W_a x + w_a h), c = sigmoid(W_c x + w_c h).

    Each unit reads its own state only: w_a and w_c are vectors, and there is no `weight_hh`. A unit with a above 1 is bistable.
    Weights start as in the authors' code: Xavier, w_a and w_c at 1. Their code adds biases to a and c, which the paper leaves out;
    here W_h x has a bias too, and all biases start at 0.

    Source: Vecoven, Ernst & Drion 2021 (2020), arXiv 2006.05252, A bio-inspired bistable recurrent cell allows for long-lasting
    memory.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class CFNCell(Step):
    """One step of `CFN`.

    The chaos free network: h' = theta tanh(h) + eta tanh(W_c x), with sigmoid gates theta and eta of x and h.

    As in the paper, weights start uniform in +-0.07, the biases of theta at 1 and those of eta at -1. `layer_norm` leaves W_c x as
    it is.

    Source: Laurent & von Brecht 2017 (2016), arXiv 1612.06212, A recurrent neural network without chaos, (1) and (2).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class CfCCell(Step):
    """One step of `CfC`.

    The closed-form continuous-time network: h' = (1 - t) f + t g, with the time gate t = sigmoid(a dt + b).

    f and g are tanh of a linear map, a and b are linear, all of a backbone z = 1.7159 tanh(0.666 (W x + U h + b)). The extra `dt`,
    `(T, B)`, is the time since the step before: ones if all steps are equally long. The authors initialise with `init="xavier"`,
    which is best here too.

    Source: Hasani et al. 2022, arXiv 2106.13898v2, (10). It follows the authors' code (raminmh/CfC, mlech26l/ncps), where
    sigmoid(a dt + b) is the share of g, while the paper writes sigmoid(-f t) as the share of the other term; a backbone of several
    layers is not supported. "pure" is (9) with -A for its B, and f(x) for its f(-x), as in their code. There w_tau starts at zero,
    where |w_tau| has no slope; here it starts in [0, 0.1].

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        mode: "default"; "no_gate" for h' = f + t g; "pure" for h' = A - A exp(-dt (|w_tau| + |f|)) f, the solution itself.
        backbone: the width of the backbone for each hidden unit, which has `backbone * hidden_size` units; 0 for none: f, g, a and
            b are then made directly from linear maps of x and h.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    mode: str
    backbone: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        mode: str = "default",
        backbone: int = 1,
        **options: Unpack[StepOptions],
    ) -> None: ...

class CoRNNCell(Step):
    """One step of `CoRNN`.

    Coupled oscillators: z' = z + dt (tanh(W y + W_z z + V x + b) - gamma y - epsilon z); y' = y + dt z'.

    W and W_z are the rows of `weight_hh`. The output is y.

    Source: Rusch & Mishra 2021, arXiv 2010.00951, (3), which has both forms of the damping; the authors' code has the explicit one.
    The default numbers are the authors' for sequential MNIST.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        dt: the length of a step, above 0.
        gamma: the strength that pulls y back to 0.
        epsilon: the strength of the damping of z.
        implicit: use epsilon z', with the new z', as damping; it is stable for every dt.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    dt: float
    gamma: float
    epsilon: float
    implicit: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        dt: float = 0.042,
        gamma: float = 2.7,
        epsilon: float = 4.7,
        implicit: bool = False,
        **options: Unpack[StepOptions],
    ) -> None: ...

class ES2NCell(Step):
    """One step of `ES2N`.

    Echo state network at the edge of stability: h' = beta tanh(W x + U h + b) + (1 - beta) O h. Nothing of it is learned.

    O starts orthogonal, W and b uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; put a
    learned layer behind this one. An `init` other than "torch" does not use these scales.

    Source: Ceni & Gallicchio 2023, arXiv 2308.02902, Edge of stability echo state networks, (5). The paper has no b (`bias=False`
    here). Its U is normal, of variance one over its columns, times a number that is close to the spectral radius of the result.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        beta: the share of the tanh, in (0, 1]; the rest of the state is rotated by O and kept.
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0.
        input_scaling: the largest magnitude of input weights and biases, at least 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    beta: float
    spectral_radius: float
    input_scaling: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        beta: float = 0.1,
        spectral_radius: float = 0.9,
        input_scaling: float = 1.0,
        **options: Unpack[StepOptions],
    ) -> None: ...

class ESNCell(Step):
    """One step of `ESN`.

    Echo state network of leaky units: h' = (1 - leak) h + leak tanh(W x + U h + b). Nothing of it is learned.

    W and b start uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; put a learned layer
    behind this one. An `init` other than "torch" does not use these scales.

    Source: Jaeger, Lukosevicius, Popovici & Siewert 2007, Optimization and applications of echo state networks with
    leaky-integrator neurons, Neural Networks 20; Jaeger 2001. The equation is (1) of Ceni & Gallicchio 2023, arXiv 2308.02902, who
    have no b (`bias=False` here).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        leak: the share of the state that is new in a step, in (0, 1].
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0; that of (1 - leak) I + leak U is near it.
        input_scaling: the largest magnitude of input weights and biases, at least 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    leak: float
    spectral_radius: float
    input_scaling: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        leak: float = 1.0,
        spectral_radius: float = 0.9,
        input_scaling: float = 1.0,
        **options: Unpack[StepOptions],
    ) -> None: ...

class FastGRNNCell(Step):
    """One step of `FastGRNN`.

    A gated network with the matrices of an ungated one: h' = (zeta (1 - z) + nu) tanh(v + b_h) + z h, z = sigmoid(v + b_z).

    v = W x + U h is used in both places. b_h is `bias_ih` + `bias_hh`, and b_z is b_h + `bias_z`. zeta and nu are the sigmoids of
    two learned numbers a layer, which start at 1 and -4; b_h and b_z start at 1. All are as in the authors' code.

    Source: Kusupati et al. 2018, arXiv 1901.02358, (6); a low rank, (7).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        rank: the rank of U = U1 U2, at least 1; None for a full matrix. For a W of low rank put a
            `torch.nn.Linear(I, rank, bias=False)` before the layer, whose `input_size` is then that rank.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    rank: int | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        rank: int | None = None,
        **options: Unpack[StepOptions],
    ) -> None: ...

class FastRNNCell(Step):
    """One step of `FastRNN`.

    A network with a weighted residual connection: h' = alpha tanh(W x + U h + b) + beta h.

    alpha and beta are the sigmoids of two learned numbers a layer, which start at -3 and 3, as in the authors' code.

    Source: Kusupati et al. 2018, arXiv 1901.02358, (2).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        rank: the rank of U = U1 U2, at least 1; None for a full matrix. For a W of low rank put a
            `torch.nn.Linear(I, rank, bias=False)` before the layer, whose `input_size` is then that rank.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    rank: int | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        rank: int | None = None,
        **options: Unpack[StepOptions],
    ) -> None: ...

class GRUDCell(Step):
    """One step of `GRUD`.

    GRU-D, for series with missing values: a missing value decays from the last observed one to the mean; the state decays too.

    It has two extras, `(T, B, I)` each: `mask`, 1 for an observed value and 0 for a missing one, and `dt`, the time since that
    variable was last observed. Input values with `mask` 0 have no effect, but must be finite numbers. `mean_l0` is the mean of each
    variable: copy it there before training; it is not learned, and is zero at first. As the extras are as wide as the input,
    `num_layers` must be 1 unless `input_size` is `hidden_size`.

    Source: Che et al. 2018, arXiv 1606.01865, (11) to (16), Recurrent neural networks for multivariate time series with missing
    values. The authors' code (PeterChe1990/GRU-D) has inputs of mean zero, gives the gates 1 - m instead of m, and computes
    h' = z h + (1 - z) n with the h before its decay. Its decay weights start at zero, where max(0, .) has no slope; here those of
    the input start in [0, 1], and those of the state in [0, 0.1].

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class HGRNCell(Step):
    """One step of `HGRN`.

    Hierarchically gated network: c' = f exp(i theta) c + (1 - f) silu(z), of complex c and z, with f >= lower_bound.

    f = lower_bound + (1 - lower_bound) sigmoid(W_f x + b_f), and theta is learned, one number a unit. In the output
    h' = P (p re) + Q (q im) the gates p and q, silu of W x + b, scale real and imaginary part. The cell is the paper's HGRU without
    two parts: the layer norm of the output (between c' and the gates in the authors' code, after the gates in their description),
    and the bias of the output product. The GLU of the paper is a separate layer.

    The paper learns a bound for every layer, by a cumulative softmax over the layers: 0 in the lowest, near 1 in the highest. Here
    it is one number for all layers of a stack; for another number in each layer, stack layers with `num_layers=1`.

    Source: Qin et al. 2023, arXiv 2311.04823, section 3. The recurrence is in the caption of figure 1; the whole cell is in the
    authors' description of the algorithm (OpenNLPLab/HGRN), whose g is p and q here, and whose W_o is P and Q.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        lower_bound: the lower bound of the forget gate f, in [0, 1).
        real: use no complex numbers: c' = f c + (1 - f) silu(z) and h' = silu(p) c', the ablation of the paper; P and the layer
            norm are separate layers.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    lower_bound: float
    real: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        lower_bound: float = 0.0,
        real: bool = False,
        **options: Unpack[StepOptions],
    ) -> None: ...

class IndRNNCell(Step):
    """One step of `IndRNN`.

    Independently recurrent network: h' = relu(W x + u h + b), with one recurrent weight u a unit.

    Only the layer above combines units, so stack several layers. u starts in [0, 1], as in the authors' code. The paper bounds |u|
    by 2^(1/T) for sequences of T steps, so that nothing explodes, and the code clips u after every update:
    `layer.u_l0.data.clamp_(-2 ** (1 / T), 2 ** (1 / T))`. In the last layer, if only its last step is used, the code starts u
    between 0.5^(1/T) and 2^(1/T).

    Source: Li et al. 2018, arXiv 1803.04831, (2).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        nonlinearity: "relu" or "tanh".
        **options: see `StepOptions`.

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
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        nonlinearity: str = "relu",
        **options: Unpack[StepOptions],
    ) -> None: ...

class JANETCell(Step):
    """One step of `JANET`.

    Just another network: h' = sigmoid(s) h + (1 - sigmoid(s - beta)) tanh(W_c x + U_c h + b_c), s = W_f x + U_f h + b_f.

    The authors start b_f by chrono initialisation. Their code had beta = 1 from the beginning, the paper only since an update.

    Source: van der Westhuizen & Lasenby 2018, arXiv 1804.04849.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        beta: a finite number; at 0 the cell writes as much as it forgets, above 0 more.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
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

class LEMCell(Step):
    """One step of `LEM`.

    Long expressive memory: z' = (1 - a) z + a tanh(W_z y + V_z x + b_z); y' = (1 - b) y + b tanh(W_y z' + V_y x + b_y).

    The time steps a = dt sigmoid(W_a y + V_a x + b_a) and b, likewise, are the paper's Delta t and Delta t bar. The output is y.
    All parameters start in [-1, 1] / sqrt(H), as torch's and the authors' do.

    Source: Rusch et al. 2022, arXiv 2110.04744, (3).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        dt: the longest time step, above 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    dt: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        dt: float = 1.0,
        **options: Unpack[StepOptions],
    ) -> None: ...

class LMUCell(Step):
    """One step of `LMU`.

    Legendre memory unit: u = e_x x + e_h h + e_m m; m' = A m + B u; h' = tanh(W_x x + W_h h + W_m m' + b).

    u is one number, and m has the Legendre coefficients of the last theta steps of u. A and B are not learned. As in the authors'
    code, e_x and e_h start as LeCun's uniform, e_m at 0, and the matrices as Glorot's normal. b, which the paper does not have,
    starts at 0.

    Source: Voelker et al. 2019, Legendre Memory Units, NeurIPS, (1) to (7).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        order: how many coefficients m has, at least 1.
        theta: the length of the window, in steps, above 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    order: int
    theta: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        order: int = 32,
        theta: float = 100.0,
        **options: Unpack[StepOptions],
    ) -> None: ...

class LRUCell(Step):
    """One step of `LRU`.

    Linear recurrent unit: x' = lambda x + exp(gamma) B u; y' = Re(C x') + D u, of complex x, lambda, B and C.

    lambda = exp(-exp(nu) + i exp(theta)), one number a unit. `ring` holds nu, theta and gamma one after the other; `weight_ih` has
    the rows of B's real part, of B's imaginary part, and of D. lambda starts uniform on the ring between r_min and r_max, gamma at
    log sqrt(1 - |lambda|^2).

    The cell is the paper's LRU. The other parts of the paper's block are separate layers: the normalisation before the LRU, and the
    nonlinearity, gated linear unit and dropout after it; its skip connection is `connection="residual"`. D is a full matrix, so
    that I and H may differ, while the paper's is diagonal; B u has a bias, which starts at 0.

    Source: Orvieto et al. 2023, arXiv 2303.06349, (7), with lambda as in section 3.3; appendix A.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        r_min: the least magnitude of lambda at the start, in [0, 1), below r_max.
        r_max: the largest magnitude at the start, in (0, 1]; near 1 for long memories.
        max_phase: the largest angle of lambda at the start, in radians, above 0; a tenth of a turn or less for long sequences.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    r_min: float
    r_max: float
    max_phase: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 6.283185307179586,
        **options: Unpack[StepOptions],
    ) -> None: ...

class LTCCell(Step):
    """One step of `LTC`.

    The liquid time-constant network: dh/dt = -(1 / tau + f) h + f A, with f = sigmoid(W x + U h + b).

    The fused solver of the paper takes `unfolds` steps of dt / unfolds each: h = (h + dt f A) / (1 + dt (1 / tau + f)). The extra
    `dt`, `(T, B)`, is the time since the step before: ones if all steps are equally long. tau is positive; its logarithm is
    learned, starting at tau = 1.

    Source: Hasani et al. 2021, arXiv 2006.04439, (1), and (3) with algorithm 1. The paper leaves the nonlinearity of f open; its
    example is tanh. The authors' code (raminmh/liquid_time_constant_networks, mlech26l/ncps) has another f: every pair of units has
    a synapse w sigmoid(sigma (v - mu)) with its own reversal potential in place of A; a unit adds up its synapses, most of which a
    wiring may leave out. Here a unit has one f and one A.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        unfolds: the number of steps of the solver, at least 1; the authors use 6.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    unfolds: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        unfolds: int = 6,
        **options: Unpack[StepOptions],
    ) -> None: ...

class LiGRUCell(Step):
    """One step of `LiGRU`.

    The light GRU: h' = z h + (1 - z) relu(W_h x + U_h h + b_h), z = sigmoid(W_z x + U_z h + b_z).

    The paper normalises W_z x and W_h x over the batch, which keeps its rectified units stable. Here `layer_norm=True` does that:
    it needs no batch and normalises U h too. U_z and U_h start orthogonal, as in the paper.

    Source: Ravanelli et al. 2018, arXiv 1803.10225, Light gated recurrent units for speech recognition.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class MGUCell(Step):
    """One step of `MGU`.

    The minimal gated unit: h' = (1 - f) h + f tanh(W_h x + U_h (f h) + b_h), f = sigmoid(W_f x + U_f h + b_f).

    An open f writes, though it is called the forget gate: that is the paper's sign; some libraries have the opposite (Flax).

    Sources: Zhou et al. 2016, arXiv 1603.09420; its forms MGU1 to MGU3: Heck & Salem 2017, arXiv 1701.03452.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        variant: 0 for the unit itself; 1, 2 and 3 for f = sigmoid(U_f h + b_f), f = sigmoid(U_f h) and f = sigmoid(b_f). In the
            last two f is not a gate of the layer, so that `forget_bias` and chrono initialisation cannot act on it.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    variant: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        variant: int = 0,
        **options: Unpack[StepOptions],
    ) -> None: ...

class MLSTMCell(Step):
    """One step of `MLSTM`.

    The mLSTM of xLSTM, whose memory is a matrix for each of `num_heads`: C' = f C + i v k^T, read as sigmoid(o) C' q.

    All its gates depend on the input only: there is no `weight_hh`. The states are h, C `(N, d, d)`, n `(N, d)` and m `(N,)`, for N
    heads of d = H / N units. The compiler does not support matrices as states, so the cell runs in plain PyTorch, step by step.

    Source: Beck et al. 2024, arXiv 2405.04517, (19) to (27); (26) allows sigmoid or exp for the forget gate, and this is sigmoid.
    It is the recurrence only: the authors' block (NX-AI/xlstm) has a convolution before q and k and a normalisation of each head
    after the memory; its i and f read q, k and v instead of x, and it adds eps = 1e-6 to the divisor. As in their code, i and f
    start with weights of zero, f with biases from 3 to 6 over the heads.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class MUT1Cell(Step):
    """One step of `MUT1`.

    The first mutant: h' = (1 - z) h + z tanh(U_h (r h) + tanh(W_h x) + b_h), with z = sigmoid(W_z x + b_z), r of x and h.

    The paper has tanh(x), as its inputs have the width of the state; W_h allows any width. `layer_norm` leaves W_h x as it is.
    In the `state_dict` the rows of z are W_z in `weight_ih` and U_h in `weight_hh`.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class MUT2Cell(Step):
    """One step of `MUT2`.

    The second mutant: h' = (1 - z) h + z tanh(W_h x + U_h (r h) + b_h), with z and r of x and h.

    The paper has r = sigmoid(x + U_r h + b_r), as its inputs have the width of the state; W_r allows any width, and makes this a
    GRU with the reset before the product. W_r is initialised as in a GRU; set it to the identity for the paper's form.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class MUT3Cell(Step):
    """One step of `MUT3`.

    The third mutant: h' = (1 - z) h + z tanh(W_h x + U_h (r h) + b_h), z = sigmoid(W_z x + U_z tanh(h) + b_z), r of x and h.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class MinimalRNNCell(Step):
    """One step of `MinimalRNN`.

    MinimalRNN: h' = u h + (1 - u) z, with z = tanh(W x + b_z) and u = sigmoid(U_h h + U_z z + b_u).

    `weight_hh` has U_h in the rows of u and U_z in those of z. z is the paper's map of the input, in the form that the paper
    studies: one layer with tanh.

    Source: Chen 2017, arXiv 1711.06788, MinimalRNN: toward more interpretable and trainable recurrent neural networks.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class MogrifierLSTMCell(Step):
    """One step of `MogrifierLSTM`.

    The Mogrifier LSTM: input and state gate each other, x = 2 sigmoid(Q h) x and h = 2 sigmoid(R x) h in turns, then an LSTM.

    Source: Melis, Kocisky & Blunsom 2020, arXiv 1909.01792, (1) and (2). The authors' code adds a bias to each Q h and R x, and
    limits the input gate to at most 1 - f.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        rounds: the number of rounds of gating, each with its own matrix; the first gates the input. The authors use 5 or 6.
        rank: the rank of these matrices, each of which is then a product of two; 0 for full matrices.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    rounds: int
    rank: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        rounds: int = 5,
        rank: int = 0,
        **options: Unpack[StepOptions],
    ) -> None: ...

class MultiplicativeLSTMCell(Step):
    """One step of `MultiplicativeLSTM`.

    The multiplicative LSTM, the older of two cells called mLSTM: the LSTM of x and m = (W_mx x) (W_mh h) in place of h.

    `forget_bias` is 1.0 by default, as in the authors' code for Chainer.

    Source: Krause, Lu, Murray & Renals 2016, arXiv 1609.07959, Multiplicative LSTM for sequence modelling, (18) to (22) in the
    numbering of its ICLR 2017 workshop version. (16) of that version is h' = tanh(o c'), as with `late_tanh`.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        late_tanh: c' = f c + i g and h' = tanh(o c'), as in the authors' code for MATLAB, which adds the bias of g inside that
            tanh; else c' = f c + i tanh(g) and h' = o tanh(c'), as in their code for Chainer.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    late_tanh: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        late_tanh: bool = False,
        **options: Unpack[StepOptions],
    ) -> None: ...

class NASCell(Step):
    """One step of `NAS`.

    The cell that neural architecture search has found: c' = tanh(tanh(a) + c) tanh(b); h' = tanh(c' tanh(tanh(d) + sigmoid(e))).

    With n_k = W_k x + U_k h + b_k, but for n_3 = (W_3 x + b_3) (U_3 h + b'_3): a = sigmoid(n_0) relu(n_1),
    b = sigmoid(n_2) + relu(n_3), d = tanh(n_4) sigmoid(n_5), e = tanh(n_6) + sigmoid(n_7).

    The paper draws the cell in figure 8, without equations; these are the equations of TensorFlow's `NASCell`
    (`tf.contrib.rnn.NASCell`). There biases are off by default (`bias=False` here), and are added to U h only.

    Source: Zoph & Le 2017, arXiv 1611.01578, Neural architecture search with reinforcement learning.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class NBRCCell(Step):
    """One step of `NBRC`.

    The neuromodulated bistable cell: as `BRC`, with a = 1 + tanh(W_a x + U_a h) and c = sigmoid(W_c x + U_c h).

    Weights start as in the authors' code, Xavier and biases at 0. `layer_norm` leaves W_h x as it is.

    Source: Vecoven, Ernst & Drion 2021 (2020), arXiv 2006.05252.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class PeepholeLSTMCell(Step):
    """One step of `PeepholeLSTM`.

    The LSTM whose gates read its memory: i + w_ci c, f + w_cf c and o + w_co c', with one weight a unit, which starts at 0.

    It is `ostinato.LSTM(..., peephole=True)` under a name of its own, with the same `state_dict`.

    Source: Gers & Schmidhuber 2000, Recurrent Nets that Time and Count; the equations are those of Graves 2013, arXiv 1308.0850.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class PhasedLSTMCell(Step):
    """One step of `PhasedLSTM`.

    The phased LSTM, for events at any time: a unit is updated in one part of its period, and keeps its state in the rest.

    With the phase p = ((t - shift) mod period) / period: k = 2 p / ratio if p < ratio / 2, 2 - 2 p / ratio if p < ratio, else
    leak p. An LSTM with peepholes proposes c~ and h~, of which a share k is taken: h' = k h~ + (1 - k) h, c' likewise. The extra
    `t` is the time of each step, `(T, B)`, in a unit that fits the periods. As in the authors' code, which is for times of up to
    1000, periods start in U(10, 100) and shifts in U(0, 1000); for other times set them, `layer.period_l0.uniform_(1, 5)`. The
    ratio, 0.05, is not learned.

    Source: Neil, Pfeiffer & Liu 2016, arXiv 1610.09513, (1) to (10). In (4) o reads c'; in their code (dannyneil/public_plstm) it
    reads the proposed c~, as here, and the first author has said that (4) means c~. The code adds the shift to t, and its leak is
    zero in evaluation: for that, load the same `state_dict` with `leak=0.0`. Its peepholes start in N(0, 0.1), and its forget gate
    at 2, as here.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        leak: the openness k in the closed phase is leak p; above 0 it lets gradients pass.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    leak: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        leak: float = 0.001,
        **options: Unpack[StepOptions],
    ) -> None: ...

class QRNNCell(Step):
    """One step of `QRNN`.

    Quasi-recurrent network: c' = f c + (1 - f) z; h' = o c', with z = tanh(W_z x_t + V_z x_{t-1} + b_z), f and o likewise.

    The gates depend on the input only: there is no `weight_hh`. The authors' code writes 1 - f for the paper's f, and masks it for
    zoneout. The states of a layer also have V x_{t-1} of every gate, so that a sequence can be continued in another call.

    Source: Bradbury et al. 2017, arXiv 1611.01576, (2) to (5).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        pooling: "f", h' = f h + (1 - f) z; "fo"; or "ifo", c' = f c + w z (the paper's i).
        window: the number of time steps whose inputs the gates read, 1 or 2, as in the authors' code.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    pooling: str
    window: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        pooling: str = "fo",
        window: int = 2,
        **options: Unpack[StepOptions],
    ) -> None: ...

class RANCell(Step):
    """One step of `RAN`.

    The recurrent additive network: c' = i W_c x + f c; h' = tanh(c'), with gates i and f of x and h.

    `layer_norm` leaves the content W_c x as it is.

    Source: Lee, Levy & Zettlemoyer 2017, arXiv 1705.07393, Recurrent additive networks, (1).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        linear: h' = c', the paper's other choice of the output.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    linear: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        linear: bool = False,
        **options: Unpack[StepOptions],
    ) -> None: ...

class RGLRUCell(Step):
    """One step of `RGLRU`.

    Real-gated linear recurrent unit: h' = a h + sqrt(1 - a^2) (i v), with a = sigmoid(Lambda)^(8 r), gates r and i.

    r, i and v are W x + b each. In Griffin's block a linear layer and a convolution over four steps make v first, and the gates are
    made from v with block-diagonal matrices. Here all three are made from x, which without the convolution is the same but for the
    matrices. The block's convolution, its gated second branch and its last layer are separate layers. An open r forgets, so
    `forget_bias` closes it.

    Lambda starts so that a, for a fully open r, is uniform in [0.9, 0.999], as the paper says; in the authors' code the square of
    sigmoid(Lambda) itself is uniform between the squares of these numbers. Their code also writes i v unscaled in the first step of
    a sequence, and bounds the gradient of the root.

    Source: De et al. 2024, arXiv 2402.19427, (1) to (4).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class SCRNCell(Step):
    """One step of `SCRN`.

    The structurally constrained network: s' = (1 - alpha) B x + alpha s; h' = sigmoid(P s' + A x + R h).

    The output is h'. The paper's next layer also reads s', y = f(U h' + V s'): `return_states=True` gives both. The paper has no
    bias (`bias=False` here). In the authors' code (`facebookarchive/SCRNNs`) h' depends on the slow units before the step, P s.

    Source: Mikolov et al. 2014, arXiv 1412.7753, Learning longer memory in recurrent neural networks, section 3.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        context: the number of slow units, at least 1.
        alpha: the share of their old value that slow units keep in a step, in [0, 1), the same for all.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    context: int
    alpha: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        context: int = 40,
        alpha: float = 0.95,
        **options: Unpack[StepOptions],
    ) -> None: ...

class SLSTMCell(Step):
    """One step of `SLSTM`.

    The sLSTM of xLSTM: c' = f c + exp(i) tanh(z); n' = f n + exp(i); h' = sigmoid(o) c' / n', stabilised by m.

    `num_heads` gives it heads, which do not read each other's states. It is the recurrence only: the authors' block has a
    convolution, a normalisation of each head and a feed-forward part around it. As in their code, the recurrent matrix starts at
    zero, and the biases of f go from 5 down to -7 in each head. The options `zoneout` of c, n or m, `peephole` and `coupled_gates`
    are made for the LSTM: here they would act on numbers that the stabiliser has scaled, or on gates that are not sigmoids.

    Source: Beck et al. 2024, arXiv 2405.04517, (8) to (17). Of the two forget gates that (13) allows, sigmoid and exp, this is
    sigmoid, as in the authors' code.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class SRUCell(Step):
    """One step of `SRU`.

    Simple recurrent unit: c' = f c + (1 - f) W_z x; h' = r c' + (1 - r) W_x x, gates f and r of x and, unit by unit, of c.

    There is no `weight_hh`. W_x is the fourth matrix that the authors' code has if I and H differ; if they are equal, their code
    and the paper use x itself, times sqrt(3). W_z x and W_x x have biases here; all biases start at 0. As in the authors' code,
    weights start with variance 1 / I, those of f and r with half of it, W_x with three times 1 / I, and v_f and v_r with variance
    1/2.

    Source: Lei et al. 2018, arXiv 1709.02755, (1) to (4).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        skip: whether the input is added to h'; without it, h' = r c'.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    skip: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        skip: bool = True,
        **options: Unpack[StepOptions],
    ) -> None: ...

class STARCell(Step):
    """One step of `STAR`.

    The stackable recurrent cell: h' = tanh((1 - k) h + k z), k = sigmoid(W_k x + U_k h + b_k), z = tanh(W_z x + b_z).

    Matrices start orthogonal, as in the authors' code, which also starts b_k by chrono initialisation (`init="chrono(784)"`; an
    open gate of theirs keeps, an open k here writes). `layer_norm` and `bias=False` leave W_z x + b_z as it is.

    Source: Turkoglu et al. 2021 (2019), arXiv 1911.11033, Gating revisited: deep multi-layer RNNs that can be trained, figure 3.
    The authors' convolutional code (0zgur0/multi-stage-convSTAR-network) has no outer tanh and a gate that keeps, whose bias starts
    at 1: h' = k h + (1 - k) z.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        as_run: compute what the authors' code computes, h' = tanh((1 - sigmoid(a)) h + sigmoid(a + 1) z), with
            a = W_k x + U_k h + b_k; like JANET it writes more than it forgets.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    as_run: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        as_run: bool = False,
        **options: Unpack[StepOptions],
    ) -> None: ...

class UGRNNCell(Step):
    """One step of `UGRNN`.

    The update gate RNN: h' = g h + (1 - g) tanh(W_c x + U_c h + b_c), g = sigmoid(W_g x + U_g h + b_g).

    `forget_bias` is 1.0 by default. The paper adds a constant to b_g and finds it by a search; it is 1 in the authors' code in
    TensorFlow (`tf.contrib.rnn.UGRNNCell`). Here b_g starts at that constant. The paper also chooses the nonlinearity, tanh or
    ReLU, by a search; this is tanh. The paper learns the first state, as `initial_state="learned"` does.

    Source: Collins, Sohl-Dickstein & Sussillo 2017, arXiv 1611.09913, Capacity and trainability in recurrent neural networks,
    (2) to (4).

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        **options: see `StepOptions`.

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

class UnICORNNCell(Step):
    """One step of `UnICORNN`.

    Undamped independent controlled oscillators: z' = z - e (tanh(w y + V x + b) + alpha y); y' = y + e z', e = dt sigmoid(c).

    w and c are one number a unit, so only the layer above combines units: stack several layers. The output is y. As in the authors'
    code, w starts in [0, 1], c in [-0.1, 0.1], V as `torch.nn.init.kaiming_uniform_(a=8)`, and b at 0; their code allows another dt
    in every layer.

    Source: Rusch & Mishra 2021, arXiv 2103.05487, section 2. The default numbers are the authors' for permuted MNIST.

    Args:
        input_size: `I`, the number of input features.
        hidden_size: `H`, the number of hidden units.
        bias: whether there are biases.
        device: the device of the parameters.
        dtype: the dtype of the parameters.
        dt: the longest step, above 0.
        alpha: the strength that pulls y back to 0, at least 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: an argument is bad; torch.nn raises the same.
        CellError: the cell cannot take an option.
    """

    dt: float
    alpha: float

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        dt: float = 0.19,
        alpha: float = 30.65,
        **options: Unpack[StepOptions],
    ) -> None: ...

__all__ = [
    "cell",
    "make",
    "names",
    "ATR",
    "AntisymmetricRNN",
    "BRC",
    "CFN",
    "CfC",
    "CoRNN",
    "ES2N",
    "ESN",
    "FastGRNN",
    "FastRNN",
    "GRUD",
    "HGRN",
    "IndRNN",
    "JANET",
    "LEM",
    "LMU",
    "LRU",
    "LTC",
    "LiGRU",
    "MGU",
    "MLSTM",
    "MUT1",
    "MUT2",
    "MUT3",
    "MinimalRNN",
    "MogrifierLSTM",
    "MultiplicativeLSTM",
    "NAS",
    "NBRC",
    "PeepholeLSTM",
    "PhasedLSTM",
    "QRNN",
    "RAN",
    "RGLRU",
    "SCRN",
    "SLSTM",
    "SRU",
    "STAR",
    "UGRNN",
    "UnICORNN",
    "ATRCell",
    "AntisymmetricRNNCell",
    "BRCCell",
    "CFNCell",
    "CfCCell",
    "CoRNNCell",
    "ES2NCell",
    "ESNCell",
    "FastGRNNCell",
    "FastRNNCell",
    "GRUDCell",
    "HGRNCell",
    "IndRNNCell",
    "JANETCell",
    "LEMCell",
    "LMUCell",
    "LRUCell",
    "LTCCell",
    "LiGRUCell",
    "MGUCell",
    "MLSTMCell",
    "MUT1Cell",
    "MUT2Cell",
    "MUT3Cell",
    "MinimalRNNCell",
    "MogrifierLSTMCell",
    "MultiplicativeLSTMCell",
    "NASCell",
    "NBRCCell",
    "PeepholeLSTMCell",
    "PhasedLSTMCell",
    "QRNNCell",
    "RANCell",
    "RGLRUCell",
    "SCRNCell",
    "SLSTMCell",
    "SRUCell",
    "STARCell",
    "UGRNNCell",
    "UnICORNNCell",
]
