"""`explain`: what ran, by name, with the reason."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

import ostinato


@ostinato.cell(gates="a", states="h")
def summed(x: Any, s: Any, U: Any) -> ostinato.State:
    return ostinato.State(h=torch.cumsum(torch.tanh(x.a + U(s.h).a), 1))


def test_every_layer_and_direction_is_compiled_and_what_is_the_same_is_said_once() -> None:
    explanation = ostinato.explain(ostinato.GRU(3, 4, 2, bidirectional=True), torch.randn(5, 2, 3))
    assert [choice.backend for choice in explanation.choices["GRU"]] == ["compiled"] * 4
    assert re.fullmatch(
        r"GRU: compiled \(the step of 'gru' compiled for this CPU, \d+ numbers at a time\)", str(explanation)
    )


def test_a_plain_layer_goes_to_torch_in_one_call() -> None:
    layer = ostinato.LSTM(3, 4, 2, bidirectional=True, dtype=torch.bfloat16)
    explanation = ostinato.explain(layer, torch.randn(5, 2, 3, dtype=torch.bfloat16))
    assert len(explanation.choices["LSTM"]) == 1
    assert str(explanation) == "LSTM: vendor (torch's LSTM kernel, exactly as torch.nn calls it)"


def test_each_backend_that_was_passed_over_says_why() -> None:
    own = ostinato.Recurrent(summed, 3, 4, zoneout=0.5)
    explanation = re.sub(r" \(test_\w+\.py:\d+\)", "", str(ostinato.explain(own, torch.randn(5, 2, 3))))
    assert explanation == (
        "Recurrent: reference (the step of 'summed' in a loop over time, in plain PyTorch; "
        "not compiled: the step uses aten.cumsum, which the compiler does not know; "
        "not vendor: torch's kernels do not know zoneout)"
    )


def test_other_reasons() -> None:
    x = torch.randn(5, 2, 3)
    own = ostinato.Recurrent(summed, 3, 4)
    assert "not vendor: torch has no kernel for the cell 'summed'" in str(ostinato.explain(own, x))
    lstm = ostinato.LSTM(3, 4, device="meta")
    said = str(ostinato.explain(lstm, x.to("meta"), return_states=True))
    assert "not compiled: it compiles for the CPU, and the input is on meta" in said
    assert "not vendor: torch's kernels give only the output at every step, and all states were asked for" in said
    lstm = ostinato.LSTM(3, 4)
    assert ostinato.explain(lstm, x, lengths=[5, 2]).backends == {"compiled"}
    with ostinato.backend("reference"):
        assert str(ostinato.explain(lstm, x)).endswith("asked for by name)")
    meta = ostinato.LSTM(3, 4, device="meta")
    assert "a meta tensor has no values" in str(ostinato.explain(meta, x.to("meta"), lengths=[5, 2]))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = ostinato.GRU(3, 4)
        self.decoder = nn.ModuleDict({"step": ostinato.LSTMCell(4, 4, zoneout=0.5, backend="reference")})
        self.unused = ostinato.RNN(3, 4)
        self.theirs = nn.GRU(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder["step"](self.theirs(self.encoder(x)[0])[0][-1])[0]


def test_a_model_is_told_layer_by_layer() -> None:
    explanation = ostinato.explain(Model(), torch.randn(5, 2, 3))
    assert {name: [c.backend for c in choices] for name, choices in explanation.choices.items()} == {
        "encoder": ["compiled"],
        "decoder.step": ["reference"],
        "unused": [],
    }
    assert explanation.backends == {"compiled", "reference"}
    assert "unused: did not run" in str(explanation)


def test_explaining_leaves_no_trace() -> None:
    layer = ostinato.LSTM(3, 4, zoneout=0.5)
    x = torch.randn(5, 2, 3, requires_grad=True)
    state = torch.get_rng_state()
    ostinato.explain(layer, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert not layer._forward_hooks
    assert not layer._forward_pre_hooks
    with pytest.raises(ValueError, match="Expected input to be 2D or 3D"):
        ostinato.explain(layer, x[0, 0, 0])
    assert not layer._forward_hooks


@pytest.mark.parametrize("module", [nn.LSTM(3, 4), nn.Sequential(nn.Linear(3, 4))], ids=["LSTM", "Sequential"])
def test_a_module_without_layers_of_ours_is_told(module: nn.Module) -> None:
    with pytest.raises(TypeError) as caught:
        ostinato.explain(module, torch.randn(5, 2, 3))
    assert str(caught.value) == (
        "explain expected a recurrent layer of ostinato or a module that holds one, "
        f"got {type(module).__name__}; ostinato.convert(module) replaces torch.nn's"
    )


@pytest.mark.parametrize(
    "given", [summed, ostinato.Stream(ostinato.LSTM(2, 3).eval()), None], ids=["cell", "stream", "nothing"]
)
def test_what_is_no_module_is_told_what_to_do(given: Any) -> None:
    with pytest.raises(
        TypeError, match=r"explain expected a recurrent layer .*; of a stream print\(stream\) tells what runs it"
    ):
        ostinato.explain(given, torch.zeros(1, 2))
