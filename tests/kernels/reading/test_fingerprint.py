from __future__ import annotations

import importlib
import itertools
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from ostinato import cells
from ostinato.cells import Cell, MaskSpec, Parameter, State, cell
from ostinato.cells import options as option
from ostinato.kernels.reading.fingerprint import fingerprint

MODULE = """
import math
import helpers
from ostinato.cells import State, cell
from torch import tanh

SCALE = {scale}

def inner(v):
    return v * {inner}

def outer(v):
    def nested(v):
        return inner(v) + {nested}
    return nested(v)

@cell(gates="a", states="h")
def mine(x, s, U):
    {comment}
    return State(h=SCALE * outer(tanh(x.a + U(s.h).a)) * helpers.FACTOR + helpers.used(s.h) * math.pi)
"""
HELPERS = """
from functools import partial

FACTOR = {factor}
unused_by_all = object()

def times(by, v):
    return v * by

used = partial(times, {by})
"""
PLAIN = dict.fromkeys(("scale", "inner", "nested", "factor", "by"), 2.0) | {"comment": ""}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cell]]:
    """Makes the cell of `MODULE` with some of its numbers changed."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(**changed: object) -> Cell:
        for name, text in (("mine", MODULE), ("helpers", HELPERS)):
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(text).format(**{**PLAIN, **changed}))
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("mine").mine

    yield write
    for name in ("mine", "helpers"):
        sys.modules.pop(name, None)


def lstm_with_all_options() -> Cell:
    made = option.layer_norm(option.peephole(option.coupled_gates(cells.lstm)))
    made = option.variational_dropout(option.recurrent_dropout(made, 0.5), 0.5)
    return option.zoneout(option.projection(made), {"h": 0.1, "c": 0.2})


BUILT_IN = {c.name: c for c in (*vars(cells).values(), cells.rhn(2), cells.rhn(3)) if isinstance(c, Cell)}


def test_every_built_in_cell_has_one_of_its_own() -> None:
    found = [fingerprint(c) for c in (*BUILT_IN.values(), lstm_with_all_options())]
    assert None not in found
    assert len(set(found)) == len(found)


def test_options_applied_twice_give_the_same() -> None:
    assert fingerprint(lstm_with_all_options()) == fingerprint(lstm_with_all_options())


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_gives_the_same(hash_seed: str, written: Callable[..., Cell], tmp_path: Path) -> None:
    program = (
        "from mine import mine; from ostinato.kernels.reading.fingerprint import fingerprint\n"
        "from tests.kernels.reading.test_fingerprint import lstm_with_all_options\n"
        "print(fingerprint(mine), fingerprint(lstm_with_all_options()))"
    )
    expected = [fingerprint(written()), fingerprint(lstm_with_all_options())]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(root)))}
    for _ in range(2):  # the first compiles the module, the second reads what the first compiled
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        assert done.stdout.split() == expected


def test_what_a_users_cell_can_reach_is_part_of_it(written: Callable[..., Cell]) -> None:
    plain = fingerprint(written())
    assert plain is not None
    assert fingerprint(written()) == plain
    assert fingerprint(written(comment="# says nothing")) == plain
    changed = [fingerprint(written(**{name: 3.0})) for name in ("scale", "inner", "nested", "factor", "by")]
    assert None not in changed
    assert len({plain, *changed}) == 1 + len(changed)


def test_numbers_of_other_types_and_signs_differ(written: Callable[..., Cell]) -> None:
    found = [
        fingerprint(written(scale=scale)) for scale in ("2.0", "2", "True", "-0.0", "0.0", "(2.0,)", "'2.0'", "None")
    ]
    assert len(set(found)) == len(found)


def one_of(function: Callable[..., Any], **described: Any) -> Cell:
    """A cell that calls `function`, which is in its closure."""

    def step(x: Any, s: Any, U: Any) -> State:
        return State(h=function(x.a + U(s.h).a))

    return Cell(**{"name": "one", "step": step, "gates": ("a",), "states": {"h": "H"}, **described})


def scaled(by: Any) -> Callable[[Any], Any]:
    return lambda v: v * by


def defaulting(by: Any) -> Callable[..., Any]:
    def function(v: Any, *, by: Any = by) -> Any:
        return v * by

    return function


def attributed(by: Any) -> Callable[[Any], Any]:
    def function(v: Any) -> Any:
        return v * function.by  # pyright: ignore[reportFunctionMemberAccess]

    function.by = by  # pyright: ignore[reportFunctionMemberAccess]
    return function


def remembered(by: Any) -> Callable[[Any], Any]:
    return cache(scaled(by))


def placed(by: Any) -> Callable[[Any], Any]:
    return partial(lambda v, other: v * other, other=by)


@pytest.mark.parametrize("make", [scaled, defaulting, attributed, placed])
def test_values_that_a_function_holds(make: Callable[[Any], Callable[..., Any]]) -> None:
    values = [1.0, 1, 2.0, "a", "b", None, (1.0, 2.0), (2.0, 1.0), ((1.0,), 2.0), [1.0, 2.0], {"a": 1.0}, {"a": 2.0}]
    values += [{"b": 1.0}, frozenset({"a", "b"}), torch.float32, torch.float64, torch.tanh, torch.sigmoid, torch.relu]
    values += [MappingProxyType({"a": 3.0}), scaled(1.0), scaled(2.0), cells.lstm, cells.gru, State, dict, len]
    found = [fingerprint(one_of(make(value))) for value in values]
    assert None not in found
    assert len(set(found)) == len(found)
    assert found == [fingerprint(one_of(make(value))) for value in values]


@pytest.mark.parametrize(
    "unknown",
    [
        itertools.count(),
        remembered(1.0),
        random.Random(1),
        np.ones(3),
        torch.Generator(),
        torch.ones(3),
        torch.nn.Linear(2, 2),
        torch.ones(3).add,
        iter(()),
        os.environ,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_identified_leaves_none(unknown: Any) -> None:
    for holder in (unknown, (unknown,), [unknown], {"a": unknown}, scaled(unknown), partial(scaled, unknown)):
        assert fingerprint(one_of(scaled(holder))) is None
    assert fingerprint(one_of(unknown)) is None


def test_a_function_that_only_says_it_is_torchs_is_read() -> None:
    def impostor(v: Any) -> Any:
        return v

    impostor.__module__, impostor.__qualname__ = "torch", "tanh"
    assert fingerprint(one_of(impostor)) not in (None, fingerprint(one_of(torch.tanh)))


def test_recursion_ends() -> None:
    def again(depth: float) -> Callable[..., Any]:
        def function(v: Any, times: int) -> Any:
            return v if times == 0 else function(v * depth, times - 1)

        return function

    endless: list[Any] = [1.0]
    endless.append(endless)
    found = [fingerprint(one_of(partial(again(by), times=3))) for by in (2.0, 3.0)]
    found += [fingerprint(one_of(scaled(endless)))]
    assert None not in found
    assert len(set(found)) == 3


def test_two_functions_that_call_each_other_differ_by_either() -> None:
    def pair(first: float, second: float) -> Callable[[Any, int], Any]:
        def even(v: Any, times: int) -> Any:
            return v * first if times == 0 else odd(v, times - 1)

        def odd(v: Any, times: int) -> Any:
            return v * second if times == 0 else even(v, times - 1)

        return even

    found = [fingerprint(one_of(pair(*values))) for values in ((1.0, 2.0), (2.0, 1.0), (1.0, 3.0), (3.0, 2.0))]
    assert len({*found, None}) == 5


def described(**changed: Any) -> Cell:
    base = one_of(scaled(1.0), parameters=(Parameter("p", ("H",)),), noise=(MaskSpec("n", 0.1, "h", True, True),))
    return replace(base, **changed)


DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "name": {"name": "another"},
    "gates": {"gates": ("b",)},
    "more gates": {"gates": ("a", "b"), "input_gates": ("a", "b")},
    "order of gates": {"gates": ("b", "a"), "input_gates": ("a", "b")},
    "input_gates": {"gates": ("a", "b"), "input_gates": ("a",)},
    "states": {"states": {"k": "H"}},
    "letter of a state": {"states": {"h": "P"}},
    "recurrent": {"recurrent": False},
    "parameter": {"parameters": (Parameter("q", ("H",)),)},
    "letter of a parameter": {"parameters": (Parameter("p", ("G",)),)},
    "noise": {"noise": (MaskSpec("m", 0.1, "h", True, True),)},
    "noise of a sequence": {"noise": (MaskSpec("n", 0.1, "h", False, True),)},
    "enter": {"enter": (lambda product, parameters: product,)},
    "another enter": {"enter": (lambda product, parameters: product * 2,)},
    "step": {"step": lambda x, s, U: State(h=x.a)},
}


def test_a_description_that_changes_the_step_changes_it() -> None:
    found = [fingerprint(described(**changed)) for changed in ({}, *DESCRIPTIONS.values())]
    assert None not in found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "changed",
    [
        {"noise": (MaskSpec("n", 0.7, "h", True, True),)},
        {"keep": "a", "write": "a"},
        {"source": "elsewhere", "options": ("some",), "vendor": None, "module": "another"},
        {"parameters": (Parameter("p", ("H",), 5.0),)},
    ],
)
def test_a_description_that_does_not_reach_the_step_does_not(changed: dict[str, Any]) -> None:
    assert fingerprint(described(**changed)) == fingerprint(described())


@pytest.mark.parametrize("change", [option.recurrent_dropout, option.variational_dropout])
def test_rates_of_dropout_do_not_change_it(change: Callable[[Cell, float], Cell]) -> None:
    assert fingerprint(change(cells.lstm, 0.1)) == fingerprint(change(cells.lstm, 0.2))


def test_the_eps_of_layer_norm_changes_it() -> None:
    assert fingerprint(option.layer_norm(cells.lstm)) != fingerprint(option.layer_norm(cells.lstm, eps=1e-3))


def test_many_globals_are_all_read() -> None:
    """More than 255 names: their places in the bytecode take more than one byte."""
    lines = [f"n{n} = {n}" for n in range(600)]
    lines += ["def step(x, s, U):", "    return " + " + ".join(f"n{n}" for n in range(600))]
    found: set[str | None] = set()
    for changed in (None, 0, 127, 128, 255, 256, 257, 511, 512, 599):
        space: dict[str, Any] = {"__name__": "many"}
        exec("\n".join(lines), space)
        if changed is not None:
            space[f"n{changed}"] = -1
        found.add(fingerprint(one_of(scaled(1.0), step=space["step"])))
    assert len(found - {None}) == 10


def test_attributes_are_not_taken_for_globals() -> None:
    """A module's own `a`, which cannot be identified, is not the gate `a` of a step."""
    space: dict[str, Any] = {"__name__": "clash", "a": iter(()), "State": State, "cell": cell}
    exec("@cell(gates='a', states='h')\ndef made(x, s, U):\n    return State(h=x.a + U(s.h).a)", space)
    assert fingerprint(space["made"]) is not None
    exec("@cell(gates='a', states='h')\ndef made(x, s, U):\n    return State(h=x.a + a)", space)
    assert fingerprint(space["made"]) is None
