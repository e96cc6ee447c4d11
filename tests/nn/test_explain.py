"""`explain`: what ran, by name, with the reason."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ostinato
from ostinato import cells


def test_a_plain_layer_goes_to_torch_in_one_call() -> None:
    explanation = ostinato.explain(ostinato.GRU(3, 4, 2, bidirectional=True), torch.randn(5, 2, 3))
    assert str(explanation) == "GRU: vendor (torch's GRU kernel, exactly as torch.nn calls it)"


def test_an_option_is_named_as_the_reason() -> None:
    layer = ostinato.LSTM(3, 4, layer_norm=True, peephole=True)
    said = str(ostinato.explain(layer, torch.randn(5, 2, 3)))
    assert said == (
        "LSTM: reference (the step of 'lstm' in a loop over time, in plain PyTorch; "
        "not vendor: torch's kernels do not know peephole, layer_norm)"
    )


def test_other_reasons() -> None:
    x = torch.randn(5, 2, 3)
    own = ostinato.Recurrent(cells.gru_reset_before, 3, 4)
    assert "not vendor: torch has no kernel for the cell 'gru_reset_before'" in str(ostinato.explain(own, x))
    lstm = ostinato.LSTM(3, 4)
    said = str(ostinato.explain(lstm, x, return_states=True))
    assert "not vendor: torch's kernels give only the output at every step, and all states were asked for" in said
    assert ostinato.explain(lstm, x, lengths=[5, 2]).backends == {"vendor"}
    with ostinato.backend("reference"):
        assert str(ostinato.explain(lstm, x)).endswith("asked for by name)")
    meta = ostinato.LSTM(3, 4, device="meta")
    assert "a meta tensor has no values" in str(ostinato.explain(meta, x.to("meta"), lengths=[5, 2]))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = ostinato.GRU(3, 4)
        self.decoder = nn.ModuleDict({"step": ostinato.LSTMCell(4, 4, zoneout=0.5)})
        self.unused = ostinato.RNN(3, 4)
        self.theirs = nn.GRU(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder["step"](self.theirs(self.encoder(x)[0])[0][-1])[0]


def test_a_model_is_told_layer_by_layer() -> None:
    explanation = ostinato.explain(Model(), torch.randn(5, 2, 3))
    assert {name: [c.backend for c in choices] for name, choices in explanation.choices.items()} == {
        "encoder": ["vendor"],
        "decoder.step": ["reference"],
        "unused": [],
    }
    assert explanation.backends == {"vendor", "reference"}
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
