from __future__ import annotations

import copy
import gc
import random
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ostinato
from ostinato.cells import Cell, State, cell
from ostinato.kernels.compiler.graph import Unsupported
from ostinato.kernels.cpu.code.kernel import Kernel, kernel
from ostinato.kernels.reading.current import MOST_DIGESTS, current
from tests.kernels.reading.test_fingerprint import BUILT_IN, lstm_with_all_options

SCALE = 0.5


@cell(gates="a", states="h")
def scaled(x: Any, s: Any, U: Any) -> State:
    return State(h=torch.tanh(x.a + U(s.h).a) * SCALE)


def annealed(settings: Any) -> Cell:
    @cell(gates="a", states="h")
    def one(x: Any, s: Any, U: Any) -> State:
        return State(h=torch.tanh(x.a + U(s.h).a) * settings.rate)

    return one


@pytest.fixture
def settings() -> types.SimpleNamespace:
    return types.SimpleNamespace(rate=0.5)


def assert_as_reference(layer: Callable[..., Any], *given: Any) -> None:
    found = layer(*given)[0]
    with ostinato.backend("reference"):
        torch.testing.assert_close(found, layer(*given)[0], atol=1e-5, rtol=1e-5)


def test_a_global_that_changes_is_noticed_by_layers_that_are_there_made_anew_and_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, x = ostinato.Recurrent(scaled, 3, 8), torch.randn(4, 2, 3)
    layer(x)
    monkeypatch.setitem(globals(), "SCALE", 0.9)
    for each in (layer, ostinato.Recurrent(scaled, 3, 8), copy.deepcopy(layer)):
        assert_as_reference(each, x)
        assert "compiled" in ostinato.explain(each, x).backends


def test_a_change_under_an_option_is_noticed(settings: Any) -> None:
    layer, x = ostinato.Recurrent(annealed(settings), 3, 8, zoneout=0.1).eval(), torch.randn(4, 2, 3)
    layer(x)
    settings.rate = 0.9
    assert_as_reference(layer, x)


def test_what_changes_again_and_again_is_not_compiled_again_and_again(settings: Any) -> None:
    made, found = annealed(settings), []
    for n in range(MOST_DIGESTS + 3):
        settings.rate = 0.1 * n
        found.append(current(made).digest)
    assert None not in found[:MOST_DIGESTS]
    assert found[-1] is None
    assert "settings.rate changes between calls" in str(current(made).refusal)


def test_what_changes_to_and_fro_is_read_once_for_each(settings: Any) -> None:
    made = annealed(settings)
    rates = (0.5, 0.9)
    found = []
    for n in range(10):
        settings.rate = rates[n % 2]
        found.append(current(made))
    assert len(set(map(id, found))) == 2


def test_the_gradient_is_that_of_the_forward_pass_that_ran(settings: Any) -> None:
    layer, x = ostinato.Recurrent(annealed(settings), 3, 8), torch.randn(4, 2, 3)
    outputs = [layer(x)[0].sum()]
    with ostinato.backend("reference"):
        outputs.append(layer(x)[0].sum())
    settings.rate = 0.9
    got, want = (torch.autograd.grad(y, list(layer.parameters())) for y in outputs)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_a_second_derivative_of_what_has_changed_is_refused(settings: Any) -> None:
    layer, x = ostinato.Recurrent(annealed(settings), 3, 8), torch.randn(4, 2, 3)
    output = layer(x)[0].sum()
    settings.rate = 0.9
    with pytest.raises(RuntimeError, match="has changed since the forward pass ran"):
        torch.autograd.grad(output, list(layer.parameters()), create_graph=True)


def test_a_stream_and_its_copies_notice_it(settings: Any) -> None:
    layer = ostinato.Recurrent(annealed(settings), 3, 8).eval()
    stream, x = ostinato.Stream(layer), torch.randn(4, 3)
    other = stream.copy()
    for each in (stream, other):
        each(x[0])
    settings.rate = 0.9
    with torch.no_grad():
        want = layer(x[1:, None], stream.state[:, None])[0][:, 0]
    for each in (stream, other):
        torch.testing.assert_close(torch.stack([each(v) for v in x[1:]]), want)


def test_a_graph_notices_it(settings: Any) -> None:
    layer, x = ostinato.Recurrent(annealed(settings), 3, 8), torch.randn(4, 2, 3)
    graph = torch.compile(layer, backend="aot_eager")
    with torch.no_grad():
        graph(x)
        settings.rate = 0.9
        with ostinato.backend("reference"):
            want = layer(x)[0]
        torch.testing.assert_close(graph(x)[0], want)


def test_what_a_new_cell_computes_is_found_where_another_computed_it(settings: Any) -> None:
    first, second = annealed(settings), annealed(types.SimpleNamespace(rate=0.5))
    found = kernel(first, True, False, False)
    assert isinstance(found, Kernel)
    settings.rate = 0.9  # the first cell can no longer be asked for the parts that are still to be made
    assert kernel(second, True, False, False) is found
    layer, x = ostinato.Recurrent(second, 3, 8), torch.randn(4, 2, 3)
    layer(x)[0].sum().backward()
    assert_as_reference(layer, x)


def test_cells_of_this_package_look_nowhere() -> None:
    for each in (*BUILT_IN.values(), lstm_with_all_options()):
        assert current(each).is_ours
        assert not len(current(each).watch)


def test_cells_that_are_dropped_go(settings: Any) -> None:
    tensor = torch.ones(())

    def closing() -> Cell:
        @cell(gates="a", states="h")
        def one(x: Any, s: Any, U: Any) -> State:
            return State(h=torch.tanh(x.a + U(s.h).a) * tensor)

        return one

    for make in (closing, lambda: annealed(settings)):
        made = make()
        ostinato.Recurrent(made, 3, 8)(torch.randn(4, 2, 3))
        gone = weakref.ref(made)
        kernels = ostinato.kernels.cpu.code.kernel._kernels
        kernels.clear()
        del made
        gc.collect()
        assert gone() is None


def test_nobodys_random_numbers_come_twice_while_a_cell_is_compiled(settings: Any) -> None:
    numbers: list[float] = []
    done = threading.Event()

    def draw() -> None:
        while not done.is_set():
            numbers.append(float(torch.rand((), dtype=torch.float64)))

    thread = threading.Thread(target=draw)
    thread.start()
    settings.rate = random.random()
    kernel(annealed(settings), True, False, False)
    done.set()
    thread.join()
    assert len(set(numbers)) == len(numbers)


def test_why_a_step_is_refused_keeps_no_frames() -> None:
    generator = np.random.default_rng(0)

    @cell(gates="a", states="h")
    def drawing(x: Any, s: Any, U: Any) -> State:
        return State(h=torch.tanh(x.a + U(s.h).a) * generator.random())

    found = kernel(drawing, True, False, False)
    assert isinstance(found, Unsupported)
    assert "generator" in str(found)
    assert found.__traceback__ is None
