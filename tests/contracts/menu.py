"""Every cell that has a name, every option, and which of them do not go together: what the contract tests run over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

import ostinato
from ostinato import Recurrent, catalogue, cells, chrono, noisy
from ostinato.cell_names import catalogued
from ostinato.cells.library import NAMED
from ostinato.cells.places import find
from ostinato.cells.registry import NamedCell
from ostinato.nn import StepOptions


def _variants(of: Iterable[NamedCell]) -> dict[str, tuple[NamedCell, Mapping[str, Any]]]:
    """By the name of the cell: what it is a variant of, and the arguments that choose it."""
    return {named.choose(**own).name: (named, own) for named in of for own in named.variants}


_BUILT_IN = _variants(NAMED.values())
_CATALOGUED = _variants(find(each.key) for each in catalogued())
_VARIANTS = _BUILT_IN | _CATALOGUED
CELLS = tuple(_BUILT_IN)
CATALOGUE = tuple(_CATALOGUED)  # of which there are many: `test_catalogue` tries each with few combinations of options

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "zoneout": {"zoneout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "variational_dropout": {"variational_dropout": (0.2, 0.3, 0.2)},
    "weight_dropout": {"weight_dropout": 0.3},
    "layer_norm": {"layer_norm": True},
    "peephole": {"peephole": True},
    "coupled_gates": {"coupled_gates": True},
    "num_heads": {"num_heads": 2},
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
    has_peepholes = any(p.name == "weight_co" for p in cell.parameters)
    missing = {
        "recurrent_dropout": "candidate" not in cell.seams,
        "forget_bias": not (cell.keep or cell.write),
        "chrono": not (cell.keep or cell.write),
        "peephole": has_peepholes or not (gates >= {"f", "o"} and "c" in states),
        "coupled_gates": has_peepholes or not gates >= {"i", "f"},
        "variational_dropout": not cell.recurrent,
        "weight_dropout": not cell.recurrent,
        "num_heads": not (cell.recurrent or cell.counts_heads),
    }
    return {option for option, is_missing in missing.items() if is_missing}


NOT_FOR = {name: not_for(named.choose(**own)) for name, (named, own) in _VARIANTS.items()}
PAIRS = [(name, option) for name in CELLS for option in OPTIONS if option not in NOT_FOR[name]]
REFUSED = [(name, option) for name in _VARIANTS for option in OPTIONS if option in NOT_FOR[name]]


def layer(name: str, *args: Any, **options: Any) -> Recurrent:
    """A layer of this cell by its public class: `layer("rnn_tanh", input_size, hidden_size, num_layers, ...)`."""
    return _class_of(name, "")(*args, **_VARIANTS[name][1], **options)


def cell_of(name: str) -> cells.Cell:
    """The cell itself."""
    named, own = _VARIANTS[name]
    return named.choose(**own)


def step(name: str, *args: Any, **options: Any) -> torch.nn.RNNCellBase:
    """The same cell as a single step: `step("rnn_tanh", input_size, hidden_size, ...)`."""
    return _class_of(name, "Cell")(*args, **_VARIANTS[name][1], **options)


def _class_of(name: str, kind: str) -> Any:
    return getattr(ostinato if name in _BUILT_IN else catalogue, _VARIANTS[name][0].name + kind)


STEP_PAIRS = [(name, option) for name, option in PAIRS if OPTIONS[option].keys() <= StepOptions.__annotations__.keys()]
