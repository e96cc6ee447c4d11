"""The same layer in ONNX Runtime: a graph of one node, with torch's weights in ONNX's order of gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

# For each of ONNX's gates in its order, the place of it in torch's: ONNX has i o f c, z r h.
_ORDER = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
_OPSET, _IR_VERSION = 17, 8  # the newest of the helper's may be too new for the runtime


class OnnxLayer:
    """One layer of torch.nn, run by ONNX Runtime with as many threads as torch has.

    Args:
        layer: a `torch.nn.RNN` (tanh), `LSTM` or `GRU` of one layer.
        steps: `T`.
        rows: `B`.
    """

    def __init__(self, layer: torch.nn.RNNBase, steps: int, rows: int) -> None:
        self.kind = type(layer).__name__
        states = ["h", "c"] if self.kind == "LSTM" else ["h"]
        size, hidden = (steps, rows, layer.input_size), (1, rows, layer.hidden_size)
        attributes: dict[str, Any] = {"hidden_size": layer.hidden_size}
        if self.kind == "GRU":
            attributes["linear_before_reset"] = 1
        node = helper.make_node(
            self.kind,
            ["x", "W", "R", "B", "", *(f"{name}_0" for name in states)],
            ["output", *(f"{name}_n" for name in states)],
            **attributes,
        )
        graph = helper.make_graph(
            [node],
            "layer",
            [_float("x", size), *(_float(f"{name}_0", hidden) for name in states)],
            [_float("output", (steps, 1, rows, layer.hidden_size)), *(_float(f"{name}_n", hidden) for name in states)],
            [numpy_helper.from_array(value, name) for name, value in _weights(layer, self.kind).items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.states = states
        self.zeros = {f"{name}_0": np.zeros(hidden, np.float32) for name in states}

    def sequence(self, x: torch.Tensor) -> Callable[[], Any]:
        """A call that runs the layer over `x`, `(T, B, I)`, from states of zero and returns the output, `(T, B, H)`."""
        inputs = {"x": x.numpy(), **self.zeros}
        return lambda: self.session.run(None, inputs)[0][:, 0]  # pyright: ignore

    def step(self, x: torch.Tensor) -> Callable[[], Any]:
        """A call that runs one step, `(1, 1, I)`, goes on from its own last states and returns the output, `(H,)`."""
        inputs = {"x": x.numpy(), **self.zeros}
        wanted = [f"{name}_n" for name in self.states]
        names = [f"{name}_0" for name in self.states]

        def call() -> Any:
            states = self.session.run(wanted, inputs)
            inputs.update(zip(names, states, strict=True))
            return states[0][0, 0]  # pyright: ignore

        return call

    def bound_step(self, x: torch.Tensor) -> Callable[[], Any]:
        """As `step`, with every buffer bound once: two of each state, which change places at every call."""
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        size = self.zeros["h_0"].shape
        x_value = value(x.numpy().copy())
        pair = [{name: value(np.zeros(size, np.float32)) for name in self.states} for _ in range(2)]
        bindings = []
        for old, new in (pair, pair[::-1]):
            binding = self.session.io_binding()
            binding.bind_ortvalue_input("x", x_value)
            for name in self.states:
                binding.bind_ortvalue_input(f"{name}_0", old[name])
                binding.bind_ortvalue_output(f"{name}_n", new[name])
            bindings.append((binding, new["h"]))
        turn = 0

        def call() -> Any:
            nonlocal turn
            binding, h = bindings[turn]
            turn = 1 - turn
            self.session.run_with_iobinding(binding)
            return h.numpy()[0, 0]

        return call


def _float(name: str, shape: tuple[int, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _weights(layer: torch.nn.RNNBase, kind: str) -> dict[str, np.ndarray]:
    """ONNX's W `(1, G H, I)`, R `(1, G H, H)` and B `(1, 2 G H)`, which has both biases, one after the other."""

    def reordered(name: str) -> torch.Tensor:
        gates = getattr(layer, name).detach().chunk(len(_ORDER[kind]))
        return torch.cat([gates[place] for place in _ORDER[kind]])

    biases = torch.cat([reordered("bias_ih_l0"), reordered("bias_hh_l0")])
    tensors = {"W": reordered("weight_ih_l0"), "R": reordered("weight_hh_l0"), "B": biases}
    return {name: tensor[None].numpy() for name, tensor in tensors.items()}
