"""torch.compile looks into our layers, whoever was imported first, and into torch.nn's no more than before."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ostinato.nn.dynamo import allow


class Ours(torch.nn.LSTM):
    def forward(self, input: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return input + self.bias_ih_l0.sum()


class Theirs(torch.nn.LSTM):
    def forward(self, input: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return input


def test_a_kind_can_be_allowed_after_torch_compile_was_imported() -> None:
    def compiled(module: torch.nn.Module) -> torch.Tensor:
        torch.compiler.reset()
        return torch.compile(torch.nn.Sequential(module), backend="eager", fullgraph=True)(x)

    x, ours = torch.ones(2), Ours(3, 4)
    assert torch.equal(compiled(torch.nn.Linear(2, 2)).isfinite(), torch.ones(2, dtype=torch.bool))
    with pytest.raises(torch._dynamo.exc.Unsupported, match="RNN, GRU, or LSTM"):
        compiled(ours)
    allow(Ours)
    assert torch.equal(compiled(ours), ours(x))
    with pytest.raises(torch._dynamo.exc.Unsupported, match="RNN, GRU, or LSTM"):
        compiled(Theirs(3, 4))
    assert not torch._dynamo.config.allow_rnn


PROGRAM = """
import sys
{first}
import torch, ostinato
layer = ostinato.LSTM(3, 4)
assert ("torch._dynamo" in sys.modules) == {imported}
compiled = torch.compile(torch.nn.Sequential(layer), backend="eager", fullgraph=True)
x = torch.randn(5, 2, 3)
assert torch.equal(compiled(x)[0], layer(x)[0])
try:
    torch.compile(torch.nn.Sequential(torch.nn.LSTM(3, 4)), backend="eager", fullgraph=True)(x)
except torch._dynamo.exc.Unsupported:
    pass
else:
    raise AssertionError("torch.nn's layers are none of our business")
"""


@pytest.mark.parametrize("first", ["", "import torch._dynamo"])
def test_layers_are_allowed_and_torch_compile_is_not_imported_for_it(first: str) -> None:
    program = PROGRAM.format(first=first, imported=bool(first))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
