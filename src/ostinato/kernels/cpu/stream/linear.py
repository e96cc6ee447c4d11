"""An output layer behind a stack of recurrent layers, written as a cell without a recurrence, so that the same code runs it."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.cells.named import Gates, State
from ostinato.cells.spec import cell
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.cpu.stream.kernel import StreamKernel, stream_kernel
from ostinato.kernels.cpu.stream.packed import LayerTensors, PackedStack
from ostinato.types import Tensor


@cell(gates="y", states="y", recurrent=False)
def linear(x: Gates, s: State, U: Any) -> State:
    """y = W x + b."""
    return State(y=x.y)


def linear_tensors(weight: Tensor, bias: Tensor | None) -> LayerTensors:
    """The tensors of a linear layer, `(O, H)` and `(O,)`."""
    outputs = weight.shape[0]
    vectors = {} if bias is None else {"bias_ih": bias.detach()}
    return LayerTensors(weight.detach(), {}, vectors, {"H": outputs, "P": outputs})


def linear_kernel(bias: bool, double: bool, held: torch.dtype | None) -> StreamKernel:
    """The code of a linear layer."""
    found = stream_kernel(linear, bias, double, held)
    assert not isinstance(found, Unsupported), found
    return found


def packed_linear(weight: Tensor, bias: Tensor | None, held: torch.dtype | None) -> PackedStack:
    """The packed weights of a linear layer."""
    kernel = linear_kernel(bias is not None, weight.dtype is torch.float64, held)
    return PackedStack(kernel, [linear_tensors(weight, bias)], residual=False)
