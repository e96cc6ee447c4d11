"""What several rooms of the tests need: random layers and inputs, results and gradients as one flat dictionary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

import ostinato

LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_tanh": ("RNN", {"nonlinearity": "tanh"}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "lstm_proj": ("LSTM", {"proj_size": 2}),
    "gru": ("GRU", {}),
}
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_tanh": ("RNNCell", {"nonlinearity": "tanh"}),
    "rnn_relu": ("RNNCell", {"nonlinearity": "relu"}),
    "lstm": ("LSTMCell", {}),
    "gru": ("GRUCell", {}),
}


def tensors(value: Any, name: str = "out") -> dict[str, torch.Tensor]:
    """Every tensor in a nest of tuples, lists, dictionaries and packed sequences, by its place."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    if isinstance(value, PackedSequence):
        return {f"{name}.data": value.data}
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    return {at: v for key, part in items for at, v in tensors(part, f"{name}[{key}]").items()}


def results_and_gradients(
    call: Callable[[], Any], leaves: Mapping[str, torch.Tensor], seed: int = 0
) -> dict[str, torch.Tensor]:
    """What `call` gives, and the gradient of a random weighted sum of all of it for each of `leaves`."""
    found = tensors(call())
    generator = torch.Generator().manual_seed(seed)
    loss = sum((v * torch.randn(v.shape, dtype=v.dtype, generator=generator)).sum() for v in found.values())
    assert isinstance(loss, torch.Tensor)
    gradients: Any = [None] * len(leaves)
    if loss.requires_grad:  # where every row is empty, nothing that was computed depends on a parameter
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        found[f"d {name}"] = torch.zeros_like(leaf) if gradient is None else gradient
    return found


def assert_same(got: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], atol: float = 1e-10) -> None:
    """Equal names, shapes, dtypes and, within `atol`, values."""
    assert list(got) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=0.0, atol=atol, msg=lambda text, name=name: f"{name}: {text}")


def pair(kind: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """torch.nn's layer and ours with the same weights, in float64."""
    name, own = LAYERS[kind]
    kwargs = {**own, "dtype": torch.float64, **kwargs}
    theirs, ours = getattr(torch.nn, name)(*args, **kwargs), getattr(ostinato, name)(*args, **kwargs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


def first_states(layer: torch.nn.RNNBase, rows: int | None, requires_grad: bool = False) -> Any:
    """Random first states as torch.nn wants them; `rows` None for unbatched input."""
    places = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [layer.proj_size or layer.hidden_size] + [layer.hidden_size] * isinstance(layer, torch.nn.LSTM)
    batch = () if rows is None else (rows,)
    dtype = layer.all_weights[0][0].dtype
    made = [torch.randn(places, *batch, size, dtype=dtype, requires_grad=requires_grad) for size in sizes]
    return tuple(made) if len(made) > 1 else made[0]


def outcome(call: Callable[[], Any]) -> tuple[str, str] | None:
    """The type and message of what `call` raises, or None."""
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error)
    return None
