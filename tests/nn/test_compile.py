"""torch.compile takes a layer whole, with every cell and option, in training and in inference."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd

import ostinato
from ostinato import State, cell
from tests.contracts.menu import CELLS, NOT_FOR, OPTIONS, layer, step
from tests.support import assert_same, tensors

# Every cell without options, and every option that acts in a call with one cell that takes it.
ACTING = OPTIONS.keys() - {"plain", "forget_bias", "xavier", "orthogonal", "chrono"}
MENU = [*((name, "plain") for name in CELLS), *(("lstm", option) for option in OPTIONS if option in ACTING)]
assert not NOT_FOR["lstm"]


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def whole(module: Any, **named: Any) -> Any:
    """Compiled without a break; the backend runs the graphs of forward and backward pass as they are."""
    return torch.compile(module, **{"fullgraph": True, "backend": "aot_eager", **named})


def made(name: str, option: str, **named: Any) -> Any:
    between_layers = option in ("residual", "highway")
    return layer(name, 3, 4, 2 if between_layers else 1, bidirectional=not between_layers, **OPTIONS[option], **named)


def outcome(run: Callable[..., Any], leaves: dict[str, Tensor], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
    """Everything that `run` gives, and the gradients of `leaves`, from the same random numbers every time."""
    torch.manual_seed(1)
    found = tensors(run(*args, **kwargs))
    total = torch.stack([v.float().square().sum() for v in found.values()]).sum()
    gradients = torch.autograd.grad(total, list(leaves.values()), materialize_grads=True)
    return {**found, **{f"d {name}": g for name, g in zip(leaves, gradients, strict=True)}}


def assert_compiles(module: torch.nn.Module, x: Tensor, *args: Any, compiled: Any = None, **kwargs: Any) -> None:
    x = x.requires_grad_()
    leaves = {"x": x, **dict(module.named_parameters())}
    got = outcome(whole(module) if compiled is None else compiled, leaves, x, *args, **kwargs)
    assert_same(got, outcome(module, leaves, x, *args, **kwargs), atol=1e-6)


@pytest.mark.parametrize(("name", "option"), MENU)
def test_a_layer_is_one_graph_in_training_and_in_inference(name: str, option: str) -> None:
    module, x = made(name, option), torch.randn(5, 2, 3)
    if option != "noisy":  # in a graph, torch draws other normal numbers
        assert_compiles(module, x)
    module.eval()
    with torch.no_grad():
        assert_same(tensors(whole(module)(x)), tensors(module(x)), atol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "min_lstm"])
def test_a_single_step_is_one_graph(name: str) -> None:
    assert_compiles(step(name, 3, 4), torch.randn(2, 3))
    assert_compiles(step(name, 3, 4, layer_norm=True, zoneout=0.3), torch.randn(2, 3))


STACK = {"num_layers": 2, "bidirectional": True}
CALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lengths": (STACK, {"lengths": torch.tensor([3, 0])}),
    "list of lengths": ({}, {"lengths": [5, 2]}),
    "states": (STACK, {"return_states": True}),
    "projection": ({"proj_size": 2, "peephole": True}, {}),
    "segments": ({"checkpoint_segments": 2}, {"lengths": [5, 3]}),
    "without bias": ({"bias": False}, {}),
    "batch first": ({"batch_first": True, "dropout": 0.5, **STACK}, {}),
    "first states": ({}, {"hx": (torch.ones(1, 2, 4), torch.ones(1, 2, 4))}),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_one_graph(call: str) -> None:
    options, arguments = CALLS[call]
    assert_compiles(ostinato.LSTM(3, 4, **options), torch.randn(5, 2, 3), **arguments)


@pytest.mark.parametrize("backend", ["vendor", "reference"])
def test_the_other_backends_are_one_graph(backend: str) -> None:
    assert_compiles(ostinato.GRU(3, 4, backend=backend), torch.randn(5, 2, 3))
    module = ostinato.LSTM(3, 4, checkpoint_segments=2, backend="reference", layer_norm=True)
    assert_compiles(module, torch.randn(5, 2, 3), lengths=[5, 3])


def test_one_graph_serves_all_sizes() -> None:
    module = ostinato.LSTM(3, 4, peephole=True, bidirectional=True, zoneout=0.2)
    count = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = whole(module, dynamic=True, backend=count)
    made_at = []
    for steps, rows in ((5, 2), (9, 4), (2, 7)):
        assert_compiles(module, torch.randn(steps, rows, 3), compiled=compiled)
        made_at.append(count.frame_count)
    assert made_at == made_at[:1] * 3


def test_wrong_lengths_are_told_when_the_graph_runs() -> None:
    compiled = whole(ostinato.LSTM(3, 4))
    with pytest.raises(
        ValueError, match="lengths expected numbers from 0 to the 5 time steps of the input, got 2 to 6"
    ):
        compiled(torch.randn(5, 2, 3), lengths=torch.tensor([6, 2]))


class Graphs:
    """A backend for torch.compile that collects the operators of ours in the graphs of both passes."""

    def __init__(self) -> None:
        self.forward: list[list[tuple[Any, ...]]] = []
        self.backward: list[list[tuple[Any, ...]]] = []
        self.compiler = aot_autograd(fw_compiler=self._note(self.forward), bw_compiler=self._note(self.backward))

    @staticmethod
    def _note(to: list[list[tuple[Any, ...]]]) -> Any:
        def compile(graph: torch.fx.GraphModule, inputs: Any) -> Any:
            nodes = [n for n in graph.graph.nodes if str(n.target).startswith("ostinato.")]
            to.append([(str(n.target), n.args[0], n.args[4:5] == (True,)) for n in nodes])
            return make_boxed_func(graph.forward)

        return compile


def test_a_direction_is_one_operator_and_saves_for_training_only() -> None:
    module, x = ostinato.GRU(3, 4, bidirectional=True), torch.randn(5, 2, 3)
    training, inference = Graphs(), Graphs()
    whole(module, backend=training.compiler)(x)[0].sum().backward()
    torch.compiler.reset()
    with torch.no_grad():
        whole(module, backend=inference.compiler)(x)
    ((plain, reverse),) = training.forward
    assert plain[0] == reverse[0] == "ostinato.recurrence.default"
    assert reverse[1] == f"{plain[1]} reverse"
    assert plain[2]
    assert reverse[2]
    assert [[node[0] for node in graph] for graph in training.backward] == [
        ["ostinato.recurrence_backward.default"] * 2
    ]
    assert inference.forward == [[(*plain[:2], False), (*reverse[:2], False)]]
    assert not inference.backward


def test_a_backend_around_the_call_is_heard() -> None:
    module, x = ostinato.LSTM(3, 4), torch.randn(5, 2, 3)
    graphs = Graphs()
    compiled = whole(module, backend=graphs.compiler)
    with torch.no_grad():
        compiled(x)
        with ostinato.backend("reference"):
            compiled(x)
            compiled(x)
        compiled(x)
    assert [len(graph) for graph in graphs.forward] == [1, 0], "two graphs, each made once"


def test_a_backend_that_was_left_in_another_order_than_it_was_entered_is_left() -> None:
    def block() -> Iterator[None]:
        with ostinato.backend("reference"):
            yield

    first, second = block(), block()
    for each in (first, second, first, second):
        next(each, None)
    elsewhere = block()
    contextvars.copy_context().run(next, elsewhere)
    next(elsewhere, None)
    assert ostinato.explain(ostinato.LSTM(3, 4), torch.randn(5, 2, 3)).backends == {"compiled"}

    graphs = Graphs()
    with torch.no_grad():
        whole(ostinato.LSTM(3, 4), backend=graphs.compiler)(torch.randn(5, 2, 3))
    assert [len(graph) for graph in graphs.forward] == [1], "the operator, not the loop of the reference"


def test_a_backend_around_an_export_is_heard_of_its_thread_alone() -> None:
    layer, x = ostinato.LSTM(3, 4).eval(), torch.randn(5, 2, 3)
    entered, leave = threading.Event(), threading.Event()

    def elsewhere() -> None:
        with ostinato.backend("reference"):
            entered.set()
            leave.wait()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    entered.wait()
    try:
        alone = [node.target for node in torch.export.export(layer, (x,)).graph.nodes]
        with ostinato.backend("reference"):
            inside = [node.target for node in torch.export.export(layer, (x,)).graph.nodes]
    finally:
        leave.set()
        thread.join()
    assert torch.ops.ostinato.recurrence.default in alone
    assert torch.ops.ostinato.recurrence.default not in inside


def test_a_backend_may_be_set_inside_of_what_is_compiled() -> None:
    module, x = ostinato.LSTM(3, 4), torch.randn(5, 2, 3)

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        with ostinato.backend("reference"):
            before = module(x)[0]
        return before, module(x)[0]

    graphs = Graphs()
    with torch.no_grad():
        before, after = whole(run, backend=graphs.compiler)(x)
    torch.testing.assert_close(before, after)
    assert [len(graph) for graph in graphs.forward] == [1]
    assert ostinato.explain(module, x).backends == {"compiled"}


@cell(gates="a", states="h")
def summed(x: Any, s: Any, U: Any) -> State:
    return State(h=torch.tanh(x.a + U(s.h).a).cumsum(1))


def test_a_cell_that_the_compiler_does_not_take_is_one_graph_of_its_steps() -> None:
    assert_compiles(ostinato.Recurrent(summed, 3, 4), torch.randn(3, 2, 3))


@pytest.mark.parametrize("options", [{}, {"peephole": True, "zoneout": 0.2}], ids=["plain", "options"])
def test_under_autocast_a_graph_gives_what_the_layer_gives(options: dict[str, Any]) -> None:
    module = ostinato.LSTM(3, 4, **options).eval()

    def run(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return module(x)[0]

    x = torch.randn(5, 2, 3, requires_grad=True)
    leaves = {"x": x, **dict(module.named_parameters())}
    exact = outcome(lambda x: module(x)[0], leaves, x)
    for each in (run, whole(run)):
        found = outcome(each, leaves, x)
        assert found["out"].dtype is (torch.float32 if options else torch.bfloat16)
        assert_same({n: v.float() for n, v in found.items()}, exact, atol=0.1)
        gradients = [v for name, v in found.items() if name.startswith("d ")]
        assert all(v.dtype is torch.float32 and v.any() for v in gradients)


def test_gradients_of_each_example_are_one_graph() -> None:
    module = ostinato.GRU(3, 4)
    parameters, xs = dict(module.named_parameters()), torch.randn(3, 5, 2, 3)

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(module, parameters, (x,))[0].square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
    assert_same(whole(each)(parameters, xs), each(parameters, xs), atol=1e-6)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # by torch itself, when it imports its compiler
def test_inductor_compiles_it() -> None:
    module = ostinato.LSTM(3, 4, 2, bidirectional=True, layer_norm=True)
    x = torch.randn(5, 2, 3)
    assert_compiles(module, x, compiled=whole(module, backend="inductor"), lengths=[5, 3])
