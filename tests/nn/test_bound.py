"""A call is bound once and used again: nothing of one call shows in another, and a stack is one node for autograd."""

from __future__ import annotations

import copy
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import ostinato
from ostinato import GRU, LSTM, RNN, backend
from ostinato.kernels.compiled import Compiled
from ostinato.kernels.cpu.run.bound import BoundCall
from ostinato.kernels.cpu.run.buffers import pool


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "poison", True)


def calls(layer: Any) -> list[BoundCall]:
    """Those that are bound for a layer."""
    return [found._call for _, known in layer._bound.values() for found in known.values()]


def nodes(output: Tensor) -> Iterator[str]:
    """The names of all nodes of a graph but those of leaves."""
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            if node.name() != "torch::autograd::AccumulateGrad":
                yield node.name()
            waiting += [before for before, _ in node.next_functions]


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"zoneout": 0.1}])
@pytest.mark.parametrize("lengths", [None, [5, 2, 0]])
def test_a_stack_is_one_node(options: dict[str, Any], lengths: list[int] | None) -> None:
    layer = LSTM(3, 4, 3, bidirectional=True, **options)
    assert list(nodes(layer(torch.randn(5, 3, 3), lengths=lengths)[0])) == ["_AutogradBackward"]


def gradients(layer: torch.nn.Module, x: Tensor, **more: Any) -> list[Tensor]:
    layer.zero_grad()
    x = x.detach().requires_grad_()
    output, last = layer(x, **more)
    loss = output.square().sum() + sum(v.sum() for v in (last if isinstance(last, tuple) else (last,)))
    found = torch.autograd.grad(loss, [x, *layer.parameters()])
    return [output.detach(), *found]


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_calls_of_many_shapes_do_not_show_in_each_other(kind: Any) -> None:
    torch.manual_seed(0)
    layer = kind(3, 5, 2, bidirectional=True)
    shapes = [(int(t), int(b)) for t, b in torch.randint(1, 6, (60, 2))]
    batches = [torch.randn(t, b, 3) for t, b in shapes]
    with backend("reference"):
        expected = [gradients(layer, x) for x in batches]
    for _ in range(2):
        for x, wanted in zip(batches, expected, strict=True):
            torch.testing.assert_close(gradients(layer, x), wanted, rtol=1e-4, atol=1e-5)
    assert all(len(call._launches) <= 16 for call in calls(layer))


def test_threads_that_call_one_layer_at_once_find_what_each_finds_alone() -> None:
    layer = LSTM(4, 9, 2, bidirectional=True, layer_norm=True)
    batches = [torch.randn(1 + n % 4, 1 + n % 3, 4) for n in range(8)]
    alone = [layer(x)[0].detach() for x in batches]
    gradient = [torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters())) for x in batches]
    wrong: list[int] = []

    def call(n: int) -> None:
        for _ in range(40):
            output = layer(batches[n])[0]
            found = torch.autograd.grad(output.sum(), list(layer.parameters()))
            if not torch.equal(output, alone[n]) or not all(map(torch.equal, found, gradient[n])):
                wrong.append(n)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_weights_that_come_back_without_a_trace_are_packed_again() -> None:
    """Two calls share the panels of a weight: what one of them has packed anew is not what the other one knows."""
    layer, x = LSTM(3, 5), torch.randn(4, 2, 3)
    first, other = (LSTM(3, 5).state_dict() for _ in range(2))

    def put(weights: dict[str, Tensor]) -> None:
        for name, v in weights.items():
            layer.get_parameter(name).data.copy_(v)

    def found(training: bool) -> Tensor:
        return layer.train(training)(x)[0].detach()

    with backend("reference"):
        put(first)
        wanted = found(training=False)
    for _ in range(3):
        put(first)
        for _ in range(3):
            torch.testing.assert_close(found(training=False), wanted)
        put(other)
        found(training=True)
    put(first)
    torch.testing.assert_close(found(training=False), wanted)


def test_a_layer_goes_with_all_that_was_bound() -> None:
    layer = LSTM(3, 5, 2)
    layer(torch.randn(4, 2, 3))[0].sum().backward()
    left = [
        weakref.ref(v) for v in (layer, layer.get_parameter("weight_hh_l0"), next(iter(layer._bound)) and layer.cell)
    ]
    known = [weakref.ref(call) for _, calls in layer._bound.values() for call in calls.values()]
    del layer
    gc.collect()
    assert left[0]() is None
    assert left[1]() is None
    assert all(call() is None for call in known)


