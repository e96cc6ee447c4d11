"""Every cell of the catalogue: what the contracts say of all cells, with few combinations of options in which each pair meets."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

import pytest
import torch

from ostinato import backend, explain
from ostinato.nn import StepOptions
from tests.contracts.menu import CATALOGUE, NOT_FOR, OPTIONS
from tests.contracts.test_cells_by_options import (
    LENGTHS,
    a_layer_is_the_same_after_it_was_kept,
    a_single_step_is_a_step_of_the_layer,
    batch,
    built,
    everything,
    extras,
    holds,
    tensors,
)
from tests.kernels.cpu.against import error
from tests.pairwise import covering, meetings

_CHOICES: dict[str, tuple[Any, ...]] = {
    "whole": (True, False),
    "bidirectional": (False, True),
    "bias": (True, False),
    "connection": (None, "residual", "highway"),
    "first": (None, "learned", "noisy"),
}
_SWITCHES = ("zoneout", "recurrent_dropout", "variational_dropout", "weight_dropout", "layer_norm")


@dataclass(frozen=True)
class Setting:
    """How a layer is built and called; pairs of these values meet in `SETTINGS`."""

    whole: bool
    bidirectional: bool
    bias: bool
    connection: str | None
    first: str | None
    zoneout: bool
    recurrent_dropout: bool
    variational_dropout: bool
    weight_dropout: bool
    layer_norm: bool

    def options(self, name: str) -> dict[str, Any]:
        """What of it a cell can take."""
        wanted = [v for v in (self.connection, self.first) if v is not None]
        wanted += [option for option in _SWITCHES if getattr(self, option)]
        left_out = NOT_FOR[name] | LEFT_OUT.get(name, set())
        options = {k: v for option in wanted if option not in left_out for k, v in OPTIONS[option].items()}
        return {**options, "bias": self.bias}

    def __str__(self) -> str:
        return "-".join(v if isinstance(v, str) else k for k, v in asdict(self).items() if v) or "plain"


@cache
def drawn() -> list[Setting]:
    r = random.Random(0)
    choices = [_CHOICES.get(each.name, (False, True)) for each in fields(Setting)]
    return [Setting(*map(r.choice, choices)) for _ in range(300)]


# What the compiler has no code for: memories that are matrices.
NOT_COMPILED = ("mlstm",)
# What a cell takes, but with results that no two programs share: a normaliser that noise has brought near zero.
LEFT_OUT = {"slstm": {"noisy"}}

SETTINGS = [drawn()[at] for at in covering([asdict(each) for each in drawn()])]


def test_every_pair_meets_and_the_settings_are_few() -> None:
    sizes = [len(_CHOICES.get(each.name, (False, True))) for each in fields(Setting)]
    pairs = sum(a * b for at, a in enumerate(sizes) for b in sizes[:at])
    assert len({met for each in SETTINGS for met in meetings(asdict(each))}) == pairs
    assert len(SETTINGS) <= 20


def by_now(name: str) -> str:
    """The backend that runs the cell by itself."""
    return "reference" if name in NOT_COMPILED else "compiled"


def results(made: torch.nn.Module, lengths: list[int] | None, by: str) -> list[torch.Tensor]:
    made.zero_grad()
    x = batch().requires_grad_()
    torch.manual_seed(5)
    with backend(by):
        output, last, states = made(x, lengths=lengths, return_states=True, **extras(made))
    found = tensors((output, last, states))
    torch.stack([(v * v.detach().cos()).sum() for v in found]).sum().backward()
    # Some backends give zeros where nothing depends on a parameter.
    gradients = (torch.zeros_like(p) if p.grad is None else p.grad for p in (x, *made.parameters()))
    return [*(v.detach() for v in found), *gradients]


@pytest.mark.cross
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_cell_with_options_compiled_as_in_the_reference(name: str, setting: Setting) -> None:
    lengths = None if setting.whole else LENGTHS
    made = built(name, setting.bidirectional, **setting.options(name))
    assert explain(made, batch(), **extras(made)).backends == {by_now(name)}
    for got, expected in zip(*(results(made, lengths, by) for by in (by_now(name), "reference")), strict=True):
        assert error(got, expected) <= 1e-12
    made.zero_grad()
    holds(made, lengths)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_cell_has_a_single_step_and_can_be_kept(name: str) -> None:
    a_single_step_is_a_step_of_the_layer(name)
    of_steps = StepOptions.__annotations__.keys()
    with backend("reference"):  # of machine code with options there is enough above
        a_single_step_is_a_step_of_the_layer(name, **{k: v for k, v in everything(name).items() if k in of_steps})
        a_layer_is_the_same_after_it_was_kept(name, "pickle")


@pytest.mark.parametrize(
    ("name", "start"),
    [(n, s) for n in CATALOGUE for s in ("forget_bias", "xavier", "orthogonal", "chrono") if s not in NOT_FOR[n]],
)
def test_every_cell_starts_as_it_is_told(name: str, start: str) -> None:
    made = built(name, True, **OPTIONS[start])
    with backend("reference"):
        holds(made, LENGTHS)
