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
        TypeError: an argument that it does not have.
    """

def layer_of(
    cell: CellName | Cell,
) -> Callable[..., Recurrent]:
    """What makes layers of a cell: the class that has its name, or `Recurrent` of it.

    Raises:
        ConfigError: there is no such cell.
    """

class ATR(Recurrent):
    """The addition-subtraction twin-gated network: h' = sigmoid(p + q) p + sigmoid(p - q) h, with p = W x + b and q = U h + b'.

    The paper has p = W x and q = U h (`bias=False` here); the authors' code adds a bias to q alone. The second gate is that of the
    code: in the paper it is misprinted, its authors say beside the code (bzhangGo/ATR), and a state that p - q does not hold back
    explodes. Their translation system can have 1 - sigmoid(p - q) for the first gate, which they found more stable.

    Source: Zhang et al. 2018, arXiv 1810.12546, Simplifying neural machine translation with addition-subtraction twin-gated
    recurrent networks.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    W and V start normal, of variance one over their columns; biases at 0. `weight_hh` (`weight` where it is gated) is W, of
    which the half above its diagonal would do.

    Source: Chang et al. 2019, arXiv 1902.09689, (12), and (13) where it is gated; (10) is (12) with `gamma=0.0`. The paper chooses
    epsilon, gamma and the variance of W by validation.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        gated: h' = h + epsilon z tanh(...), with a gate z that has the matrix W too, and its own V and b.
        epsilon: the length of a step, above 0.
        gamma: the strength of the diffusion, at least 0, which keeps Euler's method stable.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    Each unit sees its own state alone: w_a and w_c are vectors, and there is no `weight_hh`. A unit with a above 1 is bistable.
    Weights start as in the authors' code: Xavier, w_a and w_c at 1. Their code adds biases to a and c, which the paper leaves out;
    here W_h x has one too, and all start at 0.

    Source: Vecoven, Ernst & Drion 2021 (2020), arXiv 2006.05252, A bio-inspired bistable recurrent cell allows for long-lasting
    memory.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    f and g are tanh, a and b linear, of a backbone z = 1.7159 tanh(0.666 (W x + U h + b)). The extra `dt`, `(T, B)`, is the time
    that has gone by since the step before: ones where all are alike. Its weights start best with `init="xavier"`, as theirs do.

    Source: Hasani et al. 2022, arXiv 2106.13898v2, (10). It follows the authors' code (raminmh/CfC, mlech26l/ncps), where a dt + b
    has the sign of g's share, while the paper writes sigmoid(-f t) of the other one; a backbone of several layers is not here.
    "pure" is (9) with -A for its B, and f(x) for its f(-x), as in their code. There w_tau starts at zero, where |w_tau| has no
    slope; here it starts in [0, 0.1].

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        mode: "default"; "no_gate" for h' = f + t g; "pure" for h' = A - A exp(-dt (|w_tau| + |f|)) f, the solution itself.
        backbone: its width for each hidden unit, so that it has `backbone * hidden_size` units; 0 for none, where f, g, a and b
            are linear in x and h at once.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    Source: Rusch & Mishra 2021, arXiv 2010.00951, (3), which has both forms of the damping; the authors' code has the
    one that is not implicit. The three numbers are theirs for sequential MNIST.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        dt: the length of a step, above 0.
        gamma: how strongly y is drawn back.
        epsilon: how strongly z is damped.
        implicit: the damping is that of z', epsilon z', which is stable for every dt.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    O starts orthogonal, W and b uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; learn a
    layer behind. Another `init` than "torch" has no such scales.

    Source: Ceni & Gallicchio 2023, arXiv 2308.02902, Edge of stability echo state networks, (5). The paper has no b (`bias=False`
    here), and a normal U, of variance one over its columns, times the spectral radius, which is near that then.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        beta: how much goes through tanh, in (0, 1]; the rest turns and is kept.
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0.
        input_scaling: the largest weight of the input and largest bias, at least 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    W and b start uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; learn a layer behind.
    Another `init` than "torch" has no such scale.

    Source: Jaeger, Lukosevicius, Popovici & Siewert 2007, Optimization and applications of echo state networks with
    leaky-integrator neurons, Neural Networks 20; Jaeger 2001. The equation is (1) of Ceni & Gallicchio 2023, arXiv 2308.02902, who
    have no b (`bias=False` here).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        leak: how much is new in a step, in (0, 1].
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0; that of (1 - leak) I + leak U is near it.
        input_scaling: the largest weight of the input and largest bias, at least 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    v = W x + U h is one for both. b_h is `bias_ih` and `bias_hh`; `bias_z` is how far b_z is from b_h. zeta and nu are the
    sigmoids of two learned numbers a layer, which start at 1 and -4; like the biases, which start at 1, as in the authors' code.

    Source: Kusupati et al. 2018, arXiv 1901.02358, (6); a low rank, (7).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        rank: of U = U1 U2, at least 1; None for a full matrix. W of a low rank is a `torch.nn.Linear(I, rank, bias=False)` before
            the layer, whose input is then of width rank.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        rank: of U = U1 U2, at least 1; None for a full matrix. W of a low rank is a `torch.nn.Linear(I, rank, bias=False)` before
            the layer, whose input is then of width rank.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
    """GRU-D, for series with missing values: a value that is not there decays from the last one to the mean, and so does the state.

    It has two extras, `(T, B, I)` each: `mask`, 1 where a value is there and 0 where it is not, and `dt`, the time since that
    variable was last there. What the input holds where `mask` is 0 does not matter, as long as it is a number. `mean_l0` is the
    mean of each variable: copy it there before training; it is not learned, and is zero at first. As the extras are as wide as
    the input, `num_layers` is 1 unless `input_size` is `hidden_size`.

    Source: Che et al. 2018, arXiv 1606.01865, (11) to (16), Recurrent neural networks for multivariate time series with missing
    values. The authors' code (PeterChe1990/GRU-D) has inputs of mean zero, gives the gates 1 - m instead of m, and keeps z h of
    the state before its decay, with (1 - z) n; its decays start at zero, where max(0, .) has no slope, so here those of the input
    start in [0, 1], and those of the state in [0, 0.1].

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    f = lower_bound + (1 - lower_bound) sigmoid(W_f x + b_f), and theta is learned, one a unit. The output h' = P (p re) + Q (q im)
    takes real and imaginary part through gates p and q, silu of W x + b. The cell is the paper's HGRU but for the layer norm of its
    output, which in the authors' code stands between c' and the gates, in their description behind the gates, and for the bias of
    what follows; the GLU is a layer around.

    The paper learns a bound for every layer, by a cumulative softmax over the layers: 0 in the lowest, near 1 in the highest. Here
    it is a number, of all layers of a stack; for one a layer, stack layers of one.

    Source: Qin et al. 2023, arXiv 2311.04823, section 3. The recurrence is in the caption of figure 1; the whole is in the authors'
    description of the algorithm (OpenNLPLab/HGRN), where g is p and q here, and W_o is P and Q.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        lower_bound: the least that is kept, in [0, 1).
        real: without complex numbers, c' = f c + (1 - f) silu(z) and h' = silu(p) c', the ablation of the paper; P and the layer
            norm are layers around.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    Units meet in the layer above only, so stack several. u starts in [0, 1], as in the authors' code. The paper bounds it by
    2^(1/T) for sequences of T steps, so that nothing explodes, and the code clips it there after every update:
    `layer.u_l0.data.clamp_(-2 ** (1 / T), 2 ** (1 / T))`; of the last layer, where the last step alone counts, it starts u
    between 0.5^(1/T) and 2^(1/T).

    Source: Li et al. 2018, arXiv 1803.04831, (2).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        nonlinearity: "relu" or "tanh".
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    The authors start b_f by chrono initialisation. Their code had beta = 1 from the beginning, the paper since it was updated.

    Source: van der Westhuizen & Lasenby 2018, arXiv 1804.04849.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        beta: at 0 what is written is what is forgotten; above 0 more is written.
        **options: see `LayerOptions`.

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

class LEM(Recurrent):
    """Long expressive memory: z' = (1 - a) z + a tanh(W_z y + V_z x + b_z); y' = (1 - b) y + b tanh(W_y z' + V_y x + b_y).

    The time steps a = dt sigmoid(W_a y + V_a x + b_a) and b, likewise, are the paper's Delta t and Delta t bar. The output is y.
    All parameters start in [-1, 1] / sqrt(H), as torch's and the authors' do.

    Source: Rusch et al. 2022, arXiv 2110.04744, (3).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        dt: the longest time step, above 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    u is one number, and m has the coefficients of its last theta steps in Legendre polynomials. A and B are not learned. e_x and
    e_h start as LeCun's uniform, e_m at 0, the matrices as Glorot's normal: the authors' code. b, which the
    paper has not, starts at 0.

    Source: Voelker et al. 2019, Legendre Memory Units, NeurIPS, (1) to (7).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        order: how many coefficients m has, at least 1.
        theta: the length of the window, in steps, above 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    lambda = exp(-exp(nu) + i exp(theta)), one a unit. `ring` holds nu, theta and gamma below each other; B and D are the rows of
    `weight_ih`: real part, imaginary part, D. lambda starts uniform on the ring between r_min and r_max, gamma at
    log sqrt(1 - |lambda|^2).

    The cell is the paper's LRU. Of its block, the normalisation before it, and the nonlinearity, gated linear unit and dropout
    behind it are layers around; its skip is `connection="residual"`. D is a full matrix, so that I and H may differ, where the
    paper has a diagonal; B u has a bias, which starts at 0.

    Source: Orvieto et al. 2023, arXiv 2303.06349, (7), with lambda as in section 3.3; appendix A.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        r_min: the least magnitude of lambda at the start, in [0, 1), below r_max.
        r_max: the largest, in (0, 1]; near 1 for long memories.
        max_phase: the largest angle at the start, above 0; a tenth of a turn and less for long sequences.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
    `dt`, `(T, B)`, is the time that has gone by since the step before: ones where all are alike. tau, which is positive, is
    learned as its logarithm, from tau = 1.

    Source: Hasani et al. 2021, arXiv 2006.04439, (1), and (3) with algorithm 1. The paper leaves the nonlinearity of f open; its
    example is tanh. The authors' code (raminmh/liquid_time_constant_networks, mlech26l/ncps) has another f: every pair of units has
    a synapse w sigmoid(sigma (v - mu)) with a reversal potential of its own in the place of A, and a unit adds up its synapses, of
    which a wiring may leave out most. Here a unit has one f and one A.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        unfolds: steps of the solver, at least 1; theirs are 6.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    The paper normalises W_z x and W_h x over the batch, which keeps its rectified units stable. Here `layer_norm=True` is in its
    place: it needs no batch and normalises U h too. U_z and U_h start orthogonal, as in the paper.

    Source: Ravanelli et al. 2018, arXiv 1803.10225, Light gated recurrent units for speech recognition.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    An open f writes, though it is named the forget gate: the paper's own sign, of which some libraries have the opposite (Flax).

    Sources: Zhou et al. 2016, arXiv 1603.09420; its forms MGU1 to MGU3: Heck & Salem 2017, arXiv 1701.03452.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        variant: 0 for the unit itself; 1, 2 and 3 for f = sigmoid(U_f h + b_f), f = sigmoid(U_f h) and f = sigmoid(b_f). In the
            last two f is no gate of the layer, so that `forget_bias` and chrono initialisation have none to act on.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    All its gates see the input alone: there is no `weight_hh`. The states are h, C `(N, d, d)`, n `(N, d)` and m `(N,)`, for N
    heads of d = H / N units. The compiler has no code for matrices as states, so it runs in plain PyTorch, step by step.

    Source: Beck et al. 2024, arXiv 2405.04517, (19) to (27), with the sigmoid of the two that (26) allows. It is the recurrence
    alone; the authors' block (NX-AI/xlstm) has a convolution before q and k and a normalisation of each head after the memory, and
    its i and f see q, k and v instead of x, with eps = 1e-6 added to the divisor. As theirs, i and f start with weights of zero,
    f with biases from 3 to 6 over the heads.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    The paper has tanh(x), as its inputs have the width of the state; W_h lets them have any. `layer_norm` leaves W_h x as it is.
    In the `state_dict` the rows of z are W_z in `weight_ih` and U_h in `weight_hh`.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    The paper has r = sigmoid(x + U_r h + b_r), as its inputs have the width of the state; W_r lets them have any, and makes this
    a GRU with the reset before the product. It starts as such; `weight_ih` may be given the paper's identity.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    `weight_hh` has U_h in the rows of u and U_z in those of z. z is the paper's map of the input in the form that it studies, one
    layer of tanh.

    Source: Chen 2017, arXiv 1711.06788, MinimalRNN: toward more interpretable and trainable recurrent neural networks.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
    lets the input gate be at most 1 - f.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        rounds: of gating, the input's first, each with a matrix of its own; theirs are 5 or 6.
        rank: of these matrices, each of which is then a product of two; 0 for whole matrices.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
    """The multiplicative LSTM, mLSTM before xLSTM: the LSTM of x and m = (W_mx x) (W_mh h) in place of h.

    `forget_bias` is 1.0 where it is not given, as in the authors' code for Chainer.

    Source: Krause, Lu, Murray & Renals 2016, arXiv 1609.07959, Multiplicative LSTM for sequence modelling, (18) to (22) as its ICLR
    2017 workshop form counts them. The (16) of that form is late_tanh's h' = tanh(o c').

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        late_tanh: c' = f c + i g and h' = tanh(o c'), as in the authors' code for MATLAB, which adds the bias of g within that
            tanh; else c' = f c + i tanh(g) and h' = o tanh(c'), as in their code for Chainer.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    The paper draws the cell, in its figure 8, and has no equations; these are those of TensorFlow's `NASCell`
    (`tf.contrib.rnn.NASCell`). There biases are off unless asked for (`bias=False` here), and are added to U h alone.

    Source: Zoph & Le 2017, arXiv 1611.01578, Neural architecture search with reinforcement learning.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
    """The LSTM whose gates see its memory: i + w_ci c, f + w_cf c and o + w_co c', with a number for each unit, which start at 0.

    It is `ostinato.LSTM(..., peephole=True)` under a name, with the same `state_dict`.

    Source: Gers & Schmidhuber 2000, Recurrent Nets that Time and Count; the equations are those of Graves 2013, arXiv 1308.0850.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
    """The phased LSTM, for events at any time: a unit takes part for a share of its period, and keeps its state for the rest of it.

    With the phase p = ((t - shift) mod period) / period: k = 2 p / ratio where p < ratio / 2, 2 - 2 p / ratio where p < ratio, else
    leak p. An LSTM with peepholes proposes c and h, of which a share k is taken: h' = k h~ + (1 - k) h. Its extra `t` is the time
    of each step, `(T, B)`, in any unit that suits the periods: they start in U(10, 100) and the shifts in U(0, 1000), as in the
    authors' code for times of up to 1000; for others set them, `layer.period_l0.uniform_(1, 5)`. The ratio, 0.05, is not learned.

    Source: Neil, Pfeiffer & Liu 2016, arXiv 1610.09513, (1) to (10). In (4) o sees c'; their code (dannyneil/public_plstm) lets it
    see the proposed c~, as here, and the first author has said that (4) means c~. The code adds the shift to t, and its leak is
    zero where it does not train: `leak=0.0` with the same `state_dict`. Its peepholes start in N(0, 0.1), and its forget gate at
    2, as here.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        leak: what of a closed phase is let through, so that gradients pass.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    The gates see the input alone: there is no `weight_hh`. In the authors' code f is the negative of the paper's, 1 - f, and a
    mask on it is their zoneout. The state of a layer has V x_{t-1} of every gate beside c, so that a sequence can go on.

    Source: Bradbury et al. 2017, arXiv 1611.01576, (2) to (5).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        pooling: "f", h' = f h + (1 - f) z; "fo"; or "ifo", c' = f c + w z (the paper's i).
        window: how many time steps the gates see, 1 or 2, as in the authors' code.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        linear: h' = c', the paper's other choice of what comes out.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    r, i and v are W x + b each. In Griffin's block v comes first, of a linear layer and a convolution over four steps, and the
    gates are of v, with block-diagonal matrices; here all three are of x, which without the convolution is the same up to
    its matrices. The convolution, the gated branch beside and the layer behind are layers around. An open r
    forgets, so `forget_bias` closes it.

    Lambda starts so that a of an open r is uniform in [0.9, 0.999], as the paper says; the authors' code has sigmoid(Lambda) itself
    there, uniform in its square. It also writes i v whole in the first step of a sequence, and bounds the gradient of the root.

    Source: De et al. 2024, arXiv 2402.19427, (1) to (4).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    The output is h'. The paper's next layer sees s' too, y = f(U h' + V s'): `return_states=True` gives both. The paper has no
    bias (`bias=False` here). The authors' code (`facebookarchive/SCRNNs`) lets h' see the slow units before the step, P s.

    Source: Mikolov et al. 2014, arXiv 1412.7753, Learning longer memory in recurrent neural networks, section 3.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        context: slow units, at least 1.
        alpha: how much of themselves they keep, in [0, 1), the same for all.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    `num_heads` gives it heads, which do not see each other. It is the recurrence alone: the authors' block has a convolution, a
    normalisation of each head and a feed-forward part around it. As theirs it starts with a recurrent matrix of zeros, and in
    each head with biases of f from 5 down to -7. The options `zoneout` of c, n or m, `peephole` and `coupled_gates` act on
    numbers that the stabiliser has scaled, or on gates that are no sigmoids; they are the LSTM's.

    Source: Beck et al. 2024, arXiv 2405.04517, (8) to (17). Of the two forget gates that (13) allows, sigmoid and exp, this is
    sigmoid, as in the authors' code.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    There is no `weight_hh`. W_x is the fourth matrix that the authors' code has where I and H differ; where they are the same, it
    and the paper take x itself, times sqrt(3). W_z x and W_x x have biases here, which start at 0 as all do. Weights start with
    variance 1 / I, those of f and r with half of it, W_x with three times that; v_f and v_r with variance 1/2: the authors' code.

    Source: Lei et al. 2018, arXiv 1709.02755, (1) to (4).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        skip: whether h' has the input in it; without, h' = r c'.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    Matrices start orthogonal, as in the authors' code, which starts b_k by chrono initialisation too (`init="chrono(784)"`; their
    gate keeps, this one writes). `layer_norm` and `bias=False` leave W_z x + b_z as it is.

    Source: Turkoglu et al. 2021 (2019), arXiv 1911.11033, Gating revisited: deep multi-layer RNNs that can be trained, figure 3.
    The authors' convolutional code (0zgur0/multi-stage-convSTAR-network) has no outer tanh and a gate that keeps, whose bias starts
    at 1: h' = k h + (1 - k) z.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        as_run: as the authors' code computes it, which writes more than it forgets, as JANET does:
            h' = tanh((1 - sigmoid(a)) h + sigmoid(a + 1) z), with a = W_k x + U_k h + b_k.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    `forget_bias` is 1.0 where it is not given: the paper adds a constant to b_g, which it searches for, and which is 1 in the
    authors' code in TensorFlow (`tf.contrib.rnn.UGRNNCell`). Here b_g starts there. The paper searches for the nonlinearity too,
    tanh or ReLU; this is tanh. It learns the first state, as `initial_state="learned"` does.

    Source: Collins, Sohl-Dickstein & Sussillo 2017, arXiv 1611.09913, Capacity and trainability in recurrent neural networks,
    (2) to (4).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    w and c are one number a unit, so units meet in the layer above only: stack several. The output is y. w starts in [0, 1], c in
    [-0.1, 0.1], V as `torch.nn.init.kaiming_uniform_(a=8)`, b at 0: the authors' code, which may give every layer a dt of its own.

    Source: Rusch & Mishra 2021, arXiv 2103.05487, 2. The two numbers are the authors' for permuted MNIST.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of each layer, at least 1; or one number for each layer, first layer first.
        num_layers: `L`, the layers above each other, at least 1; may be left out where `hidden_size` has one number a layer.
        bias: whether there are `bias_ih` and `bias_hh`.
        batch_first: input and output are `(B, T, ...)` instead of `(T, B, ...)`. States are not changed by it.
        dropout: rate in [0, 1] of dropout between layers, not after the last.
        bidirectional: a second direction, from the last step to the first; `D = 2`.
        proj_size: `P`, at least 1 and below `H`, for cells with a memory beside their output; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        dt: the longest step, above 0.
        alpha: how strongly y is drawn back, at least 0.
        **options: see `LayerOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option, or its step and its description disagree.
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

    The paper has p = W x and q = U h (`bias=False` here); the authors' code adds a bias to q alone. The second gate is that of the
    code: in the paper it is misprinted, its authors say beside the code (bzhangGo/ATR), and a state that p - q does not hold back
    explodes. Their translation system can have 1 - sigmoid(p - q) for the first gate, which they found more stable.

    Source: Zhang et al. 2018, arXiv 1810.12546, Simplifying neural machine translation with addition-subtraction twin-gated
    recurrent networks.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    W and V start normal, of variance one over their columns; biases at 0. `weight_hh` (`weight` where it is gated) is W, of
    which the half above its diagonal would do.

    Source: Chang et al. 2019, arXiv 1902.09689, (12), and (13) where it is gated; (10) is (12) with `gamma=0.0`. The paper chooses
    epsilon, gamma and the variance of W by validation.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        gated: h' = h + epsilon z tanh(...), with a gate z that has the matrix W too, and its own V and b.
        epsilon: the length of a step, above 0.
        gamma: the strength of the diffusion, at least 0, which keeps Euler's method stable.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    Each unit sees its own state alone: w_a and w_c are vectors, and there is no `weight_hh`. A unit with a above 1 is bistable.
    Weights start as in the authors' code: Xavier, w_a and w_c at 1. Their code adds biases to a and c, which the paper leaves out;
    here W_h x has one too, and all start at 0.

    Source: Vecoven, Ernst & Drion 2021 (2020), arXiv 2006.05252, A bio-inspired bistable recurrent cell allows for long-lasting
    memory.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    f and g are tanh, a and b linear, of a backbone z = 1.7159 tanh(0.666 (W x + U h + b)). The extra `dt`, `(T, B)`, is the time
    that has gone by since the step before: ones where all are alike. Its weights start best with `init="xavier"`, as theirs do.

    Source: Hasani et al. 2022, arXiv 2106.13898v2, (10). It follows the authors' code (raminmh/CfC, mlech26l/ncps), where a dt + b
    has the sign of g's share, while the paper writes sigmoid(-f t) of the other one; a backbone of several layers is not here.
    "pure" is (9) with -A for its B, and f(x) for its f(-x), as in their code. There w_tau starts at zero, where |w_tau| has no
    slope; here it starts in [0, 0.1].

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        mode: "default"; "no_gate" for h' = f + t g; "pure" for h' = A - A exp(-dt (|w_tau| + |f|)) f, the solution itself.
        backbone: its width for each hidden unit, so that it has `backbone * hidden_size` units; 0 for none, where f, g, a and b
            are linear in x and h at once.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    Source: Rusch & Mishra 2021, arXiv 2010.00951, (3), which has both forms of the damping; the authors' code has the
    one that is not implicit. The three numbers are theirs for sequential MNIST.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        dt: the length of a step, above 0.
        gamma: how strongly y is drawn back.
        epsilon: how strongly z is damped.
        implicit: the damping is that of z', epsilon z', which is stable for every dt.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    O starts orthogonal, W and b uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; learn a
    layer behind. Another `init` than "torch" has no such scales.

    Source: Ceni & Gallicchio 2023, arXiv 2308.02902, Edge of stability echo state networks, (5). The paper has no b (`bias=False`
    here), and a normal U, of variance one over its columns, times the spectral radius, which is near that then.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        beta: how much goes through tanh, in (0, 1]; the rest turns and is kept.
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0.
        input_scaling: the largest weight of the input and largest bias, at least 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    W and b start uniform in [-input_scaling, input_scaling], U uniform and scaled to its spectral radius; learn a layer behind.
    Another `init` than "torch" has no such scale.

    Source: Jaeger, Lukosevicius, Popovici & Siewert 2007, Optimization and applications of echo state networks with
    leaky-integrator neurons, Neural Networks 20; Jaeger 2001. The equation is (1) of Ceni & Gallicchio 2023, arXiv 2308.02902, who
    have no b (`bias=False` here).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        leak: how much is new in a step, in (0, 1].
        spectral_radius: the largest magnitude of an eigenvalue of U, at least 0; that of (1 - leak) I + leak U is near it.
        input_scaling: the largest weight of the input and largest bias, at least 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    v = W x + U h is one for both. b_h is `bias_ih` and `bias_hh`; `bias_z` is how far b_z is from b_h. zeta and nu are the
    sigmoids of two learned numbers a layer, which start at 1 and -4; like the biases, which start at 1, as in the authors' code.

    Source: Kusupati et al. 2018, arXiv 1901.02358, (6); a low rank, (7).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        rank: of U = U1 U2, at least 1; None for a full matrix. W of a low rank is a `torch.nn.Linear(I, rank, bias=False)` before
            the layer, whose input is then of width rank.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        rank: of U = U1 U2, at least 1; None for a full matrix. W of a low rank is a `torch.nn.Linear(I, rank, bias=False)` before
            the layer, whose input is then of width rank.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    GRU-D, for series with missing values: a value that is not there decays from the last one to the mean, and so does the state.

    It has two extras, `(T, B, I)` each: `mask`, 1 where a value is there and 0 where it is not, and `dt`, the time since that
    variable was last there. What the input holds where `mask` is 0 does not matter, as long as it is a number. `mean_l0` is the
    mean of each variable: copy it there before training; it is not learned, and is zero at first. As the extras are as wide as
    the input, `num_layers` is 1 unless `input_size` is `hidden_size`.

    Source: Che et al. 2018, arXiv 1606.01865, (11) to (16), Recurrent neural networks for multivariate time series with missing
    values. The authors' code (PeterChe1990/GRU-D) has inputs of mean zero, gives the gates 1 - m instead of m, and keeps z h of
    the state before its decay, with (1 - z) n; its decays start at zero, where max(0, .) has no slope, so here those of the input
    start in [0, 1], and those of the state in [0, 0.1].

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    f = lower_bound + (1 - lower_bound) sigmoid(W_f x + b_f), and theta is learned, one a unit. The output h' = P (p re) + Q (q im)
    takes real and imaginary part through gates p and q, silu of W x + b. The cell is the paper's HGRU but for the layer norm of its
    output, which in the authors' code stands between c' and the gates, in their description behind the gates, and for the bias of
    what follows; the GLU is a layer around.

    The paper learns a bound for every layer, by a cumulative softmax over the layers: 0 in the lowest, near 1 in the highest. Here
    it is a number, of all layers of a stack; for one a layer, stack layers of one.

    Source: Qin et al. 2023, arXiv 2311.04823, section 3. The recurrence is in the caption of figure 1; the whole is in the authors'
    description of the algorithm (OpenNLPLab/HGRN), where g is p and q here, and W_o is P and Q.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        lower_bound: the least that is kept, in [0, 1).
        real: without complex numbers, c' = f c + (1 - f) silu(z) and h' = silu(p) c', the ablation of the paper; P and the layer
            norm are layers around.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    Units meet in the layer above only, so stack several. u starts in [0, 1], as in the authors' code. The paper bounds it by
    2^(1/T) for sequences of T steps, so that nothing explodes, and the code clips it there after every update:
    `layer.u_l0.data.clamp_(-2 ** (1 / T), 2 ** (1 / T))`; of the last layer, where the last step alone counts, it starts u
    between 0.5^(1/T) and 2^(1/T).

    Source: Li et al. 2018, arXiv 1803.04831, (2).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        nonlinearity: "relu" or "tanh".
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The authors start b_f by chrono initialisation. Their code had beta = 1 from the beginning, the paper since it was updated.

    Source: van der Westhuizen & Lasenby 2018, arXiv 1804.04849.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
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

class LEMCell(Step):
    """One step of `LEM`.

    Long expressive memory: z' = (1 - a) z + a tanh(W_z y + V_z x + b_z); y' = (1 - b) y + b tanh(W_y z' + V_y x + b_y).

    The time steps a = dt sigmoid(W_a y + V_a x + b_a) and b, likewise, are the paper's Delta t and Delta t bar. The output is y.
    All parameters start in [-1, 1] / sqrt(H), as torch's and the authors' do.

    Source: Rusch et al. 2022, arXiv 2110.04744, (3).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        dt: the longest time step, above 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    u is one number, and m has the coefficients of its last theta steps in Legendre polynomials. A and B are not learned. e_x and
    e_h start as LeCun's uniform, e_m at 0, the matrices as Glorot's normal: the authors' code. b, which the
    paper has not, starts at 0.

    Source: Voelker et al. 2019, Legendre Memory Units, NeurIPS, (1) to (7).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        order: how many coefficients m has, at least 1.
        theta: the length of the window, in steps, above 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    lambda = exp(-exp(nu) + i exp(theta)), one a unit. `ring` holds nu, theta and gamma below each other; B and D are the rows of
    `weight_ih`: real part, imaginary part, D. lambda starts uniform on the ring between r_min and r_max, gamma at
    log sqrt(1 - |lambda|^2).

    The cell is the paper's LRU. Of its block, the normalisation before it, and the nonlinearity, gated linear unit and dropout
    behind it are layers around; its skip is `connection="residual"`. D is a full matrix, so that I and H may differ, where the
    paper has a diagonal; B u has a bias, which starts at 0.

    Source: Orvieto et al. 2023, arXiv 2303.06349, (7), with lambda as in section 3.3; appendix A.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        r_min: the least magnitude of lambda at the start, in [0, 1), below r_max.
        r_max: the largest, in (0, 1]; near 1 for long memories.
        max_phase: the largest angle at the start, above 0; a tenth of a turn and less for long sequences.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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
    `dt`, `(T, B)`, is the time that has gone by since the step before: ones where all are alike. tau, which is positive, is
    learned as its logarithm, from tau = 1.

    Source: Hasani et al. 2021, arXiv 2006.04439, (1), and (3) with algorithm 1. The paper leaves the nonlinearity of f open; its
    example is tanh. The authors' code (raminmh/liquid_time_constant_networks, mlech26l/ncps) has another f: every pair of units has
    a synapse w sigmoid(sigma (v - mu)) with a reversal potential of its own in the place of A, and a unit adds up its synapses, of
    which a wiring may leave out most. Here a unit has one f and one A.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        unfolds: steps of the solver, at least 1; theirs are 6.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The paper normalises W_z x and W_h x over the batch, which keeps its rectified units stable. Here `layer_norm=True` is in its
    place: it needs no batch and normalises U h too. U_z and U_h start orthogonal, as in the paper.

    Source: Ravanelli et al. 2018, arXiv 1803.10225, Light gated recurrent units for speech recognition.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    An open f writes, though it is named the forget gate: the paper's own sign, of which some libraries have the opposite (Flax).

    Sources: Zhou et al. 2016, arXiv 1603.09420; its forms MGU1 to MGU3: Heck & Salem 2017, arXiv 1701.03452.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        variant: 0 for the unit itself; 1, 2 and 3 for f = sigmoid(U_f h + b_f), f = sigmoid(U_f h) and f = sigmoid(b_f). In the
            last two f is no gate of the layer, so that `forget_bias` and chrono initialisation have none to act on.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    All its gates see the input alone: there is no `weight_hh`. The states are h, C `(N, d, d)`, n `(N, d)` and m `(N,)`, for N
    heads of d = H / N units. The compiler has no code for matrices as states, so it runs in plain PyTorch, step by step.

    Source: Beck et al. 2024, arXiv 2405.04517, (19) to (27), with the sigmoid of the two that (26) allows. It is the recurrence
    alone; the authors' block (NX-AI/xlstm) has a convolution before q and k and a normalisation of each head after the memory, and
    its i and f see q, k and v instead of x, with eps = 1e-6 added to the divisor. As theirs, i and f start with weights of zero,
    f with biases from 3 to 6 over the heads.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The paper has tanh(x), as its inputs have the width of the state; W_h lets them have any. `layer_norm` leaves W_h x as it is.
    In the `state_dict` the rows of z are W_z in `weight_ih` and U_h in `weight_hh`.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The paper has r = sigmoid(x + U_r h + b_r), as its inputs have the width of the state; W_r lets them have any, and makes this
    a GRU with the reset before the product. It starts as such; `weight_ih` may be given the paper's identity.

    Source: Jozefowicz, Zaremba & Sutskever 2015, section 4, unnumbered.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    `weight_hh` has U_h in the rows of u and U_z in those of z. z is the paper's map of the input in the form that it studies, one
    layer of tanh.

    Source: Chen 2017, arXiv 1711.06788, MinimalRNN: toward more interpretable and trainable recurrent neural networks.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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
    lets the input gate be at most 1 - f.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        rounds: of gating, the input's first, each with a matrix of its own; theirs are 5 or 6.
        rank: of these matrices, each of which is then a product of two; 0 for whole matrices.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The multiplicative LSTM, mLSTM before xLSTM: the LSTM of x and m = (W_mx x) (W_mh h) in place of h.

    `forget_bias` is 1.0 where it is not given, as in the authors' code for Chainer.

    Source: Krause, Lu, Murray & Renals 2016, arXiv 1609.07959, Multiplicative LSTM for sequence modelling, (18) to (22) as its ICLR
    2017 workshop form counts them. The (16) of that form is late_tanh's h' = tanh(o c').

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        late_tanh: c' = f c + i g and h' = tanh(o c'), as in the authors' code for MATLAB, which adds the bias of g within that
            tanh; else c' = f c + i tanh(g) and h' = o tanh(c'), as in their code for Chainer.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The paper draws the cell, in its figure 8, and has no equations; these are those of TensorFlow's `NASCell`
    (`tf.contrib.rnn.NASCell`). There biases are off unless asked for (`bias=False` here), and are added to U h alone.

    Source: Zoph & Le 2017, arXiv 1611.01578, Neural architecture search with reinforcement learning.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The LSTM whose gates see its memory: i + w_ci c, f + w_cf c and o + w_co c', with a number for each unit, which start at 0.

    It is `ostinato.LSTM(..., peephole=True)` under a name, with the same `state_dict`.

    Source: Gers & Schmidhuber 2000, Recurrent Nets that Time and Count; the equations are those of Graves 2013, arXiv 1308.0850.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The phased LSTM, for events at any time: a unit takes part for a share of its period, and keeps its state for the rest of it.

    With the phase p = ((t - shift) mod period) / period: k = 2 p / ratio where p < ratio / 2, 2 - 2 p / ratio where p < ratio, else
    leak p. An LSTM with peepholes proposes c and h, of which a share k is taken: h' = k h~ + (1 - k) h. Its extra `t` is the time
    of each step, `(T, B)`, in any unit that suits the periods: they start in U(10, 100) and the shifts in U(0, 1000), as in the
    authors' code for times of up to 1000; for others set them, `layer.period_l0.uniform_(1, 5)`. The ratio, 0.05, is not learned.

    Source: Neil, Pfeiffer & Liu 2016, arXiv 1610.09513, (1) to (10). In (4) o sees c'; their code (dannyneil/public_plstm) lets it
    see the proposed c~, as here, and the first author has said that (4) means c~. The code adds the shift to t, and its leak is
    zero where it does not train: `leak=0.0` with the same `state_dict`. Its peepholes start in N(0, 0.1), and its forget gate at
    2, as here.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        leak: what of a closed phase is let through, so that gradients pass.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The gates see the input alone: there is no `weight_hh`. In the authors' code f is the negative of the paper's, 1 - f, and a
    mask on it is their zoneout. The state of a layer has V x_{t-1} of every gate beside c, so that a sequence can go on.

    Source: Bradbury et al. 2017, arXiv 1611.01576, (2) to (5).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        pooling: "f", h' = f h + (1 - f) z; "fo"; or "ifo", c' = f c + w z (the paper's i).
        window: how many time steps the gates see, 1 or 2, as in the authors' code.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        linear: h' = c', the paper's other choice of what comes out.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    r, i and v are W x + b each. In Griffin's block v comes first, of a linear layer and a convolution over four steps, and the
    gates are of v, with block-diagonal matrices; here all three are of x, which without the convolution is the same up to
    its matrices. The convolution, the gated branch beside and the layer behind are layers around. An open r
    forgets, so `forget_bias` closes it.

    Lambda starts so that a of an open r is uniform in [0.9, 0.999], as the paper says; the authors' code has sigmoid(Lambda) itself
    there, uniform in its square. It also writes i v whole in the first step of a sequence, and bounds the gradient of the root.

    Source: De et al. 2024, arXiv 2402.19427, (1) to (4).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    The output is h'. The paper's next layer sees s' too, y = f(U h' + V s'): `return_states=True` gives both. The paper has no
    bias (`bias=False` here). The authors' code (`facebookarchive/SCRNNs`) lets h' see the slow units before the step, P s.

    Source: Mikolov et al. 2014, arXiv 1412.7753, Learning longer memory in recurrent neural networks, section 3.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        context: slow units, at least 1.
        alpha: how much of themselves they keep, in [0, 1), the same for all.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    `num_heads` gives it heads, which do not see each other. It is the recurrence alone: the authors' block has a convolution, a
    normalisation of each head and a feed-forward part around it. As theirs it starts with a recurrent matrix of zeros, and in
    each head with biases of f from 5 down to -7. The options `zoneout` of c, n or m, `peephole` and `coupled_gates` act on
    numbers that the stabiliser has scaled, or on gates that are no sigmoids; they are the LSTM's.

    Source: Beck et al. 2024, arXiv 2405.04517, (8) to (17). Of the two forget gates that (13) allows, sigmoid and exp, this is
    sigmoid, as in the authors' code.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    There is no `weight_hh`. W_x is the fourth matrix that the authors' code has where I and H differ; where they are the same, it
    and the paper take x itself, times sqrt(3). W_z x and W_x x have biases here, which start at 0 as all do. Weights start with
    variance 1 / I, those of f and r with half of it, W_x with three times that; v_f and v_r with variance 1/2: the authors' code.

    Source: Lei et al. 2018, arXiv 1709.02755, (1) to (4).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        skip: whether h' has the input in it; without, h' = r c'.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    Matrices start orthogonal, as in the authors' code, which starts b_k by chrono initialisation too (`init="chrono(784)"`; their
    gate keeps, this one writes). `layer_norm` and `bias=False` leave W_z x + b_z as it is.

    Source: Turkoglu et al. 2021 (2019), arXiv 1911.11033, Gating revisited: deep multi-layer RNNs that can be trained, figure 3.
    The authors' convolutional code (0zgur0/multi-stage-convSTAR-network) has no outer tanh and a gate that keeps, whose bias starts
    at 1: h' = k h + (1 - k) z.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        as_run: as the authors' code computes it, which writes more than it forgets, as JANET does:
            h' = tanh((1 - sigmoid(a)) h + sigmoid(a + 1) z), with a = W_k x + U_k h + b_k.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    `forget_bias` is 1.0 where it is not given: the paper adds a constant to b_g, which it searches for, and which is 1 in the
    authors' code in TensorFlow (`tf.contrib.rnn.UGRNNCell`). Here b_g starts there. The paper searches for the nonlinearity too,
    tanh or ReLU; this is tanh. It learns the first state, as `initial_state="learned"` does.

    Source: Collins, Sohl-Dickstein & Sussillo 2017, arXiv 1611.09913, Capacity and trainability in recurrent neural networks,
    (2) to (4).

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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

    w and c are one number a unit, so units meet in the layer above only: stack several. The output is y. w starts in [0, 1], c in
    [-0.1, 0.1], V as `torch.nn.init.kaiming_uniform_(a=8)`, b at 0: the authors' code, which may give every layer a dt of its own.

    Source: Rusch & Mishra 2021, arXiv 2103.05487, 2. The two numbers are the authors' for permuted MNIST.

    Args:
        input_size: `I`, the features of a step.
        hidden_size: `H`, the units of the state.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: of the parameters.
        dt: the longest step, above 0.
        alpha: how strongly y is drawn back, at least 0.
        **options: see `StepOptions`.

    Raises:
        ValueError, TypeError: for a bad argument, as torch.nn does.
        CellError: where the cell cannot take an option.
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