@pytest.mark.parametrize("is_parametrized", [False, True])
def test_a_copy_binds_calls_of_its_own(is_parametrized: bool) -> None:
    layer, x = LSTM(3, 5), torch.randn(4, 2, 3)
    if is_parametrized:  # whose copies are made without `__getstate__`
        torch.nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    wanted = layer(x)[0]
    copied = copy.deepcopy(layer)
    assert calls(layer)
    assert not calls(copied)
    assert torch.equal(copied(x)[0], wanted)
    with torch.no_grad():
        next(iter(layer.parameters())).mul_(2)
    assert torch.equal(copied(x)[0], wanted)
    assert not torch.equal(layer(x)[0], wanted)


def test_memory_does_not_grow_with_shapes() -> None:
    layer, held = GRU(3, 5), set()
    for t in range(1, 41):
        layer(torch.randn(t, 2, 3))[0].sum().backward()
        held.update(len(call._launches) for call in calls(layer))
    assert max(held) == 16


def test_what_is_asked_for_by_name_or_explained_is_not_bound() -> None:
    layer, x = LSTM(3, 4), torch.randn(5, 2, 3)
    with backend("vendor"):
        layer(x)
    ostinato.explain(layer, x)
    assert not calls(layer)
    layer(x)
    assert len(calls(layer)) == 1


def test_dropout_that_is_set_later_acts() -> None:
    layer, x = LSTM(4, 5, num_layers=2), torch.randn(3, 2, 4)
    layer(x)
    layer.dropout = 0.9
    assert not torch.equal(layer(x)[0], layer(x)[0])


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_hh_l0"])
def test_a_parameter_that_is_cut_where_it_lies_is_refused(name: str) -> None:
    layer, x = LSTM(4, 5), torch.randn(3, 2, 4)
    for _ in range(3):
        layer(x)
    parameter = layer.get_parameter(name)
    parameter.data = parameter.data[:16]
    with pytest.raises(RuntimeError, match=r"expected the shape \(20,.*got \(16,"):
        layer(x)


def test_the_output_does_not_share_its_memory_with_the_states() -> None:
    output, _, states = LSTM(4, 5)(torch.randn(3, 2, 4), return_states=True)
    before = states.h[0].clone()
    output.mul_(0)
    assert torch.equal(states.h[0], before)


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_frozen_layers_show_has_no_gradient(create_graph: bool) -> None:
    layer, x = LSTM(4, 5, 2, dtype=torch.float64), torch.randn(3, 2, 4, dtype=torch.float64)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_(not name.endswith("_l0"))
    found = []
    for by in ("auto", "reference"):
        with backend(by):
            output, _, states = layer(x, return_states=True)
            assert [states.h[n].requires_grad for n in (0, 1)] == [False, True]
            loss = output.square().sum() + states.h[0].square().sum()
            found.append(torch.autograd.grad(loss, layer.get_parameter("weight_hh_l1"), create_graph=create_graph)[0])
    torch.testing.assert_close(*found)


