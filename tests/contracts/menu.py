"""Every built-in cell, every option, and which of them do not go together: what the contract tests run over."""

from __future__ import annotations

from typing import Any

import torch

import ostinato
from ostinato import Recurrent, cells, chrono, noisy
from ostinato.cells.library import NAMED
from ostinato.nn import StepOptions

# By the name of the cell: the class that has it, and the arguments that choose it.
_VARIANTS = {named.choose(**own).name: (named.name, own) for named in NAMED.values() for own in named.variants}
CELLS = tuple(_VARIANTS)

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "zoneout": {"zoneout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "variational_dropout": {"variational_dropout": (0.2, 0.3, 0.2)},
    "weight_dropout": {"weight_dropout": 0.3},
    "layer_norm": {"layer_norm": True},
    "peephole": {"peephole": True},
    "coupled_gates": {"coupled_gates": True},
    "residual": {"connection": "residual"},
    "highway": {"connection": "highway"},
    "forget_bias": {"forget_bias": 1.5},
    "xavier": {"init": "xavier"},
    "orthogonal": {"init": "orthogonal"},
    "chrono": {"init": chrono(20)},
    "learned": {"initial_state": "learned"},
    "noisy": {"initial_state": noisy(0.3)},
}


def not_for(cell: cells.Cell) -> set[str]:
    """What a cell has no place for, as its description says."""
    gates, states = set(cell.gates), set(cell.states)
    missing = {
        "recurrent_dropout": "candidate" not in cell.seams,
        "forget_bias": not (cell.keep or cell.write),
        "chrono": not (cell.keep or cell.write),
        "peephole": not (gates >= {"f", "o"} and "c" in states),
        "coupled_gates": not gates >= {"i", "f"},
        "variational_dropout": not cell.recurrent,
        "weight_dropout": not cell.recurrent,
    }
    return {option for option, is_missing in missing.items() if is_missing}


NOT_FOR = {named.choose(**own).name: not_for(named.choose(**own)) for named in NAMED.values() for own in named.variants}
PAIRS = [(name, option) for name in CELLS for option in OPTIONS if option not in NOT_FOR[name]]
REFUSED = [(name, option) for name in CELLS for option in OPTIONS if option in NOT_FOR[name]]


def layer(name: str, *args: Any, **options: Any) -> Recurrent:
    """A layer of this cell by its public class: `layer("rnn_tanh", input_size, hidden_size, num_layers, ...)`."""
    kind, own = _VARIANTS[name]
    return getattr(ostinato, kind)(*args, **own, **options)


def step(name: str, *args: Any, **options: Any) -> torch.nn.RNNCellBase:
    """The same cell as a single step: `step("rnn_tanh", input_size, hidden_size, ...)`."""
    kind, own = _VARIANTS[name]
    return getattr(ostinato, f"{kind}Cell")(*args, **own, **options)


STEP_PAIRS = [(name, option) for name, option in PAIRS if OPTIONS[option].keys() <= StepOptions.__annotations__.keys()]
