from __future__ import annotations

import pytest
import torch

import ostinato
from ostinato.cells import Gates, State, cell
from ostinato.errors import ConfigError
from ostinato.nn.explain import listing


@cell(gates="z", states="h")
def running(x: Gates, s: State, U: object) -> State:
    """A step that the compiler does not know how to do."""
    return State(h=torch.cumsum(x.z + s.h, -1))


def test_the_program_shows_the_step_and_its_derived_gradient() -> None:
    text = listing(ostinato.RNN(3, 5))
    assert "v3 = tanh(v2)" in text
    assert "du0[0] = v6" in text
    assert text.index("forward") < text.index("backward")


def test_an_option_that_acts_in_training_only_is_in_no_listing_of_evaluation() -> None:
    layer = ostinato.LSTM(3, 5, recurrent_dropout=0.2)
    assert "recurrent_dropout" in listing(layer.train())
    assert "recurrent_dropout" not in listing(layer.eval())


@pytest.mark.parametrize("part", ["inference", "training", "backward"])
def test_the_code_of_each_part_can_be_read(part: str) -> None:
    assert f'define void @"{part}"' in listing(ostinato.GRU(3, 5), "llvm", part)  # pyright: ignore[reportArgumentType]
    assert f"{part}:" in listing(ostinato.GRU(3, 5), "assembly", part)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("part", ["inference", "training", "backward"])
def test_the_source_for_a_gpu_can_be_read_without_one(part: str) -> None:
    text = listing(ostinato.LSTM(3, 20, proj_size=5, dtype=torch.bfloat16), "triton", part)  # pyright: ignore[reportArgumentType]
    assert "n_H = tl.constexpr(20)" in text
    assert "n_P = tl.constexpr(5)" in text
    assert f"def {part}(n0, n1, T, B, reverse, flags, " in text
    compile(text, "listing", "exec")
    assert f"def {part}(" in listing(ostinato.GRUCell(3, 5), "triton", part)  # pyright: ignore[reportArgumentType]


def test_what_there_is_no_listing_of() -> None:
    with pytest.raises(ConfigError, match="kind expected one of program, llvm, assembly, triton, got 'c'"):
        listing(ostinato.GRU(3, 5), "c")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"no code for 'running': the step uses aten\.cumsum"):
        listing(ostinato.Recurrent(running, 3, 5))
    with pytest.raises(ConfigError, match=r"no code for 'running': the step uses aten\.cumsum"):
        listing(ostinato.Recurrent(running, 3, 5), "triton")
    with pytest.raises(TypeError, match="listing expected a recurrent layer of ostinato, got Linear"):
        listing(torch.nn.Linear(3, 5))  # pyright: ignore[reportArgumentType]