class Lost(torch.autograd.Function):
    """Hands no gradient on."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return v.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> None:
        return None


def test_gradients_that_are_lost_on_the_way_are_none_or_zero() -> None:
    layer = LSTM(4, 5)
    for create_graph in (False, True):
        lost = Lost.apply(layer(torch.randn(3, 2, 4))[0])
        found = torch.autograd.grad(lost.sum(), list(layer.parameters()), create_graph=create_graph, allow_unused=True)
        assert not any(v.any() for v in found if v is not None)


def test_weights_of_a_call_and_the_graph_that_made_them_are_not_held() -> None:
    layer = LSTM(4, 5)
    weights = {name: v.detach().clone().requires_grad_() * 1 for name, v in layer.state_dict().items()}
    output = torch.func.functional_call(layer, weights, (torch.randn(3, 2, 4),))[0]
    output.sum().backward()
    left = weakref.ref(weights["weight_hh_l0"])
    del weights, output
    gc.collect()
    assert left() is None


def test_what_is_saved_goes_with_the_backward_pass_and_to_hooks() -> None:
    layer, x, seen = LSTM(4, 5), torch.randn(30, 2, 4), []
    with torch.autograd.graph.saved_tensors_hooks(lambda v: (seen.append(v.numel()), v.clone())[1], lambda v: v):
        output = layer(x)[0]
    assert max(seen) > 30 * 2 * 5 * 4  # four numbers for each unit and step
    output.sum().backward()
    found = [p.grad for p in layer.parameters()]
    assert torch.equal(found[0], torch.autograd.grad(layer(x)[0].sum(), layer.get_parameter("weight_ih_l0"))[0])  # pyright: ignore[reportArgumentType]


def test_launches_go_without_the_collector() -> None:
    layer = GRU(3, 5)
    layer(torch.randn(2, 2, 3))
    (call,) = calls(layer)
    launch = weakref.ref(next(iter(call._launches.values()))[0])
    gc.disable()
    try:
        for t in range(3, 30):
            layer(torch.randn(t, 2, 3))
        assert launch() is None
    finally:
        gc.enable()


def test_orders_that_are_large_are_not_kept() -> None:
    layer = GRU(1, 1)
    with torch.no_grad():
        layer(torch.randn(600, 500, 1), lengths=[600] * 499 + [7])
    (call,) = calls(layer)
    assert not call._launches
    assert not call._routes


def test_first_states_may_not_change_before_the_backward_pass() -> None:
    layer, x, hx = GRU(3, 5, 2), torch.randn(4, 2, 3), torch.randn(2, 2, 5)
    output = layer(x, hx)[0]
    hx.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("has_first", [False, True])
@pytest.mark.parametrize("bias", [True, False])
def test_a_single_step_of_elmans_network_is_torchs_own(nonlinearity: str, has_first: bool, bias: bool) -> None:
    layer = RNN(3, 5, nonlinearity=nonlinearity, bias=bias)
    plain = torch.nn.RNN(3, 5, nonlinearity=nonlinearity, bias=bias)
    plain.load_state_dict(layer.state_dict())
    hx = torch.randn(1, 2, 5) if has_first else None
    for steps in (1, 4, 1):
        x = torch.randn(steps, 2, 3)
        ours, theirs = layer(x, hx), plain(x, hx)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=0.0 if steps == 1 else 1e-5, atol=0.0 if steps == 1 else 1e-6)
    assert ostinato.explain(layer, torch.randn(1, 2, 3)).backends == {"vendor"}
    assert ostinato.explain(layer, torch.randn(1, 2, 3), lengths=[1, 0]).backends == {"compiled"}
    with backend("compiled"):
        assert list(nodes(layer(torch.randn(1, 2, 3))[0])) == ["_AutogradBackward"]
    assert "_AutogradBackward" not in list(nodes(layer(torch.randn(1, 2, 3))[0]))
    assert list(nodes(layer(torch.randn(1, 2, 3), lengths=[1, 0])[0])) == ["_AutogradBackward"]


def test_first_states_that_are_not_given_are_zeros_in_every_call() -> None:
    layer, x = LSTM(3, 5, 2), torch.randn(4, 2, 3)
    wanted = layer(x)[0].detach()
    output, last = layer(x, lengths=[0, 0])
    for v in (output, *last):
        assert not v.any()
        v.detach().fill_(7.0)
    zeros = (torch.zeros(2, 2, 5), torch.zeros(2, 2, 5))
    for v in layer(x, zeros)[1]:
        v.detach().fill_(7.0)
    assert torch.equal(layer(x)[0], wanted)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_and_outputs_without_a_gradient(frozen: int) -> None:
    layer = LSTM(3, 5, 3, bidirectional=True)
    plain = torch.nn.LSTM(3, 5, 3, bidirectional=True)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(4, 2, 3)
    for only in ("output", "h", "c"):
        found = []
        for module in (layer, plain):
            for name, p in module.named_parameters():
                p.grad = None
                p.requires_grad_(f"_l{frozen}" not in name and not (frozen == 2 and "_l0" in name))
            output, (h, c) = module(x)
            {"output": output, "h": h, "c": c}[only].square().sum().backward()
            found.append([p.grad for p in module.parameters()])
        for ours, theirs in zip(*found, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


KINDS = pytest.mark.parametrize("kind", [RNN, GRU, LSTM])


def pair(kind: Any, *sizes: int) -> tuple[Any, Any]:
    """One of ours, and torch.nn's with the same weights."""
    ours, theirs = kind(*sizes), getattr(torch.nn, kind.__name__)(*sizes)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@KINDS
@pytest.mark.parametrize("change", ["half", "a smaller weight", "a smaller state", "a smaller input"])
def test_tensors_of_another_kind_in_the_backward_pass_are_told(kind: Any, change: str) -> None:
    layer, x = kind(5, 7), torch.randn(6, 3, 5)
    h = torch.randn(1, 3, 7)
    output = layer(x, (h, h.clone()) if kind is LSTM else h)[0]
    if change == "half":
        layer.half()
    elif change == "a smaller weight":
        layer.weight_hh_l0.data = torch.zeros(1, 1)
    elif change == "a smaller state":
        h.data = torch.zeros(1, 1, 1)
    else:
        x.data = torch.zeros(1, 1, 5)
    with pytest.raises(RuntimeError, match="as in the forward pass"):
        output.sum().backward()


@pytest.mark.parametrize("change", [Tensor.half, Tensor.double, lambda v: v[:1], lambda v: v.flatten()[:1]])
def test_what_hooks_on_saved_tensors_give_back_is_looked_at(change: Any) -> None:
    layer = GRU(5, 30)
    with torch.autograd.graph.saved_tensors_hooks(change, lambda v: v):
        output = layer(torch.randn(9, 8, 5))[0]
    with pytest.raises(RuntimeError, match="as in the forward pass"):
        output.sum().backward()


@KINDS
@pytest.mark.parametrize("lengths", [None, [6, 2, 0]])
def test_hooks_on_saved_tensors_have_all_of_them(kind: Any, lengths: Any) -> None:
    """Whoever packs copies gets the gradients of what was copied."""
    layer, x = kind(5, 7), torch.randn(6, 3, 5)
    wanted = torch.autograd.grad(layer(x, lengths=lengths)[0].square().sum(), list(layer.parameters()))
    with torch.autograd.graph.saved_tensors_hooks(lambda v: v.detach().clone(), lambda v: v):
        output = layer(x, lengths=lengths)[0]
        loss = output.square().sum()
    with torch.no_grad():
        x.mul_(3)
        output.detach().mul_(2)
    torch.testing.assert_close(torch.autograd.grad(loss, list(layer.parameters())), wanted)


@KINDS
def test_what_was_saved_goes_with_the_backward_pass(kind: Any) -> None:
    layer, x = kind(5, 7), torch.randn(6, 3, 5)
    output = layer(x)[0]
    loss, gone = output.sum(), [weakref.ref(x), weakref.ref(output)]
    loss.backward()
    del x, output
    gc.collect()
    assert all(v() is None for v in gone)
    assert loss.grad_fn is not None


@KINDS
def test_negative_views_and_zeros_that_are_nowhere(kind: Any) -> None:
    ours, theirs = pair(kind, 5, 7)
    x = torch.randn(4, 3, 5)
    for made in (torch._neg_view, lambda v: torch._efficientzerotensor(v.shape)):
        torch.testing.assert_close(ours(made(x))[0], theirs(made(x).clone() if made is not torch._neg_view else -x)[0])
        found = []
        for module in (ours, theirs):
            module.zero_grad()
            output = module(x)[0]
            g = torch.ones_like(output)
            output.backward(made(g) if module is ours else (-g if made is torch._neg_view else torch.zeros_like(g)))
            found.append([torch.zeros_like(p) if p.grad is None else p.grad for p in module.parameters()])
        torch.testing.assert_close(*found)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@KINDS
def test_forward_derivatives_of_gradients(kind: Any) -> None:
    ours, theirs = pair(kind, 5, 7)
    x, g, t = torch.randn(4, 3, 5), torch.randn(4, 3, 7), torch.randn(4, 3, 7)
    found = []
    for module in (ours, theirs):
        if module is theirs and kind is LSTM:
            continue  # oneDNN has none
        here = x.clone().requires_grad_()
        output = module(here)[0]
        with torch.autograd.forward_ad.dual_level():
            (dx,) = torch.autograd.grad(output, here, torch.autograd.forward_ad.make_dual(g, t))
            found.append(torch.autograd.forward_ad.unpack_dual(dx).tangent)
    (linear,) = torch.autograd.grad(ours(x.requires_grad_())[0], x, t)
    torch.testing.assert_close(found, [linear] * len(found))


@pytest.mark.parametrize(
    "options", [{}, {"layer_norm": True}, {"initial_state": ostinato.noisy(0.3), "peephole": True}]
)
def test_each_mode_is_bound_once(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[object] = []
    bind = Compiled.bind

    def counting(self: Compiled, *given: Any) -> Any:
        bound.append(given)
        return bind(self, *given)

    monkeypatch.setattr(Compiled, "bind", counting)
    layer, x = ostinato.LSTM(3, 4, **options), torch.randn(5, 2, 3)
    reference = ostinato.LSTM(3, 4, **options, backend="reference")
    reference.load_state_dict(layer.state_dict())
    for _ in range(3):
        for each in (layer, reference):
            each.train()
        found = []
        for each in (layer, reference):
            torch.manual_seed(0)
            found.append(each(x)[0])
        torch.testing.assert_close(*found)
        layer.eval()
        layer(x)
    assert len(bound) == 2
